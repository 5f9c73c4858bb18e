"""Which member holds which instances of a study: sets of UIDs as the members list them, never a count or a promise."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from vna_core.configuration.federation import FederationSettings
from vna_core.domain.deadline import Deadline
from vna_core.domain.identifiers import Identified
from vna_core.federation.absences import Absences
from vna_core.federation.fan_out import FanOut
from vna_core.federation.members import LOCAL, Ask, Member, MemberReport, Members, Outcome
from vna_core.ports.pacs import InventoriedInstance

MOST_INSTANCES = 1_000_000
"""Instances of one study that are taken from one member."""


class InstanceKey(NamedTuple):
    """What names an instance within a study: archives hold the same SOP Instance UID in two series of one study."""

    series: str
    sop: str


def key_of(one: Identified) -> InstanceKey:
    """The key of an instance."""
    return InstanceKey(one.series_instance_uid, one.sop_instance_uid)


Listed = Mapping[InstanceKey, InventoriedInstance]


@dataclass(slots=True)
class Located:
    """Where the instances of a study are.

    Attributes
    ----------
    instances
        Each with what the preferred member lists for it.
    holders
        Member name to what it lists, in the order of preference.
    reports
        How each member took part; while one is silent the set may be smaller than the truth.
    twice
        Member name to what it lists more than once: it holds several under the same UIDs.
    """

    study: str
    instances: dict[InstanceKey, InventoriedInstance] = field(default_factory=dict)
    holders: dict[str, set[InstanceKey]] = field(default_factory=dict)
    reports: list[MemberReport] = field(default_factory=list)
    twice: dict[str, set[InstanceKey]] = field(default_factory=dict)
    _series: dict[str, list[InstanceKey]] = field(default_factory=dict, repr=False)

    @property
    def missing(self) -> tuple[MemberReport, ...]:
        """Members because of which the set may be too small."""
        return tuple(one for one in self.reports if not one.outcome.is_whole)

    def add(self, name: str, listed: Listed) -> None:
        """Take over what a member listed; of instances that are known what was said before goes on being believed."""
        if listed:
            self.holders[name] = set(listed)
        _take(listed, self.instances, self._series)

    def fill(self, listed: Mapping[str, Listed]) -> None:
        """Take over what members listed, by their names in the order of preference: what they say of an instance is believed in that order.

        Whoever asks meanwhile (`named`) is answered by what was known before, or by all of it.
        """
        instances: dict[InstanceKey, InventoriedInstance] = {}
        series: dict[str, list[InstanceKey]] = {}
        for one in listed.values():
            _take(one, instances, series)
        self.holders = {name: set(one) for name, one in listed.items() if one}
        self.instances, self._series = instances, series

    def named(self, found: Identified) -> InstanceKey | None:
        """Which of the instances one is that was delivered; None: none of them.

        Where a SOP Instance UID is listed once, an instance that says to be of another series than its member lists is that one.
        """
        key = key_of(found)
        if key in self.instances:
            return key
        return self.only_of(found.sop_instance_uid)

    def only_of(self, sop: str) -> InstanceKey | None:
        """The instance with a SOP Instance UID, where it is listed in one series alone."""
        keys = self._series.get(sop, ())
        return keys[0] if len(keys) == 1 else None

    def wanted(self, series: str | None = None, sops: frozenset[str] = frozenset()) -> set[InstanceKey]:
        """What is listed of a series, of some instances, or of everything."""
        return {key for key in self.instances if (series is None or key.series == series) and (not sops or key.sop in sops)}


def _take(listed: Listed, instances: dict[InstanceKey, InventoriedInstance], series: dict[str, list[InstanceKey]]) -> None:
    for key, one in listed.items():
        if key not in instances:
            instances[key] = one
            series.setdefault(key.sop, []).append(key)


Heard = Callable[[Located, Collection[Member]], object]
"""Told what is known so far, and of whom it is not known yet what they hold."""


class Locator:
    """Asks members what they hold of a study; that one holds nothing of it is remembered for a while."""

    def __init__(self, members: Members, settings: FederationSettings, absences: Absences | None = None) -> None:
        self._members = members
        self._settings = settings
        self._fan_out = FanOut()
        self._absences = absences or Absences(settings.negative)

    def __call__(
        self,
        study: str,
        *,
        may_ask: Callable[[Member], bool] = lambda member: True,
        local_only: bool = False,
        heard: Heard = lambda located, waiting: None,
    ) -> Located:
        """Ask everybody who may be asked, and wait until all have answered or the deadline for queries is over.

        `heard` is called whenever a member has listed everything it has, with what is known by then and those who are still waited for.
        """
        located = Located(study)
        asked = []
        for one in self._members:
            if one.name != LOCAL and (local_only or not one.allows(Ask.RETRIEVE) or not may_ask(one)):
                continue
            if self._absences.known(one.name, study):
                located.reports.append(one.report(Outcome.ANSWERED))
            else:
                asked.append(one)

        def inventory(member: Member, deadline: Deadline) -> Iterator[InventoriedInstance]:
            return member.adapter.inventory(study, deadline=deadline)

        found: dict[str, dict[InstanceKey, InventoriedInstance]] = {one.name: {} for one in asked}
        waiting = {one.name: one for one in asked}
        for said in self._fan_out.ask(asked, inventory, self._settings.deadline, lambda member: MOST_INSTANCES):
            if said.report is not None:
                located.reports.append(said.report)
                del waiting[said.member.name]
                if said.report.outcome is Outcome.ANSWERED:
                    located.add(said.member.name, found[said.member.name])
                    if not found[said.member.name] and said.member.name != LOCAL:
                        self._absences.note(said.member.name, study)
                    heard(located, waiting.values())
            elif said.answer is not None and said.answer.study_instance_uid == study and said.answer.sop_instance_uid:
                key = key_of(said.answer)
                if found[said.member.name].setdefault(key, said.answer) is not said.answer:
                    located.twice.setdefault(said.member.name, set()).add(key)
        located.fill({name: found[name] for name in sorted(found, key=self._members.rank)})
        return located


def sources(members: Members, located: Located, missing: Collection[InstanceKey]) -> list[tuple[Member, set[InstanceKey]]]:
    """Members that hold something of what is missing: who holds most first, then who is preferred, then who answers quicker."""
    found = []
    for one in members:
        share = located.holders.get(one.name, set()).intersection(missing)
        if one.name != LOCAL and share:
            found.append((one, share))
    return sorted(found, key=lambda each: (-len(each[1]), members.rank(each[0].name), each[0].breaker.health.latency))
