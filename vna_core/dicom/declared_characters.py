"""Whether the octets of a text can be what Specific Character Set (0008,0005) declares (PS3.3 section C.12.1.1.2).

Decoders are more generous than the standard: Shift-JIS is read where JIS X 0201 is declared, and the control characters of
ISO 8859 where a Windows code page was meant. What goes beyond the declaration is a reading, not a fact.
"""

from __future__ import annotations

from typing import Final

from vna_core.dicom.character_sets import designated, term_of

_ESCAPE: Final = 0x1B
_BEYOND_ISO_8859: Final = bytes(range(0x80, 0xA0))
_BEYOND_JIS_X_0201: Final = bytes((*range(0x80, 0xA1), *range(0xE0, 0x100)))
_LEFT_TO_THE_DECODER: Final = frozenset(("192", "GB18030", "GBK", "BIG5", "CP1251", "CP1252"))
_WIDE: Final = frozenset(("87", "159", "149", "58"))
_DESIGNATIONS: Final[dict[str, frozenset[str]]] = {
    "13": frozenset(("shift_jis",)),
    "87": frozenset(("jis_x_0208",)),
    "159": frozenset(("jis_x_0208", "jis_x_0212")),
    "149": frozenset(("euc_kr",)),
    "58": frozenset(("gb2312",)),
    "100": frozenset(("iso8859_1",)),
    "101": frozenset(("iso8859_2",)),
    "109": frozenset(("iso8859_3",)),
    "110": frozenset(("iso8859_4",)),
    "144": frozenset(("iso8859_5",)),
    "127": frozenset(("iso8859_6",)),
    "126": frozenset(("iso8859_7",)),
    "138": frozenset(("iso8859_8",)),
    "148": frozenset(("iso8859_9",)),
    "203": frozenset(("iso8859_15",)),
    "166": frozenset(("tis_620",)),
}
"""Registration number of a declared set to what its escape sequences designate (PS3.3 tables C.12-3 and C.12-4)."""


def is_within(raw: bytes, character_sets: tuple[str, ...]) -> bool:
    """Whether every octet beyond ASCII, and every escape sequence, is one that the declared sets have.

    Sets without code extensions that no other octets are read under (UTF-8, GB18030, GBK) are left to their decoder.

    >>> is_within(b"M\\xfcller", ("ISO_IR 100",)), is_within(b"\\x8eR\\x93c", ("ISO_IR 100",))
    (True, False)
    >>> is_within(b"\\xc8\\xab", ("", "ISO 2022 IR 149"))
    False
    """
    terms = [term_of(name) for name in character_sets] or ["6"]
    if _LEFT_TO_THE_DECODER.intersection(terms) or raw.isascii() and _ESCAPE not in raw:
        return True
    if _ESCAPE in raw:
        allowed = frozenset(("ascii",)).union(*(_DESIGNATIONS.get(term, frozenset()) for term in terms))
        return designated(raw) <= allowed and not _has(raw, _BEYOND_ISO_8859)
    if terms[0] == "13":
        return not _has(raw, _BEYOND_JIS_X_0201)
    return terms[0] in _DESIGNATIONS and terms[0] not in _WIDE and not _has(raw, _BEYOND_ISO_8859)


def _has(raw: bytes, octets: bytes) -> bool:
    return len(raw.translate(None, octets)) != len(raw)
