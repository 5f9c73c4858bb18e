"""Which member holds which instances of a study: sets of UIDs as the members list them, never a count or a promise."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from vna_core.configuration.federation import FederationSettings
from vna_core.domain.deadline import Deadline
from vna_core.federation.fan_out import FanOut
from vna_core.federation.members import LOCAL, Ask, Member, MemberReport, Members, Outcome
from vna_core.ports.pacs import InventoriedInstance

MOST_INSTANCES = 1_000_000
"""Instances of one study that are taken from one member."""


@dataclass(slots=True)
class Located:
    """Where the instances of a study are.

    Attributes
    ----------
    instances
        SOP Instance UID to what the preferred member lists for it.
    holders
        Member name to the SOP Instance UIDs that it lists, in the order of preference.
    reports
        How each member took part; while one is silent the set may be smaller than the truth.
    """

    study: str
    instances: dict[str, InventoriedInstance] = field(default_factory=dict)
    holders: dict[str, set[str]] = field(default_factory=dict)
    reports: list[MemberReport] = field(default_factory=list)

    @property
    def missing(self) -> tuple[MemberReport, ...]:
        """Members because of which the set may be too small."""
        return tuple(one for one in self.reports if not one.outcome.is_whole)

    def wanted(self, series: str | None = None, sops: frozenset[str] = frozenset()) -> set[str]:
        """UIDs of a series, of some instances, or of everything."""
        return {
            sop
            for sop, one in self.instances.items()
            if (series is None or one.series_instance_uid == series) and (not sops or sop in sops)
        }


class Locator:
    """Asks members what they hold of a study; that one holds nothing of it is remembered for a while."""

    def __init__(self, members: Members, settings: FederationSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._members = members
        self._settings = settings
        self._clock = clock
        self._fan_out = FanOut()
        self._nothing: dict[tuple[str, str], float] = {}
        self._lock = threading.Lock()

    def __call__(
        self, study: str, *, may_ask: Callable[[Member], bool] = lambda member: True, local_only: bool = False
    ) -> Located:
        """Ask everybody who may be asked, and wait until all have answered or the deadline for queries is over."""
        located = Located(study)
        asked = []
        for one in self._members:
            if one.name != LOCAL and (local_only or not one.allows(Ask.RETRIEVE) or not may_ask(one)):
                continue
            if self._is_known_to_hold_nothing(one.name, study):
                located.reports.append(one.report(Outcome.ANSWERED))
            else:
                asked.append(one)

        def inventory(member: Member, deadline: Deadline) -> Iterator[InventoriedInstance]:
            return member.adapter.inventory(study, deadline=deadline)

        found: dict[str, dict[str, InventoriedInstance]] = {one.name: {} for one in asked}
        for said in self._fan_out.ask(asked, inventory, self._settings.deadline, lambda member: MOST_INSTANCES):
            if said.report is not None:
                located.reports.append(said.report)
            elif said.answer is not None and said.answer.study_instance_uid == study and said.answer.sop_instance_uid:
                found[said.member.name].setdefault(said.answer.sop_instance_uid, said.answer)
        self._note(study, found, located)
        return located

    def _note(self, study: str, found: dict[str, dict[str, InventoriedInstance]], located: Located) -> None:
        whole = {report.name for report in located.reports if report.outcome is Outcome.ANSWERED}
        for name in sorted(found, key=self._members.rank):
            if found[name]:
                located.holders[name] = set(found[name])
                for sop, one in found[name].items():
                    located.instances.setdefault(sop, one)
            elif name in whole and name != LOCAL:
                self._remember_nothing(name, study)

    def _is_known_to_hold_nothing(self, name: str, study: str) -> bool:
        with self._lock:
            return self._nothing.get((name, study), 0.0) > self._clock()

    def _remember_nothing(self, name: str, study: str) -> None:
        now = self._clock()
        with self._lock:
            if len(self._nothing) > 10_000:
                self._nothing = {key: ends for key, ends in self._nothing.items() if ends > now}
            self._nothing[name, study] = now + self._settings.negative
