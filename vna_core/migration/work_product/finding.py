"""Residues found in headers, instance by instance. Reads what the catalogue keeps of every instance; no object is opened."""

from __future__ import annotations

import base64
import binascii
import json
import re
import struct
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from vna_core.catalogue import Catalogue
from vna_core.catalogue.source_headers import SourceHeader
from vna_core.migration.work_product.residues import RESIDUES, Residue

Document = Mapping[str, Any]
"""A header in DICOM JSON."""

_BY_CREATOR: Final[dict[str, list[Residue]]] = {}
for _one in RESIDUES.values():
    _BY_CREATOR.setdefault(_one.creator.casefold(), []).append(_one)
_ANY: Final = re.compile("|".join(re.escape(one) for one in sorted(_BY_CREATOR, key=len, reverse=True)).encode(), re.IGNORECASE)
_CREATOR: Final = re.compile(r"[0-9A-F]{3}[13579BDF]00[1-9A-F][0-9A-F]")
_LONGEST: Final = 4096
_LOOKED_AT: Final = 1 << 20
"""Octets of an object in which a first look looks for creators."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One residue of one instance. `tags` are those of its elements that are there, and `values` what they hold, by low octet."""

    residue: Residue
    header: SourceHeader
    tags: tuple[str, ...]
    values: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class Counted:
    """How often a residue was met. `marked`: in how many instances it says something (a flag that is 0 says nothing)."""

    residue: Residue
    instances: int
    marked: int
    studies: int
    sample: str


class WorkProducts:
    """Looks through what one source delivered."""

    def __init__(self, catalogue: Catalogue, source: str) -> None:
        self._catalogue, self._source = catalogue, source

    def __iter__(self) -> Iterator[tuple[list[Finding], Document]]:
        """Findings of each instance that has any, with its header; instances of a study one after the other."""
        for header in self._catalogue.source_headers(self._source):
            if _ANY.search(header.json):
                document = json.loads(header.json)
                found = list(findings(header, document))
                if found:
                    yield found, document

    def count(self) -> list[Counted]:
        """Every residue that was met, as often as it was."""
        instances: Counter[str] = Counter()
        marked: Counter[str] = Counter()
        studies: dict[str, set[str]] = {}
        samples: dict[str, str] = {}
        for found, _ in self:
            for one in found:
                name = one.residue.name
                instances[name] += 1
                if says_something(one):
                    marked[name] += 1
                    studies.setdefault(name, set()).add(one.header.study_instance_uid)
                    samples.setdefault(name, one.header.sop_instance_uid)
        return [
            Counted(RESIDUES[name], number, marked[name], len(studies.get(name, ())), samples.get(name, ""))
            for name, number in sorted(instances.items())
        ]


def creators_in(octets: bytes | memoryview) -> set[str]:
    """Names of products whose private creators stand in the octets of an object; a hint, for a first look at a source."""
    met = {match.group().decode("latin-1").casefold() for match in _ANY.finditer(octets[:_LOOKED_AT])}
    return {one.product for creator in met for one in _BY_CREATOR[creator]}


def findings(header: SourceHeader, document: Document) -> Iterator[Finding]:
    """Residues at the top level of one instance."""
    for tag in [one for one in document if _CREATOR.fullmatch(one)]:
        creator = str(next(iter(document[tag].get("Value") or ("",)))).strip().casefold()
        for residue in _BY_CREATOR.get(creator, ()):
            if residue.group not in (0, int(tag[:4], 16)):
                continue
            block = tag[:4] + tag[6:]
            tags = tuple(f"{block}{low:02X}" for low in residue.elements if f"{block}{low:02X}" in document)
            if tags:
                there = [low for low in range(256) if f"{block}{low:02X}" in document]
                values = {low: text_of(document[f"{block}{low:02X}"]) for low in there}
                yield Finding(residue, header, tags, values)


def says_something(one: Finding) -> bool:
    """Whether an element of the residue has a value that is not empty and not zero."""
    return any(one.values[int(tag[-2:], 16)].strip("\0 ") not in ("", "0") for tag in one.tags)


def text_of(member: Mapping[str, Any]) -> str:
    """A value as text, several joined by a backslash; of octets without a known representation a number where there are two of them.

    ``(sequence)`` and ``(octets)`` stand for what is no text.
    """
    if member.get("vr") == "SQ":
        return "(sequence)" if member.get("Value") else ""
    if "InlineBinary" in member:
        return _of_octets(str(member["InlineBinary"]))
    if "BulkDataURI" in member:
        return "(octets)"
    return "\\".join(_text(one) for one in member.get("Value") or ())[:_LONGEST]


def _text(value: Any) -> str:
    return str(value.get("Alphabetic", "")) if isinstance(value, dict) else "" if value is None else str(value)


def _of_octets(text: str) -> str:
    try:
        octets = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        return "(octets)"
    stripped = octets.rstrip(b"\0 ")
    if len(octets) == 2 and (not stripped or octets[0] < 0x20):
        return str(struct.unpack("<H", octets)[0])
    printable = stripped.isascii() and all(0x20 <= one < 0x7F or one in b"\t\r\n" for one in stripped)
    return stripped.decode("ascii")[:_LONGEST] if printable else "(octets)"


__all__: Sequence[str] = (
    "Counted",
    "Document",
    "Finding",
    "WorkProducts",
    "creators_in",
    "findings",
    "says_something",
    "text_of",
)
