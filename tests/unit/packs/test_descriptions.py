"""What lies beside a pack for readers of Zarr is watched over as the pack is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zarr

from tests.unit.packs.archives import keeper, pack_keys, seal_all
from tests.unit.stewardship.held_archive import Place, fill, opened
from vna_core.archival_storage.keys import array_key
from vna_core.bootstrap import Archive
from vna_core.stewardship.descriptions import described_pack
from vna_core.stewardship.pack_proof import prove_packs
from vna_core.stewardship.repair import Repairing
from vna_core.stewardship.scrub import Scrub

DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "removed": (Path.unlink, "missing"),
    "emptied": (lambda path: path.write_bytes(b""), "bit-rot"),
    "another JSON": (lambda path: path.write_bytes(b"{}"), "bit-rot"),
    "noise": (lambda path: path.write_bytes(bytes(range(200, 250))), "bit-rot"),
    "one digit": (lambda path: path.write_bytes(path.read_bytes().replace(b'"shape":[', b'"shape":[1', 1)), "bit-rot"),
}


@pytest.fixture
def archive(new_catalogue: Callable[[str], Place]) -> Iterator[Archive]:
    with opened(new_catalogue("archive")) as archive:
        fill(archive)
        seal_all(archive)
        keeper(archive).remove_leftovers()
        yield archive


@pytest.fixture
def description(archive: Archive) -> Path:
    """The file beside the pack of four."""
    [pack] = [key for key in pack_keys(archive) if "/1.2.3.2/" in key]
    path = archive.settings.data / "store" / array_key(pack)
    path.chmod(0o600)
    return path


def findings(archive: Archive) -> dict[str, str]:
    return {one.key: one.outcome for one in archive.catalogue.checks.findings()}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_scrub_finds_it_damaged_or_gone_and_a_repair_takes_it_out_of_the_pack(
    damage: str, archive: Archive, description: Path
) -> None:
    whole, (change, outcome) = description.read_bytes(), DAMAGE[damage]
    change(description)
    key = str(description.relative_to(archive.settings.data / "store"))
    for _ in range(2):  # what was found stays so
        Scrub(archive.stores, archive.catalogue).run()
        assert findings(archive) == {key: outcome}
    [repair] = Repairing(archive.stores, archive.catalogue).run().repairs
    assert (repair.key, repair.outcome) == (key, "repaired")
    assert description.read_bytes() == whole
    assert zarr.open_array(str(description.parent), mode="r").shape[0] > 0
    Scrub(archive.stores, archive.catalogue).run()
    assert findings(archive) == {}


@pytest.mark.parametrize("damage", DAMAGE)
def test_proving_a_pack_puts_it_right(damage: str, archive: Archive, description: Path) -> None:
    whole = description.read_bytes()
    DAMAGE[damage][0](description)
    assert all(proof.good for proof in prove_packs(archive.catalogue.packs.listed(), archive.stores, archive.catalogue))
    assert description.read_bytes() == whole


def test_what_was_beside_a_pack_that_is_gone_is_no_finding_for_ever(archive: Archive, description: Path) -> None:
    description.unlink()
    Scrub(archive.stores, archive.catalogue).run()
    [pack] = [key for key in pack_keys(archive) if "/1.2.3.2/" in key]
    assert described_pack(archive.landing, array_key(pack)) == pack
    archive.landing.delete(pack)
    outcomes = {one.key: one.outcome for one in Repairing(archive.stores, archive.catalogue).run().repairs}
    assert outcomes == {array_key(pack): "repaired"}
    Scrub(archive.stores, archive.catalogue).run()
    assert findings(archive) == {pack: "missing"}
