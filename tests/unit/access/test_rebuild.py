"""The stores are the archive: the catalogue comes back from them alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.ingest.ct_samples import ct
from tests.unit.ingest.small_archive import SmallArchive, flip, small_archive
from vna_core.domain.errors import CatalogueUnavailable
from vna_core.domain.octets import Source
from vna_core.domain.outcome import Outcome
from vna_core.stewardship.rebuild import RebuildReport, rebuild


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[SmallArchive]:
    with small_archive(tmp_path) as archive:
        yield archive


def fill(archive: SmallArchive) -> None:
    """Instances, versions of every kind, patients of two issuers, quarantine."""
    for number in range(1, 6):
        archive.offer(
            ct(number, PatientName=f"Müller^{number}", SpecificCharacterSet="ISO_IR 100"), Source("dimse", "CT1", "10.0.0.1", "A")
        )
    for octets in (
        ct(1, implicit=True),
        ct(2, pixel=77),
        ct(3, PatientComments="x"),
        ct(4, StudyInstanceUID="1.2.3"),
        ct(5, PatientID="P2"),
    ):
        archive.offer(octets, Source("stow", "someone", "10.0.0.2"))
    archive.offer(ct(6, rows=20_000))
    archive.offer(b"no DICOM at all" * 10, Source("file", "disc", "/a/b"))
    archive.offer(ct(7)[:-50])


def rebuilt(archive: SmallArchive, folder: Path) -> tuple[dict[str, object], RebuildReport]:
    """Fingerprint of a new catalogue made from the stores of `archive`."""
    folder.mkdir(exist_ok=True)
    with small_archive(folder) as other:
        report = rebuild({"landing": archive.store}, other.catalogue)
        return other.catalogue.fingerprint(), report


def test_the_catalogue_comes_back_equal(archive: SmallArchive, tmp_path: Path) -> None:
    fill(archive)
    fingerprint, report = rebuilt(archive, tmp_path / "new")
    before = archive.catalogue.fingerprint()
    for table in before:
        assert fingerprint[table] == before[table], table
    assert fingerprint.keys() == before.keys()
    assert report.damaged == []
    assert report.recorded == 11
    assert report.quarantined == 2


def test_a_second_rebuild_changes_nothing(archive: SmallArchive, tmp_path: Path) -> None:
    fill(archive)
    first, _ = rebuilt(archive, tmp_path / "new")
    second, report = rebuilt(archive, tmp_path / "new")
    assert second == first
    assert (report.recorded, report.known) == (0, 11)
    before = archive.catalogue.fingerprint()
    rebuild({"landing": archive.store}, archive.catalogue)
    assert archive.catalogue.fingerprint() == before


def test_a_rebuild_broken_off_is_taken_up_again(archive: SmallArchive, tmp_path: Path) -> None:
    fill(archive)
    (tmp_path / "new").mkdir()
    seen = []

    def break_off() -> None:
        seen.append(1)
        if len(seen) == 5:
            raise KeyboardInterrupt

    with small_archive(tmp_path / "new") as other, pytest.raises(KeyboardInterrupt):
        rebuild({"landing": archive.store}, other.catalogue, break_off)
    fingerprint, report = rebuilt(archive, tmp_path / "new")
    assert fingerprint == archive.catalogue.fingerprint()
    assert report.known == 5


def test_damaged_objects_are_named_and_left_out(archive: SmallArchive, tmp_path: Path) -> None:
    held = archive.held(ct())
    archive.offer(ct(2))
    flip(archive.path(held))
    fingerprint, report = rebuilt(archive, tmp_path / "new")
    assert report.damaged == [f"landing:{held.locations[0].key}"]
    assert len(fingerprint["instances"]) == 1  # type: ignore[arg-type]


def test_an_object_whose_process_died_before_the_index_is_taken_up(tmp_path: Path) -> None:
    def die(room: str) -> None:
        if room == "place":
            raise CatalogueUnavailable("The process dies here.")

    with small_archive(tmp_path, after_room=die) as archive:
        with pytest.raises(CatalogueUnavailable):
            archive.offer(ct())
        assert archive.catalogue.instances() == []
        assert rebuild({"landing": archive.store}, archive.catalogue).recorded == 1
        [held] = archive.catalogue.instances()
        assert archive.original(held) == ct()
    with small_archive(tmp_path) as archive:
        assert archive.offer(ct()).outcome is Outcome.DUPLICATE


def test_quarantined_octets_without_their_note_are_listed(archive: SmallArchive, tmp_path: Path) -> None:
    octets = b"no DICOM at all" * 10
    quarantine_id = archive.offer(octets).quarantine_id
    [note] = [key for key in archive.files() if key.endswith(".json")]
    archive.store.delete(note)
    (tmp_path / "new").mkdir()
    with small_archive(tmp_path / "new") as other:
        assert rebuild({"landing": archive.store}, other.catalogue).quarantined == 1
        [entry] = other.catalogue.quarantined()
        assert (entry.id, entry.size) == (quarantine_id, len(octets))


def test_a_copy_that_is_right_again_is_used_again(archive: SmallArchive) -> None:
    held = archive.held(ct())
    path = archive.path(held)
    content = path.read_bytes()
    flip(path)
    with pytest.raises(Exception, match="damaged"):
        b"".join(archive.retriever.part10(held))
    path.write_bytes(content)
    rebuild({"landing": archive.store}, archive.catalogue)
    [after] = archive.catalogue.instances()
    assert archive.original(after) == ct()
