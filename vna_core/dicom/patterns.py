"""Wild card matching (PS3.4 C.2.2.2.4) as a pattern of either database, and on text in memory.

``*`` stands for any run of characters, ``?`` for one; every other character stands for itself, ``%``, ``_``, ``[`` and ``\\``
included.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

_WILD: Final = re.compile(r"([*?])")


@dataclass(frozen=True, slots=True)
class Pattern:
    """A key split at its wild cards: literal text, ``*`` and ``?`` alternate as they come; `literal` says which is which."""

    pieces: tuple[tuple[str, bool], ...]

    @property
    def universal(self) -> bool:
        """Whether everything matches, absent values included (C.2.2.2.3)."""
        return all(not literal and piece == "*" for piece, literal in self.pieces)

    def mapped(self, change: Callable[[str], str]) -> Pattern:
        """The pattern with `change` made to each literal piece."""
        return Pattern(tuple((change(piece), True) if literal else (piece, False) for piece, literal in self.pieces))

    def without_end(self, characters: str) -> Pattern:
        """The pattern without `characters` at its end, where it ends literally."""
        pieces = list(self.pieces)
        if pieces and pieces[-1][1]:
            pieces[-1] = (pieces[-1][0].rstrip(characters), True)
        return Pattern(tuple(pieces))

    def longest_run(self, start: str = "") -> str:
        """The longest literal piece; the first one has `start` before it when nothing wild does."""
        runs = [start + piece if not position else piece for position, (piece, literal) in enumerate(self.pieces) if literal]
        return max(runs, key=len, default="")

    def prefix(self) -> str:
        """What every match begins with."""
        return self.pieces[0][0] if self.pieces and self.pieces[0][1] else ""

    def glob(self) -> str:
        """For SQLite's GLOB, which compares by code point."""
        return "".join(re.sub(r"[\[*?]", r"[\g<0>]", piece) if literal else piece for piece, literal in self.pieces)

    def like(self) -> str:
        """For LIKE with a backslash as escape."""
        wild = {"*": "%", "?": "_"}
        return "".join(re.sub(r"[%_\\]", r"\\\g<0>", piece) if literal else wild[piece] for piece, literal in self.pieces)

    def within(self) -> Pattern:
        """The pattern found anywhere inside."""
        return _joined((("*", False), *self.pieces, ("*", False)))

    def matches(self, text: str) -> bool:
        """Whether `text` matches; the time is at most the product of both lengths, whatever the wild cards.

        What stands between two ``*`` is looked for where it comes first: were it taken later, less would be left for the rest.
        """
        first, *others = _parts(self.pieces)
        if not others:
            return first.expression.fullmatch(text) is not None
        found = first.expression.match(text)
        for part in others[:-1]:
            if found is None:
                return False
            found = part.expression.search(text, found.end())
        if found is None:
            return False
        start = len(text) - others[-1].length
        return start >= found.end() and others[-1].expression.fullmatch(text, start) is not None


class _Part(NamedTuple):
    """What stands between two ``*``, and how long a match of it is."""

    expression: re.Pattern[str]
    length: int


@lru_cache(maxsize=256)
def _parts(pieces: tuple[tuple[str, bool], ...]) -> tuple[_Part, ...]:
    """The parts before, between and behind every ``*``; some may be empty."""
    parts: list[list[tuple[str, int]]] = [[]]
    for piece, literal in pieces:
        if literal:
            parts[-1].append((re.escape(piece), len(piece)))
        elif piece == "*":
            parts.append([])
        else:
            parts[-1].append((".", 1))
    return tuple(
        _Part(re.compile("".join(text for text, _ in part), re.DOTALL), sum(length for _, length in part)) for part in parts
    )


def parse(key: str) -> Pattern:
    """The pattern of a key."""
    return _joined(tuple((piece, piece not in ("*", "?")) for piece in _WILD.split(key) if piece))


def _joined(pieces: tuple[tuple[str, bool], ...]) -> Pattern:
    """Without ``*`` next to ``*``, which would mean nothing and cost time."""
    kept: list[tuple[str, bool]] = []
    for piece in pieces:
        if not (kept and piece == ("*", False) and kept[-1] == piece):
            kept.append(piece)
    return Pattern(tuple(kept))


def literal(text: str) -> Pattern:
    """The pattern that only `text` matches."""
    return Pattern(((text, True),)) if text else Pattern(())


def after(prefix: str) -> str:
    """The least string greater than all that begin with `prefix` (by code point); `prefix` must not be empty."""
    for position in range(len(prefix) - 1, -1, -1):
        following = ord(prefix[position]) + 1
        if 0xD800 <= following < 0xE000:
            following = 0xE000
        if following < 0x110000:
            return prefix[:position] + chr(following)
    return chr(0x10FFFF) * (len(prefix) + 1)
