"""Wild card matching (PS3.4 C.2.2.2.4) as a pattern of either database, and on text in memory.

``*`` stands for any run of characters, ``?`` for one; every other character stands for itself, ``%``, ``_``, ``[`` and ``\\``
included.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_WILD: Final = re.compile(r"([*?])")
_ANY: Final = "any run"
_ONE: Final = "one character"


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
        """Whether `text` matches; the time is at most the product of both lengths, whatever the wild cards."""
        tokens: list[str] = []
        for piece, literal in self.pieces:
            tokens.extend(piece if literal else (_ANY if piece == "*" else _ONE,))
        position = token = 0
        star, resume = -1, 0
        while position < len(text):
            if token < len(tokens) and tokens[token] == _ANY:
                star, resume = token, position
                token += 1
            elif token < len(tokens) and tokens[token] in (_ONE, text[position]):
                token += 1
                position += 1
            elif star >= 0:
                resume += 1
                token, position = star + 1, resume
            else:
                return False
        return all(one == _ANY for one in tokens[token:])


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
