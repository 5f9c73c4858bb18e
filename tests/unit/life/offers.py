"""What senders offer: two departments with the same bare Patient IDs and the same UIDs, changed, cut and odd objects, and no objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Final

from tests.unit.normalize.handmade import CT, description, element, file, identification, uid
from tests.unit.stewardship.held_archive import text
from vna_core.dicom.rejection_note import Rejected
from vna_core.dicom.rejection_note_writing import write_note
from vna_core.domain.corrections import Rejection
from vna_core.domain.identifiers import PatientKey
from vna_core.domain.octets import Source
from vna_core.testing.quirks import quirk_files

NORTH: Final = Source("dimse", "CT_NORTH", "10.0.0.1", "NORTH")
SOUTH: Final = Source("stow", "south", "10.0.0.2", "SOUTH")
SENDERS: Final = (NORTH, SOUTH)
KINDS: Final = ("plain", "header", "pixels", "cut", "nameless")
"""The same instance as it is, with another header, with other pixels, broken off before its pixels, without any UID."""
STUDIES: Final = ("1.2.3.1", "1.2.3.9")
SERIES: Final = (2, 3)
NUMBERS: Final = (1, 2, 3, 4)


@dataclass(frozen=True, slots=True)
class Offer:
    """Octets and who sends them. `mark` is in the pixels of no other offer; empty: the octets have none."""

    octets: bytes
    source: Source
    mark: bytes = b""


def series_uid(study: str, series: int) -> str:
    return f"{study}.{series}"


def sop_uid(study: str, series: int, number: int) -> str:
    return f"{study}.{series}.{number}"


def image(kind: str, sender: int, study: int, series: int, number: int) -> Offer:
    """A small CT. Both senders number their patients alike, and send the same UIDs for their own patient with his own pixels."""
    place = STUDIES[study]
    said = "other" if kind == "pixels" else "first"
    mark = f"<{sender}/{study}/{series}/{number}/{said}{'/nameless' if kind == 'nameless' else ''}>".encode().ljust(32, b"#")
    extra = (
        text(0x00080020, "DA", "20260102")
        + text(0x00080050, "SH", f"A{study}")
        + text(0x00080060, "CS", "CT")
        + text(0x00081030, "LO", "ANOTHER" if kind == "header" else "ABDOMEN")
        + text(0x00100010, "PN", f"DOE^{SENDERS[sender].name}")
        + text(0x00100020, "LO", f"004{study}")
    )
    pixels = element(0x7FE00010, "OW", mark)
    if kind == "nameless":
        octets = file(uid(0x00080016, CT) + extra + description(4, 4) + pixels, sop_instance="")
    else:
        sop = sop_uid(place, series, number)
        names = identification(study=place, series=series_uid(place, series), sop=sop, extra=extra)
        octets = file(names + description(4, 4) + (b"" if kind == "cut" else pixels), sop_instance=sop)
    return Offer(octets, SENDERS[sender], b"" if kind == "cut" else mark)


@cache
def oddities() -> tuple[bytes, ...]:
    """Files with every entry of the catalogue of deviations, the large ones left out."""
    return tuple(one.octets for one in quirk_files() if len(one.octets) < 20_000)


def odd(number: int) -> Offer:
    return Offer(oddities()[number % len(oddities())], NORTH)


def garbage(number: int) -> Offer:
    return Offer(b"no DICOM at all, number %d " % number * 10, SOUTH)


def rejection(number: int, sender: int, study: int, named: Sequence[tuple[int, int]]) -> Offer:
    """A note of a sender that rejects instances, given by series and number, of one study."""
    place = STUDIES[study]
    rejected = [Rejected(place, series_uid(place, series), sop_uid(place, series, one), CT) for series, one in named]
    at = datetime(2026, 3, 1, tzinfo=UTC)
    title = list(Rejection)[number % len(Rejection)]
    said = "".join(f"{series}{one}" for series, one in named)
    octets = write_note(f"2.25.61{number}{sender}{study}{said}", title, "wrong", PatientKey("", f"004{study}"), rejected, at)
    return Offer(octets, SENDERS[sender])
