"""Durable work: what is to be done, and how an attempt at it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

URGENT: Final = 0
NORMAL: Final = 50
BACKGROUND: Final = 90
"""Priorities; the smaller number is taken first."""

AWAIT_STORE: Final = "await-store"
"""Kind of the job that looks whether a store answers again and wakes the jobs that wait for it; its key is the store's name."""
WELL: Final = "well"
"""Is in its payload when a job has just been done that had waited for the store."""

SUSPECT: Final = 2
"""Deaths in a row after which a job is begun alone in its process: then whoever dies there dies of it, and what it ran with is cleared."""


@dataclass(frozen=True, slots=True)
class Job:
    """One job as it was taken.

    Attributes
    ----------
    kind
        Which handler does it.
    key
        What it is about: of the same kind and key there is one job at most.
    payload
        What the handler needs to know (JSON). No patient data beyond identifiers, no octets.
    priority
        Smaller is taken first.
    attempts
        How often it was taken since it was asked for or last went well, this time included.
    fence
        Grows each time the job is taken: whoever holds an older one has lost the lease and must not finish the job.
    asked
        How often it was asked for: a job asked for again while it runs is done once more.
    waited_for
        The store without which the attempt before failed; empty: it did not fail for want of a store.
    deaths
        How often in a row whoever had taken it was not heard of again.
    """

    pk: int
    kind: str
    key: str
    payload: Mapping[str, Any] = field(default_factory=dict)
    priority: int = NORMAL
    attempts: int = 1
    fence: int = 1
    asked: int = 1
    waited_for: str = ""
    deaths: int = 0

    @property
    def is_suspect(self) -> bool:
        """Whether it is done alone."""
        return self.deaths >= SUSPECT


@dataclass(frozen=True, slots=True)
class Again:
    """What a handler returns when its job is to be done once more after `delay` seconds: periodic work, or work in pieces.

    `waits_for` names a store that did not answer: the job goes on earlier when it does.
    """

    delay: float = 0.0
    waits_for: str = ""
