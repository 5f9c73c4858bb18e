"""Buckets and containers that refuse us, are missing, or are not the ones they should be: only the landing store stops the start."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.test_s3 import bucket_of
from tests.peers.azurite import KEY, Azurite
from tests.peers.s3_service import S3Service
from tests.unit.stewardship.held_archive import NORTH, instance, offer, originals
from vna_core.archival_storage.store_identity import IDENTITY
from vna_core.archival_storage.wrappers import awaiting
from vna_core.bootstrap import Archive, open_archive
from vna_core.configuration import Settings
from vna_core.domain.errors import StoreRefused, StoreUnrecognized

pytest.importorskip("s3fs", reason="the extra s3 is not installed")


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(awaiting, "_EVERY", 0.0)


@dataclass
class Cloud:
    """A service with two empty places; `wrong` changes options so that they are refused."""

    type: str
    one: dict[str, Any]
    other: dict[str, Any]
    wrong: dict[str, Any]


@pytest.fixture(params=["s3", "azure"])
def cloud(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cloud]:
    if request.param == "s3":
        s3: S3Service = request.getfixturevalue("seaweed")
        names = [s3.make_bucket(bucket_of(tmp_path / name)) for name in ("one", "other")]
        yield Cloud("s3", *(s3.options(name, attempts=1) for name in names), {"secret_key": "not-the-secret"})
        return
    pytest.importorskip("adlfs", reason="the extra azure is not installed")
    azure: Azurite = request.getfixturevalue("azure_service")
    names = [bucket_of(tmp_path / name) for name in ("one", "other")]
    for name in names:
        azure.service().create_container(name)
    wrong = {"connection_string": azure.connection_string().replace(KEY, "d3Jvbmc=")}
    yield Cloud("azure", *(azure.options(name, attempts=1) for name in names), wrong)


def opened(folder: Path, cloud: Cloud, options: dict[str, Any], landing: str = "landing") -> Archive:
    local = {"type": "filesystem", "options": {"path": str(folder / "landing")}}
    stores = {"landing": local, "cloud": {"type": cloud.type, "options": options}}
    return open_archive(Settings.model_validate({"data": str(folder), "landing": landing, "stores": stores}))


def test_a_further_store_that_refuses_us_is_awaited_until_somebody_mends_it(cloud: Cloud, tmp_path: Path) -> None:
    with opened(tmp_path, cloud, cloud.one | cloud.wrong) as archive:
        assert offer(archive, instance(1), NORTH).outcome.acknowledged
        assert originals(archive) == {instance(1)}
        for _ in range(2):  # it is asked again each time
            with pytest.raises(StoreRefused, match="check .*credentials"):
                archive.stores["cloud"].probe()
    with pytest.raises(StoreRefused):
        opened(tmp_path, cloud, cloud.one | cloud.wrong, landing="cloud")


def test_a_further_store_whose_bucket_is_made_later_takes_part(seaweed: S3Service, tmp_path: Path) -> None:
    options = seaweed.options(bucket_of(tmp_path), attempts=1)
    service = Cloud("s3", options, options, {})
    with opened(tmp_path, service, options) as archive:
        with pytest.raises(StoreRefused, match="does not exist; create it first"):
            archive.stores["cloud"].probe()
        seaweed.make_bucket(bucket_of(tmp_path))
        archive.stores["cloud"].probe()


def test_another_bucket_and_an_emptied_one_are_not_taken_for_the_store(cloud: Cloud, tmp_path: Path) -> None:
    with opened(tmp_path, cloud, cloud.one, landing="cloud") as archive:
        assert offer(archive, instance(1), NORTH).outcome.acknowledged
    with pytest.raises(StoreUnrecognized, match=f"{IDENTITY} is missing"):
        opened(tmp_path, cloud, cloud.other, landing="cloud")
    with opened(tmp_path, cloud, cloud.one, landing="cloud") as archive:
        assert originals(archive) == {instance(1)}
        for stored in list(archive.landing.list()):
            archive.landing.delete(stored.key)
    with pytest.raises(StoreUnrecognized, match=f"{IDENTITY} is missing"):
        opened(tmp_path, cloud, cloud.one, landing="cloud")


def test_an_identity_in_an_archive_tier_is_vouched_for_by_objects(azure_service: Azurite, tmp_path: Path) -> None:
    pytest.importorskip("adlfs", reason="the extra azure is not installed")
    name = bucket_of(tmp_path)
    azure_service.service().create_container(name)
    options = azure_service.options(name, attempts=1)
    service = Cloud("azure", options, options, {})
    with opened(tmp_path, service, options, landing="cloud") as archive:
        assert offer(archive, instance(1), NORTH).outcome.acknowledged
    azure_service.service().get_blob_client(name, IDENTITY).set_standard_blob_tier("Archive")
    with opened(tmp_path, service, options, landing="cloud") as archive:
        assert originals(archive) == {instance(1)}
