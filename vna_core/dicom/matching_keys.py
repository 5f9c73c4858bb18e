"""Matching keys of C-FIND, QIDO-RS and the command line as conditions (PS3.4 C.2.2.2)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from vna_core.dicom.dictionary import tag_of as tag_of_keyword
from vna_core.dicom.dictionary import vr_of
from vna_core.domain.errors import InvalidRequest
from vna_core.domain.query import Between, Condition, Empty, Equals, InSequence, OfValues, Wildcard

MAX_VALUE: Final = 65_536
"""Longest value of a matching key, in characters (a list of a thousand UIDs)."""

EMPTY: Final = '""'
"""The value of a key that means empty values, where that was agreed (PS3.4 C.2.2.2.7); else it matches everything."""
DEEPEST: Final = 16
"""Most tags of a path through sequences."""

_HEX: Final = re.compile(r"[0-9A-Fa-f]{8}")
_TEMPORAL: Final = frozenset(("DA", "TM", "DT"))
_WILD: Final = frozenset(("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"))
_UNIVERSAL: Final = _WILD | _TEMPORAL
"""Representations of which asterisks alone match everything: no date is written so, and some clients do."""
_LISTED: Final = frozenset(("UI", "CS", "IS"))


@dataclass(frozen=True, slots=True)
class Manner:
    """What was agreed on beyond the matching that everybody does (PS3.4 C.5.1.1, PS3.18 8.3.4).

    Attributes
    ----------
    fuzzy
        Names match by how they sound.
    empty
        Two quotation marks match empty values.
    several
        Values between backslashes match any of them, each as itself.
    """

    fuzzy: bool = False
    empty: bool = False
    several: bool = False


PLAIN: Final = Manner()


def condition(tag: int, value: str, manner: Manner = PLAIN) -> OfValues | None:
    """How one value matches (PS3.4 C.2.2.2); None for universal matching."""
    if len(value) > MAX_VALUE or "\0" in value:
        raise InvalidRequest("A matching value is too long or holds a null character.")
    representation = vr_of(tag)
    if value == EMPTY:
        return Empty(tag) if manner.empty else None
    if manner.several and representation not in _TEMPORAL:
        values = tuple(one for one in value.split("\\") if one)
        if len(values) > 1:
            return Equals(tag, values)
    if value == "" or (value.strip("*") == "" and representation in _UNIVERSAL):
        return None
    if representation in _TEMPORAL:
        return _temporal(tag, representation, value)
    if representation == "PN" and manner.fuzzy:
        return Wildcard(tag, value, fuzzy=True)
    if representation in _LISTED and ("," in value or "\\" in value):
        return Equals(tag, tuple(one.strip() for one in re.split(r"[,\\]", value) if one.strip()))
    if representation in _WILD and ("*" in value or "?" in value):
        return Wildcard(tag, value)
    return Equals(tag, (value,))


@lru_cache(maxsize=4096)
def tag_of(name: str) -> int:
    """Tag of a keyword or of eight hexadecimal digits; 0 when it is neither. Cached, as clients ask for the same few."""
    return int(name, 16) if _HEX.fullmatch(name) else tag_of_keyword(name)


@lru_cache(maxsize=4096)
def path_of(name: str) -> tuple[int, ...]:
    """Tags of an attribute and, before it, of the sequences that it is in (PS3.18 8.3.4.1: steps with a dot between them).

    Raises InvalidRequest for what names no attribute.
    """
    path = tuple(tag_of(step) for step in name.split(".", DEEPEST - 1)) if len(name) <= DEEPEST * 64 else ()
    if not path or not all(path):
        raise InvalidRequest("A key names no attribute.", parameter=name[:64])
    return path


def goes_through_sequences(path: tuple[int, ...]) -> bool:
    """Whether every tag of a path but the last is of a sequence that the standard has."""
    return len(path) == 1 or all(vr_of(tag) == "SQ" for tag in path[:-1])


def in_sequences(keys: Iterable[tuple[tuple[int, ...], OfValues]]) -> tuple[Condition, ...]:
    """Conditions, each with the tags of the sequences around it: those around which the same sequence is are asked of one item."""
    made: list[Condition] = []
    inside: dict[int, list[tuple[tuple[int, ...], OfValues]]] = {}
    for around, one in keys:
        if around:
            inside.setdefault(around[0], []).append((around[1:], one))
        else:
            made.append(one)
    made += [InSequence(tag, in_sequences(below)) for tag, below in inside.items()]
    return tuple(made)


def _temporal(tag: int, representation: str, value: str) -> OfValues:
    allowed = r"[0-9.+\-: ]{1,60}"
    if not re.fullmatch(allowed, value):
        raise InvalidRequest("A date or time is malformed.", tag=f"{tag:08X}")
    if representation == "DT":  # an offset from UTC has a hyphen of its own: -0500 right behind a time
        if re.fullmatch(r"\d[\d.]*[+-](0\d|1[0-4])[0-5]\d", value):
            return Equals(tag, (value,))
        parts = re.fullmatch(r"(\d[\d.]*(?:[+-]\d{4})?)?-(\d[\d.]*(?:[+-]\d{4})?)?", value)
        return Equals(tag, (value,)) if parts is None else Between(tag, parts[1] or "", parts[2] or "")
    low, hyphen, high = value.partition("-")
    if not hyphen:
        return Equals(tag, (value,))
    if "-" in high:  # 2024-01-31: not a form of DA, but the only thing it can mean
        raise InvalidRequest("A date is written YYYYMMDD, a range YYYYMMDD-YYYYMMDD.", tag=f"{tag:08X}")
    return Between(tag, low.strip(), high.strip())
