"""How many requests a bucket is asked: what is written is written once and not read back, what is read is read by one range."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.test_s3 import bucket_of
from tests.peers.s3_service import S3Service
from vna_core.archival_storage.copying import copy_object
from vna_core.domain.octets import ByteRange
from vna_storage_filesystem.store import FilesystemStore

pytest.importorskip("s3fs", reason="the extra s3 is not installed")

from vna_storage_s3 import open_store

pytestmark = pytest.mark.xdist_group("s3")

LARGE = random.Random(5).randbytes((20 << 20) + 7)
SMALL = LARGE[:3000]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Operations that were begun, by name."""
    from vna_storage_s3.client import S3Client

    found: Counter[str] = Counter()
    start = S3Client.start

    def counted(self: S3Client, operation: str, key: str = "", /, **parameters: Any) -> Any:
        found[operation] += 1
        return start(self, operation, key, **parameters)

    monkeypatch.setattr(S3Client, "start", counted)
    return found


def test_a_copy_is_one_way_where_the_service_proves_what_it_takes(
    seaweed: S3Service, tmp_path: Path, asked: Counter[str]
) -> None:
    source = FilesystemStore("landing", tmp_path / "landing")
    cloud = open_store("cloud", seaweed.options(seaweed.make_bucket(bucket_of(tmp_path))))
    assert cloud.abilities().checksums
    for key, content in (("small", SMALL), ("large", LARGE)):
        source.create(key, [content])
        asked.clear()
        assert copy_object(source, cloud, key, hashlib.sha256(content).hexdigest()) == len(content)
        single, parts = {"put_object": 1}, {"create_multipart_upload": 1, "upload_part": 3, "complete_multipart_upload": 1}
        assert dict(asked) == (single if key == "small" else parts)
        assert hashlib.sha256(b"".join(cloud.chunks(key))).digest() == hashlib.sha256(content).digest()


def test_a_range_is_one_request_and_a_stream_one_for_each_8_mib(seaweed: S3Service, tmp_path: Path, asked: Counter[str]) -> None:
    cloud = open_store("cloud", seaweed.options(seaweed.make_bucket(bucket_of(tmp_path))))
    cloud.create("large", [LARGE])
    for wanted in (ByteRange(0, 10), ByteRange(9_000_000, 500_000), ByteRange(-16, 16)):
        asked.clear()
        assert cloud.read("large", wanted) == LARGE[wanted.offset :][: wanted.length]
        assert dict(asked) == {"get_object": 1}
    asked.clear()
    assert b"".join(cloud.chunks("large")) == LARGE
    assert dict(asked) == {"get_object": 3}
