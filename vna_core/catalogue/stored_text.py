"""Text as the database keeps it: any identifier fits, equal values are stored equal, and everything comes back.

PostgreSQL takes no NUL and neither database takes lone surrogates, yet both occur in identifiers met in practice. They are
mapped one to one to characters at the end of Unicode, so that one character stays one character for ``?`` (PS3.4 C.2.2.2.4).
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

IDENTIFIER_LIMIT: Final = 512
"""Identifiers longer than this many characters are indexed by their beginning and their SHA-256."""

_ESCAPE: Final = "\U0010fffd"
_NUL: Final = "\U0010fffe"
_SURROGATES: Final = 0x10F000
_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff\U0010f000-\U0010f7ff\U0010fffd\U0010fffe]")
_STORED: Final = re.compile("\U0010fffd(.)|[\U0010f000-\U0010f7ff\U0010fffe]", re.DOTALL)
_PLAIN_TEXT: Final = frozenset({"LT", "ST", "UT", "UR"})
_INTEGERS: Final = frozenset({"IS", "US", "UL", "SS", "SL"})
_OLD_DATE: Final = re.compile(r"\d{4}\.\d{2}\.\d{2}")


def _out(match: re.Match[str]) -> str:
    character = match.group()
    if character == "\x00":
        return _NUL
    if "\ud800" <= character <= "\udfff":
        return chr(_SURROGATES + ord(character) - 0xD800)
    return _ESCAPE + character


def _back(match: re.Match[str]) -> str:
    if match.group(1):
        return match.group(1)
    character = match.group()
    return "\x00" if character == _NUL else chr(0xD800 + ord(character) - _SURROGATES)


def to_stored(text: str) -> str:
    """`text` in a form both databases take. `from_stored` gives it back."""
    if text.isascii() and "\x00" not in text:
        return text
    return _UNSTORABLE.sub(_out, text)


def from_stored(text: str) -> str:
    """The text that `to_stored` was given."""
    return text if text.isascii() else _STORED.sub(_back, text)


def identifier(text: str) -> str:
    """An identifier as it is stored and looked up: padding removed, of bounded length, storable."""
    text = text.strip(" ").rstrip("\x00 ")
    if len(text) > IDENTIFIER_LIMIT:
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        text = f"{text[: IDENTIFIER_LIMIT - 66]}~{digest}"
    return to_stored(text)


def significant(value: str, vr: str) -> str:
    """One value without what PS3.5 section 6.2 calls insignificant: padding, old separators, leading zeros of integers."""
    if vr in _PLAIN_TEXT:
        return value.rstrip(" ")
    if vr == "UI":
        return value.strip(" ").rstrip("\x00 ")
    value = value.strip(" ")
    if vr in _INTEGERS:
        digits = value.lstrip("+-")
        return (
            str(int(value))
            if digits.isdecimal() and digits.isascii() and len(value) <= 20 and len(value) - len(digits) < 2
            else value
        )
    if vr == "DA":
        return value.replace(".", "") if _OLD_DATE.fullmatch(value) else value
    if vr == "TM" and ":" in value:
        return value.replace(":", "")
    return value


def column_text(values: tuple[str, ...], vr: str) -> str:
    """What a hot column holds for the values of an element: empty for none, several joined with a backslash."""
    if len(values) == 1:
        return to_stored(significant(values[0], vr))
    return to_stored("\\".join(significant(value, vr) for value in values)) if any(values) else ""


def column_values(text: str, vr: str) -> tuple[str, ...]:
    """The values again from a hot column that is not empty."""
    text = from_stored(text)
    return (text,) if vr in _PLAIN_TEXT or "\\" not in text else tuple(text.split("\\"))
