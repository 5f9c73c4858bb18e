"""Held octets normalized once more, by later rules."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Renormalization:
    """How a canonical object came to be that is not the first of its octets.

    Attributes
    ----------
    run
        Id of the run of `vna normalize apply` that made it.
    generation
        1 for the first object after the one made on arrival, and so on.
    at
        When the run began.
    replaced
        SOP Instance UID of the object whose place it took: rules may have given it another.
    """

    run: str
    generation: int
    at: datetime
    replaced: str
