"""The S3 store does what every store must, on services that are good, that have cold tiers, and that are careless."""

from __future__ import annotations

import hashlib
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog

from tests.peers.cable import Cable
from tests.peers.s3_service import S3Service
from vna_core.domain.errors import ConfigurationError, ObjectArchived, ObjectExists, StorageError, StoreRefused, StoreUnavailable
from vna_core.domain.octets import CHUNK
from vna_core.ports.storage import Store
from vna_core.testing.storage_conformance import STRANGE, StoreConformance
from vna_core.testing.storage_doctor import examine
from vna_core.testing.storage_tiers import TierConformance

pytest.importorskip("s3fs", reason="the extra s3 is not installed")
from vna_storage_s3 import open_store, probing  # noqa: E402
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
    large_races_decided = False  # of three that complete uploads of one key at once, up to three are told that they created it

    @pytest.fixture(autouse=True)
    def _service(self, seaweed: S3Service) -> None:
        self.service = seaweed


class TestTiersOnMoto(TierConformance):
    @pytest.fixture(autouse=True)
    def _service(self, moto_service: S3Service) -> None:
        self.service = moto_service

    def open_store(self, folder: Path) -> Store:
        bucket = self.service.make_bucket(bucket_of(folder))
        return open_store("tiers", self.service.options(bucket, tiers=["STANDARD_IA", "GLACIER"]))


class TestLocksOnSeaweedFs(TierConformance):
    @pytest.fixture(autouse=True)
    def _service(self, seaweed: S3Service) -> None:
        self.service = seaweed

    def open_store(self, folder: Path) -> Store:
        bucket = self.service.make_bucket(bucket_of(folder), ObjectLockEnabledForBucket=True)
        return open_store("locks", self.service.options(bucket))


@pytest.fixture
def bucket(seaweed: S3Service, tmp_path: Path) -> str:
    return seaweed.make_bucket(bucket_of(tmp_path))


def test_an_object_carries_its_digest_and_tags(seaweed: S3Service, bucket: str) -> None:
    store = open_store("s", seaweed.options(bucket, tags={"archive": "vna"}))
    content = [bytes(CHUNK)] * 20
    small, large = store.create("small", [b"content"]), store.create("large", content)
    assert large.sha256 == hashlib.sha256(b"".join(content)).hexdigest()
    for one in (small, large):
        assert seaweed.call("head_object", Bucket=bucket, Key=one.key)["Metadata"]["sha256"] == one.sha256
        assert seaweed.call("get_object_tagging", Bucket=bucket, Key=one.key)["TagSet"] == [{"Key": "archive", "Value": "vna"}]
        assert store.stat(one.key).sha256 == one.sha256


def test_a_locked_object_cannot_be_deleted(seaweed: S3Service, tmp_path: Path) -> None:
    bucket = seaweed.make_bucket(bucket_of(tmp_path), ObjectLockEnabledForBucket=True)
    store = open_store("s", seaweed.options(bucket, lock="COMPLIANCE", lock_days=1))
    assert store.abilities().object_lock
    store.create("kept", [b"content"])
    with pytest.raises(StorageError) as raised:
        store.delete("kept")
    assert not raised.value.transient
    assert store.read("kept") == b"content"


def test_in_a_bucket_with_versions_deleting_is_for_good(seaweed: S3Service, bucket: str) -> None:
    seaweed.call("put_bucket_versioning", Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    store = open_store("s", seaweed.options(bucket))
    store.create("a", [b"old"])
    store.delete("a")
    store.delete("a")
    left = seaweed.call("list_object_versions", Bucket=bucket)
    assert not left.get("Versions") and not left.get("DeleteMarkers")
    store.create("a", [b"new"])
    assert store.read("a") == b"new"


def test_with_a_customer_key_nobody_reads_without_it(seaweed: S3Service, bucket: str, tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(bytes(range(32)))
    store = open_store("s", seaweed.options(bucket, customer_key_file=str(tmp_path / "key")))
    content = [bytes([number]) * CHUNK for number in range(20)]
    for key, pieces in (("small", [b"content"]), ("large", content)):
        store.create(key, pieces)
        assert b"".join(store.chunks(key)) == b"".join(pieces)
        with pytest.raises(OSError):
            seaweed.call("head_object", Bucket=bucket, Key=key)


def test_an_upload_forgotten_for_a_day_is_aborted_when_the_store_is_opened(
    seaweed: S3Service, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seaweed.call("create_multipart_upload", Bucket=bucket, Key="vna/forgotten")
    seaweed.call("create_multipart_upload", Bucket=bucket, Key="others/upload")
    open_store("s", seaweed.options(bucket, prefix="vna/"))
    assert len(seaweed.call("list_multipart_uploads", Bucket=bucket)["Uploads"]) == 2
    monkeypatch.setattr(probing, "ORPHANED_AFTER", timedelta(days=-1))
    open_store("s", seaweed.options(bucket, prefix="vna/"))
    assert [one["Key"] for one in seaweed.call("list_multipart_uploads", Bucket=bucket)["Uploads"]] == ["others/upload"]


def test_a_connection_that_breaks_in_the_middle_leaves_no_torn_object(seaweed: S3Service, bucket: str) -> None:
    cable = Cable(int(seaweed.endpoint.rsplit(":", 1)[1]))
    options = seaweed.options(bucket, parallel_parts=1, **IMPATIENT) | {"endpoint": f"http://127.0.0.1:{cable.port}"}
    store = open_store("s", options)
    cable.break_after(9 << 20)
    with pytest.raises(StoreUnavailable):
        store.create("torn", [bytes(CHUNK)] * 30)
    assert list(store.list()) == []
    assert store.create("torn", [bytes(CHUNK)] * 30).size == 30 * CHUNK


def test_a_service_that_ignores_conditions_is_found_out_and_still_does_not_overwrite(
    rclone_service: S3Service, tmp_path: Path
) -> None:
    with structlog.testing.capture_logs() as logs:
        store = open_store("careless", rclone_service.options(rclone_service.make_bucket(bucket_of(tmp_path))))
    assert {one["event"] for one in logs if one["log_level"] == "warning"} == {"store-overwrites", "store-ignores-checksums"}
    assert not store.abilities().conditional_create and not store.abilities().checksums
    store.create("a", [b"first"])
    with pytest.raises(ObjectExists):
        store.create("a", [b"second"])
    with pytest.raises(ObjectExists):
        store.create("a", [bytes(CHUNK)] * 20)
    assert store.read("a") == b"first"


def test_a_service_that_ignores_the_customer_key_is_refused(rclone_service: S3Service, tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(bytes(32))
    options = rclone_service.options(rclone_service.make_bucket(bucket_of(tmp_path)), customer_key_file=str(tmp_path / "key"))
    with pytest.raises(ConfigurationError, match="ignores encryption"):
        open_store("careless", options)


def test_an_object_in_a_cold_tier_is_told_as_archived_until_it_is_recalled(moto_service: S3Service, tmp_path: Path) -> None:
    bucket = moto_service.make_bucket(bucket_of(tmp_path))
    store = open_store("cold", moto_service.options(bucket, storage_class="GLACIER"))
    assert store.abilities().recall and "GLACIER" in store.abilities().tiers
    moto_service.call("put_object", Bucket=bucket, Key="a", Body=b"content", StorageClass="GLACIER")
    with pytest.raises(ObjectArchived):
        store.read("a")
    assert store.stat("a").size == 7
    moto_service.call("restore_object", Bucket=bucket, Key="a", RestoreRequest={"Days": 1})
    assert store.read("a") == b"content"


def test_a_listing_of_several_pages_begins_after_a_key_at_the_service(moto_service: S3Service, tmp_path: Path) -> None:
    store = open_store("s", moto_service.options(moto_service.make_bucket(bucket_of(tmp_path)), prefix="p/"))
    keys = sorted(f"1.2.{number}" + ("/a" if number % 3 else ".4/b") for number in range(1_100))
    for key in keys:
        store._client.call("put_object", f"p/{key}", Body=b"x")  # type: ignore[attr-defined]
    assert [one.key for one in store.list()] == keys
    assert [one.key for one in store.list(after=keys[1_050])] == keys[1_051:]


def test_a_folder_is_no_object(seaweed: S3Service, bucket: str) -> None:
    store = open_store("s", seaweed.options(bucket, prefix="vna/"))
    store.create("a/b/one", [b"1"])
    store.delete("a/b/one")  # the folder stays, and is told when it is asked for
    seaweed.call("put_object", Bucket=bucket, Key="vna/by-hand/", Body=b"")
    for prefix in ("", "a/", "a/b/", "by-hand/"):
        assert list(store.list(prefix)) == []


def test_the_doctor_finds_nothing_but_what_is_known_of_the_service(seaweed: S3Service, bucket: str) -> None:
    found = examine(open_store("s", seaweed.options(bucket)))
    failed = {check.statement: check.detail for check in found.checks if check.outcome == "failed"}
    undecided = failed.pop("of racing large writers exactly one wins", "of 3 that finished at once")  # see TestSeaweedFs
    assert failed == {}
    assert "of 3 that finished at once" in undecided


def test_wrong_credentials_and_a_missing_bucket_are_one_clear_line(seaweed: S3Service, bucket: str) -> None:
    with pytest.raises(StoreRefused, match="^Store 's': bucket 'absent-bucket' does not exist; create it first.$"):
        open_store("s", seaweed.options("absent-bucket"))
    with pytest.raises(StoreRefused, match="check credentials") as raised:
        open_store("s", seaweed.options(bucket) | {"secret_key": "not-the-secret"})
    assert "not-the-secret" not in raised.value.message and "\n" not in raised.value.message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "option 'bucket' is missing"),
        ({"bucket": "abc", "storage_clas": "X"}, "unknown option 'storage_clas'; did you mean 'storage_class'"),
        ({"bucket": "abc", "part_size": 1}, "option 'part_size'"),
        ({"bucket": "abc", "lock": "COMPLIANCE"}, "'lock' and 'lock_days' belong together"),
        ({"bucket": "abc", "access_key": "a"}, "'access_key' and 'secret_key' belong together"),
    ],
)
def test_a_wrong_option_is_one_clear_line(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        open_store("s", options)


def test_an_option_that_the_bucket_cannot_keep_is_refused(seaweed: S3Service, bucket: str) -> None:
    with pytest.raises(ConfigurationError, match="made without object lock"):
        open_store("s", seaweed.options(bucket, legal_hold=True))


def test_without_its_library_the_backend_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "vna_storage_s3.store")
    monkeypatch.delitem(sys.modules, "vna_storage_s3.client")
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(ConfigurationError, match=r"needs s3fs, which is not installed: pip install 'vna-core\[s3\]'"):
        open_store("s", {"bucket": "abc"})
