"""Text written in a Specific Character Set, with code extensions where the set is a list (PS3.5 section 6.1, PS3.3 C.12.1.1.2).

Where code extensions are used, every value, every line and every component of a person's name begins and ends with the
initial sets (PS3.5 section 6.1.2.5.3). A character is written in the set that is designated already if that has it, else in
the first of the list that has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from vna_core.dicom.character_sets import UNSPLIT, term_of

_SINGLE_BYTE: Final[dict[str, str]] = {
    "100": "iso8859_1", "101": "iso8859_2", "109": "iso8859_3", "110": "iso8859_4", "144": "iso8859_5", "127": "iso8859_6",
    "126": "iso8859_7", "138": "iso8859_8", "148": "iso8859_9", "203": "iso8859_15", "166": "tis_620", "13": "shift_jis",
}  # fmt: skip
_ALONE: Final[dict[str, str]] = {
    "192": "utf_8", "GB18030": "gb18030", "GBK": "gbk", "CP1252": "cp1252", "CP1251": "cp1251", "BIG5": "big5",
}  # fmt: skip
_WIDE: Final[dict[str, str]] = {"149": "euc_kr", "58": "gb2312", "87": "euc_jp", "159": "euc_jp"}
_ESCAPES: Final[dict[str, bytes]] = {
    "6": b"\x1b(B", "100": b"\x1b-A", "101": b"\x1b-B", "109": b"\x1b-C", "110": b"\x1b-D", "144": b"\x1b-L", "127": b"\x1b-G",
    "126": b"\x1b-F", "138": b"\x1b-H", "148": b"\x1b-M", "203": b"\x1b-b", "166": b"\x1b-T", "13": b"\x1b)I",
    "149": b"\x1b$)C", "58": b"\x1b$)A", "87": b"\x1b$B", "159": b"\x1b$(D",
}  # fmt: skip
"""Designations of tables C.12-3 and C.12-4. The left half of ISO-IR 13 is ISO-IR 14, designated with `_ROMAJI`."""

_ROMAJI: Final = b"\x1b(J"
_LEFT: Final = frozenset(("87", "159"))
_COMPATIBLE: Final = str.maketrans({"\uff5e": "\u301c", "\uff0d": "\u2212", "\u2225": "\u2016", "\uffe0": "\xa2", "\uffe1": "\xa3",
                                    "\uffe2": "\xac", "\u2015": "\u2014"})  # fmt: skip
"""Code points that other mapping tables use for characters of JIS X 0208; tried where the character itself is not there."""


class NotExpressible(ValueError):
    """A character that the set does not have. The message names no character: it may be a patient's."""


@dataclass(frozen=True, slots=True)
class TextEncoder:
    """Writes text in one Specific Character Set.

    Attributes
    ----------
    alone
        Python codec of a set without code extensions; empty with them.
    initial
        Registration number of the right half at the beginning of every value; ``6`` when it has none.
    others
        Further sets, by registration number, in the order of the list.
    """

    alone: str
    initial: str
    others: tuple[str, ...]

    def encode(self, values: Sequence[str], vr: str, substitute: str = "") -> bytes:
        """The octets of an element with these values, not padded.

        Parameters
        ----------
        substitute
            An ASCII character for what the set does not have; empty to refuse.

        Raises
        ------
        NotExpressible
            A character is not in the set and there is no substitute.
        """
        separator = "" if vr in UNSPLIT else "\\"
        text = separator.join(values).replace("\u2400", "\0")
        if text.isascii():
            return text.encode("ascii")
        if self.alone:
            return self._plain(text, substitute)
        delimiters = "\r\n\f\t" + separator + ("^=" if vr == "PN" else "")
        writer = _Extended(self, substitute)
        for character in text:
            writer.put(character, character in delimiters)
        return writer.end()

    def _plain(self, text: str, substitute: str) -> bytes:
        try:
            return text.encode(self.alone)
        except UnicodeEncodeError as error:
            if not substitute:
                raise NotExpressible("a character is not in the set") from error
            return b"".join(_in_codec(one, self.alone) or substitute.encode("ascii") for one in text)


class _Extended:
    """One element being written with code extensions; for a single-byte set without others none ever appear."""

    def __init__(self, encoder: TextEncoder, substitute: str) -> None:
        self._initial_right = encoder.initial
        self._sets = tuple(dict.fromkeys((encoder.initial, *encoder.others)))
        self._ascii = _ROMAJI if encoder.initial == "13" else _ESCAPES["6"]
        self._substitute = substitute
        self._left, self._right = "6", encoder.initial
        self._out = bytearray()

    def put(self, character: str, delimits: bool) -> None:
        if ord(character) < 0x80:
            self._to_left("6")
            if delimits:
                self._reset_right()
            self._out.append(ord(character))
            return
        for number in (self._left, self._right, *self._sets):
            octets = _in_set(character, number)
            if octets:
                (self._to_left if number in _LEFT else self._to_right)(number)
                self._out += octets
                return
        if not self._substitute:
            raise NotExpressible("a character is in none of the sets")
        self.put(self._substitute, False)

    def end(self) -> bytes:
        self._to_left("6")
        self._reset_right()
        return bytes(self._out)

    def _to_left(self, number: str) -> None:
        if number != self._left:
            self._out += self._ascii if number == "6" else _ESCAPES[number]
            self._left = number

    def _to_right(self, number: str) -> None:
        if number != self._right:
            self._out += _ESCAPES[number]
            self._right = number

    def _reset_right(self) -> None:
        """A right half that is not the initial one ends here; without an initial one there is nothing to designate."""
        if self._right != self._initial_right and self._initial_right != "6":
            self._out += _ESCAPES[self._initial_right]
        self._right = self._initial_right


@lru_cache(maxsize=8192)
def _in_set(character: str, number: str) -> bytes:
    """A character above 7F in one set of code extensions; empty where the set does not have it."""
    codec = _SINGLE_BYTE.get(number)
    if codec is not None:
        octets = _in_codec(character, codec)
        return octets if len(octets) == 1 and octets[0] >= 0x80 else b""
    codec = _WIDE.get(number)
    if codec is None:
        return b""
    octets = _in_codec(character, codec) or _in_codec(character.translate(_COMPATIBLE), codec)
    if number == "159":
        return bytes(octet & 0x7F for octet in octets[1:]) if len(octets) == 3 and octets[0] == 0x8F else b""
    if len(octets) != 2 or octets[0] < 0xA1 or octets[1] < 0xA1:
        return b""
    return bytes(octet & 0x7F for octet in octets) if number == "87" else octets


def _in_codec(character: str, codec: str) -> bytes:
    try:
        return character.encode(codec)
    except UnicodeEncodeError:
        return b""


@lru_cache(maxsize=256)
def encoder_of(names: tuple[str, ...]) -> TextEncoder:
    """The encoder for values of Specific Character Set as they stand in a data set; misspelt names are understood.

    A name that means nothing counts as ISO 8859-1, as `decode_text` takes it.
    """
    terms = [term_of(name) for name in names] or ["6"]
    alone = next((_ALONE[term] for term in terms if term in _ALONE and (term == "192" or term == terms[0])), "")
    known = [term if term in _ESCAPES else "100" for term in terms]
    initial = known[0] if known[0] in _SINGLE_BYTE else "6"
    return TextEncoder(alone, initial, tuple(term for term in known if term != "6"))
