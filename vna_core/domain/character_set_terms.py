"""Defined terms of Specific Character Set (PS3.3 tables C.12-2 to C.12-5), and which lists of them are legal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

_SINGLE_BYTE: Final = ("6", "13", "100", "101", "109", "110", "126", "127", "138", "144", "148", "166", "203")
_MULTI_BYTE: Final = ("58", "87", "149", "159")

ALONE: Final = frozenset(("ISO_IR 192", "GB18030", "GBK", *(f"ISO_IR {number}" for number in _SINGLE_BYTE)))
"""Terms without code extensions. ``ISO_IR 6`` stands for the default repertoire, which is written as no value at all."""

EXTENDED_SINGLE_BYTE: Final = frozenset(f"ISO 2022 IR {number}" for number in _SINGLE_BYTE)
EXTENDED_MULTI_BYTE: Final = frozenset(f"ISO 2022 IR {number}" for number in _MULTI_BYTE)


def character_set_list(terms: Sequence[str]) -> tuple[str, ...]:
    """The values of Specific Character Set that `terms` mean, the empty first value put before a multi-byte set.

    Parameters
    ----------
    terms
        Defined terms; an empty first one is the default repertoire.

    Raises
    ------
    ValueError
        A term is unknown, or the terms do not go together (PS3.3 C.12.1.1.2). The message says which.
    """
    names = tuple(term.strip() for term in terms)
    if not names:
        raise ValueError("a character set needs at least one defined term")
    if len(names) == 1 and names[0] in ALONE:
        return names
    extended = EXTENDED_SINGLE_BYTE | EXTENDED_MULTI_BYTE
    for place, name in enumerate(names):
        if name in ALONE:
            raise ValueError(f"{name!r} stands alone; in a list the terms begin with 'ISO 2022 IR'")
        if name not in extended and (name or place):
            raise ValueError(f"{name!r} is no defined term of Specific Character Set (PS3.3 C.12.1.1.2)")
    if len(set(names)) != len(names) or names == ("",):
        raise ValueError("a character set list names every set once")
    return names if names[0] in EXTENDED_SINGLE_BYTE or not names[0] else ("", *names)
