"""Text of data elements, decoded by Specific Character Set (0008,0005) (PS3.3 C.12.1.1.2, PS3.5 section 6.1).

Decoding never raises. An octet that the declared sets cannot decode survives as the character of the same number
(ISO 8859-1), so different octets stay different texts and every text can be written to JSON and to a database. A NUL inside
a value becomes U+2400. Text is split at backslashes after decoding, since the octet 5C may be half of a character.

Beyond the letter of the standard, by octets and never by sender:

- misspelt names of sets are understood (T01, T04, T05), and UTF-8 combined with others is UTF-8 where the octets are (T07);
- octets above 7F where no set is declared, or a Latin one, are UTF-8 where they are valid UTF-8 (T02, T03);
- Korean and simplified Chinese text without its escape sequence is decoded all the same (T06).
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

UNSPLIT: Final = frozenset(("LT", "ST", "UT", "UR"))
"""Representations with one value, in which a backslash is a character (PS3.5 table 6.2-1)."""

CHARACTER_SET_REPRESENTATIONS: Final = frozenset(("LO", "LT", "PN", "SH", "ST", "UC", "UT"))
"""Representations to which Specific Character Set applies (PS3.5 section 6.1.2.2)."""

_LEADING_INSIGNIFICANT: Final = frozenset(("AE", "CS", "DS", "IS", "LO", "SH"))
_ESCAPE: Final = 0x1B

_SINGLE_BYTE: Final[dict[str, str]] = {
    "6": "ascii", "100": "iso8859_1", "101": "iso8859_2", "109": "iso8859_3", "110": "iso8859_4", "144": "iso8859_5",
    "127": "iso8859_6", "126": "iso8859_7", "138": "iso8859_8", "148": "iso8859_9", "203": "iso8859_15", "13": "shift_jis",
    "166": "tis_620",
}  # fmt: skip
"""ISO-IR registration number to Python codec: tables C.12-2 and C.12-3."""

SINGLE_TERMS: Final = frozenset(
    ("ISO_IR 6", "ISO_IR 100", "ISO_IR 101", "ISO_IR 109", "ISO_IR 110", "ISO_IR 144", "ISO_IR 127", "ISO_IR 126", "ISO_IR 138",
     "ISO_IR 148", "ISO_IR 203", "ISO_IR 13", "ISO_IR 166", "ISO_IR 192", "GB18030", "GBK")
)  # fmt: skip
"""Defined terms of sets without code extensions: tables C.12-2 and C.12-5. ISO_IR 6 is seen and harmless."""

EXTENSION_TERMS: Final = frozenset(
    ("ISO 2022 IR 6", "ISO 2022 IR 100", "ISO 2022 IR 101", "ISO 2022 IR 109", "ISO 2022 IR 110", "ISO 2022 IR 144",
     "ISO 2022 IR 127", "ISO 2022 IR 126", "ISO 2022 IR 138", "ISO 2022 IR 148", "ISO 2022 IR 203", "ISO 2022 IR 13",
     "ISO 2022 IR 166", "ISO 2022 IR 87", "ISO 2022 IR 159", "ISO 2022 IR 149", "ISO 2022 IR 58")
)  # fmt: skip
"""Defined terms of sets with code extensions: tables C.12-3 and C.12-4."""

_WIDE_TERMS: Final = frozenset(("ISO 2022 IR 87", "ISO 2022 IR 159", "ISO 2022 IR 149", "ISO 2022 IR 58"))
_LATIN: Final = frozenset(("iso8859_1", "iso8859_2", "iso8859_3", "iso8859_4", "iso8859_9", "iso8859_15"))
_ALONE: Final[dict[str, str]] = {"192": "utf_8", "GB18030": "gb18030", "GBK": "gbk"}
"""Multi-byte sets without code extensions: table C.12-5."""

_RIGHT_HAND: Final[dict[str, str]] = {"149": "euc_kr", "58": "gb2312"}
"""Multi-byte sets designated to G1, which need no escape sequence to be told apart: table C.12-4."""

_ESCAPES: Final[dict[bytes, tuple[str, str]]] = {
    b"(B": ("G0", "ascii"), b"(J": ("G0", "ascii"), b")I": ("G1", "shift_jis"),
    b"-A": ("G1", "iso8859_1"), b"-B": ("G1", "iso8859_2"), b"-C": ("G1", "iso8859_3"), b"-D": ("G1", "iso8859_4"),
    b"-L": ("G1", "iso8859_5"), b"-G": ("G1", "iso8859_6"), b"-F": ("G1", "iso8859_7"), b"-H": ("G1", "iso8859_8"),
    b"-M": ("G1", "iso8859_9"), b"-b": ("G1", "iso8859_15"), b"-T": ("G1", "tis_620"),
    b"$B": ("G0", "jis_x_0208"), b"$@": ("G0", "jis_x_0208"), b"$(D": ("G0", "jis_x_0212"), b"$(B": ("G0", "jis_x_0208"),
    b"$)C": ("G1", "euc_kr"), b"$)A": ("G1", "gb2312"),
}  # fmt: skip
"""Escape sequences of tables C.12-3 and C.12-4 without the ESC: what they designate."""

_WIDE: Final = frozenset(("euc_kr", "gb2312"))
_SUPERSET: Final[dict[str, str]] = {"euc_kr": "cp949", "gb2312": "gbk", "euc_jp": "euc_jis_2004"}

_ALIASES: Final[dict[str, str]] = {
    "UTF8": "192", "UNICODE": "192", "ISO10646": "192", "ISO106461": "192", "LATIN1": "100", "ISOLATIN1": "100",
    "ISO88591": "100", "CP1252": "CP1252", "WINDOWS1252": "CP1252", "LATIN2": "101", "ISO88592": "101", "ISO88593": "109",
    "ISO88594": "110", "ISO88595": "144", "ISO88596": "127", "ISO88597": "126", "ISO88598": "138", "ISO88599": "148",
    "LATIN5": "148", "ISO885915": "203", "LATIN9": "203", "CP1251": "CP1251", "WINDOWS1251": "CP1251", "SHIFTJIS": "13",
    "SJIS": "13", "GB18030": "GB18030", "GB180302000": "GB18030", "GBK": "GBK", "GB2312": "GBK", "BIG5": "BIG5",
    "EUCKR": "149", "ASCII": "6", "USASCII": "6", "DEFAULT": "6", "": "6", "TIS620": "166", "JISX0208": "87",
}  # fmt: skip
_OTHER: Final[dict[str, str]] = {"CP1252": "cp1252", "CP1251": "cp1251", "BIG5": "big5"}
_NOT_NAME: Final = re.compile(r"[^A-Z0-9]")
_NUMBER: Final = re.compile(r"(?:ISO)?(?:2022|9)?(?:IR)?([0-9]{1,3})")


def _as_octets(error: UnicodeError) -> tuple[str, int]:
    """Error handler: every octet that cannot be decoded becomes the character of its number."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("latin-1"), error.end


codecs.register_error("vna.octets", _as_octets)


@dataclass(frozen=True, slots=True)
class _Plan:
    """How text is decoded: one codec for everything, or code extensions from an initial G1 set.

    `wide` is the set taken for octets above 7F when G1 is not designated.
    """

    alone: str = ""
    initial: str = ""
    wide: str = ""
    latin: bool = False


def character_set_names(raw: bytes) -> tuple[str, ...]:
    """Values of Specific Character Set as written: without padding, an empty first value kept."""
    text = raw.decode("latin-1").strip(" \0")
    return tuple(value.strip(" \0") for value in text.split("\\")) if text else ()


def term_of(name: str) -> str:
    """The set a name means, as its ISO-IR number or ``GB18030``, ``GBK``; the name itself when it means none.

    >>> term_of("ISO 2022 IR 87"), term_of("iso-ir 100"), term_of("UTF-8")
    ('87', '100', '192')
    """
    squeezed = _NOT_NAME.sub("", name.upper())
    alias = _ALIASES.get(squeezed)
    if alias is not None:
        return alias
    if squeezed.startswith("ISO2022") and squeezed[7:] in _ALONE:
        return squeezed[7:]
    match = _NUMBER.fullmatch(squeezed)
    return match.group(1).lstrip("0") if match else name


@lru_cache(maxsize=256)
def _plan(names: tuple[str, ...]) -> _Plan:
    terms = [term_of(name) for name in names]
    for term in terms:
        if term in _ALONE and (term == "192" or term == terms[0]):
            return _Plan(alone=_ALONE[term])
    if not terms or terms == ["6"]:
        return _Plan(latin=True)
    if terms[0] in _OTHER:
        return _Plan(alone=_OTHER[terms[0]])
    initial = _SINGLE_BYTE.get(terms[0], "") if terms[0] != "6" else ""
    wide = next((_RIGHT_HAND[term] for term in terms if term in _RIGHT_HAND), "")
    return _Plan(initial=initial, wide=wide, latin=initial in _LATIN or not (initial or wide))


def decode_text(raw: bytes, vr: str, character_sets: tuple[str, ...]) -> list[str]:
    """Values of a text element.

    Parameters
    ----------
    raw
        The element's octets.
    vr
        Its value representation. A person's name keeps its ``=`` groups and ``^`` components.
    character_sets
        Values of Specific Character Set that apply (`character_set_names`); those of the enclosing data set for an item
        without its own.

    Returns
    -------
    list of str
        The values without padding; empty when the element is. Leading spaces go where PS3.5 table 6.2-1 calls them
        insignificant.
    """
    if _ESCAPE not in raw and raw.isascii():
        text = raw.decode("ascii")
    else:
        text = _decode(raw, vr, _plan(character_sets if vr in CHARACTER_SET_REPRESENTATIONS else ()))
    values = [text] if vr in UNSPLIT else text.split("\\")
    if vr in _LEADING_INSIGNIFICANT:
        values = [value.strip(" \0") for value in values]
    else:
        values = [value.rstrip(" \0") for value in values]
    if len(values) == 1 and not values[0]:
        return []
    return [value.replace("\0", "\u2400") for value in values] if "\0" in text else values


def decode_whole(raw: bytes, vr: str, character_sets: tuple[str, ...]) -> tuple[str, bool]:
    """The whole value as it stands, padding and backslashes included, and whether every octet could be decoded.

    The parameters are those of `decode_text`.
    """
    plan = _plan(character_sets if vr in CHARACTER_SET_REPRESENTATIONS else ())
    try:
        return _decode(raw, vr, plan, "strict"), True
    except UnicodeDecodeError:
        return _decode(raw, vr, plan), False


def designated(raw: bytes) -> frozenset[str]:
    """Codecs of what the escape sequences in a text designate; ``ascii`` for ISO-IR 6 and 14."""
    found, position = set(), raw.find(_ESCAPE)
    while position >= 0:
        found.add(_escape(raw, position + 1)[2])
        position = raw.find(_ESCAPE, position + 1)
    return frozenset(found)


def is_understood(name: str) -> bool:
    """Whether a name, misspelt or not, means a set that this module decodes."""
    term = term_of(name)
    return term in _SINGLE_BYTE or term in _ALONE or term in _OTHER or term in _RIGHT_HAND or term in ("87", "159")


def is_defined(character_sets: tuple[str, ...]) -> bool:
    """Whether Specific Character Set says what PS3.3 C.12.1.1.2 allows: defined terms, in an order that it allows."""
    if len(character_sets) == 1:
        return character_sets[0] in SINGLE_TERMS or character_sets[0] in EXTENSION_TERMS - _WIDE_TERMS
    return all(name in EXTENSION_TERMS or (not name and not index) for index, name in enumerate(character_sets)) and not (
        _WIDE_TERMS & {character_sets[0]} if character_sets else False
    )


def _decode(raw: bytes, vr: str, plan: _Plan, errors: str = "vna.octets") -> str:
    if plan.alone:
        return raw.decode(plan.alone, errors)
    if _ESCAPE not in raw:
        if plan.latin:
            try:
                return raw.decode("utf_8")
            except UnicodeDecodeError:
                return raw.decode(plan.initial or "iso8859_1", errors)
        if plan.initial:
            return raw.decode(plan.initial, errors)
        return _wide(raw, plan.wide, errors)
    return _decode_extensions(raw, vr, plan, errors)


def _wide(raw: bytes, codec: str, errors: str) -> str:
    try:
        return raw.decode(codec)
    except UnicodeDecodeError:
        return raw.decode(_SUPERSET.get(codec, codec), errors)


def _decode_extensions(raw: bytes, vr: str, plan: _Plan, errors: str) -> str:
    """ISO 2022 with the limits of PS3.5 section 6.1.2.5: designations end with the value, the line and the name component."""
    resets = b"\\^=" if vr == "PN" else b"\\\r\n\f\t"
    if vr in UNSPLIT:
        resets = b"\r\n\f\t"
    output: list[str] = []
    g0, g1 = "ascii", plan.initial
    position, size = 0, len(raw)
    while position < size:
        octet = raw[position]
        if octet == _ESCAPE:
            length, place, codec = _escape(raw, position + 1)
            if not place:
                if errors == "strict":
                    raise UnicodeDecodeError("iso2022", raw, position, position + 1, "unknown escape sequence")
                output.append("\x1b")
            elif place == "G0":
                g0 = codec
            else:
                g1 = codec
            position += 1 + length
            continue
        end = position + 1
        if octet >= 0x80:
            while end < size and raw[end] >= 0x80:
                end += 1
            output.append(_right_half(raw[position:end], g1 or plan.wide, errors))
        elif g0 != "ascii" and octet > 0x20:
            while end < size and 0x20 < raw[end] < 0x80:
                end += 1
            output.append(_left_half(raw[position:end], g0, errors))
        else:
            if octet in resets:
                g0, g1 = "ascii", plan.initial
            output.append(chr(octet))
        position = end
    return "".join(output)


def _escape(raw: bytes, position: int) -> tuple[int, str, str]:
    for length in (3, 2):
        found = _ESCAPES.get(raw[position : position + length])
        if found is not None and len(raw) >= position + length:
            return length, *found
    return 0, "", ""


def _right_half(octets: bytes, codec: str, errors: str) -> str:
    if codec in _WIDE:
        return _wide(octets, codec, errors)
    if not codec and errors == "strict":
        raise UnicodeDecodeError("iso2022", octets, 0, 1, "no set is designated to G1")
    return octets.decode(codec or "iso8859_1", errors)


def _left_half(octets: bytes, codec: str, errors: str) -> str:
    """Two octets of 21-7E each make one character of JIS X 0208 or JIS X 0212 (designated to G0)."""
    even = len(octets) & ~1
    lead = b"\x8f" if codec == "jis_x_0212" else b""
    moved = b"".join(lead + bytes((octets[index] | 0x80, octets[index + 1] | 0x80)) for index in range(0, even, 2))
    try:
        text = moved.decode("euc_jp")
    except UnicodeDecodeError:
        text = moved.decode("euc_jis_2004", errors)
    return text + octets[even:].decode("ascii")
