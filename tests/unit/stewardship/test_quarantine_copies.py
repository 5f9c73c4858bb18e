"""What lies in quarantine gets further copies where the policy says so; they are scrubbed, repaired from, and found by a rebuild."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.stewardship.held_archive import offer
from tests.unit.stewardship.two_stores import SCANNER, Keeper, flip, keeper
from vna_core.bootstrap import open_archive
from vna_core.bootstrap_jobs import ensure_periodic_jobs, job_handlers
from vna_core.configuration import CatalogueSettings, Settings
from vna_core.configuration.jobs import JobsSettings
from vna_core.domain.errors import ConfigurationError
from vna_core.jobs import LedgerWork
from vna_core.stewardship.placing_quarantine import PLACE_QUARANTINE
from vna_core.stewardship.rebuild import rebuild

OCTETS = b"no DICOM at all" * 10


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Keeper]:
    with keeper((CatalogueSettings(), tmp_path), filled=False, placement={"quarantine": ["second"]}) as made:
        offer(made.archive, OCTETS, SCANNER)
        yield made


def copy(kept: Keeper) -> None:
    ensure_periodic_jobs(kept.archive)
    handlers = {PLACE_QUARANTINE: job_handlers(kept.archive)[PLACE_QUARANTINE]}
    LedgerWork(kept.archive.catalogue.jobs, handlers, JobsSettings(), "test").run_until_idle()


def test_an_item_has_its_copy_with_the_note_beside_it_and_each_heals_the_other(kept: Keeper) -> None:
    keys = [one.key for one in kept.archive.landing.list("quarantine/")]
    copy(kept)
    assert [one.key for one in kept.second.list("quarantine/")] == keys and len(keys) == 2
    for store in ("landing", "second"):
        flip(kept.path(store, keys[0]))
        kept.scrub()
        assert kept.findings() == {(store, keys[0]): "bit-rot"}
        assert kept.repair() == {(store, keys[0]): "repaired"}
        assert kept.archive.stores[store].read(keys[0]) == OCTETS
    kept.path("second", keys[0]).unlink()
    kept.scrub()
    assert kept.findings() == {("second", keys[0]): "missing"}
    kept.repair()
    assert kept.second.read(keys[0]) == OCTETS


def test_a_rebuild_knows_the_copies_and_one_store_is_enough(kept: Keeper, tmp_path: Path) -> None:
    copy(kept)
    for number, names in enumerate((("landing", "second"), ("second",))):
        settings = kept.archive.settings.model_copy(update={"data": tmp_path / f"rebuilt{number}"})
        with open_archive(settings) as other:
            stores = {name: kept.archive.stores[name] for name in names}
            assert rebuild(stores, other.catalogue).damaged == []
            [entry] = other.catalogue.quarantined()
            assert entry.source == SCANNER and entry.size == len(OCTETS)
            assert other.catalogue.uncopied_quarantine("second") == []


def test_a_store_that_is_not_configured_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="store 'nowhere' is not configured"):
        open_archive(Settings.model_validate({"data": str(tmp_path), "placement": {"quarantine": ["nowhere"]}}))
