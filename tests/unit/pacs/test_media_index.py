"""An index that is kept: it says what a fresh look would say, and what has not changed is not read again."""

from __future__ import annotations

import io
import os
import signal
import sqlite3
import struct
import zipfile
import zlib
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import IO

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from vna_core.bootstrap import open_source
from vna_core.configuration import load_settings
from vna_core.domain.deadline import Deadline
from vna_core.domain.errors import PeerUnavailable
from vna_core.domain.query import Level, Query
from vna_core.plugin_manager import Plugins
from vna_core.testing import phantoms
from vna_pacs_media import looking
from vna_pacs_media.adapter import MediaAdapter
from vna_pacs_media.index import KEPT
from vna_pacs_media.reading import IndexedFile, indexed

_MOMENTS = count(1_000_000_000)


def opened(path: Path, kept_in: Path | str = "") -> MediaAdapter:
    return MediaAdapter.open("medium", str(path), {"kept_in": str(kept_in)} if kept_in else {})


def told(adapter: MediaAdapter) -> object:
    """Everything a medium says, in an order that does not depend on when a file was seen."""
    instances = {
        (one.study_instance_uid, one.series_instance_uid, one.sop_instance_uid, one.sop_class_uid, one.size)
        for study in adapter.find(Query(Level.STUDY))
        for one in adapter.inventory(study["0020000D"]["Value"][0])
    }
    images = sorted(map(repr, adapter.find(Query(Level.IMAGE))))
    series = sorted((one["0020000E"]["Value"][0], one["00201209"]["Value"][0]) for one in adapter.find(Query(Level.SERIES)))
    statistics = adapter.statistics()
    adapter.close()
    return instances, images, series, statistics


@pytest.fixture(autouse=True)
def _settled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "_SETTLED", 0.0)  # the tests give their files times of their own


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Names of what was read."""
    names: list[str] = []

    def noted(place: str, stream: IO[bytes]) -> IndexedFile | None:
        names.append(place.rsplit("/", 1)[-1])
        return indexed(place, stream)

    monkeypatch.setattr(looking, "indexed", noted)
    yield names


def write(path: Path, octets: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(octets)
    moment = next(_MOMENTS)
    os.utime(path, ns=(moment * 10**9, moment * 10**9))


def test_only_what_is_new_or_changed_is_read_again(tmp_path: Path, read: list[str]) -> None:
    medium, kept = tmp_path / "medium", tmp_path / "kept"
    for number in range(4):
        write(medium / f"{number}.dcm", phantoms.ct(number, 16, 16))
    write(medium / "letter.txt", b"Dear colleague")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for number in (10, 11):
            archive.writestr(f"{number}.dcm", phantoms.ct(number, 16, 16))
    write(medium / "two.zip", packed.getvalue())
    first = told(opened(medium, kept))
    assert len(read) == 7 and first == told(opened(medium))
    read.clear()
    assert told(opened(medium, kept)) == first and read == []
    write(medium / "3.dcm", phantoms.ct(30, 16, 16))
    write(medium / "4.dcm", phantoms.ct(4, 16, 16))
    (medium / "0.dcm").unlink()
    after = told(opened(medium, kept))
    assert sorted(read) == ["3.dcm", "4.dcm"] and after != first
    assert after == told(opened(medium))


def test_what_could_not_be_opened_is_tried_again(tmp_path: Path, read: list[str]) -> None:
    medium, kept = tmp_path / "medium", tmp_path / "kept"
    write(medium / "here.dcm", phantoms.ct(2, 16, 16))
    (medium / "away.dcm").symlink_to(tmp_path / "elsewhere.dcm")
    before = told(opened(medium, kept))
    write(tmp_path / "elsewhere.dcm", phantoms.ct(1, 16, 16))
    after = told(opened(medium, kept))
    assert read == ["here.dcm", "away.dcm"]
    assert after == told(opened(medium)) != before


def test_what_was_written_just_now_is_read_again(tmp_path: Path, read: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "_SETTLED", 3600.0)
    medium, kept = tmp_path / "medium", tmp_path / "kept"
    write(medium / "a.dcm", phantoms.ct(1, 16, 16))
    told(opened(medium, kept))
    told(opened(medium, kept))
    assert read == ["a.dcm", "a.dcm"]


def test_a_look_that_was_broken_off_is_gone_on_with(tmp_path: Path, read: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "_BOTHERED", 2)
    medium, kept = tmp_path / "medium", tmp_path / "kept"
    for number in range(8):
        write(medium / f"{number}.dcm", phantoms.ct(number, 16, 16))

    class Passing(Deadline):
        def check(self) -> None:
            if len(read) >= 5:
                raise PeerUnavailable("over")

    with pytest.raises(PeerUnavailable):
        list(opened(medium, kept).find(Query(Level.STUDY), deadline=Passing(60)))
    read.clear()
    whole = told(opened(medium, kept))
    assert 0 < len(read) <= 3
    assert whole == told(opened(medium))


def test_a_process_that_is_killed_leaves_what_it_found(tmp_path: Path, read: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "_BOTHERED", 2)
    medium, kept = tmp_path / "medium", tmp_path / "kept"
    for number in range(8):
        write(medium / f"{number}.dcm", phantoms.ct(number, 16, 16))
    child = os.fork()
    if not child:

        def killed(place: str, stream: IO[bytes]) -> IndexedFile | None:
            if place.endswith("5.dcm"):
                os.kill(os.getpid(), signal.SIGKILL)
            return indexed(place, stream)

        looking.indexed = killed  # type: ignore[attr-defined]
        told(opened(medium, kept))
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    whole = told(opened(medium, kept))
    assert len(read) <= 4
    assert whole == told(opened(medium))


def test_processes_that_look_at_once_read_every_file_once(tmp_path: Path) -> None:
    medium, kept, notes = tmp_path / "medium", tmp_path / "kept", tmp_path / "notes"
    notes.mkdir()
    for number in range(30):
        write(medium / f"{number}.dcm", phantoms.ct(number, 16, 16))
    expected = told(opened(medium))
    children = []
    for _ in range(4):
        child = os.fork()
        if not child:
            code = 1
            try:

                def noted(place: str, stream: IO[bytes]) -> IndexedFile | None:
                    (notes / f"{os.path.basename(place)}.{os.getpid()}").touch()
                    return indexed(place, stream)

                looking.indexed = noted  # type: ignore[attr-defined]
                code = int(told(opened(medium, kept)) != expected)
            finally:
                os._exit(code)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 4
    assert len(list(notes.iterdir())) == 30


@pytest.mark.parametrize("damage", ["octets", "form"])
def test_an_index_that_is_damaged_or_of_another_form_is_made_anew(tmp_path: Path, damage: str, read: list[str]) -> None:
    medium, kept = tmp_path / "medium", tmp_path / "kept"
    write(medium / "a.dcm", phantoms.ct(1, 16, 16))
    first = told(opened(medium, kept))
    if damage == "octets":
        (kept / KEPT).write_bytes(b"no database at all" * 1000)
    else:
        with sqlite3.connect(kept / KEPT) as database:
            database.execute("PRAGMA user_version = 99")
        database.close()
    read.clear()
    assert told(opened(medium, kept)) == first and read == ["a.dcm"]


def test_where_no_index_can_be_kept_the_medium_is_read_all_the_same(tmp_path: Path) -> None:
    medium = tmp_path / "medium"
    write(medium / "a.dcm", phantoms.ct(1, 16, 16))
    write(tmp_path / "file", b"")
    assert told(opened(medium, tmp_path / "file" / "kept")) == told(opened(medium))


def test_each_source_of_an_archive_has_a_folder_that_nobody_else_may_read(tmp_path: Path) -> None:
    plugins = Plugins()
    plugins.load()
    archive = load_settings(None, environment={"VNA_DATA": str(tmp_path / "data")})
    folders = []
    for name in ("one", "two", "one"):
        write(tmp_path / name / "a.dcm", phantoms.ct(1, 16, 16))
        told(open_source(archive, plugins, str(tmp_path / name)))  # type: ignore[arg-type]
        folders.append(len(list((tmp_path / "data" / "sources").iterdir())))
    assert folders == [1, 2, 2]
    for folder in (tmp_path / "data" / "sources").iterdir():
        assert folder.stat().st_mode & 0o077 == 0
        assert (folder / KEPT).stat().st_mode & 0o077 == 0


def attachment(whole: bytes, part: int) -> bytes:
    return (whole, whole[: whole.index(b"\xe0\x7f\x10\x00")], struct.pack("<Q", len(whole)) + zlib.compress(whole))[part]


def test_a_header_counts_again_when_the_file_beside_it_is_gone(tmp_path: Path) -> None:
    medium, whole = tmp_path / "medium", "0a/1b/0a1b0000-0000-4000-8000-000000000002"
    write(medium / whole, attachment(phantoms.ct(3, 8, 8), 0))
    write(medium / "0a/1c/0a1c0000-0000-4000-8000-000000000003", attachment(phantoms.ct(3, 8, 8), 1))
    assert told(opened(medium, tmp_path / "kept")) == told(opened(medium))
    (medium / whole).unlink()
    assert told(opened(medium, tmp_path / "kept")) == told(opened(medium))


class Changing(RuleBasedStateMachine):
    """A folder that changes between looks."""

    @initialize()
    def begin(self) -> None:
        self.folder = next(self.folders)
        (self.folder / "medium").mkdir(parents=True)

    folders: Iterator[Path]
    names = st.sampled_from(["a.dcm", "sub/b.dcm", "sub/c", "0a/1b/0a1b0000-0000-4000-8000-000000000001"])
    more = st.sampled_from(["0a/1b/0a1b0000-0000-4000-8000-000000000002", "0a/1c/0a1c0000-0000-4000-8000-000000000003"])

    @rule(name=names | more, number=st.integers(0, 3), part=st.integers(0, 2))
    def put(self, name: str, number: int, part: int) -> None:
        write(self.folder / "medium" / name, attachment(phantoms.ct(number, 8, 8), part))

    @rule(name=names, octets=st.binary(max_size=20))
    def put_other(self, name: str, octets: bytes) -> None:
        write(self.folder / "medium" / name, octets)

    @rule(name=st.sampled_from(["p.zip", "q.zip"]), numbers=st.lists(st.integers(0, 5), max_size=3))
    def put_archive(self, name: str, numbers: list[int]) -> None:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for place, number in enumerate(numbers):
                archive.writestr(f"{place}.dcm", phantoms.ct(number, 8, 8))
        write(self.folder / "medium" / name, packed.getvalue())

    @rule(name=names | more | st.sampled_from(["p.zip", "q.zip"]))
    def remove(self, name: str) -> None:
        (self.folder / "medium" / name).unlink(missing_ok=True)

    @invariant()
    def kept_is_fresh(self) -> None:
        medium = self.folder / "medium"
        assert told(opened(medium, self.folder / "kept")) == told(opened(medium))


def test_whatever_changes_a_kept_index_says_what_a_fresh_one_says(tmp_path: Path) -> None:
    Changing.folders = (tmp_path / str(number) for number in count())
    run_state_machine_as_test(Changing, settings=settings(max_examples=15, stateful_step_count=12, deadline=None))
