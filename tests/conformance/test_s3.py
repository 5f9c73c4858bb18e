"""The S3 store does what every store must, on services that are good, that have cold tiers, and that are careless."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from tests.peers.cable import Cable
from tests.peers.s3_service import S3Service
from vna_core.ports.storage import Store
from vna_core.testing.storage_conformance import STRANGE, StoreConformance

pytest.importorskip("s3fs", reason="the extra s3 is not installed")
from vna_storage_s3 import open_store  # noqa: E402
from vna_storage_s3.client import S3Client  # noqa: E402

pytestmark = pytest.mark.xdist_group("s3")
IMPATIENT = {"attempts": 1, "connect_timeout": 2.0, "timeout": 20.0}


def bucket_of(folder: Path) -> str:
    return "test-" + hashlib.sha256(str(folder).encode()).hexdigest()[:20]


class OnService(StoreConformance):
    """A fresh bucket for every test, a fresh prefix for every run of calls within one."""

    service: S3Service
    options: dict[str, Any] = {}

    def open_store(self, folder: Path) -> Store:
        run = folder.name.startswith("run")
        bucket = bucket_of(folder.parent if run else folder)
        made = self.service.call("list_buckets")["Buckets"]
        if bucket not in {one["Name"] for one in made}:
            self.service.make_bucket(bucket)
        prefix = f"{folder.name}/" if run else "vna/"
        return open_store("bucket", self.service.options(bucket, prefix=prefix, part_size=5 << 20, **self.options))

    def partial_uploads(self, store: Store) -> int:
        client: S3Client = store._client  # type: ignore[attr-defined]
        return len(self.service.call("list_multipart_uploads", Bucket=client.bucket).get("Uploads", ()))

    def unavailable(self, folder: Path) -> Store:
        cable = Cable(int(self.service.endpoint.rsplit(":", 1)[1]))
        bucket = self.service.make_bucket(bucket_of(folder))
        options = self.service.options(bucket, **IMPATIENT) | {"endpoint": f"http://127.0.0.1:{cable.port}"}
        store = open_store("unplugged", options)
        cable.unplug()
        return store


class TestSeaweedFs(OnService):
    examples = 8
    strange_keys = tuple(key for key in STRANGE if "\\" not in key)  # it takes a backslash for a slash

    @pytest.fixture(autouse=True)
    def _service(self, seaweed: S3Service) -> None:
        self.service = seaweed
