"""What a placement policy would do to everything that is held, and what it costs; nothing is changed, and no store is asked."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from vna_core.archival_storage.costs import Done, Forecast, Kept, Place, Prices, forecast
from vna_core.archival_storage.placement import SECOND, PlacementPolicy
from vna_core.catalogue import Catalogue
from vna_core.configuration.placement import PlacementSettings

_FAR: Final = 200 * 365 * 86_400 * SECOND
"""A time by which every age is reached, in microseconds."""
_TELL_EVERY: Final = 500


@dataclass(slots=True)
class PlacementPlan:
    """Everything held under a policy.

    Attributes
    ----------
    now, after, settled
        As it is; when all that is due is done; when every age of the policy is reached.
    rules
        Rule to how many versions it is for; the empty name: no rule.
    lost
        Versions that lack a copy and have no good one to copy.
    """

    currency: str
    prices: Prices
    series: int = 0
    instances: int = 0
    lost: int = 0
    rules: dict[str, int] = field(default_factory=dict)
    now: Forecast = field(default_factory=Forecast)
    after: Forecast = field(default_factory=Forecast)
    settled: Forecast = field(default_factory=Forecast)

    def places(self) -> list[Place]:
        """Every store and tier that anything is in, goes to, or is done at."""
        states = (self.now, self.after, self.settled)
        return sorted({*(place for one in states for place in (*one.kept, *one.done))})

    def document(self) -> dict[str, Any]:
        """The whole plan for machines."""
        return {
            "series": self.series,
            "instances": self.instances,
            "without_good_copy": self.lost,
            "rules": self.rules,
            "currency": self.currency,
            "places": [self._place(place) for place in self.places()],
            "total": self.total(),
        }

    def total(self) -> dict[str, float]:
        """Costs of the whole archive: a month now, then, and in the end; once now, and once by age."""
        month = {
            name: sum(self.prices.month(place, kept) for place, kept in one.kept.items())
            for name, one in (("month_now", self.now), ("month_after", self.after), ("month_settled", self.settled))
        }
        once = {
            name: sum(self.prices.once(place, done) for place, done in one.done.items())
            for name, one in (("once_after", self.after), ("once_settled", self.settled))
        }
        return month | once

    def _place(self, place: Place) -> dict[str, Any]:
        states = {"now": self.now, "after": self.after, "settled": self.settled}
        kept = {name: self._kept(place, one.kept.get(place, Kept())) for name, one in states.items()}
        done = {f"once_{name}": self._done(place, states[name].done.get(place, Done())) for name in ("after", "settled")}
        return {"store": place[0], "tier": place[1] or None, **kept, **done}

    def _kept(self, place: Place, kept: Kept) -> dict[str, Any]:
        return {"objects": kept.objects, "octets": kept.octets, "month": self.prices.month(place, kept)}

    def _done(self, place: Place, done: Done) -> dict[str, Any]:
        counts = {name: getattr(done, name) for name in ("puts", "gets", "retrieved", "deletions")}
        return {**counts, "early_deletion": done.early, "cost": self.prices.once(place, done)}


def planned(
    catalogue: Catalogue,
    policy: PlacementPolicy,
    settings: PlacementSettings,
    tell: Callable[[int], object] = lambda series: None,
    clock: Callable[[], float] = time.time,
) -> PlacementPlan:
    """The plan for everything held; `tell` is called with the number of series done.

    Fees for leaving a tier early are counted for what is due now; what becomes due by age is taken to stay long enough.
    """
    plan = PlacementPlan(settings.currency, Prices(settings.prices))
    moment = round(clock() * SECOND)
    for number, pk in enumerate(catalogue.placements.series(), 1):
        instances = catalogue.placements.of_series(pk)
        plan.series, plan.instances = number, plan.instances + len(instances)
        for one in instances:
            rule = policy.rule_for(one, moment)
            name = rule.name if rule is not None else ""
            plan.rules[name] = plan.rules.get(name, 0) + 1
        plan.now.hold(instances)
        then, lost = forecast(policy, instances, moment, plan.prices, plan.after)
        plan.lost += lost
        forecast(policy, then, moment + _FAR, plan.prices, plan.settled)
        if number % _TELL_EVERY == 0:
            tell(number)
    tell(plan.series)
    return plan
