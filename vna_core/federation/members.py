"""The members of a federation: an adapter each, with what may be asked of it, its health, and a bound on what is under way."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from vna_core.configuration.federation import FederationSettings, MemberSettings
from vna_core.domain.access import Scope
from vna_core.federation.health import Breaker, Health, State
from vna_core.metering import Meter
from vna_core.metering.metrics import FEDERATION_ANSWERS, FEDERATION_FAILURES, FEDERATION_MEMBER, FEDERATION_SECONDS
from vna_core.ports.pacs import PacsAdapter

LOCAL: Final = "local"
"""Name of this archive among the members."""

VIA: Final = "vna-federation"
"""What a federation calls itself in the HTTP field Via, and as implementation version name of an association (PS3.7 D.3.3.2.3): whoever asks
with it is a federation, and is answered from here alone."""


class Ask(StrEnum):
    """What may be asked of a member."""

    QUERY = "query"
    RETRIEVE = "retrieve"


class Outcome(StrEnum):
    """How a member took part in one answer."""

    ANSWERED = "answered"
    PARTIAL = "partial"
    """It has more than was taken."""
    FAILED = "failed"
    TIMEOUT = "timeout"
    LEFT_ALONE = "left-alone"
    """It failed again and again a short while ago."""
    BUSY = "busy"
    """As many questions as it may have are under way."""
    NOT_CONCERNED = "not-concerned"
    """It cannot hold what was asked for: no Patient ID of its issuer was named."""

    @property
    def is_whole(self) -> bool:
        """Whether nothing is missing because of this member."""
        return self in (Outcome.ANSWERED, Outcome.NOT_CONCERNED)


@dataclass(frozen=True, slots=True)
class MemberReport:
    """One member's part in one answer: how many rows it gave, after how many seconds, and why not more."""

    name: str
    department: str
    outcome: Outcome
    rows: int = 0
    seconds: float = 0.0
    error: str = ""

    def as_dict(self) -> dict[str, Any]:
        """As it is answered over HTTP and printed with ``--json``."""
        return {
            "name": self.name,
            "department": self.department,
            "outcome": self.outcome.value,
            "rows": self.rows,
            "seconds": round(self.seconds, 3),
            "error": self.error,
        }

    @property
    def sentence(self) -> str:
        """What a person must know, where something is missing because of it."""
        why = {
            Outcome.PARTIAL: "has more than was taken",
            Outcome.FAILED: f"failed ({self.error})" if self.error else "failed",
            Outcome.TIMEOUT: "did not answer in time",
            Outcome.LEFT_ALONE: "was not asked, as it failed a short while ago",
            Outcome.BUSY: "was not asked, as it is busy",
        }
        return f"{self.name} {why.get(self.outcome, 'answered')}"


@dataclass(slots=True)
class Member:
    """One archive that takes part."""

    name: str
    adapter: PacsAdapter
    settings: MemberSettings
    breaker: Breaker
    under_way: threading.BoundedSemaphore = field(repr=False)
    meter: Meter = field(repr=False)

    def count(self, outcome: Outcome) -> None:
        """Count how a question to it ended."""
        self.meter.count(FEDERATION_ANSWERS, self.name, outcome.value)

    def allows(self, ask: Ask) -> bool:
        """Whether it may be asked for this."""
        return ask.value in self.settings.allow

    def report(self, outcome: Outcome, rows: int = 0, seconds: float = 0.0, error: str = "") -> MemberReport:
        """Its part in an answer."""
        return MemberReport(self.name, self.settings.department, outcome, rows, seconds, error)


class Members:
    """All members in the order of preference, this archive first."""

    def __init__(self, local: Member | None, remote: Iterable[Member]) -> None:
        ordered = sorted(remote, key=lambda one: (one.settings.priority, one.name))
        self._members = ([local] if local is not None else []) + ordered
        self._rank = {one.name: place for place, one in enumerate(self._members)}
        self._calling = {one.settings.aet for one in ordered if one.settings.aet}

    def __iter__(self) -> Iterator[Member]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    @property
    def remote(self) -> list[Member]:
        """All but this archive."""
        return [one for one in self._members if one.name != LOCAL]

    def is_member(self, calling: str) -> bool:
        """Whether a calling AE title is that of a member, whose questions are not passed on."""
        return calling in self._calling

    def rank(self, name: str) -> int:
        """Place in the order of preference, from 0 on."""
        return self._rank.get(name, len(self._members))

    def close(self) -> None:
        """Give connections back."""
        for one in self._members:
            one.adapter.close()


def may_ask(scope: Scope, one: Member) -> bool:
    """Whether a scope reaches a member: its department must lie in it. Decided before anything is sent."""
    return one.name == LOCAL or scope.labels is None or one.settings.department in scope.labels


def member(
    name: str, adapter: PacsAdapter, settings: MemberSettings, federation: FederationSettings, meter: Meter | None = None
) -> Member:
    """A member with health and bounds as configured; `meter` tells how it is."""
    meter = meter or Meter.alone()

    def tell(health: Health) -> None:
        meter.set(FEDERATION_SECONDS, health.latency, name)
        meter.set(FEDERATION_FAILURES, health.failures, name)
        for state in State:
            meter.set(FEDERATION_MEMBER, state is health.state, name, state.value)

    return Member(
        name,
        adapter,
        settings,
        Breaker(federation.failures, federation.pause, tell=tell),
        threading.BoundedSemaphore(settings.concurrency),
        meter,
    )
