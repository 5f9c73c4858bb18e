"""The placement policy: where an instance must live, by what is known about it. Nothing here reads or writes.

The first rule that is for an instance decides alone. An age counts from the arrival, from the Study Date (from the arrival
where there is none), or from the last retrieval of its study (from the arrival where nobody asked for it since).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from vna_core.configuration import Settings
from vna_core.configuration.placement import CopySettings, PlacementCondition, PlacementRule, seconds_of
from vna_core.domain.errors import ConfigurationError
from vna_core.domain.placement import COLD, OK, HeldCopy, PlacedInstance, Verdict, WantedCopy
from vna_core.ports.storage import Abilities

SECOND: Final = 1_000_000
_HELD: Final = (OK, COLD)


@dataclass(frozen=True, slots=True)
class PlacementPolicy:
    """All rules, ready to be asked.

    Attributes
    ----------
    digest
        Of what the rules say; empty when there are none.
    cache
        Store whose copies of recalled objects stay until their time is over.
    """

    rules: tuple[PlacementRule, ...] = ()
    digest: str = ""
    cache: str = ""

    @classmethod
    def of(cls, settings: Settings) -> PlacementPolicy:
        """The policy that `settings` hold. Raises ConfigurationError that names the line."""
        placement = settings.placement
        known = {*settings.stores, settings.landing}
        seen: set[str] = set()
        for number, rule in enumerate(placement.rules):
            if rule.name in seen:
                raise ConfigurationError(
                    f"{settings.where('placement', 'rules', number, 'name')}: placement rule {rule.name!r} stands twice."
                )
            seen.add(rule.name)
            for place, copy in enumerate(rule.copies):
                where = settings.where("placement", "rules", number, "copies", place, "store")
                _known(where, copy.store, known)
        for place, name in enumerate(placement.quarantine):
            _known(settings.where("placement", "quarantine", place), name, known)
        if placement.recall.cache:
            _known(settings.where("placement", "recall", "cache"), placement.recall.cache, known)
        for name in placement.prices:
            _known(settings.where("placement", "prices", name), name, known)
        if not placement.rules:
            return cls(cache=placement.recall.cache)
        content = json.dumps([one.model_dump(mode="json") for one in placement.rules], sort_keys=True)
        return cls(placement.rules, hashlib.sha256(content.encode()).hexdigest()[:16], placement.recall.cache)

    @property
    def counts_accesses(self) -> bool:
        """Whether some age counts from the last access."""
        return any(
            "access" in (rule.when.since if rule.when.older_than != "0" else "", *_sinces(rule.copies)) for rule in self.rules
        )

    def rule_for(self, instance: PlacedInstance, now: int) -> PlacementRule | None:
        """The first rule that is for an instance."""
        return next((rule for rule in self.rules if _holds(rule.when, instance, now)), None)

    def verdict(self, instance: PlacedInstance, now: int) -> Verdict:
        """What must be so at `now` (microseconds since 1970)."""
        rule = self.rule_for(instance, now)
        moments = [moment for moment in self._moments(instance, rule) if moment > now]
        if rule is None:
            return Verdict(due=min(moments, default=0))
        wanted = tuple(_wanted(copy, instance, now) for copy in rule.copies if _is_asked_for(copy, instance, now))
        # What has left its archive tier for a while, or lies in the cache, stays until its time is over.
        named = {copy.store for copy in wanted}
        cached = {copy.store for copy in instance.copies if copy.store == self.cache and copy.readable_until > now}
        moments += [copy.readable_until for copy in instance.copies if copy.readable_until > now]
        moments += [copy.locked_until for copy in instance.copies if copy.store not in named and copy.locked_until > now]
        return Verdict(
            rule=rule.name,
            wanted=wanted,
            missing=tuple(copy for copy in wanted if not _is_there(copy, instance)),
            excess=tuple(
                copy
                for copy in instance.copies
                if copy.store not in named | cached and copy.locked_until <= now and not copy.legal_hold
            ),
            due=min(moments, default=0),
            loose=tuple(copy for copy in wanted if _is_loose(copy, instance)),
        )

    def _moments(self, instance: PlacedInstance, rule: PlacementRule | None) -> Iterator[int]:
        """When something changes by time: a rule begins to be for the instance, or a step of its own rule is due."""
        for one in self.rules:
            if one.when.older_than != "0":
                yield _base(instance, one.when.since) + _span(one.when.older_than)
        for copy in rule.copies if rule is not None else ():
            yield _base(instance, copy.since) + _span(copy.after)
            if copy.until is not None:
                yield _base(instance, copy.since) + _span(copy.until)
            for step in copy.tiers:
                yield _base(instance, step.since) + _span(step.after)


def check_abilities(settings: Settings, abilities: Mapping[str, Abilities]) -> None:
    """Refuse a policy that these stores cannot fulfil. Raises ConfigurationError that names the line."""
    for number, rule in enumerate(settings.placement.rules):
        for place, copy in enumerate(rule.copies):
            if copy.store not in abilities:
                continue
            able, keys = abilities[copy.store], ("placement", "rules", number, "copies", place)
            if copy.lock != "0" and not able.object_lock:
                raise ConfigurationError(
                    f"{settings.where(*keys, 'lock')}: store {copy.store!r} was found to have no object lock, so its copies cannot "
                    "be locked. Make the bucket or container with object lock, or take the lock out.",
                    store=copy.store,
                )
            for step, tier in enumerate(copy.tiers):
                if tier.tier not in able.tiers:
                    has = f"It has {', '.join(able.tiers)}." if able.tiers else "It has none."
                    has += " Of a service that cannot be asked for its tiers (type s3 with an endpoint), name them in its option 'tiers'."
                    where = settings.where(*keys, "tiers", step, "tier")
                    raise ConfigurationError(f"{where}: store {copy.store!r} has no tier {tier.tier!r}. {has}", store=copy.store)


def _known(where: str, store: str, known: set[str]) -> None:
    if store not in known:
        raise ConfigurationError(
            f"{where}: store {store!r} is not configured. Configured: {', '.join(sorted(known))}.", store=store
        )


def _sinces(copies: tuple[CopySettings, ...]) -> Iterator[str]:
    for copy in copies:
        if copy.until is not None or copy.after != "0":
            yield copy.since
        yield from (step.since for step in copy.tiers)


def _base(instance: PlacedInstance, since: str) -> int:
    if since == "study":
        return instance.studied_at or instance.received_at
    return max(instance.received_at, instance.accessed_at) if since == "access" else instance.received_at


def _span(age: str) -> int:
    return seconds_of(age) * SECOND


def _holds(when: PlacementCondition, instance: PlacedInstance, now: int) -> bool:
    return (
        (not when.department or any(_fits(one, when.department) for one in instance.departments))
        and _fits(instance.modality, when.modality)
        and _fits(instance.source_kind, when.source_kind)
        and _fits(instance.source, when.source)
        and when.min_size <= instance.size
        and (when.max_size is None or instance.size <= when.max_size)
        and (when.older_than == "0" or _base(instance, when.since) + _span(when.older_than) <= now)
    )


def _fits(value: str, patterns: tuple[str, ...]) -> bool:
    return not patterns or any(
        value.startswith(pattern[:-1]) if pattern.endswith("*") else value == pattern for pattern in patterns
    )


def _is_asked_for(copy: CopySettings, instance: PlacedInstance, now: int) -> bool:
    base = _base(instance, copy.since)
    return base + _span(copy.after) <= now and (copy.until is None or now < base + _span(copy.until))


def _wanted(copy: CopySettings, instance: PlacedInstance, now: int) -> WantedCopy:
    reached = [
        (_span(step.after), place, step.tier)
        for place, step in enumerate(copy.tiers)
        if _base(instance, step.since) + _span(step.after) <= now
    ]
    locked = instance.received_at + _span(copy.lock) if copy.lock != "0" else 0
    return WantedCopy(copy.store, max(reached)[2] if reached else "", locked if locked > now else 0, copy.compliance)


def best_copy(copies: Iterable[HeldCopy]) -> HeldCopy | None:
    """Of several copies that can be had the newest pack, which outlives what was packed; None of none."""
    return max((copy for copy in copies if copy.state in _HELD), key=lambda copy: copy.sealed, default=None)


def _is_loose(wanted: WantedCopy, instance: PlacedInstance) -> bool:
    """Whether a store's copy is to be replaced by a newer pack. What lies in an archive tier stays as it is: moving it costs."""
    newest = best_copy(copy for copy in instance.copies if copy.state == OK)
    here = best_copy(copy for copy in instance.copies if copy.store == wanted.store)
    return newest is not None and here is not None and here.state == OK and here.sealed < newest.sealed


def _is_there(wanted: WantedCopy, instance: PlacedInstance) -> bool:
    return any(
        copy.store == wanted.store and copy.state in _HELD and copy.locked_until >= wanted.locked_until
        for copy in instance.copies
    )
