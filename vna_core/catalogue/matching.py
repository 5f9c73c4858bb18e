"""Conditions of a query become clauses: SQL text that depends on the clause's kind alone, and parameters (PS3.4 C.2.2.2).

A clause marked `loose` lets through a little too much; what it lets through is checked again on the answered values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, assert_never

from vna_core.catalogue import person_names
from vna_core.catalogue.schema import MULTIPLE
from vna_core.catalogue.stored_text import from_stored, identifier, significant, to_stored
from vna_core.dicom import patterns
from vna_core.dicom.patterns import Pattern
from vna_core.domain.errors import InvalidRequest
from vna_core.domain.indexed_attributes import INDEXED, IndexedAttribute
from vna_core.domain.query import Between, Empty, Equals, Level, OfValues, Wildcard

PATIENT_NAME: Final = 0x00100010
PATIENT_ID: Final = 0x00100020
MODALITIES_IN_STUDY: Final = 0x00080061
SOP_CLASSES_IN_STUDY: Final = 0x00080062

MATCHABLE: Final[dict[int, IndexedAttribute]] = INDEXED | {
    MODALITIES_IN_STUDY: IndexedAttribute(MODALITIES_IN_STUDY, "ModalitiesInStudy", "CS", Level.STUDY, "modalities"),
    SOP_CLASSES_IN_STUDY: IndexedAttribute(SOP_CLASSES_IN_STUDY, "SOPClassesInStudy", "UI", Level.STUDY, "sop_classes"),
}
"""What conditions may name."""

WRAPPED: Final = MULTIPLE | {MODALITIES_IN_STUDY, SOP_CLASSES_IN_STUDY}
_IDENTIFIERS: Final = frozenset({PATIENT_ID, 0x00100021, 0x0020000D, 0x0020000E, 0x00080018, 0x00080016})
_SELECTIVE: Final = frozenset({PATIENT_ID, 0x0020000D, 0x0020000E, 0x00080018, 0x00080050})
_LAST_TIME: Final = "235959.999999"
_FIRST_TIME: Final = "000000.000000"
RANKS: Final = {Level.PATIENT: 0, Level.STUDY: 1, Level.SERIES: 2, Level.IMAGE: 3}

CONDITION_LIMIT: Final = 200
"""Most conditions of one query."""

KEY_LIMIT: Final = 4096
"""Longest wild card key; every attribute that can be matched is shorter."""

LIST_LIMIT: Final = 200
"""Most values of a list for an attribute with several values. Lists of other attributes, UIDs foremost, have no limit."""

Check = Callable[[Mapping[int, tuple[str, ...]]], bool]


@dataclass(frozen=True, slots=True)
class Clause:
    """One condition ready for SQL.

    Attributes
    ----------
    kind
        Which SQL text; with `attribute` and the number of `parameters` it decides the text completely.
    selective
        Few rows match, and an index leads to them.
    check
        For a loose clause, whether a row's values match after all.
    """

    kind: str
    attribute: IndexedAttribute
    parameters: tuple[Any, ...] = ()
    selective: bool = False
    check: Check | None = None

    @property
    def shape(self) -> tuple[str, int, int]:
        """What decides the SQL text."""
        return self.kind, self.attribute.tag, len(self.parameters)


def clauses(conditions: Sequence[OfValues], level: Level) -> tuple[list[Clause], tuple[int, ...]]:
    """The clauses of `conditions` at `level`, and the tags that cannot be matched there. Raises InvalidRequest."""
    made: list[Clause] = []
    unmatched: list[int] = []
    for condition in conditions:
        attribute = MATCHABLE.get(condition.tag)
        if attribute is None or RANKS[attribute.level] > RANKS[level]:
            unmatched.append(condition.tag)
        else:
            made += _clauses(attribute, condition)
    return made, tuple(unmatched)


def _clauses(attribute: IndexedAttribute, condition: OfValues) -> list[Clause]:
    match condition:
        case Equals():
            return _equals(attribute, condition.values)
        case Wildcard():
            return _wildcard(attribute, condition.pattern, condition.fuzzy)
        case Between():
            return _between(attribute, condition)
        case Empty():
            return [Clause("empty", attribute)]
        case _:
            assert_never(condition)


def comparable(attribute: IndexedAttribute, value: str) -> str:
    """A value as its column holds it, so that equal values are equal texts."""
    if attribute.tag in _IDENTIFIERS:
        return identifier(value)
    text = significant(value, attribute.vr)
    return to_stored(text + _FIRST_TIME[len(text) :] if attribute.vr == "TM" and text else text)


def _equals(attribute: IndexedAttribute, values: tuple[str, ...]) -> list[Clause]:
    """Single value matching and lists of values; an empty list or value is universal matching (C.2.2.2.3)."""
    if attribute.vr == "PN":
        names = [value for value in values if value.strip(" ^=")]
        if len(names) <= 1:
            return _name(attribute, patterns.literal(names[0]), False) if names else []
        return [_any_name(attribute, names)]
    wanted = [text for value in values if (text := comparable(attribute, value))]
    if not wanted:
        return []
    selective = attribute.tag in _SELECTIVE
    if attribute.tag in WRAPPED:
        if len(wanted) > LIST_LIMIT:
            raise InvalidRequest(
                "The query lists too many values.", limit="query.list", maximum=LIST_LIMIT, keyword=attribute.keyword
            )
        return [Clause("inside", attribute, tuple(patterns.literal(f"\\{text}\\").within() for text in wanted))]
    if len(wanted) == 1:
        return [Clause("equals", attribute, (wanted[0],), selective)]
    return [Clause("in", attribute, (tuple(wanted),), selective)]


def _any_name(attribute: IndexedAttribute, names: list[str]) -> Clause:
    """Any of several names: checked on the values."""
    checks = [name_check(attribute, patterns.literal(name)) for name in names]
    return Clause("present", attribute, (), False, lambda row: any(check(row) for check in checks))


def _wildcard(attribute: IndexedAttribute, key: str, fuzzy: bool) -> list[Clause]:
    if len(key) > KEY_LIMIT:
        raise InvalidRequest("A matching key is too long.", limit="query.key", maximum=KEY_LIMIT, keyword=attribute.keyword)
    pattern = patterns.parse(key)
    if attribute.vr == "PN":
        return [] if pattern.universal else _name(attribute, pattern, fuzzy)
    text = significant(key, attribute.vr) if attribute.vr != "TM" else key.strip(" ")
    pattern = patterns.parse(text).mapped(to_stored)
    if pattern.universal:
        return []
    if not any(piece in "*?" for piece, literal in pattern.pieces if not literal):
        return _equals(attribute, (key,))
    if attribute.tag in WRAPPED:

        def check(row: Mapping[int, tuple[str, ...]]) -> bool:
            return any(pattern.matches(to_stored(value)) for value in row.get(attribute.tag, ()))

        return [Clause("inside", attribute, (pattern.within(),), False, check)]
    prefix = pattern.prefix()
    if attribute.tag == PATIENT_ID:
        run = _indexed_run(pattern)
        if run:
            return [Clause("patient-id-like", attribute, (run, patterns.after(run), pattern), True)]
    if prefix:
        return [Clause("prefix-like", attribute, (prefix, patterns.after(prefix), pattern), attribute.tag in _SELECTIVE)]
    return [Clause("like", attribute, (pattern,))]


def _between(attribute: IndexedAttribute, condition: Between) -> list[Clause]:
    """Range matching (C.2.2.2.5); a time's missing digits are the first moment of a range's beginning, the last of its end."""
    low, high = significant(condition.low, attribute.vr), significant(condition.high, attribute.vr)
    if attribute.vr == "TM":
        low = low + _FIRST_TIME[len(low) :] if low else ""
        high = high + _LAST_TIME[len(high) :] if high else ""
    low, high = to_stored(low), to_stored(high)
    if low and high:
        return [Clause("between", attribute, (low, high))]
    if low or high:
        return [Clause("from" if low else "until", attribute, (low or high,))]
    return []


def _indexed_run(pattern: Pattern) -> str:
    """What the suffixes of every match contain, as long as they are indexed."""
    run = from_stored(pattern.longest_run(person_names.GROUP_START))
    return to_stored(run[: person_names.SUFFIX_LENGTH])


def _folded(pattern: Pattern) -> Pattern:
    return pattern.mapped(lambda piece: to_stored(person_names.fold(piece)))


def name_patterns(pattern: Pattern) -> list[Pattern]:
    """The folded patterns of the component groups a key names: one for any group, or up to three in order (PS3.5 6.2.1)."""
    parts: list[list[tuple[str, bool]]] = [[]]
    for piece, literal in pattern.pieces:
        if not literal:
            parts[-1].append((piece, literal))
            continue
        for position, text in enumerate(piece.split("=")):
            if position and len(parts) < 3:
                parts.append([])
            elif position:
                text = f"={text}"
            if text:
                parts[-1].append((text, True))
    made = []
    for part in parts:
        one = _folded(Pattern(tuple(part))).without_end("^ ")
        pieces = list(one.pieces)
        if pieces and pieces[0][1]:
            pieces[0] = (pieces[0][0].lstrip(" "), True)
        made.append(Pattern(tuple(piece for piece in pieces if piece[0])))
    return made


def _name(attribute: IndexedAttribute, pattern: Pattern, fuzzy: bool) -> list[Clause]:
    """Matching of a person's name: any group when the key has one group, each group named otherwise."""
    wanted = name_patterns(pattern)
    named = [(position, one) for position, one in enumerate(wanted) if one.pieces and not one.universal]
    if not named:
        return []
    if attribute.tag != PATIENT_NAME:
        return [Clause("name-inside", attribute, (named[0][1].within(),), False, name_check(attribute, pattern))]
    if fuzzy:
        return [_fuzzy(attribute, wanted[0])]
    made = []
    for position, one in named:
        run = _indexed_run(one)
        kind = f"group-{position}" if len(wanted) > 1 else "any-group"
        if run:
            made.append(Clause(f"{kind}-indexed", attribute, (run, patterns.after(run), one), True))
        else:
            made.append(Clause(kind, attribute, (one,)))
    return made


def _fuzzy(attribute: IndexedAttribute, pattern: Pattern) -> Clause:
    """Phonetic matching: every word of the key sounds like a word of the name, or the key matches as a wild card."""
    words = " ".join(from_stored(piece) for piece, literal in pattern.pieces if literal)
    codes = tuple(sorted(to_stored(code) for code in person_names.phonetic_codes(words)))[:8]
    return Clause("fuzzy", attribute, (pattern, *codes), bool(codes))


def name_check(attribute: IndexedAttribute, pattern: Pattern) -> Check:
    """Whether a row's names match a key: any group when the key has one group, each group named otherwise."""
    wanted = name_patterns(pattern)
    named = [one if one.pieces and not one.universal else None for one in wanted]

    def check(row: Mapping[int, tuple[str, ...]]) -> bool:
        for name in row.get(attribute.tag, ()):
            groups = [to_stored(group) for group in person_names.groups(name)]
            if len(named) == 1:
                if named[0] is None or any(group and named[0].matches(group) for group in groups):
                    return True
            elif all(one is None or one.matches(group) for one, group in zip(named, groups, strict=False)):
                return True
        return False

    return check
