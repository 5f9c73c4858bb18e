"""PS3.4 C.2.2.2 matching written down plainly over attributes in memory, as the oracle for the catalogue's search.

Shares no code with the catalogue. Names are compared without case and accents; any component group may match a key of one group.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

from vna_core.domain.indexed_attributes import INDEXED
from vna_core.domain.query import Between, Condition, Empty, Equals, InSequence, OfValues, Wildcard

Attributes = Mapping[int, tuple[str, ...]]
Items = Mapping[int, list[Mapping[int, object]]]
"""Items of sequences by tag; an item has texts, or items again, by tag."""
IN_ITEMS = {0x00400009: "SH", 0x00400007: "LO", 0x00400002: "DA", 0x00400003: "TM", 0x00400006: "PN", 0x00080100: "SH"}
"""Representations of attributes that tests put into items."""
MULTIPLE = (0x00080008, 0x00101000, 0x00080061)
IDENTIFIERS = (0x00100020, 0x00100021, 0x0020000D, 0x0020000E, 0x00080018, 0x00080016)
"""Attributes padded with NUL in practice: padding is no part of them, nor of a key without wild cards."""


def in_items(condition: InSequence, items: Items) -> bool:
    """Whether one item of the sequence at least fulfils everything that is asked of its items."""

    def fulfils(item: Mapping[int, object], one: Condition) -> bool:
        below = item.get(one.tag)
        if isinstance(one, InSequence):
            return in_items(one, {one.tag: below} if isinstance(below, list) else {})
        return matches(one, {one.tag: tuple(below)} if isinstance(below, tuple) else {})

    if all(is_universal(one) for one in condition.conditions):
        return True
    return any(all(fulfils(item, one) for one in condition.conditions) for item in items.get(condition.tag, ()))


def is_universal(one: Condition) -> bool:
    """Whether everything fulfils a condition, also where the attribute is absent."""
    if isinstance(one, InSequence):
        return all(is_universal(inner) for inner in one.conditions)
    return matches(one, {}) and not isinstance(one, Empty)


def matches(condition: OfValues, attributes: Attributes) -> bool:
    """Whether one entity's attributes fulfil a condition."""
    known = INDEXED.get(condition.tag)
    vr = known.vr if known is not None else IN_ITEMS.get(condition.tag, "CS")
    values = [value.strip(" ") for value in attributes.get(condition.tag, ()) if value.strip(" ")]
    if condition.tag not in MULTIPLE and vr != "PN" and len(values) > 1:
        values = ["\\".join(values)]
    if isinstance(condition, Empty):
        return not values
    if isinstance(condition, Equals):
        wanted = [value.strip(" ") for value in condition.values if value.strip(" ")]
        if vr == "PN":
            wanted = [value for value in wanted if value.strip("^= ")]
            return not wanted or any(_name_matches(key, value, False) for key in wanted for value in values)
        if vr == "TM":
            return not wanted or any(
                _time(value, "000000.000000") == _time(key, "000000.000000") for key in wanted for value in values
            )
        return not wanted or any(value in wanted for value in values)
    if isinstance(condition, Wildcard):
        pattern = condition.pattern.strip(" ")
        if condition.tag in IDENTIFIERS and not set("*?") & set(pattern):
            pattern = pattern.rstrip("\x00 ")
        if not pattern.strip("*"):
            return True
        if vr == "PN":
            universal = not any(_trimmed(part).strip("*") for part in pattern.split("="))
            return universal or any(_name_matches(pattern, value, True) for value in values)
        return any(wild(pattern, value) for value in values)
    return any(_in_range(vr, condition, value) for value in values) or not (condition.low or condition.high)


def _in_range(vr: str, condition: Between, value: str) -> bool:
    low, high = condition.low, condition.high
    if vr == "TM":
        value = _time(value, "000000.000000")
        low, high = _time(low, "000000.000000") if low else "", _time(high, "235959.999999") if high else ""
    return (not low or value >= low) and (not high or value <= high)


def _time(value: str, rest: str) -> str:
    return value + rest[len(value) :]


def wild(pattern: str, text: str) -> bool:
    """Whether `text` matches, by trying every way."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(wild(pattern[1:], text[start:]) for start in range(len(text) + 1))
    return bool(text) and pattern[0] in ("?", text[0]) and wild(pattern[1:], text[1:])


def _plain(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(character for character in decomposed if not unicodedata.combining(character)).lower()


def _trimmed(group: str) -> str:
    """A component group without blanks around it and components left empty at its end, which mean nothing (PS3.5 6.2)."""
    return group.strip(" ").rstrip("^ ")


def _name_matches(key: str, name: str, wildcards: bool) -> bool:
    keys = [_trimmed(_plain(part)) for part in key.split("=")]
    groups = [_trimmed(_plain(part)) for part in name.split("=", 2)]
    groups += [""] * (3 - len(groups))

    def one(part: str, group: str) -> bool:
        return bool(group) and (wild(part, group) if wildcards else part == group)

    if len(keys) == 1:
        return any(one(keys[0], group) for group in groups)
    return all(not part.strip("*") or one(part, group) for part, group in zip(keys, groups, strict=False))
