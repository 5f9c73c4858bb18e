"""HL7 v2 messages: segments, fields, repetitions, components, subcomponents (HL7 v2.5.1 chapter 2).

Strict about what a message is (an MSH segment with usable separators), tolerant about how it is written: any line ending, unknown
segments, missing fields, and text that is not in the character set it names.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from vna_core.domain.errors import InvalidRequest

MOST_SEGMENTS: Final = 10_000
_LINES: Final = re.compile(r"\r\n|\r|\n")
_CHARACTER_SETS: Final = {
    "UNICODE UTF-8": "utf-8", "UNICODE": "utf-8",
    **{f"8859/{part}": f"iso-8859-{part}" for part in (1, 2, 3, 4, 5, 6, 7, 8, 9, 15)},
    **dict.fromkeys(("ISO IR14", "ISO IR87", "ISO IR159"), "iso2022_jp_ext"),
    "GB 18030-2000": "gb18030", "KS X 1001": "euc_kr", "BIG-5": "big5",
}  # fmt: skip
"""Names of HL7 table 0211 beside ASCII. Most of them have octets that are separators in ASCII, so that a message is decoded before it is taken apart."""
_NULL: Final = '""'
"""A value that is to be deleted (HL7 v2.5.1 section 2.5.3): none."""


@dataclass(frozen=True, slots=True)
class Separators:
    """The characters of MSH-1 and MSH-2: field, component, repetition, escape, subcomponent."""

    field: str = "|"
    component: str = "^"
    repetition: str = "~"
    escape: str = "\\"
    subcomponent: str = "&"


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment; fields by their number in the standard (1-based)."""

    name: str
    fields: tuple[str, ...]
    separators: Separators

    def field(self, number: int) -> str:
        """A field as written; empty where it is missing."""
        return self.fields[number] if number < len(self.fields) else ""

    def repetitions(self, number: int) -> list[str]:
        """The repetitions of a field that are not empty, at most 100."""
        return [one for one in self.field(number).split(self.separators.repetition)[:100] if one]

    def value(self, number: int, component: int = 1, subcomponent: int = 1, repetition: str | None = None) -> str:
        """One subcomponent (all numbers 1-based) of a field's first or a given repetition, its escapes resolved; empty for one that is to be deleted."""
        text = next(iter(self.repetitions(number)), "") if repetition is None else repetition
        components = text.split(self.separators.component)
        parts = components[component - 1].split(self.separators.subcomponent) if component <= len(components) else []
        value = self._unescaped(parts[subcomponent - 1]) if subcomponent <= len(parts) else ""
        return "" if value == _NULL else value

    def _unescaped(self, text: str) -> str:
        own = self.separators
        mark = re.escape(own.escape)
        meant = {"F": own.field, "S": own.component, "R": own.repetition, "E": own.escape, "T": own.subcomponent}

        def resolved(match: re.Match[str]) -> str:
            return meant.get(match.group(1), "")

        return re.sub(f"{mark}([^{mark}]{{0,32}}){mark}", resolved, text).strip() if own.escape in text else text.strip()


@dataclass(frozen=True, slots=True)
class Message:
    """A message; MSH comes first."""

    segments: tuple[Segment, ...]

    @property
    def header(self) -> Segment:
        return self.segments[0]

    @property
    def trigger(self) -> str:
        """Message type and trigger event, as ``ADT^A08``."""
        return f"{self.header.value(9)}^{self.header.value(9, 2)}"

    @property
    def control_id(self) -> str:
        return self.header.value(10)

    def named(self, name: str) -> list[Segment]:
        """All segments of a name."""
        return [segment for segment in self.segments if segment.name == name]


def parse(octets: bytes) -> Message:
    """Read a message. Raises InvalidRequest for what is none."""
    probe = octets[:1000].decode("latin-1").lstrip("\r\n ")
    if not probe.startswith("MSH") or len(probe) < 9:
        raise InvalidRequest("The message does not begin with an MSH segment.")
    field, marks = probe[3], probe[4:8]
    separators = Separators(field, *marks.split(field)[0].ljust(4, "\0"))
    if field.isalnum() or len(set(marks.split(field)[0] + field)) < len(marks.split(field)[0]) + 1:
        raise InvalidRequest("The separators of the MSH segment are unusable.")
    header = _LINES.split(probe)[0].split(field)
    named = [one.strip() for one in header[17].split(separators.repetition)] if len(header) > 17 else []
    lines = [line for line in _LINES.split(_decoded(octets, named).lstrip("\r\n ")) if line.strip()]
    if len(lines) > MOST_SEGMENTS:
        raise InvalidRequest("The message has too many segments.", limit="hl7.segments", maximum=MOST_SEGMENTS)
    return Message(tuple(_segment(line, separators) for line in lines))


def _segment(line: str, separators: Separators) -> Segment:
    fields = line.split(separators.field)
    name = fields[0].strip()[:3]
    if name == "MSH":
        fields.insert(1, separators.field)  # MSH-1 is the separator itself
    return Segment(name, tuple(fields), separators)


def _decoded(octets: bytes, named: Sequence[str]) -> str:
    """Text in the first of the character sets; one that is not ASCII may be named behind it, and is switched to by escape sequences."""
    try:
        return octets.decode(next((_CHARACTER_SETS[one] for one in named if one in _CHARACTER_SETS), "utf-8"))
    except UnicodeDecodeError:
        return octets.decode("latin-1")


def acknowledgement(message: Message | None, code: str, text: str = "") -> bytes:
    """ACK with MSA-1 `code` (HL7 table 0008): AA taken, AE our failure, try again; AR this message is refused."""
    header = message.header if message is not None else Segment("MSH", (), Separators())
    trigger = header.value(9, 2)
    sender = [_escaped(header.value(number)) for number in (3, 4)]
    now = datetime.now(UTC).strftime("%Y%m%d%H%M%S")
    control = _escaped(header.value(10))[:199]
    version = _escaped(header.value(12)) or "2.5"
    msh = f"MSH|^~\\&|VNA||{sender[0]}|{sender[1]}|{now}||ACK{'^' + _escaped(trigger) if trigger else ''}|{now}|P|{version}"
    return f"{msh}\rMSA|{code}|{control}{'|' + _escaped(text)[:80] if text else ''}\r".encode("utf-8", "replace")


def _escaped(text: str) -> str:
    """Text without anything that ends a field or a message."""
    return re.sub(r"[|^~\\&\x00-\x1f]", " ", text)
