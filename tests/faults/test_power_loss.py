"""Of everything written only what was flushed is left: nothing acknowledged is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from vna_core.bootstrap import open_archive
from vna_core.configuration import Settings
from vna_core.domain.errors import StoreUnrecognized
from vna_core.stewardship.rebuild import rebuild
from vna_core.testing.fault_injection import Run, finish, lost, start


def ingest_until_power_loss(
    library: Path, folder: Path, files: list[Path], kill_after: int | None, threads: int, ignore: str = ""
) -> Run:
    """Ingest into ``folder/before``; ``folder/after`` is what a power loss leaves of it."""
    for name in ("before", "journal"):
        (folder / name).mkdir()
    environment = {
        "LD_PRELOAD": str(library),
        "FLUSH_ROOT": str(folder / "before"),
        "FLUSH_JOURNAL": str(folder / "journal"),
        "FLUSH_IGNORE": ignore,
    }
    run = finish(start(folder / "before", files, threads=threads, environment=environment), kill_after)
    assert len(run.acknowledged) >= (kill_after or len(files))
    restore(folder / "journal", (folder / "journal" / "root").read_text(), folder / "after")
    return run


def restore(journal: Path, key: str, target: Path) -> None:
    """Make a folder again from the names it had at its last flush; files have the octets of theirs, or none."""
    target.mkdir()
    names = journal / key
    for line in names.read_text().splitlines() if names.exists() else ():
        kind, below, name = line.split(" ", 2)
        if kind == "d":
            restore(journal, below, target / name)
        else:
            content = journal / below
            (target / name).write_bytes(content.read_bytes() if content.exists() else b"")


@pytest.mark.parametrize(("kill_after", "threads"), [(1, 1), (25, 1), (30, 6), (None, 4)])
def test_nothing_acknowledged_is_lost_by_a_power_loss(
    flush_journal: Path, tmp_path: Path, files: list[Path], kill_after: int | None, threads: int
) -> None:
    run = ingest_until_power_loss(flush_journal, tmp_path, files, kill_after, threads)
    assert lost(tmp_path / "after", run.acknowledged) == []
    with open_archive(Settings(data=tmp_path / "after")) as archive:
        assert rebuild(archive.stores, archive.catalogue).damaged == []
    again = finish(start(tmp_path / "after", files, threads=4))
    assert len(again.acknowledged) == len(files)
    assert lost(tmp_path / "after", again.acknowledged) == []


def test_the_stores_alone_are_enough_after_a_power_loss(flush_journal: Path, tmp_path: Path, files: list[Path]) -> None:
    run = ingest_until_power_loss(flush_journal, tmp_path, files[:20], 15, 4)
    for path in (tmp_path / "after").glob("catalogue.sqlite*"):
        path.unlink()
    with open_archive(Settings(data=tmp_path / "after")) as archive:
        rebuild(archive.stores, archive.catalogue)
    assert lost(tmp_path / "after", run.acknowledged) == []


@pytest.mark.parametrize("unflushed", ["directories", "catalogue.sqlite", "store"])
def test_the_simulation_notices_what_is_not_flushed(
    flush_journal: Path, tmp_path: Path, files: list[Path], unflushed: str
) -> None:
    run = ingest_until_power_loss(flush_journal, tmp_path, files[:10], None, 1, ignore=unflushed)
    if unflushed == "store":  # its identity is gone with everything else, and the archive says so instead of opening
        with pytest.raises(StoreUnrecognized):
            lost(tmp_path / "after", run.acknowledged)
        return
    assert len(lost(tmp_path / "after", run.acknowledged)) == 10
