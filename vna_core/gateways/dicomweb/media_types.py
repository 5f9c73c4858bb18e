"""Media types and what a client accepts (RFC 9110 section 12.5.1, PS3.18 section 8.7)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from vna_core.domain.errors import UnsupportedMediaType

DICOM: Final = "application/dicom"
DICOM_JSON: Final = "application/dicom+json"
OCTETS: Final = "application/octet-stream"
MULTIPART: Final = "multipart/related"

_CACHED: Final = 256
"""Longest Accept field whose ranges are remembered: clients send the same few."""
_PREFIX: Final = "1.2.840.10008.1.2."
FRAME_TYPES: Final[dict[str, tuple[str, ...]]] = {
    "image/jpeg": tuple(_PREFIX + "4." + number for number in ("70", "50", "51", "53", "55", "57", "58")),
    "image/dicom-rle": (_PREFIX + "5",),
    "image/jls": (_PREFIX + "4.80", _PREFIX + "4.81"),
    "image/jp2": (_PREFIX + "4.90", _PREFIX + "4.91"),
    "image/jpx": (_PREFIX + "4.92", _PREFIX + "4.93"),
    "image/jphc": (_PREFIX + "4.201", _PREFIX + "4.202", _PREFIX + "4.203"),
    "image/jxl": (_PREFIX + "4.110", _PREFIX + "4.111", _PREFIX + "4.112"),
    "video/mpeg": (_PREFIX + "4.100", _PREFIX + "4.100.1", _PREFIX + "4.101", _PREFIX + "4.101.1"),
    "video/mp4": tuple(
        _PREFIX + "4." + number for number in ("102", "102.1", "103", "103.1", "104", "104.1", "105", "105.1", "106", "106.1")
    ),
    "video/h265": (_PREFIX + "4.107", _PREFIX + "4.108"),
}
"""Media types of compressed frames and their transfer syntaxes, the default first (PS3.18 table 8.7.3-2 to 8.7.3-5)."""

TYPE_OF_SYNTAX: Final = {syntax: name for name, syntaxes in FRAME_TYPES.items() for syntax in syntaxes}


@dataclass(frozen=True, slots=True)
class MediaRange:
    """One member of an Accept field, or a Content-Type. Names in lower case, parameter values unquoted.

    Attributes
    ----------
    but
        Names of other ranges of the field: those that are more specific go before a wild card (RFC 9110 section 12.5.1).
    """

    name: str
    parameters: Mapping[str, str]
    quality: float = 1.0
    but: frozenset[str] = frozenset()

    def covers(self, media_type: str) -> bool:
        """Whether this range names `media_type`, wild cards considered, and no other one of its field does more exactly."""
        if self.name != media_type and media_type in self.but:
            return False
        if self.name == "*/*" and f"{media_type.partition('/')[0]}/*" in self.but:
            return False
        return self.name in ("*/*", media_type) or (self.name.endswith("/*") and media_type.startswith(self.name[:-1]))


def _split(text: str, separator: str) -> list[str]:
    """Pieces between separators that are not inside quotes."""
    pieces: list[str] = []
    current: list[str] = []
    quoted = escaped = False
    for character in text:
        if escaped:
            escaped = False
        elif quoted and character == "\\":
            escaped = True
        elif character == '"':
            quoted = not quoted
        elif character == separator and not quoted:
            pieces.append("".join(current))
            current = []
            continue
        current.append(character)
    return [*pieces, "".join(current)]


def parse(text: str) -> MediaRange:
    """One media type with its parameters. A malformed quality counts as 0."""
    name, *rest = _split(text, ";")
    parameters: dict[str, str] = {}
    for piece in rest:
        key, equals, value = piece.partition("=")
        value = value.strip()
        if len(value) >= 2 and value[0] == value[-1] == '"':
            value = value[1:-1].replace('\\"', '"').replace("\\\\", "\\")
        if equals:
            parameters.setdefault(key.strip().lower(), value)
    try:
        quality = min(1.0, max(0.0, float(parameters.pop("q", "1"))))
    except ValueError:
        quality = 0.0
    return MediaRange(name.strip().lower(), parameters, quality)


@lru_cache(maxsize=256)
def _ranges(field: str) -> tuple[MediaRange, ...]:
    ranges = [parse(piece) for piece in _split(field, ",") if piece.strip()]
    named = frozenset(one.name for one in ranges)
    acceptable = [replace(one, but=named) if one.name.endswith("/*") else one for one in ranges if one.quality > 0]
    return tuple(sorted(acceptable, key=lambda one: -one.quality))


def parse_accept(fields: Iterable[str | None]) -> tuple[MediaRange, ...]:
    """Acceptable ranges, best first; everything when nothing is said.

    Parameters
    ----------
    fields
        The ``accept`` query parameter and the Accept field, in the order of their precedence (PS3.18 section 8.3.3.1): the
        first that says anything counts.
    """
    for field in fields:
        if field is None or not field.strip():
            continue
        return _ranges(field) if len(field) <= _CACHED else _ranges.__wrapped__(field)
    return (MediaRange("*/*", {}),)


def choose(accept: Sequence[MediaRange], offered: Sequence[str]) -> str:
    """The best of the offered media types. Raises UnsupportedMediaType (406) when none is acceptable."""
    for wanted in accept:
        for media_type in offered:
            if wanted.covers(media_type):
                return media_type
    raise UnsupportedMediaType("None of the acceptable media types can be made.", offered=list(offered))


def choose_json(accept: Sequence[MediaRange]) -> str:
    """The media type of a DICOM JSON answer: what was asked for, ``application/dicom+json`` by default."""
    return choose(accept, (DICOM_JSON, "application/json"))


@dataclass(frozen=True, slots=True)
class Wanted:
    """One acceptable form of objects or pixels.

    Attributes
    ----------
    packaging
        ``multipart``, ``single`` or ``zip``.
    media_type
        Of each part, ``*/*`` for any.
    transfer_syntax_uid
        The parameter: ``*`` for any, empty when it was not given.
    """

    packaging: str
    media_type: str
    transfer_syntax_uid: str


def wanted_forms(accept: Sequence[MediaRange]) -> list[Wanted]:
    """Acceptable forms, best first. An unrestricted range means multipart in any transfer syntax."""
    forms = []
    for one in accept:
        syntax = one.parameters.get("transfer-syntax", "")
        if one.name == MULTIPART:
            forms.append(Wanted("multipart", one.parameters.get("type", DICOM).lower(), syntax))
        elif one.name in ("*/*", "multipart/*"):
            forms.append(Wanted("multipart", "*/*", "*"))
        elif one.name == "application/zip":
            forms.append(Wanted("zip", DICOM, syntax or "*"))
        elif one.name == "application/*":
            forms.append(Wanted("single", DICOM, "*"))
        else:
            forms.append(Wanted("single", one.name, syntax))
    return forms
