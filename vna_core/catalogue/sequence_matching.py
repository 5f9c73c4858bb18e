"""What is in the sequences of held instances: matched on and answered from the headers that are kept of them (PS3.4 C.2.2.2.6).

Other conditions narrow first, through their indexes; only of what they leave are headers read. A series has the sequences of its first
instance, a study those of the first instance of each series, a patient those of the first of each study, as far as somebody may see
them: the modules of these levels are the same throughout. How much is read for one question is bounded; one that needs more fails.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from vna_core.catalogue.answers import Match
from vna_core.catalogue.audiences import stands_sql, visible_sql
from vna_core.catalogue.data_set_checks import DataSetCheck, data_set_check, item_check, keys_of, marks_of
from vna_core.catalogue.database import Database, Session
from vna_core.catalogue.entry_form import decompress
from vna_core.catalogue.matching import CONDITION_LIMIT, RANKS
from vna_core.dicom.answers import items_of
from vna_core.domain.access import Scope
from vna_core.domain.errors import InvalidRequest, LimitExceeded
from vna_core.domain.query import Condition, InSequence, Level, OfValues
from vna_core.domain.sequence_levels import level_of_sequence

READ_LIMIT: Final = 128 << 20
"""Octets of headers that are read for the sequence matching of one question: some ten thousand headers, a second or two."""

ITEMS_LIMIT: Final = 32 << 20
"""Octets of items, as DICOM JSON, that are in memory at once to be returned; read, they need about ten times as much."""

CANDIDATES: Final = 100
"""Rows that are looked at together where a sequence decides."""

_PIECE: Final = 100
_PARENT: Final = {
    Level.IMAGE: ("instances", "series_fk", Level.SERIES),
    Level.SERIES: ("series", "study_fk", Level.STUDY),
    Level.STUDY: ("studies", "patient_fk", Level.PATIENT),
}
_FIRSTS: Final = {
    Level.SERIES: "SELECT instances.series_fk, MIN(instances.pk) FROM instances WHERE {where} GROUP BY instances.series_fk",
    Level.STUDY: (
        "SELECT series.study_fk, MIN(instances.pk) FROM series JOIN instances ON instances.series_fk = series.pk"
        " WHERE {where} GROUP BY series.study_fk, series.pk"
    ),
    Level.PATIENT: (
        "SELECT studies.patient_fk, MIN(instances.pk) FROM studies JOIN series ON series.study_fk = studies.pk"
        " JOIN instances ON instances.series_fk = series.pk WHERE {where} GROUP BY studies.patient_fk, studies.pk"
    ),
}
_OWNER: Final = {Level.SERIES: "instances.series_fk", Level.STUDY: "series.study_fk", Level.PATIENT: "studies.patient_fk"}

Items = list[Mapping[str, Any]]
Owner = tuple[Level, int]


def is_matched(one: InSequence, level: Level) -> bool:
    """Whether a condition can be matched at a level: the sequence is of that level or one above it."""
    own = level_of_sequence(one.tag)
    return own is not None and RANKS[own] <= RANKS[level]


def apart(conditions: Sequence[Condition]) -> tuple[list[OfValues], list[InSequence]]:
    """Conditions on values, and those on sequences."""
    inside = [one for one in conditions if isinstance(one, InSequence)]
    return [one for one in conditions if not isinstance(one, InSequence)], inside


def check_number(conditions: Sequence[Condition]) -> None:
    """Raises InvalidRequest for more conditions than one query may have, those inside sequences counted."""
    inside = sum(len(list(keys_of(one))) for one in conditions if isinstance(one, InSequence))
    if len(conditions) + inside > CONDITION_LIMIT:
        raise InvalidRequest("The query has too many conditions.", limit="query.conditions", maximum=CONDITION_LIMIT)


@dataclass(slots=True)
class Room:
    """So many octets as one question may have; `message` and `limit` are of the error where they are used up."""

    message: str
    limit: str
    maximum: int
    taken: int = 0

    def take(self, octets: int) -> None:
        """Raises LimitExceeded where there is no room for them."""
        self.taken += octets
        if self.taken > self.maximum:
            raise LimitExceeded(self.message, limit=self.limit, maximum=self.maximum)


def room_to_read() -> Room:
    """For the headers that are read for one question, however many searches it takes."""
    return Room("Narrow the query by other keys: too many headers to search.", "query.sequences", READ_LIMIT)


class SequenceReader:
    """Reads sequences of what is held, and of its patients, studies and series."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._any = "= ANY(%s)" if database.is_postgresql else "IN (SELECT value FROM json_each(?))"
        self._headers_sql = f"SELECT instance_fk, json FROM headers WHERE instance_fk {self._any}"

    def told(
        self, matches: Sequence[Match], wanted: Mapping[int, InSequence | None], scope: Scope, *, whole: bool
    ) -> Iterator[tuple[Match, Mapping[int, Items]]]:
        """Every match with the items of its sequences by tag, read for so many matches at once as `ITEMS_LIMIT` has room for.

        They are of the first header that has the sequence with an item that fulfils what is asked of it (None: any). A sequence that belongs below the level
        of the matches is absent, as is one of what is not held yet.

        Parameters
        ----------
        whole
            Sequences are told as they are, in DICOM JSON. Else of their items those that fulfil, with numbers as they are written.

        Raises
        ------
        LimitExceeded
            One match alone has more than that.
        """
        pieces = [matches]
        while pieces:
            piece = pieces.pop()
            try:
                found = self._items(piece, wanted, scope, whole)
            except LimitExceeded:
                if len(piece) == 1:
                    raise
                half = len(piece) // 2
                pieces += [piece[half:], piece[:half]]
            else:
                yield from ((match, found.get(match.pk, {})) for match in piece)

    def _items(
        self, matches: Sequence[Match], wanted: Mapping[int, InSequence | None], scope: Scope, whole: bool
    ) -> dict[int, dict[int, Items]]:
        """Items by the key of the match and by tag. Raises LimitExceeded."""
        found: dict[int, dict[int, Items]] = {}
        keys = [match.pk for match in matches if match.pk > 0]
        if not keys:
            return found
        checks = {tag: None if one is None else item_check(one) for tag, one in wanted.items()}
        room = Room("Ask for fewer sequences: of one match they are too long.", "query.items", ITEMS_LIMIT)
        for level, tags in _by_level(wanted, matches[0].level).items():
            owners = self.owners(matches[0].level, level, keys)
            asked = {tag: checks[tag] for tag in tags}
            told = self._items_of(level, list(dict.fromkeys(owners.values())), asked, scope, whole, room)
            for key, owner in owners.items():
                found.setdefault(key, {}).update(told[owner])
        return found

    def _items_of(
        self,
        level: Level,
        owners: Sequence[int],
        asked: Mapping[int, DataSetCheck | None],
        scope: Scope,
        whole: bool,
        room: Room,
    ) -> dict[int, dict[int, Items]]:
        """Items by the key of a patient, study, series or instance, of sequences of that level."""
        told: dict[int, dict[int, Items]] = {owner: {} for owner in owners}
        for owner, header in self.headers(level, owners, scope, lambda one: len(told[one]) < len(asked)):
            missing = [tag for tag in asked if tag not in told[owner] and b'"%08X"' % tag in header]
            if not missing:
                continue
            data_set = _data_set(header, not whole)
            written = _data_set(header, True) if whole and any(asked[tag] for tag in missing) else data_set
            for tag in missing:
                check = asked[tag]
                fitting = [item for item in items_of(written, tag) if check is None or check(item)]
                if fitting:
                    told[owner][tag] = items = items_of(data_set, tag) if whole else fitting
                    room.take(len(json.dumps(items)))
        return told

    def owners(self, level: Level, above: Level, keys: Sequence[int]) -> dict[int, int]:
        """Keys of rows of a level to those of the patients, studies or series that they belong to."""
        found = {key: key for key in keys}
        with self._database.session() as session:
            while level is not above:
                table, parent, level = _PARENT[level]
                sql = f"SELECT pk, {parent} FROM {table} WHERE pk {self._any}"
                step = dict(session.execute(sql, (self._list(list(dict.fromkeys(found.values()))),)).fetchall())
                found = {key: step[here] for key, here in found.items() if here in step}
        return found

    def headers(
        self, level: Level, owners: Sequence[int], scope: Scope, is_open: Callable[[int], bool]
    ) -> Iterator[tuple[int, bytes]]:
        """Headers that stand for patients, studies, series or instances, the first of each first; those not open any more are passed over."""
        with self._database.session() as session:
            firsts = self._firsts(session, level, owners, scope)
        for start in range(0, len(firsts), _PIECE):
            piece = [one for one in firsts[start : start + _PIECE] if is_open(one[0])]
            if not piece:
                continue
            with self._database.session() as session:
                packed = dict(session.execute(self._headers_sql, (self._list([pk for _, pk in piece]),)).fetchall())
            for owner, pk in piece:
                if pk in packed and is_open(owner):
                    yield owner, decompress(packed[pk])

    def _firsts(self, session: Session, level: Level, owners: Sequence[int], scope: Scope) -> list[tuple[int, int]]:
        """Owners with instances whose headers stand for them: first the oldest of each owner, then the next of each."""
        if level is Level.IMAGE:
            return [(pk, pk) for pk in owners]
        where, parameters = f"{_OWNER[level]} {self._any}", [self._list(owners)]
        if scope.is_everything:
            where += " AND instances.is_current = 1"
        else:
            mark, is_postgresql = "%s" if self._database.is_postgresql else "?", self._database.is_postgresql
            where += f" AND {visible_sql('instances.audience', mark, is_postgresql)} AND {stands_sql(mark, is_postgresql)}"
            parameters += [scope.text, scope.text]
        rows = session.execute(_FIRSTS[level].format(where=where), parameters).fetchall()
        ordered: list[tuple[int, int, int]] = []
        seen: dict[int, int] = {}
        for owner, pk in sorted(tuple(row) for row in rows):
            seen[owner] = seen.get(owner, -1) + 1
            ordered.append((seen[owner], owner, pk))
        return [(owner, pk) for _, owner, pk in sorted(ordered)]

    def _list(self, keys: Sequence[int]) -> Any:
        return list(keys) if self._database.is_postgresql else f"[{','.join(map(str, keys))}]"


class SequenceMatching:
    """The conditions on sequences of one search: judges rows as they come, each patient, study and series once. `room` is that of the question."""

    def __init__(self, reader: SequenceReader, conditions: Sequence[InSequence], scope: Scope, room: Room) -> None:
        self._reader, self._scope, self._room = reader, scope, room
        self._checks: dict[int, DataSetCheck] = {}
        self._marks = [marks_of(one) for one in conditions]
        self._numbers: dict[Level, list[int]] = {}
        self._fulfilled: dict[Owner, set[int]] = {}
        for number, one in enumerate(conditions):
            check, own = data_set_check(one), level_of_sequence(one.tag)
            if check is not None and own is not None:
                self._checks[number] = check
                self._numbers.setdefault(own, []).append(number)

    @property
    def decides(self) -> bool:
        """Whether there is anything to be judged."""
        return bool(self._checks)

    def of(self, matches: Sequence[Match]) -> list[Match]:
        """Those that fulfil all conditions, in their order. Raises LimitExceeded."""
        left = list(matches)
        for level, numbers in self._numbers.items():
            if not left:
                break
            owners = self._reader.owners(left[0].level, level, [match.pk for match in left])
            fresh = [owner for owner in dict.fromkeys(owners.values()) if (level, owner) not in self._fulfilled]
            self._judge(level, fresh, numbers)
            met = {key for key, owner in owners.items() if len(self._fulfilled[level, owner]) == len(numbers)}
            left = [match for match in left if match.pk in met]
        return left

    def _judge(self, level: Level, owners: Sequence[int], numbers: Sequence[int]) -> None:
        self._fulfilled.update({(level, owner): set() for owner in owners})

        def is_open(owner: int) -> bool:
            return len(self._fulfilled[level, owner]) < len(numbers)

        for owner, header in self._reader.headers(level, owners, self._scope, is_open):
            self._room.take(len(header))
            possible = [number for number in numbers if all(mark in header for mark in self._marks[number])]
            if possible:
                data_set = _data_set(header, True)
                self._fulfilled[level, owner] |= {number for number in possible if self._checks[number](data_set)}


def _data_set(header: bytes, as_text: bool) -> Mapping[str, Any]:
    found = json.loads(header, parse_float=str, parse_int=str) if as_text else json.loads(header)
    return found if isinstance(found, dict) else {}


def _by_level(tags: Mapping[int, object], lowest: Level) -> dict[Level, list[int]]:
    """Tags of sequences by the level that they belong to, as far as that is not below the level asked for."""
    found: dict[Level, list[int]] = {}
    for tag in tags:
        level = level_of_sequence(tag)
        if level is not None and RANKS[level] <= RANKS[lowest]:
            found.setdefault(level, []).append(tag)
    return found
