"""The index of a medium: what lies where, in a temporary SQLite file, so that a million files need no memory."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from vna_core.dicom.answers import matches
from vna_core.dicom.json_header import encode_attributes
from vna_core.domain.query import Equals, Level, Query
from vna_core.ports.pacs import DicomJson, SourceStatistics
from vna_pacs_media.reading import CLASS, SERIES, SOP, STUDY, IndexedFile

_SCHEMA: Final = """
CREATE TABLE file (
    number INTEGER PRIMARY KEY, study TEXT, series TEXT, sop TEXT, class TEXT, patient TEXT, modality TEXT,
    path BLOB, member TEXT, offset INTEGER, size INTEGER, folded INTEGER, attachment INTEGER, answer TEXT,
    digest TEXT
);
CREATE INDEX by_study ON file (study, series, sop);
"""
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
    """Filled by one thread, then asked by any."""

    def __init__(self) -> None:
        # An empty name makes SQLite keep the database in a file that nobody sees and that goes with the connection.
        self._database = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self._database.executescript(_SCHEMA)
        self._database.execute("PRAGMA journal_mode = OFF")
        self._lock = threading.Lock()

    def add(self, file: IndexedFile, place: Place, attachment: bool, digest: str = "") -> None:
        """Take one instance in. `attachment`: it lies where Orthanc keeps such."""
        answer = json.dumps(encode_attributes(file.values), ensure_ascii=True, separators=(",", ":"))
        keys = [_storable(file.first(tag)) for tag in (STUDY, SERIES, SOP, CLASS, 0x00100020, _MODALITY)]
        where = (os.fsencode(place.path), _storable(place.member), place.offset, place.size, place.folded, attachment)
        with self._lock:
            self._database.execute(
                "INSERT INTO file (study, series, sop, class, patient, modality, path, member, offset, size, folded, attachment,"
                " answer, digest) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                (*keys, *where, answer, digest),
            )

    def drop_partial_attachments(self) -> int:
        """Orthanc keeps headers that end before the pixel data beside their files: of such pairs only the longer one counts."""
        with self._lock:
            return self._database.execute(
                "DELETE FROM file WHERE attachment AND EXISTS (SELECT 1 FROM file b WHERE b.study = file.study"
                " AND b.series = file.series AND b.sop = file.sop AND b.attachment AND b.size > file.size)"
            ).rowcount

    def answers(self, query: Query) -> Iterator[DicomJson]:
        """Matches at a level; a study or series answers with the attributes of one of its files."""
        where, values = _where(query)
        sql = (
            "SELECT answer, COUNT(*), COUNT(DISTINCT series), GROUP_CONCAT(DISTINCT modality), MIN(number)"
            f" FROM file{where} GROUP BY {_GROUP[query.level]} ORDER BY MIN(number)"
        )
        skipped = given = 0
        for text, instances, series, modalities, _ in self._rows(sql, values):
            answer = _of_level(json.loads(text), query.level, (instances, series, str(modalities or "").split(",")))
            if not matches(answer, query.conditions):
                continue
            if skipped < query.offset:
                skipped += 1
                continue
            if query.limit is not None and given >= query.limit:
                return
            given += 1
            yield answer

    def instances(self, study: str, series: str | None = None) -> Iterator[Placed]:
        """Files of a study or series, in the order found."""
        sql = "SELECT study, series, sop, class, path, member, offset, size, folded, digest, modality FROM file WHERE study = ?"
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
            " COALESCE(SUM(size), 0) FROM file"
        )
        return SourceStatistics(*next(iter(self._rows(sql, []))))

    def close(self) -> None:
        """Drop the index."""
        with self._lock:
            self._database.close()

    def _rows(self, sql: str, values: list[str]) -> Iterator[tuple[Any, ...]]:
        with self._lock:
            cursor = self._database.execute(sql, [_storable(value) for value in values])
        while True:
            with self._lock:
                rows = cursor.fetchmany(256)
            if not rows:
                return
            yield from rows


def _where(query: Query) -> tuple[str, list[str]]:
    """What SQLite can find by its index; everything is compared again afterwards."""
    parts, values = [], []
    for one in query.conditions:
        if isinstance(one, Equals) and one.tag in _COLUMN and len(one.values) == 1 and one.values[0]:
            parts.append(f"{_COLUMN[one.tag]} = ?")
            values.append(one.values[0])
    return (" WHERE " + " AND ".join(parts) if parts else ""), values


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
