"""The index of a medium: what lies where, in an SQLite file, so that a million files need no memory.

The file is temporary; or it is kept, so that other processes and later runs look only into what is new or changed.
"""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from vna_core.dicom.answers import matches, wanted_of
from vna_core.dicom.json_header import encode_attributes
from vna_core.domain.errors import PeerError
from vna_core.domain.query import Equals, Level, Query
from vna_core.ports.pacs import DicomJson, SourceStatistics
from vna_pacs_media.reading import CLASS, SERIES, SOP, STUDY, IndexedFile

KEPT: Final = "files.sqlite"
"""Name of an index that is kept. It may be deleted whenever nobody reads the medium."""
_FORM: Final = 1
"""What the tables look like (``user_version``): an index of another form is made anew."""
_SCHEMA: Final = f"""
CREATE TABLE container (number INTEGER PRIMARY KEY, path BLOB NOT NULL UNIQUE, stamp TEXT NOT NULL);
CREATE TABLE file (
    number INTEGER PRIMARY KEY, study TEXT, series TEXT, sop TEXT, class TEXT, patient TEXT, modality TEXT,
    path BLOB, member TEXT, offset INTEGER, size INTEGER, folded INTEGER, attachment INTEGER, answer TEXT,
    digest TEXT, container INTEGER NOT NULL, partial INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX by_study ON file (study, series, sop);
CREATE INDEX by_container ON file (container);
PRAGMA user_version = {_FORM};
"""
_PATIENCE: Final = 600.0
"""Seconds to wait for another process that is writing."""
_COLUMN: Final = {STUDY: "study", SERIES: "series", SOP: "sop"}
_GROUP: Final = {Level.PATIENT: "patient", Level.STUDY: "study", Level.SERIES: "study, series", Level.IMAGE: "number"}
_MODALITY: Final = 0x00080060
_BELOW_STUDY: Final = frozenset((SERIES, SOP, CLASS, _MODALITY, 0x00080070, 0x00081010, 0x0008103E, 0x00200011, 0x00200013))
_BELOW_SERIES: Final = frozenset((SOP, CLASS, 0x00200013))


CLOSED: Final = -2


@dataclass(frozen=True, slots=True)
class Place:
    """Where one instance lies.

    Attributes
    ----------
    member
        Its name inside the archive at `path`; empty for a file of its own.
    offset
        First octet of it in an archive that can be read from anywhere; -1: open the archive and look for the member;
        `CLOSED`: it must not be opened.
    size
        Octets of the instance; -1: not known.
    folded
        Compressed as Orthanc does it.
    """

    path: str
    member: str = ""
    offset: int = -1
    size: int = -1
    folded: bool = False


@dataclass(frozen=True, slots=True)
class Placed:
    """One instance: what it is called, and where it lies. `digest`: what an Inventory says of its file."""

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    place: Place
    digest: str = ""
    modality: str = ""


class Index:
    """Filled by one thread, then asked by any.

    Parameters
    ----------
    folder
        Where it is kept, in the file `KEPT`; None: it goes with this object.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._lock = threading.Lock()
        self._folder = folder
        if folder is None:
            # An empty name makes SQLite keep the database in a file that nobody sees and that goes with the connection.
            self._database = sqlite3.connect("", check_same_thread=False, isolation_level=None)
            self._database.executescript(_SCHEMA)
            self._database.execute("PRAGMA journal_mode = OFF")
        else:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._alone(folder):
                self._database = _kept(folder / KEPT)

    # -- filling ----------------------------------------------------------------------------------------------------------

    @contextmanager
    def looking(self) -> Iterator[None]:
        """A look at all files: nobody else fills the index meanwhile, and in the end it holds what was seen, and no more."""
        with self._alone(self._folder):
            self._run("CREATE TEMP TABLE seen (container INTEGER PRIMARY KEY)")
            self._run("BEGIN")
            try:
                yield
                for table, column in (("file", "container"), ("container", "number")):
                    self._run(f"DELETE FROM {table} WHERE {column} NOT IN (SELECT container FROM seen)")
                self._leave_out_partial_attachments()
            finally:
                self._run("COMMIT")
                self._run("DROP TABLE seen")

    def save(self) -> None:
        """Have what was found so far outlive the process."""
        self._run("COMMIT")
        self._run("BEGIN")

    def has(self, path: str, stamp: str) -> bool:
        """Whether everything in a file or archive is in the index, and it has not changed since."""
        rows = self._run("SELECT number FROM container WHERE path = ? AND stamp = ?", os.fsencode(path), stamp)
        for (number,) in rows:
            self._run("INSERT OR IGNORE INTO seen VALUES (?)", number)
        return bool(rows)

    def begin(self, path: str) -> int:
        """The number of a file or archive whose content follows; what was known of it is forgotten."""
        octets = os.fsencode(path)
        self._run("INSERT OR IGNORE INTO container (path, stamp) VALUES (?, '')", octets)
        number = int(self._run("SELECT number FROM container WHERE path = ?", octets)[0][0])
        if not self._run("SELECT 1 FROM seen WHERE container = ?", number):
            self._run("DELETE FROM file WHERE container = ?", number)
            self._run("UPDATE container SET stamp = '' WHERE number = ?", number)
            self._run("INSERT INTO seen VALUES (?)", number)
        return number

    def end(self, container: int, stamp: str) -> None:
        """All of a container is in the index, as it is at this `stamp`."""
        self._run("UPDATE container SET stamp = ? WHERE number = ?", stamp, container)

    def add(self, container: int, file: IndexedFile, place: Place, attachment: bool, digest: str = "") -> None:
        """Take one instance in. `attachment`: it lies where Orthanc keeps such."""
        answer = json.dumps(encode_attributes(file.values), ensure_ascii=True, separators=(",", ":"))
        keys = [_storable(file.first(tag)) for tag in (STUDY, SERIES, SOP, CLASS, 0x00100020, _MODALITY)]
        where = (os.fsencode(place.path), _storable(place.member), place.offset, place.size, place.folded, attachment)
        self._run(
            "INSERT INTO file (study, series, sop, class, patient, modality, path, member, offset, size, folded, attachment,"
            " answer, digest, container) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
            *keys,
            *where,
            answer,
            digest,
            container,
        )

    def _leave_out_partial_attachments(self) -> None:
        """Orthanc keeps headers that end before the pixel data beside their files: of such pairs only the longer one counts."""
        longer = (
            "EXISTS (SELECT 1 FROM file b WHERE b.study = file.study AND b.series = file.series AND b.sop = file.sop"
            " AND b.attachment AND b.size > file.size)"
        )
        self._run(f"UPDATE file SET partial = NOT partial WHERE attachment AND partial != {longer}")

    # -- asking -----------------------------------------------------------------------------------------------------------

    def answers(self, query: Query) -> Iterator[DicomJson]:
        """Matches at a level; a study or series answers with the attributes of one of its files."""
        return wanted_of(query, self._all(query))

    def _all(self, query: Query) -> Generator[DicomJson, None, None]:
        where, values = _where(query)
        sql = (
            "SELECT answer, COUNT(*), COUNT(DISTINCT series), GROUP_CONCAT(DISTINCT modality), MIN(number)"
            f" FROM file WHERE NOT partial{where} GROUP BY {_GROUP[query.level]} ORDER BY MIN(number)"
        )
        for text, instances, series, modalities, _ in self._rows(sql, values):
            answer = _of_level(json.loads(text), query.level, (instances, series, str(modalities or "").split(",")))
            if matches(answer, query.conditions):
                yield answer

    def instances(self, study: str, series: str | None = None) -> Iterator[Placed]:
        """Files of a study or series, in the order found."""
        sql = "SELECT study, series, sop, class, path, member, offset, size, folded, digest, modality FROM file"
        sql += " WHERE NOT partial AND study = ?"
        values = [study]
        if series is not None:
            sql, values = sql + " AND series = ?", [study, series]
        for row in self._rows(sql + " ORDER BY number", values):
            place = Place(os.fsdecode(row[4]), row[5], row[6], row[7], bool(row[8]))
            yield Placed(row[0], row[1], row[2], row[3], place, row[9], row[10])

    def statistics(self) -> SourceStatistics:
        """Counts of everything indexed."""
        sql = (
            "SELECT COUNT(DISTINCT patient), COUNT(DISTINCT study), COUNT(DISTINCT study || ' ' || series), COUNT(*),"
            " COALESCE(SUM(size), 0) FROM file WHERE NOT partial"
        )
        return SourceStatistics(*next(iter(self._rows(sql, []))))

    def close(self) -> None:
        """Close the index; one that is not kept is gone."""
        with self._lock:
            self._database.close()

    @contextmanager
    def _alone(self, folder: Path | None) -> Iterator[None]:
        """Nobody else, in whichever process, writes an index that is kept."""
        if folder is None:
            yield
            return
        descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _run(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._database.execute(sql, values).fetchall()

    def _rows(self, sql: str, values: list[str]) -> Iterator[tuple[Any, ...]]:
        with self._lock:
            cursor = self._database.execute(sql, [_storable(value) for value in values])
        while True:
            with self._lock:
                rows = cursor.fetchmany(256)
            if not rows:
                return
            yield from rows


def _kept(file: Path) -> sqlite3.Connection:
    """Open an index that is kept; one that is damaged or of another form is made anew."""
    database = _opened(file)
    if database is None:
        for name in (file, Path(f"{file}-wal"), Path(f"{file}-shm")):
            name.unlink(missing_ok=True)
        database = _opened(file)
        if database is None:
            raise PeerError(f"The index {file} cannot be made.")
    return database


def _opened(file: Path) -> sqlite3.Connection | None:
    os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))
    database = sqlite3.connect(file, _PATIENCE, check_same_thread=False, isolation_level=None)
    try:
        form = database.execute("PRAGMA user_version").fetchone()[0]
        if not form:
            database.executescript(f"BEGIN; {_SCHEMA} COMMIT;")
        elif form != _FORM:
            database.close()
            return None
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
    except sqlite3.OperationalError:
        database.close()
        raise
    except sqlite3.DatabaseError:
        database.close()
        return None
    return database


def _where(query: Query) -> tuple[str, list[str]]:
    """What SQLite can find by its index; everything is compared again afterwards."""
    parts, values = [], []
    for one in query.conditions:
        if isinstance(one, Equals) and one.tag in _COLUMN and len(one.values) == 1 and one.values[0]:
            parts.append(f"{_COLUMN[one.tag]} = ?")
            values.append(one.values[0])
    return "".join(f" AND {part}" for part in parts), values


def _of_level(answer: dict[str, Any], level: Level, counted: tuple[int, int, list[str]]) -> dict[str, Any]:
    instances, series, modalities = counted
    below: frozenset[int] = frozenset()
    if level is Level.PATIENT:
        return {tag: value for tag, value in answer.items() if tag.startswith("0010")}
    if level is Level.STUDY:
        below = _BELOW_STUDY
        answer["00080061"] = {"vr": "CS", "Value": sorted(one for one in modalities if one)}
        answer["00201206"] = {"vr": "IS", "Value": [series]}
        answer["00201208"] = {"vr": "IS", "Value": [instances]}
    elif level is Level.SERIES:
        below = _BELOW_SERIES
        answer["00201209"] = {"vr": "IS", "Value": [instances]}
    return {tag: value for tag, value in answer.items() if int(tag, 16) not in below}


def _storable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
