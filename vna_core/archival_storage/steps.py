"""From what the policy says about the versions of a series to what must be done with objects. Nothing here reads or writes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from vna_core.archival_storage.keys import digest_of_content, is_pack
from vna_core.archival_storage.placement import PlacementPolicy, best_copy
from vna_core.domain.placement import COLD, OK, HeldCopy, MissingCopies, PlacedInstance, Verdict, WantedCopy


@dataclass(frozen=True, slots=True)
class CopyStep:
    """An object that must be copied to a store.

    Attributes
    ----------
    sources
        Stores that have it, the one to read from first.
    sha256
        Of the object; empty where nobody knows it before it is read.
    size
        Octets of the instances in it.
    """

    key: str
    target: str
    sources: tuple[str, ...]
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class AdjustStep:
    """An object that must move to a tier, or be locked longer; an empty tier and 0 stay as they are."""

    store: str
    key: str
    size: int
    tier: str
    locked_until: int
    compliance: bool
    before: HeldCopy


@dataclass(frozen=True, slots=True)
class DropStep:
    """A copy that is not asked for any more, and those that must be there before it goes."""

    store: str
    key: str
    size: int
    before: HeldCopy
    required: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class SeriesSteps:
    """Everything that must be done about one series, and what the policy said.

    Attributes
    ----------
    met
        Every version has all the copies that it must have now.
    due
        When the answer may change by time alone, in microseconds since 1970; 0: never.
    without_source
        Versions that lack a copy and have none that could be copied.
    missing
        Copies of versions that are not there, or not locked as they must be, by store.
    """

    copies: tuple[CopyStep, ...] = ()
    adjustments: tuple[AdjustStep, ...] = ()
    drops: tuple[DropStep, ...] = ()
    met: bool = True
    due: int = 0
    without_source: tuple[str, ...] = field(default=())
    missing: tuple[MissingCopies, ...] = ()


def steps_of(policy: PlacementPolicy, instances: Sequence[PlacedInstance], now: int) -> SeriesSteps:
    """What must be done about a series at `now` (microseconds since 1970)."""
    verdicts = [(one, policy.verdict(one, now)) for one in instances]
    sizes: dict[tuple[str, str], int] = {}
    for one in instances:
        for copy in one.copies:
            sizes[copy.store, copy.key] = sizes.get((copy.store, copy.key), 0) + copy.size
    copies: dict[tuple[str, str], CopyStep] = {}
    shared: dict[tuple[str, str], list[_Use]] = {}
    lost = []
    for one, verdict in verdicts:
        for wanted in verdict.wanted:
            there = best_copy(copy for copy in one.copies if copy.store == wanted.store)
            if there is None or wanted in verdict.loose:
                step = _copied(one, wanted, sizes)
                if step is None:
                    lost.append(one.sop_instance_uid)
                else:
                    copies.setdefault((step.key, step.target), step)
            else:
                shared.setdefault((there.store, there.key), []).append(_Use(one, there, wanted))
    adjusted = (_adjusted(uses, sizes, now) for uses in shared.values())
    return SeriesSteps(
        tuple(copies.values()),
        tuple(step for step in adjusted if step is not None),
        tuple(_drops(verdicts, sizes)),
        all(verdict.met for _, verdict in verdicts),
        min((verdict.due for _, verdict in verdicts if verdict.due), default=0),
        tuple(lost),
        _missing(verdicts),
    )


def _missing(verdicts: Iterable[tuple[PlacedInstance, Verdict]]) -> tuple[MissingCopies, ...]:
    found: dict[str, tuple[int, int]] = {}
    for one, verdict in verdicts:
        for wanted in verdict.missing:
            copies, octets = found.get(wanted.store, (0, 0))
            found[wanted.store] = (copies + 1, octets + one.size)
    return tuple(MissingCopies(store, *counted) for store, counted in sorted(found.items()))


def _copied(one: PlacedInstance, wanted: WantedCopy, sizes: dict[tuple[str, str], int]) -> CopyStep | None:
    usable = [copy for copy in one.copies if copy.state == OK] or [copy for copy in one.copies if copy.state == COLD]
    chosen = best_copy(usable)
    if chosen is None:
        return None
    sources = tuple(dict.fromkeys(copy.store for copy in usable if copy.key == chosen.key))
    digest = digest_of_content(chosen.key) or ("" if is_pack(chosen.key) else one.sha256)
    return CopyStep(chosen.key, wanted.store, sources, digest, sizes[chosen.store, chosen.key])


@dataclass(frozen=True, slots=True)
class _Use:
    """A version, the object in which a store has it, and how the policy wants it kept there."""

    instance: PlacedInstance
    there: HeldCopy
    wanted: WantedCopy


def _adjusted(uses: Sequence[_Use], sizes: dict[tuple[str, str], int], now: int) -> AdjustStep | None:
    """What must be done with an object that these versions share.

    It is locked for as long as any of them must be, and goes to a tier when the one that came last does: a pack is not brought back
    and forth between what its members are to have, nor put into an archive tier while one of them must be readable.
    """
    there = uses[0].there
    last = max(uses, key=lambda use: (use.instance.received_at, use.instance.pk))
    longest = max((use.wanted for use in uses), key=lambda wanted: (wanted.locked_until, wanted.compliance))
    recalled = any(use.there.readable_until > now for use in uses)
    tier = last.wanted.tier if last.wanted.tier != there.tier and not recalled else ""
    locked = longest.locked_until if any(longest.locked_until > use.there.locked_until for use in uses) else 0
    if not tier and not locked:
        return None
    compliance = any(use.wanted.compliance for use in uses if use.wanted.locked_until)
    return AdjustStep(there.store, there.key, sizes[there.store, there.key], tier, locked, compliance, there)


def _drops(verdicts: Iterable[tuple[PlacedInstance, Verdict]], sizes: dict[tuple[str, str], int]) -> list[DropStep]:
    """Objects of which no version needs the copy, and every version has all it needs."""
    pairs = list(verdicts)
    needed = {
        (copy.store, copy.key)
        for one, verdict in pairs
        for copy in one.copies
        if not verdict.met or verdict.loose or not verdict.rule or copy not in verdict.excess
    }
    found: dict[tuple[str, str], DropStep] = {}
    for one, verdict in pairs:
        required = tuple(
            (copy.store, copy.key)
            for wanted in verdict.wanted
            if (copy := best_copy(c for c in one.copies if c.store == wanted.store)) is not None
        )
        for copy in verdict.excess:
            place = (copy.store, copy.key)
            if place in needed or not required:
                continue
            known = found.get(place)
            before = known.required if known is not None else ()
            both = tuple(dict.fromkeys((*before, *required)))
            found[place] = DropStep(copy.store, copy.key, sizes[place], copy, both)
    return list(found.values())
