"""What a rule about one value looks at, and what it answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from vna_core.ingest.normalize.amendments import Amender, Place, Record
from vna_core.ingest.normalize.conforming import value_conforms


@dataclass(frozen=True, slots=True)
class SuspectValue:
    """A value of characters that does not conform to its representation.

    Attributes
    ----------
    raw
        The value's octets, padding included, as the rules before left them.
    day_first
        Whether the site says that its source writes the day before the month (None: it says nothing).
    """

    amender: Amender
    place: Place
    vr: str
    raw: bytes
    day_first: bool | None = None

    @property
    def values(self) -> list[bytes]:
        """The single values without padding."""
        return [value.strip(b" \0") for value in self.raw.split(b"\\")]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of the value: another one (None: it stays), or a finding.

    Attributes
    ----------
    record
        How the value before is told; whatever brings a value here was illegal.
    also
        Further elements that get a value by the same rule.
    """

    value: bytes | None = None
    record: Record = Record.ILLEGAL
    finding: str = ""
    detail: str = ""
    also: tuple[tuple[Place, str, bytes], ...] = ()


def each_value(suspect: SuspectValue, change: Callable[[bytes], bytes | None]) -> bytes | None:
    """Every single value that does not conform taken through `change`.

    Returns
    -------
    bytes or None
        The whole value when at least one was changed and none refused; None otherwise. What `change` gives counts only where
        it conforms: a rule that does not put a value right leaves it alone.
    """
    changed, result = False, []
    for value in suspect.values:
        if not value or value_conforms(suspect.vr, value):
            result.append(value)
            continue
        new = change(value)
        if new is None or (new and not value_conforms(suspect.vr, new)):
            return None
        changed = True
        result.append(new)
    return b"\\".join(result) if changed else None
