"""Values of a DICOM JSON header (PS3.18 annex F), each with the type it is used as. What is not what it should be counts as absent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

Header = Mapping[str, Any]


def values(header: Header, tag: str) -> list[Any]:
    """All values of an element; empty when it is absent or has none."""
    element = header.get(tag)
    found = element.get("Value") if isinstance(element, dict) else None
    return found if isinstance(found, list) else []


def text(header: Header, tag: str, default: str = "") -> str:
    """The first value as text."""
    found = values(header, tag)
    return str(found[0]) if found and found[0] is not None else default


def numbers(header: Header, tag: str, count: int | None = None) -> tuple[float, ...]:
    """All values as finite numbers; empty when one is not, or when there are not `count` of them."""
    try:
        found = tuple(float(value) for value in values(header, tag))
    except (TypeError, ValueError):
        return ()
    return found if all(map(isfinite, found)) and (count is None or len(found) == count) else ()


def number(header: Header, tag: str) -> float | None:
    """The first value as a number."""
    found = numbers(header, tag)
    return found[0] if found else None


def integer(header: Header, tag: str, default: int = 0) -> int:
    """The first value as a whole number."""
    found = number(header, tag)
    return int(found) if found is not None else default


def items(header: Header, tag: str) -> list[Header]:
    """The items of a sequence."""
    return [item for item in values(header, tag) if isinstance(item, dict)]


def inside(groups: Sequence[Header], sequence: str) -> Header:
    """The only item of a functional group macro (PS3.3 C.7.6.16), from the first of `groups` that has it."""
    for group in groups:
        found = items(group, sequence)
        if found:
            return found[0]
    return {}
