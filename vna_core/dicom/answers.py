"""DICOM JSON answers of a source: their values, and whether they match what was asked (PS3.4 C.2.2.2)."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from functools import lru_cache
from itertools import product
from math import prod
from typing import Any, Final, TypeVar, assert_never

from vna_core.dicom import patterns
from vna_core.dicom.dictionary import vr_of
from vna_core.domain.errors import InvalidRequest
from vna_core.domain.query import Between, Condition, Empty, Equals, InSequence, Level, OfValues, Query, Wildcard

T = TypeVar("T")

KEY_OF: Final = {Level.PATIENT: 0x00100020, Level.STUDY: 0x0020000D, Level.SERIES: 0x0020000E, Level.IMAGE: 0x00080018}
"""Unique key of each level (PS3.4 C.6.1.1)."""
_ROW_OF: Final = {
    Level.PATIENT: (0x00100020, 0x00100021),
    Level.STUDY: (0x0020000D,),
    Level.SERIES: (0x0020000D, 0x0020000E),
    Level.IMAGE: (0x0020000D, 0x0020000E, 0x00080018),
}
_MODALITIES_IN_STUDY: Final = 0x00080061
LISTS: Final = 512
"""Most single questions that lists of values in one query may make."""


def values_of(answer: Mapping[str, Any], tag: int) -> tuple[str, ...]:
    """Values of an attribute as text; a person's name by its alphabetic group. Empty when absent or of another shape."""
    return tuple([_text(value) for value in list_of(answer, tag)])


def first_value(answer: Mapping[str, Any], tag: int) -> str:
    """The first value of an attribute; empty when there is none."""
    values = list_of(answer, tag)
    return _text(values[0]) if values else ""


def items_of(answer: Mapping[str, Any], tag: int) -> list[Mapping[str, Any]]:
    """Items of a sequence. Empty when absent or of another shape."""
    return [one for one in list_of(answer, tag) if isinstance(one, dict)]


def without_bulk_data(item: Mapping[str, Any]) -> dict[str, Any]:
    """A data set without values that would have to be fetched on their own, at every depth."""
    told: dict[str, Any] = {}
    for name, element in item.items():
        if element.get("vr") == "SQ":
            items = [without_bulk_data(one) for one in element.get("Value", ())]
            told[name] = {"vr": "SQ", "Value": items} if items else {"vr": "SQ"}
        elif "BulkDataURI" not in element:
            told[name] = element
    return told


def sequence_members(told: Mapping[int, Iterable[Mapping[str, Any]]]) -> dict[str, Any]:
    """Sequences as members of an answer, their items without bulk data."""
    return {f"{tag:08X}": {"vr": "SQ", "Value": list(map(without_bulk_data, items))} for tag, items in told.items()}


def in_order(answer: Mapping[str, Any]) -> dict[str, Any]:
    """The same with its attributes in the order of their tags (PS3.18 F.2.2)."""
    return {tag: answer[tag] for tag in sorted(answer)}


def list_of(answer: Mapping[str, Any], tag: int) -> list[Any]:
    """What stands in an attribute's Value, of any shape. Empty when absent or no list."""
    element = answer.get(_key(tag))
    values = element.get("Value") if isinstance(element, dict) else None
    return values if isinstance(values, list) else []


@lru_cache(maxsize=1024)  # answers are read for the same few
def _key(tag: int) -> str:
    return f"{tag:08X}"


def single_questions(query: Query) -> Iterator[Query]:
    """The query as questions whose conditions have one value each, except lists of UIDs, which every source understands.

    Raises InvalidRequest where that makes too many questions, and for conditions that sources are not asked about: what is not asked must
    not look like what is not held.
    """
    choices: list[list[Condition]] = []
    for one in query.conditions:
        match one:
            case Equals():
                alone = len(one.values) <= 1 or vr_of(one.tag) == "UI"
                choices.append([one] if alone else [Equals(one.tag, (value,)) for value in one.values])
            case Wildcard() | Between():
                choices.append([one])
            case Empty() | InSequence():
                raise not_asked(one)
            case _:
                assert_never(one)
    if prod(map(len, choices)) > LISTS:
        raise InvalidRequest("The lists of the query make too many questions.", limit="query.lists", maximum=LISTS)
    for picked in product(*choices):
        yield replace(query, conditions=picked)


def in_parts(query: Query, most: int) -> Iterator[Query]:
    """The query with lists of more values than `most` in parts: so long are those of UIDs alone, see `single_questions`."""
    for number, one in enumerate(query.conditions):
        if isinstance(one, Equals) and len(one.values) > most:
            before, behind = query.conditions[:number], query.conditions[number + 1 :]
            for at in range(0, len(one.values), most):
                part = Equals(one.tag, one.values[at : at + most])
                yield from in_parts(replace(query, conditions=(*before, part, *behind)), most)
            return
    yield query


def wanted_of(query: Query, answers: Generator[T, None, None]) -> Iterator[T]:
    """Of all matches those behind the query's offset and up to its limit; `answers` is closed with this.

    One more is looked for, so that a source that has no more comes to its end and is not interrupted.
    """
    with closing(answers):
        for number, answer in enumerate(answers):
            if query.limit is not None and number >= query.offset + query.limit:
                return
            if number >= query.offset:
                yield answer


def asked_values(one: Condition) -> tuple[str, ...]:
    """What a source is asked for by a condition, a range in one text (PS3.4 C.2.2.2). Raises InvalidRequest, see `single_questions`."""
    match one:
        case Equals():
            return one.values
        case Between():
            return (f"{one.low}-{one.high}",)
        case Wildcard():
            return (one.pattern,)
        case Empty() | InSequence():
            raise not_asked(one)
        case _:
            assert_never(one)


def not_asked(one: Empty | InSequence) -> InvalidRequest:
    """The error for a condition that few sources understand; whoever asks leaves it out, and looks at the answers."""
    return InvalidRequest("Sources are not asked for empty values, nor for what is in a sequence.", tag=f"{one.tag:08X}")


def matches(answer: Mapping[str, Any], conditions: tuple[Condition, ...]) -> bool:
    """Whether an answer fulfils every condition; an attribute that is absent fulfils none but an empty one."""
    return all(
        any(matches(item, one.conditions) for item in items_of(answer, one.tag))
        if isinstance(one, InSequence)
        else _fulfils(values_of(answer, one.tag), one)
        for one in conditions
    )


def row_of(answer: Mapping[str, Any], level: Level) -> tuple[str, ...]:
    """What tells a row from others: its unique key with those above it. Archives hold one SOP Instance UID in several series and studies."""
    return tuple(first_value(answer, tag) for tag in _ROW_OF[level])


def contradicts(answer: Mapping[str, Any], conditions: tuple[Condition, ...]) -> bool:
    """Whether an answer shows that the source did not match as asked: a value meant literally was taken for a pattern."""
    return any(
        isinstance(one, Equals)
        and any("*" in value or "?" in value for value in one.values)
        and bool(values_of(answer, one.tag))
        and not _fulfils(values_of(answer, one.tag), one)
        for one in conditions
    )


def _fulfils(values: tuple[str, ...], condition: OfValues) -> bool:
    name = vr_of(condition.tag) == "PN"
    match condition:
        case Between():
            return any(_within(value, condition) for value in values if value)
        case Wildcard():
            pattern = _pattern(condition.pattern, name)
            forms = {*map(str.casefold, values), *(_folded(value, name) for value in values)} if name else values
            return pattern.universal or any(pattern.matches(form) for form in forms)
        case Equals():
            wanted = {_folded(value, name) for value in condition.values}
            return wanted <= {""} or any(_folded(value, name) in wanted for value in values)
        case Empty():
            return not any(_folded(value, name) for value in values)
        case _:
            assert_never(condition)


def _within(value: str, span: Between) -> bool:
    low, high = span.low.replace(":", ""), span.high.replace(":", "")
    value = value.replace(":", "").replace(".", "") if vr_of(span.tag) == "DA" else value.replace(":", "")
    return (not low or value >= low or value.startswith(low)) and (not high or value <= high or value.startswith(high))


def _folded(value: str, name: bool) -> str:
    return value.rstrip("^ ").casefold() if name else value.strip(" ")


@lru_cache(maxsize=256)
def _pattern(text: str, name: bool) -> patterns.Pattern:
    pattern = patterns.parse(text)
    return pattern.mapped(str.casefold).without_end("^ ") if name else pattern


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return str(value.get("Alphabetic") or "")
    return "" if value is None else str(value)
