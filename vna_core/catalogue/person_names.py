"""Names of persons made comparable (PS3.5 6.2.1): three component groups, case and accents folded, phonetic codes.

Also the side keys that let an infix search start in an index: every suffix of every group, cut short.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

GROUP_START: Final = "\x02"
"""Stands before the first character of a group in its suffixes, so that a prefix is an infix as well."""

SUFFIX_LENGTH: Final = 16
"""Characters of a suffix that are indexed."""

SUFFIX_POSITIONS: Final = 520
"""Positions of a group that begin an indexed suffix. PS3.5 allows 64 characters a group."""

_SEPARATORS: Final = re.compile(r" *\^ *")
_WORDS: Final = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_CODES: Final = {
    **dict.fromkeys("bfpv", "1"),
    **dict.fromkeys("cgjkqsxz", "2"),
    **dict.fromkeys("dt", "3"),
    "l": "4",
    "m": "5",
    "n": "5",
    "r": "6",
}


def fold(text: str) -> str:
    """`text` without case and accents; blanks around component separators removed."""
    if not text.isascii():
        decomposed = unicodedata.normalize("NFKD", text)
        text = unicodedata.normalize(
            "NFC", "".join(character for character in decomposed if not unicodedata.combining(character))
        )
    text = text.casefold()
    return _SEPARATORS.sub("^", text) if " " in text else text


def groups(name: str) -> tuple[str, str, str]:
    """The folded alphabetic, ideographic and phonetic group of a name; trailing separators and blanks removed."""
    parts = [fold(part).strip(" ").rstrip("^ ") for part in name.split("=", 2)]
    parts += [""] * (3 - len(parts))
    return parts[0], parts[1], parts[2]


def suffixes(name_groups: tuple[str, ...]) -> set[str]:
    """What is indexed for infix and prefix search of these groups."""
    found: set[str] = set()
    for group in name_groups:
        if group:
            marked = GROUP_START + group
            found.update(marked[start : start + SUFFIX_LENGTH] for start in range(min(len(marked), SUFFIX_POSITIONS)))
    return found


def soundex(word: str) -> str:
    """The American Soundex code of a folded word; words in other scripts stand for themselves."""
    if not word.isascii() or not word[0].isalpha():
        return word
    code, previous = word[0], _CODES.get(word[0], "")
    for letter in word[1:]:
        digit = _CODES.get(letter, "")
        if digit and digit != previous:
            code += digit
            if len(code) == 4:
                break
        if letter not in "hw":
            previous = digit
    return code.ljust(4, "0")


def phonetic_codes(folded: str) -> set[str]:
    """Codes of all words of a folded name or of a fuzzy key."""
    return {soundex(word.replace("'", "").replace("’", ""))[:SUFFIX_LENGTH] for word in _WORDS.findall(folded)}
