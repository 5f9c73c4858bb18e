"""What a rule is, and the journal of what rules did.

A rule is a small function with an id of the catalogue of deviations, a version, a layer and a confidence. Rules stand in
ordered tuples, one per family; adding a rule is adding a function to a tuple.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Generic, TypeVar

from vna_core.dicom import dictionary
from vna_core.domain.transformation import Confidence, Finding, Transformation

RULE_SET = "2026.11.2"
"""Version of all rules together; recorded with every object."""

_SHOWN = 128
_DISTINCT = 512
"""Entries with values of their own; further changes are counted by rule and detail, and beyond twice as many by rule alone."""

Subject = TypeVar("Subject")
Verdict = TypeVar("Verdict")


class Layer(IntEnum):
    """How deep a rule reaches: a lower layer never changes what a higher one is about."""

    CONTAINER = 0
    ENCODING = 1
    VALUES = 2
    PIXELS = 3


@dataclass(frozen=True, slots=True)
class Rule(Generic[Subject, Verdict]):
    """One rule.

    Attributes
    ----------
    id
        As in the normalization reference, e.g. ``F01``.
    apply
        Takes what the family looks at; the verdict's type is the family's.
    summary
        One sentence: what is deviant, and what becomes of it.
    """

    id: str
    version: int
    layer: Layer
    confidence: Confidence
    apply: Callable[[Subject], Verdict]
    summary: str


@dataclass(slots=True)
class Journal:
    """Collects changes and findings; equal ones are counted, not repeated."""

    _changes: dict[tuple[str, str, str | None, str | None], Transformation] = field(default_factory=dict)
    _findings: dict[tuple[str, str], tuple[Finding, int]] = field(default_factory=dict)

    def change(
        self,
        rule: str,
        confidence: Confidence,
        *,
        tag: int | str = "",
        original: str | None = None,
        canonical: str | None = None,
        detail: str = "",
        count: int = 1,
    ) -> None:
        """Record a change. Repeated ones of the same rule, values and detail are one entry with a count."""
        original, canonical = shortened(original), shortened(canonical)
        if len(self._changes) >= _DISTINCT:
            original = canonical = None
            if len(self._changes) >= 2 * _DISTINCT:
                detail = ""
        key = (rule, detail, original, canonical)
        known = self._changes.get(key)
        if known is not None:
            self._changes[key] = replace(known, count=known.count + count)
            return
        path = f"{tag:08X}" if isinstance(tag, int) else tag
        keyword = dictionary.keyword_of(int(path[-8:], 16)) if path else ""
        self._changes[key] = Transformation(rule, confidence, path, keyword, original, canonical, count, detail)

    @property
    def number_of_changes(self) -> int:
        """How many changes were told so far; it grows with each."""
        return sum(change.count for change in self._changes.values())

    def find(self, rule: str, message: str, tag: int | str = "") -> None:
        """Record something that was noticed and left as it is."""
        known = self._findings.get((rule, message))
        if known is not None:
            self._findings[(rule, message)] = (known[0], known[1] + 1)
            return
        path = f"{tag:08X}" if isinstance(tag, int) else tag
        self._findings[(rule, message)] = (Finding(rule, message, path), 1)

    def transformations(self) -> tuple[Transformation, ...]:
        """Changes in the order they were first made."""
        return tuple(self._changes.values())

    def findings(self) -> tuple[Finding, ...]:
        """Findings, with the number of elements in the message where there are several."""
        return tuple(
            finding if count == 1 else replace(finding, message=f"{finding.message} ({count} elements)")
            for finding, count in self._findings.values()
        )


def shortened(text: str | None) -> str | None:
    """At most 128 characters of a value for display."""
    return text if text is None or len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def displayed(raw: bytes) -> str:
    """A value for display: its characters where they are printable ASCII, hexadecimal digits otherwise."""
    text = raw[: _SHOWN * 2].rstrip(b" \0")
    return text.decode("ascii") if text.isascii() and text.decode("ascii").isprintable() else raw[:_SHOWN].hex()
