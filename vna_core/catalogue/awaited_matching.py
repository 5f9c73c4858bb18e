"""A query as an inventory can answer it (PS3.4 C.2.2.2): what narrows the rows in SQL, and what decides about each of them.

What narrows lets through too much and never too little; the checks have the last word.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, assert_never

from sqlalchemy import ColumnElement, and_, or_, select

from vna_core.catalogue.awaited_rows import KNOWN, OF_PATIENT, OF_STUDY, PATIENT_ID, SERIES, SOP
from vna_core.catalogue.matching import MATCHABLE, PATIENT_NAME, RANKS, comparable, name_patterns
from vna_core.catalogue.migration_telling import SEVERAL_GROUPS
from vna_core.catalogue.schema_migration import migration_instances, migration_studies
from vna_core.catalogue.sequence_matching import is_matched
from vna_core.catalogue.stored_text import significant, to_stored
from vna_core.catalogue.value_checks import Attributes, Check, check_of
from vna_core.dicom import patterns
from vna_core.dicom.patterns import after
from vna_core.domain.query import Between, Condition, Empty, Equals, InSequence, Level, OfValues, Wildcard

TagCheck = tuple[int, Check]

_STUDY_UID: Final = 0x0020000D
_ACCESSION: Final = 0x00080050
_DATE: Final = 0x00080020
_IDENTIFIERS: Final = frozenset((_STUDY_UID, PATIENT_ID, _ACCESSION))
_BELOW: Final[Mapping[int, str]] = {SERIES: "series_instance_uid", SOP: "sop_instance_uid"}
"""Identifiers that an inventory keeps of instances."""
_FEW: Final = 500
"""UIDs of series or instances in one query that are looked for one by one."""
_MANY: Final = 10_000
"""Identifiers of patients or studies in one query that are looked for in SQL (SQLite takes 32,766 parameters a statement); of more,
every study is looked at."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One query.

    Attributes
    ----------
    narrowing
        Conditions on rows of studies.
    leads
        Whether one of them leads to few rows through an index.
    of_patient, of_study, below
        Checks of attributes of the patient; of patient and study; and of those below, each with the tag that it is of.
    unknown
        Tags of conditions on attributes that an inventory does not keep.
    """

    narrowing: tuple[ColumnElement[bool], ...]
    leads: bool
    of_patient: tuple[TagCheck, ...]
    of_study: tuple[TagCheck, ...]
    below: tuple[TagCheck, ...]
    unknown: tuple[int, ...]

    @property
    def tags(self) -> frozenset[int]:
        """Tags of all checks."""
        return frozenset(tag for tag, _ in (*self.of_patient, *self.of_study, *self.below))


def asked(conditions: Sequence[Condition], level: Level) -> Asked:
    """What an inventory makes of conditions at a level."""
    narrowing: list[ColumnElement[bool]] = []
    of_patient: list[TagCheck] = []
    of_study: list[TagCheck] = []
    below: list[TagCheck] = []
    unknown: list[int] = []
    leads = False
    for one in conditions:
        if isinstance(one, InSequence):
            if is_matched(one, level):  # of what is held
                unknown.append(one.tag)
            continue
        attribute = MATCHABLE.get(one.tag)
        if attribute is None or RANKS[attribute.level] > RANKS[level]:
            continue  # ignored for what is held as well
        if one.tag not in KNOWN:
            unknown.append(one.tag)
            continue
        check = check_of(attribute, one)
        if check is None:
            continue
        if one.tag in OF_PATIENT:
            of_patient.append((one.tag, check))
        (of_study if one.tag in OF_STUDY else below).append((one.tag, check))
        narrower, leading = _narrower(one)
        narrowing += narrower
        leads |= leading
    return Asked(tuple(narrowing), leads, tuple(of_patient), tuple(of_study), tuple(below), tuple(unknown))


def fulfils(attributes: Attributes, checks: Sequence[TagCheck], unknown: Collection[int] = ()) -> bool:
    """Whether attributes fulfil all checks, but those of attributes that are not known."""
    return all(tag in unknown or check(attributes) for tag, check in checks)


# -- in SQL -------------------------------------------------------------------------------------------------------------------


def _narrower(one: OfValues) -> tuple[list[ColumnElement[bool]], bool]:
    """Conditions on the columns, and whether they lead to few rows."""
    if one.tag in _IDENTIFIERS or one.tag in _BELOW:
        return _by_identifier(one)
    if one.tag == _DATE:
        return _by_date(one), False
    if one.tag == PATIENT_NAME:
        made = _by_name(one)
        return made, bool(made)
    return [], False


def _by_identifier(one: OfValues) -> tuple[list[ColumnElement[bool]], bool]:
    match one:
        case Equals():
            wanted = [text for value in one.values if (text := comparable(MATCHABLE[one.tag], value))]
            if one.tag in _IDENTIFIERS:
                column = migration_studies.c[OF_STUDY[one.tag]]
                return ([column.in_(wanted)], True) if 0 < len(wanted) <= _MANY else ([], False)
            below = migration_instances.c
            listed = select(below.study_fk).where(below[_BELOW[one.tag]].in_(wanted))
            return ([migration_studies.c.pk.in_(listed)], True) if 0 < len(wanted) <= _FEW else ([], False)
        case Wildcard() | Between() | Empty():
            return [], False
        case _:
            assert_never(one)


def _by_date(one: OfValues) -> list[ColumnElement[bool]]:
    match one:
        case Equals():
            if len(one.values) != 1:
                return []
            low = high = one.values[0]
        case Between():
            low, high = one.low, one.high
        case Wildcard() | Empty():
            return []
        case _:
            assert_never(one)
    newest = migration_studies.c.newest
    low, high = (to_stored(significant(text, "DA")) for text in (low, high))
    return [*([newest >= low] if low else []), *([newest < after(high)] if high else [])]


def _by_name(one: OfValues) -> list[ColumnElement[bool]]:
    """Names of one group by how they begin; those of several groups are all looked at."""
    match one:
        case Wildcard():
            wanted = [] if one.fuzzy else name_patterns(patterns.parse(one.pattern))
        case Equals():
            wanted = name_patterns(patterns.literal(one.values[0])) if len(one.values) == 1 else []
        case Between() | Empty():
            wanted = []
        case _:
            assert_never(one)
    prefix = wanted[0].prefix() if len(wanted) == 1 else ""
    if not prefix:
        return []
    folded = migration_studies.c.name_folded
    several = and_(folded >= SEVERAL_GROUPS, folded < after(SEVERAL_GROUPS))
    return [or_(and_(folded >= prefix, folded < after(prefix)), several)]
