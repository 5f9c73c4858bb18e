"""A store is known again by its identity: what is not mounted, emptied or swapped is not taken for the archive's store."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from tests.unit.stewardship.held_archive import NORTH, Place, instance, offer, originals
from vna_core.archival_storage.store_identity import IDENTITY
from vna_core.bootstrap import Archive, open_archive
from vna_core.configuration import CatalogueSettings, Settings
from vna_core.domain.errors import StoreUnavailable, StoreUnrecognized
from vna_core.stewardship.knowing_stores import KnowingStores
from vna_core.stewardship.rebuild import rebuild
from vna_core.stewardship.scrub import Scrub


class Site:
    """A data folder with the stores ``landing`` and ``second`` on disks of their own."""

    def __init__(self, place: Place) -> None:
        self.catalogue, self.folder = place
        self.disks = {"landing": self.folder / "disk-1" / "vna", "second": self.folder / "disk-2" / "vna"}

    def open(self, wrap: list[Mapping[str, Any]] | None = None, **paths: Path) -> Archive:
        stores = {name: {"type": "filesystem", "options": {"path": str(path)}} for name, path in (self.disks | paths).items()}
        if wrap:
            stores["landing"]["wrap"] = wrap  # type: ignore[assignment]
        return open_archive(Settings(data=self.folder, catalogue=self.catalogue, stores=stores))  # type: ignore[arg-type]

    def fill(self, **options: Any) -> None:
        with self.open(**options) as archive:
            assert offer(archive, instance(1), NORTH).outcome.acknowledged
            [held] = archive.catalogue.instances()
            [where] = held.locations
            archive.stores["second"].create(where.key, archive.landing.chunks(where.key))
            archive.catalogue.add_copy(held.pk, type(where)("second", where.key, where.offset, where.length))

    def identity(self, name: str) -> str:
        return str(json.loads((self.disks[name] / IDENTITY).read_bytes())["id"])


@pytest.fixture
def site(new_catalogue: Callable[[str], Place]) -> Site:
    return Site(new_catalogue("known"))


def away(path: Path) -> Path:
    return Path(shutil.move(path, path.with_name("away")))


def test_a_new_store_gets_an_identity_and_is_known_by_it(site: Site) -> None:
    site.open().close()
    said = json.loads((site.disks["landing"] / IDENTITY).read_bytes())
    assert said["name"] == "landing" and len(said["id"]) == 32
    assert site.identity("second") != said["id"]
    before = {name: (site.disks[name] / IDENTITY).stat() for name in site.disks}
    with site.open() as archive:
        assert archive.catalogue.store_identities.of("landing").identity == said["id"]
    assert {name: (site.disks[name] / IDENTITY).stat() for name in site.disks} == before


@pytest.mark.parametrize("mount_point_is_left", [False, True])
def test_a_landing_store_that_is_not_mounted_stops_the_start_and_nothing_is_made_there(
    site: Site, mount_point_is_left: bool
) -> None:
    site.fill()
    disk = away(site.disks["landing"])
    if mount_point_is_left:
        site.disks["landing"].mkdir()
    with pytest.raises(StoreUnrecognized, match="'landing' .*vna-store.json is missing.* mounted.*`vna store replace landing`"):
        site.open()
    assert not site.disks["landing"].exists() or not list(site.disks["landing"].iterdir())
    shutil.rmtree(site.disks["landing"], ignore_errors=True)
    disk.rename(site.disks["landing"])
    with site.open() as archive:
        assert originals(archive) == {instance(1)}


def test_no_key_ring_is_made_where_an_encrypted_store_is_not_mounted(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORE_KEY", "5a" * 32)
    wrap = [{"type": "encrypting", "key": "env:STORE_KEY"}, {"type": "verifying"}]
    site.fill(wrap=wrap)
    assert len(site.identity("landing")) == 32  # below the encryption: anybody can read it
    site.disks["landing"].rename(site.disks["landing"].with_name("away"))
    site.disks["landing"].mkdir()
    with pytest.raises(StoreUnrecognized):
        site.open(wrap=wrap)
    assert not list(site.disks["landing"].iterdir())
    site.disks["landing"].rmdir()
    site.disks["landing"].with_name("away").rename(site.disks["landing"])
    with site.open(wrap=wrap) as archive:
        assert originals(archive) == {instance(1)}
        assert IDENTITY not in [one.key for one in archive.landing.list()]
        assert Scrub(archive.stores, archive.catalogue).run().complete
        assert archive.catalogue.checks.findings() == []


def test_a_further_store_that_is_not_mounted_is_awaited(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vna_core.archival_storage.wrappers.awaiting._EVERY", 0.0)
    site.fill()
    disk = away(site.disks["second"])
    with site.open() as archive:
        assert not site.disks["second"].exists()
        assert offer(archive, instance(2), NORTH).outcome.acknowledged
        report = Scrub(archive.stores, archive.catalogue).run()
        assert report.unavailable == ("second",) and not report.complete
        assert archive.catalogue.checks.findings(store="second") == []
        with pytest.raises(StoreUnrecognized):
            archive.stores["second"].create("x", [b"1"])
        disk.rename(site.disks["second"])
        archive.stores["second"].probe()


def test_two_names_that_were_swapped_are_told(site: Site) -> None:
    site.fill()
    with pytest.raises(StoreUnrecognized, match=r"'landing' is configured is another store: .*that of store 'second'"):
        site.open(landing=site.disks["second"], second=site.disks["landing"])


def test_one_place_under_two_names_is_told(site: Site) -> None:
    site.open().close()
    stranger = site.folder / "third"
    shutil.copytree(site.disks["landing"], stranger)
    stores = {"landing": site.disks["landing"], "third": stranger}
    settings = {name: {"type": "filesystem", "options": {"path": str(path)}} for name, path in stores.items()}
    said = "'third' is configured is store 'landing', or a copy of it"
    with (
        open_archive(Settings(data=site.folder, catalogue=site.catalogue, stores=settings)) as archive,  # type: ignore[arg-type]
        pytest.raises(StoreUnavailable, match=said),
    ):
        archive.stores["third"].read("anything")


def test_a_store_of_before_is_looked_at_and_gets_an_identity(site: Site) -> None:
    site.fill()
    forget(site)
    (site.disks["landing"] / IDENTITY).unlink()
    with site.open() as archive:
        assert archive.catalogue.store_identities.of("landing").identity == site.identity("landing")
        assert originals(archive) == {instance(1)}


def test_an_empty_folder_in_place_of_a_store_of_before_is_refused(site: Site) -> None:
    site.fill()
    forget(site)
    away(site.disks["landing"])
    with pytest.raises(StoreUnrecognized, match="not that store"):
        site.open()
    assert not site.disks["landing"].exists()


def forget(site: Site) -> None:
    """As an archive that was opened by a version without identities left it."""
    from sqlalchemy import update

    from vna_core.catalogue.schema_placement import known_stores

    with site.open() as archive, archive.catalogue._database.transaction() as session:
        session.run(update(known_stores).values(identity="", marked=0))


def test_a_store_that_got_no_identity_because_the_process_died_gets_it_at_the_next_start(site: Site) -> None:
    with site.open() as archive:
        proposed = archive.catalogue.store_identities.propose("third", "7" * 32)
    third = site.folder / "third"
    with site.open(third=third):
        assert json.loads((third / IDENTITY).read_bytes())["id"] == proposed == "7" * 32


def test_an_identity_that_was_deleted_in_a_store_without_objects_is_put_back(site: Site) -> None:
    site.open().close()
    identity = site.identity("landing")
    (site.disks["landing"] / IDENTITY).unlink()
    site.open().close()
    assert site.identity("landing") == identity


def test_a_damaged_identity_is_told(site: Site) -> None:
    site.fill()
    (site.disks["landing"] / IDENTITY).write_bytes(b"{}")
    with pytest.raises(StoreUnrecognized, match="damaged, or of a later version"):
        site.open()


def test_processes_that_open_a_new_store_at_once_agree(site: Site) -> None:
    with site.open() as archive:
        proposals = {archive.catalogue.store_identities.propose("new", str(number) * 32) for number in range(3)}
    assert proposals == {"0" * 32}


def test_a_rebuild_into_an_empty_database_takes_over_what_it_finds(site: Site, new_catalogue: Callable[[str], Place]) -> None:
    site.fill()
    identities = {name: site.identity(name) for name in site.disks}
    empty, folder = new_catalogue("empty")
    folder.mkdir()
    site.catalogue = empty if empty.url else CatalogueSettings(url=f"sqlite:///{folder}/catalogue.sqlite")
    with site.open() as archive:
        assert not rebuild(archive.stores, archive.catalogue).damaged
        assert originals(archive) == {instance(1)}
        assert {name: archive.catalogue.store_identities.of(name).identity for name in site.disks} == identities


def test_the_identity_is_no_finding_of_a_scrub(site: Site) -> None:
    site.fill()
    with site.open() as archive:
        assert Scrub(archive.stores, archive.catalogue).run().complete
        assert archive.catalogue.checks.findings() == []


def test_a_replaced_store_counts_as_replaced_until_a_whole_listing_was_compared(site: Site) -> None:
    site.fill()
    with site.open() as archive:
        identities, landing = archive.catalogue.store_identities, archive.landing
        assert not identities.of("landing").replaced
        scrub = Scrub(archive.stores, archive.catalogue)
        KnowingStores(identities, site.disks).replace(landing)
        assert identities.of("landing").replaced and identities.of("landing").marked
        with site.open() as again:  # which knows it as it did before
            assert again.catalogue.store_identities.of("landing").replaced
        identities.settle("landing", identities.of("landing").identity)
        assert identities.of("landing").replaced and identities.bearer(identities.of("landing").identity) == "landing"
        begun = scrub._begun(Fraction(1))
        archive.catalogue.checks.save(begun.advanced({"store": "landing", "phase": "compare", "key": "studies/"}))
        assert scrub.run().complete
        assert identities.of("landing").replaced, "the beginning of the listing was compared before it was replaced, perhaps"
        assert scrub.run().complete
        assert not identities.of("landing").replaced and identities.of("landing").marked
