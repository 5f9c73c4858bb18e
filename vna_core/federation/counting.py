"""Counting rows by the instances that members list: where several hold the same, and where some of it was rejected here.

What is rejected here is not found, whoever else still has it (IHE IOCM). An instance is held back by its UID; a series or study shows the
numbers of what is left of it, and is held back when nothing is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from vna_core.domain.access import Scope
from vna_core.domain.deadline import Deadline
from vna_core.domain.query import Level
from vna_core.federation.fan_out import FanOut
from vna_core.federation.local_member import within
from vna_core.federation.members import LOCAL, Member, Outcome
from vna_core.federation.rejected import Rejected
from vna_core.federation.rows import COUNTS, SERIES, SOP, STUDY, text
from vna_core.federation.union import FederatedRow
from vna_core.ports.pacs import InventoriedInstance

COUNTED: Final = 200
"""Most rows of one answer whose numbers are counted by their instances only because several members hold them."""

_MOST_INSTANCES: Final = 1_000_000
_Listed = dict[tuple[str, str], set[tuple[str, str]]]
"""Member name and Study Instance UID to the Series and SOP Instance UIDs that it lists."""


class Counting:
    """Counts rows of one answer after another."""

    def __init__(self, fan_out: FanOut, rejected: Rejected) -> None:
        self._fan_out = fan_out
        self._rejected = rejected

    def __call__(
        self, rows: list[FederatedRow], level: Level, members: Iterable[Member], scope: Scope, seconds: float
    ) -> list[FederatedRow]:
        """The rows of which something may be shown, with the numbers of that.

        Parameters
        ----------
        members
            Those that may be asked once more.
        seconds
            How long they may take. What is not counted by then has no numbers where some of it is rejected, else the largest that was told.
        """
        elsewhere = [row for row in rows if set(row.copies) - {LOCAL}]
        hidden = self._rejected.of_each({_study(row) for row in elsewhere})
        known = {one.name: one for one in members}
        at = {study: {name: one.at(known.get(name)) for name in known} for study, one in hidden.items()}
        if level is Level.IMAGE:
            return [row for row in rows if _study(row) not in at or _is_shown(row, at[_study(row)])]
        touched = [row for row in elsewhere if _study(row) in hidden]
        shared = [row for row in rows if not row.counts_are_union and _study(row) not in hidden][:COUNTED]
        listed, whole = self._listed([*touched, *shared], known.values(), scope, seconds)
        empty: set[int] = set()
        for row in (*touched, *shared):
            if whole.issuperset(row.copies):
                if not _write_counts(row, level, _shown(row, listed, at.get(_study(row), {}))):
                    empty.add(id(row))
            elif _study(row) in hidden:
                _forget_counts(row, level)
        return [row for row in rows if id(row) not in empty]

    def _listed(
        self, rows: list[FederatedRow], members: Iterable[Member], scope: Scope, seconds: float
    ) -> tuple[_Listed, set[str]]:
        """What members list of the studies that rows are of, and the names of those that listed everything."""
        asked: dict[str, dict[str, None]] = {}
        for row in rows:
            for name in row.copies:
                asked.setdefault(name, {})[_study(row)] = None
        listed: _Listed = {}
        whole: set[str] = set()
        if not asked or seconds <= 0:
            return listed, whole

        def inventories(member: Member, deadline: Deadline) -> Iterator[InventoriedInstance]:
            for study in asked[member.name]:
                yield from within(member, scope).inventory(study, deadline=deadline)

        holders = [one for one in members if one.name in asked]
        for said in self._fan_out.ask(holders, inventories, seconds, lambda member: _MOST_INSTANCES):
            if said.report is not None and said.report.outcome is Outcome.ANSWERED:
                whole.add(said.member.name)
            elif (one := said.answer) is not None:
                found = listed.setdefault((said.member.name, one.study_instance_uid), set())
                found.add((one.series_instance_uid, one.sop_instance_uid))
        return listed, whole


def _study(row: FederatedRow) -> str:
    return text(row.attributes, STUDY)


_At = Mapping[str, frozenset[str]]
"""Member name to the SOP Instance UIDs that are not given out of what it has."""


def _is_shown(row: FederatedRow, at: _At) -> bool:
    """Whether an instance is here, or somewhere where it is not rejected."""
    return LOCAL in row.copies or any(text(row.attributes, SOP) not in at.get(name, ()) for name in row.copies)


def _shown(row: FederatedRow, listed: _Listed, at: _At) -> set[tuple[str, str]]:
    """Instances of the study of a row that may be shown: what is here is, as far as this archive lists it."""
    study = _study(row)
    here = listed.get((LOCAL, study), set()) if LOCAL in row.copies else set()
    others = (
        {one for one in listed.get((name, study), ()) if one[1] not in at.get(name, ())} for name in row.copies if name != LOCAL
    )
    return here.union(*others)


def _write_counts(row: FederatedRow, level: Level, instances: set[tuple[str, str]]) -> bool:
    """Whether there is anything to show."""
    if level is Level.SERIES:
        series = text(row.attributes, SERIES)
        numbers = [sum(1 for one, _ in instances if one == series)]
    else:
        numbers = [len({series for series, _ in instances}), len(instances)]
    for tag, number in zip(COUNTS[level], numbers, strict=True):
        row.attributes[tag] = {"vr": "IS", "Value": [number]}
    row.counts_are_union = True
    return bool(numbers[-1])


def _forget_counts(row: FederatedRow, level: Level) -> None:
    for tag in COUNTS[level]:
        row.attributes.pop(tag, None)
    row.counts_are_union = False
