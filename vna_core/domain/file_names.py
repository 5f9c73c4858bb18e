"""Names of files that hold instances of one UID, told apart by their content."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

DIGITS: Final = 16
"""Digits of a file's SHA-256 that tell it apart from another of the same name."""


def shared(stems: Iterable[str]) -> frozenset[str]:
    """Names without a suffix that several files would have."""
    return frozenset(stem for stem, times in Counter(stems).items() if times > 1)


def told_apart(stem: str, sha256: str, suffix: str) -> str:
    """The name of a file that shares its plain one with others."""
    return f"{stem}.{sha256[:DIGITS]}{suffix}"
