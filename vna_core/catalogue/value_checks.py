"""Conditions as checks of values in memory, for what SQL does not compare: rows of inventories, and items of sequences (PS3.4 C.2.2.2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, assert_never

from vna_core.catalogue import person_names
from vna_core.catalogue.matching import PATIENT_NAME, comparable, name_check, name_patterns
from vna_core.catalogue.stored_text import significant, to_stored
from vna_core.dicom import patterns
from vna_core.dicom.patterns import Pattern
from vna_core.domain.indexed_attributes import IndexedAttribute
from vna_core.domain.query import Between, Empty, Equals, OfValues, Wildcard

Attributes = Mapping[int, tuple[str, ...]]
Check = Callable[[Attributes], bool]

_FIRST_TIME: Final = "000000.000000"
_LAST_TIME: Final = "235959.999999"


def check_of(attribute: IndexedAttribute, one: OfValues) -> Check | None:
    """Whether a condition is fulfilled; None for one that everything fulfils (C.2.2.2.3)."""
    is_name = attribute.vr == "PN"
    match one:
        case Equals():
            return _any_name(attribute, one.values) if is_name else _equals(attribute, one.values)
        case Wildcard():
            return _name(attribute, one) if is_name else _wildcard(attribute, one.pattern)
        case Between():
            return None if is_name else _between(attribute, one)
        case Empty():
            return lambda row: not any(significant(value, attribute.vr) for value in row.get(attribute.tag, ()))
        case _:
            assert_never(one)


def _equals(attribute: IndexedAttribute, values: tuple[str, ...]) -> Check | None:
    wanted = {text for value in values if (text := comparable(attribute, value))}
    return (lambda row: any(comparable(attribute, value) in wanted for value in row.get(attribute.tag, ()))) if wanted else None


def _wildcard(attribute: IndexedAttribute, key: str) -> Check | None:
    text = significant(key, attribute.vr) if attribute.vr != "TM" else key.strip(" ")
    pattern = patterns.parse(text).mapped(to_stored)
    if pattern.universal:
        return None
    tag = attribute.tag
    if not any(piece in "*?" for piece, literal in pattern.pieces if not literal):
        return _equals(attribute, (key,))
    return lambda row: any(pattern.matches(to_stored(value)) for value in row.get(tag, ()))


def _between(attribute: IndexedAttribute, one: Between) -> Check | None:
    low, high, is_time = significant(one.low, attribute.vr), significant(one.high, attribute.vr), attribute.vr == "TM"
    if is_time:
        low = low + _FIRST_TIME[len(low) :] if low else ""
        high = high + _LAST_TIME[len(high) :] if high else ""
    if not low and not high:
        return None

    def check(row: Attributes) -> bool:
        for value in row.get(attribute.tag, ()):
            text = significant(value, attribute.vr)
            if is_time and text:
                text += _FIRST_TIME[len(text) :]
            if text and (not low or text >= low) and (not high or text <= high):
                return True
        return False

    return check


def _any_name(attribute: IndexedAttribute, values: tuple[str, ...]) -> Check | None:
    checks = [name_check(attribute, patterns.literal(name)) for name in values if name.strip(" ^=")]
    return (lambda row: any(check(row) for check in checks)) if checks else None


def _name(attribute: IndexedAttribute, one: Wildcard) -> Check | None:
    pattern = patterns.parse(one.pattern)
    wanted = name_patterns(pattern)
    if pattern.universal or not any(part.pieces and not part.universal for part in wanted):
        return None
    if one.fuzzy and attribute.tag == PATIENT_NAME:
        return _fuzzy(attribute, wanted[0])
    return name_check(attribute, pattern)


def _fuzzy(attribute: IndexedAttribute, pattern: Pattern) -> Check:
    """Phonetic matching: every word of the key sounds like a word of the name, or the key matches as a wild card."""
    words = " ".join(piece for piece, literal in pattern.pieces if literal)
    codes = person_names.phonetic_codes(words)

    def check(row: Mapping[int, Any]) -> bool:
        for name in row.get(attribute.tag, ()):
            groups = person_names.groups(name)
            if pattern.matches(to_stored(groups[0])):
                return True
            if codes and all(codes & person_names.phonetic_codes(" ".join(groups)) >= {code} for code in codes):
                return True
        return False

    return check
