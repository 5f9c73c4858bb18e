"""What normalization changed, what it noticed, and how sure it is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Confidence(StrEnum):
    """How a rule knows. ``guessed`` never overwrites; it only indexes an alternative."""

    PROVEN = "proven"
    INFERRED = "inferred"
    GUESSED = "guessed"


@dataclass(frozen=True, slots=True)
class Transformation:
    """One change that normalization made.

    Attributes
    ----------
    tag
        Path of the element as eight hexadecimal digits per level, items 0-based in brackets: ``00081140[0].00081150``.
        Empty for a change of the container.
    original, canonical
        The value before and after, shortened for display (at most 128 characters; binary as hexadecimal). None: absent.
    rule
        Id of the rule, e.g. ``F01``; its page is in the normalization reference.
    count
        How many elements the same rule changed in the same way (encoding rules are folded into one entry).
    """

    rule: str
    confidence: Confidence
    tag: str = ""
    keyword: str = ""
    original: str | None = None
    canonical: str | None = None
    count: int = 1
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something a rule noticed and left as it is (a warning in the instance's explanation)."""

    rule: str
    message: str
    tag: str = ""
