"""A legal hold is on the objects themselves where a store has object locks: set and lifted by `vna hold`'s work, in real buckets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.conformance.test_s3 import bucket_of
from tests.peers.s3_service import S3Service
from tests.unit.packs.archives import keeper
from tests.unit.stewardship.held_archive import NORTH, instance, offer
from vna_core.bootstrap import Archive, open_archive
from vna_core.bootstrap_jobs import job_handlers
from vna_core.configuration import Settings
from vna_core.configuration.jobs import JobsSettings
from vna_core.domain.errors import StorageError
from vna_core.domain.placement import PLACE
from vna_core.domain.stewardship import Extent
from vna_core.jobs import LedgerWork
from vna_core.stewardship.deletion import Deleting
from vna_core.stewardship.holding import HOLD_COPIES

pytest.importorskip("s3fs", reason="the extra s3 is not installed")

pytestmark = pytest.mark.xdist_group("s3")

SERIES = "1.2.3.2"


@contextmanager
def placed(folder: Path, service: S3Service, bucket: str, lock: str = "0") -> Iterator[Archive]:
    document = {
        "data": str(folder),
        "stores": {
            "landing": {"type": "filesystem", "options": {"path": str(folder / "landing")}},
            "cloud": {"type": "s3", "options": service.options(bucket)},
        },
        "placement": {
            "settle": 0,
            "rules": [{"name": "both", "copies": [{"store": "landing"}, {"store": "cloud", "lock": lock}]}],
        },
        "packs": {"quiet": 0, "removal_delay": 0},
    }
    with open_archive(Settings.model_validate(document)) as archive:
        yield archive


def work(archive: Archive) -> None:
    handlers = {kind: handler for kind, handler in job_handlers(archive).items() if kind in (PLACE, HOLD_COPIES)}
    LedgerWork(archive.catalogue.jobs, handlers, JobsSettings(poll=0.01, pause=0.001), "test").run_until_idle()


@pytest.fixture
def status(seaweed: S3Service) -> Callable[[str, str], str]:
    def asked(bucket: str, key: str) -> str:
        return str(seaweed.call("head_object", Bucket=bucket, Key=key).get("ObjectLockLegalHoldStatus", "OFF"))

    return asked


def test_a_hold_is_on_every_copy_and_on_what_comes_later_until_it_is_released(
    seaweed: S3Service, status: Callable[[str, str], str], tmp_path: Path
) -> None:
    bucket = seaweed.make_bucket(bucket_of(tmp_path), ObjectLockEnabledForBucket=True)
    with placed(tmp_path, seaweed, bucket) as archive:
        cloud, deleting = archive.stores["cloud"], Deleting(archive.stores, archive.landing, archive.catalogue)
        offer(archive, instance(1), NORTH)
        offer(archive, instance(1, series="1.2.3.3"), NORTH)
        work(archive)
        [first] = [one.key for one in cloud.list("studies/") if f"/{SERIES}/" in one.key]
        [other] = [one.key for one in cloud.list("studies/") if "/1.2.3.3/" in one.key]
        hold = deleting.set_hold(Extent.SERIES, SERIES, "case", "lawyer")
        work(archive)
        assert (status(bucket, first), status(bucket, other)) == ("ON", "OFF")
        with pytest.raises(StorageError, match="locked"):
            cloud.delete(first)

        offer(archive, instance(2), NORTH)
        work(archive)
        [second] = [one.key for one in cloud.list("studies/") if f"/{SERIES}.2." in one.key]
        assert status(bucket, second) == "ON"

        pack_keeper = keeper(archive, archive.settings.packs)
        for place in archive.catalogue.packs.series():
            pack_keeper.seal(place)
        work(archive)
        pack_keeper.remove_leftovers()
        [pack] = [one.key for one in cloud.list("packs/") if f"/{SERIES}/" in one.key and not one.key.endswith(".json")]
        assert [status(bucket, key) for key in (pack, first, second)] == ["ON"] * 3, "nothing under hold is removed"

        deleting.release_hold(hold.id, "judge")
        work(archive)
        assert [status(bucket, key) for key in (pack, first, second)] == ["OFF"] * 3
        pack_keeper.remove_leftovers(at_once=True)
        assert [one.key for one in cloud.list("studies/") if f"/{SERIES}/" in one.key] == []

        deleting.delete(Extent.SERIES, SERIES, "x", "me")
        assert deleting.purge("me", timedelta(0)).left == []
        assert [one.key for one in cloud.list() if f"/{SERIES}/" in one.key] == []


def test_a_pack_of_images_that_came_one_after_the_other_is_locked_for_the_last_of_them(
    seaweed: S3Service, tmp_path: Path
) -> None:
    bucket = seaweed.make_bucket(bucket_of(tmp_path), ObjectLockEnabledForBucket=True)
    with placed(tmp_path, seaweed, bucket, lock="2d") as archive:
        for number in range(1, 7):
            offer(archive, instance(number), NORTH)
        last = datetime.now(UTC)
        pack_keeper = keeper(archive, archive.settings.packs)
        for place in archive.catalogue.packs.series():
            pack_keeper.seal(place)
        work(archive)
        sums = archive.catalogue.store_sums.missing()
        assert sums == {}, "the policy is met after one attempt"
        [pack] = [one.key for one in archive.stores["cloud"].list("packs/") if not one.key.endswith(".json")]
        until = seaweed.call("get_object_retention", Bucket=bucket, Key=pack)["Retention"]["RetainUntilDate"]
        assert abs(until - (last + timedelta(days=2))) < timedelta(minutes=5)
