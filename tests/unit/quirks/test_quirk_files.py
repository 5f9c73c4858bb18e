"""The catalogue as files: complete, told apart, taken in, and given back octet by octet."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.unit.ingest.small_archive import SmallArchive, small_archive
from vna_core.domain.outcome import Outcome
from vna_core.testing.quirks import ENTRIES, NOT_ONE_FILE, QuirkFile, combinations, elscint, quirk_file, quirk_files
from vna_core.testing.quirks.__main__ import write

FILES = list(quirk_files())
CATALOGUE = {
    f"{letter}{number:02d}"
    for letter, last in zip("FEITDP", (30, 36, 15, 12, 12, 33), strict=True)
    for number in range(1, last + 1)
}
UID_SHARED = ("I07", "I08")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallArchive]:
    with small_archive(Path(tmp_path_factory.mktemp("archive"))) as one:
        yield one


def test_every_entry_is_there_or_told_why_not() -> None:
    assert set(ENTRIES) | set(NOT_ONE_FILE) == CATALOGUE
    assert not set(ENTRIES) & set(NOT_ONE_FILE)


def test_every_entry_makes_files_of_its_own() -> None:
    assert {one.entry for one in FILES} == set(ENTRIES)
    for entry, maker in ENTRIES.items():
        assert {one.entry for one in maker()} == {entry}


def test_names_are_unique_and_begin_with_the_entry() -> None:
    assert len({one.name for one in FILES}) == len(FILES)
    assert all(re.fullmatch(rf"{one.entry}(-[a-z0-9]+)+", one.name) for one in FILES)


def test_octets_are_unique_and_the_same_every_time() -> None:
    assert len({one.octets for one in FILES}) == len(FILES)
    assert [one.octets for one in quirk_files()] == [one.octets for one in FILES]


def test_a_file_is_found_by_its_name() -> None:
    assert quirk_file("D01-da-with-dots").octets == next(one.octets for one in FILES if one.name == "D01-da-with-dots")
    with pytest.raises(KeyError):
        quirk_file("D01-nothing")


@pytest.mark.parametrize("file", FILES, ids=[one.name for one in FILES])
def test_the_archive_takes_it_and_gives_its_octets_back(archive: SmallArchive, file: QuirkFile) -> None:
    result = archive.offer(file.octets)
    if result.outcome is Outcome.QUARANTINED:
        assert file.outcome == "quarantined"
        assert result.quarantine_id
        assert b"".join(archive.pipeline.quarantine.octets(result.quarantine_id)) == file.octets
        return
    assert file.outcome == "held"
    assert result.outcome in ((Outcome.HELD, Outcome.CONFLICT) if file.entry in UID_SHARED else (Outcome.HELD,))
    for uid in (result.study_instance_uid, result.series_instance_uid, result.sop_instance_uid, result.sop_class_uid):
        assert uid
    version = archive.catalogue.versions(result.sop_instance_uid)[-1]
    assert archive.original(version) == file.octets


def test_combinations_are_the_same_for_the_same_seed() -> None:
    assert [one.octets for one in combinations(3, 5)] == [one.octets for one in combinations(3, 5)]
    assert [one.octets for one in combinations(3, 5)] != [one.octets for one in combinations(4, 5)]
    assert all(len(one.combined_with) >= 2 for one in combinations(3, 5))


def test_the_private_compression_of_elscint_comes_back() -> None:
    noise = np.random.default_rng(1).integers(0, 65536, 4000, dtype="<u2")
    flat = np.full(4000, 0x5A, "<u2")
    for samples in (noise, flat, np.cumsum(noise % 200).astype("<u2")):
        assert np.array_equal(elscint.decode(elscint.encode(samples), samples.size), samples)
    assert elscint.decode(b"\x5a\x34\x12\x01\xff\xa5\x02\x00\xa5\x00\xa5", 7).tolist() == [
        0x1234, 0x1235, 0x1234, 0x1234, 0x1234, 0x1234, 0x1234 - 91
    ]  # fmt: skip


def test_the_files_are_written_with_their_truth(tmp_path: Path) -> None:
    files = [quirk_file("D01-da-with-dots"), quirk_file("D09-is-with-letter")]
    assert write(tmp_path, files) == 2
    assert (tmp_path / "D01-da-with-dots.dcm").read_bytes() == files[0].octets
    told = json.loads((tmp_path / "truth.json").read_text())["files"]
    assert told["D01-da-with-dots.dcm"]["expectedValues"]["00080020"] == ["19950127"]
    assert told["D09-is-with-letter.dcm"]["unchanged"] == {"00200013": b"1A".hex()}
    assert told["D09-is-with-letter.dcm"]["pixels"]["shape"] == [1, 6, 8]
