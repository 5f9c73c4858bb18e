"""What a plan counts is what is then done, and what it costs is what the price table says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.placement.placed_archive import placed_archive
from vna_core.archival_storage.costs import GIB, Forecast, Prices, forecast
from vna_core.archival_storage.placement import SECOND, PlacementPolicy
from vna_core.configuration import Settings
from vna_core.configuration.placement import StorePrice
from vna_core.domain.placement import HeldCopy, PlacedInstance
from vna_core.stewardship.placement_plan import planned
from vna_core.testing.faulty_store import FaultyStore

DAY = 86_400 * SECOND
NOW = 1_000 * DAY
PRICES = {
    "landing": {"gib_month": 0.1},
    "cloud": {
        "gib_month": 0.02,
        "put": 5.0,
        "get": 0.4,
        "retrieval_gib": 0.0,
        "tiers": {
            "IA": {"gib_month": 0.01, "put": 10.0, "minimum_days": 30},
            "GLACIER": {"gib_month": 0.004, "put": 30.0, "retrieval_gib": 0.01, "minimum_days": 90},
        },
    },
}


def instance(copies: tuple[HeldCopy, ...], received: int = NOW) -> PlacedInstance:
    return PlacedInstance(1, "1.1", "CT", "dimse", "CT1", GIB, "", received, 0, 0, copies=copies)


def policy(*copies: object) -> PlacementPolicy:
    document = {"stores": {"cloud": {}, "landing": {}}, "placement": {"rules": [{"name": "all", "copies": list(copies)}]}}
    return PlacementPolicy.of(Settings.model_validate(document))


def prices() -> Prices:
    return Prices({name: StorePrice.model_validate(one) for name, one in PRICES.items()})


def test_costs_are_those_of_a_calculation_by_hand() -> None:
    tiers = [{"after": "90d", "tier": "GLACIER"}]
    rules = policy({"store": "cloud", "tiers": tiers})
    after, settled = Forecast(), Forecast()
    then, lost = forecast(rules, [instance((HeldCopy("landing", "a.dcm", 0, GIB),))], NOW, prices(), after)
    assert lost == 0
    assert [(copy.store, copy.tier) for copy in then[0].copies] == [("cloud", "")]
    done = after.done["cloud", ""]
    assert (done.puts, done.gets, done.retrieved) == (130, 1, GIB), "128 parts of 8 MiB, begin and end; read back once"
    assert after.done["landing", ""].deletions == 1
    assert prices().once(("cloud", ""), done) == pytest.approx(130 * 5 / 1000 + 0.4 / 1000)
    assert prices().month(("cloud", ""), after.kept["cloud", ""]) == pytest.approx(0.02)
    forecast(rules, then, NOW + 90 * DAY, prices(), settled)
    assert set(settled.kept) == {("cloud", "GLACIER")}
    assert prices().month(("cloud", "GLACIER"), settled.kept["cloud", "GLACIER"]) == pytest.approx(0.004)
    assert prices().once(("cloud", "GLACIER"), settled.done["cloud", "GLACIER"]) == pytest.approx(0.03)


def test_leaving_a_tier_before_its_minimum_time_costs_the_rest_of_it() -> None:
    moved = HeldCopy("cloud", "a.dcm", 0, GIB, tier="IA", tier_since=NOW - 10 * DAY)
    result = Forecast()
    forecast(
        policy({"store": "cloud", "tiers": [{"tier": "GLACIER"}]}), [instance((moved,), NOW - 20 * DAY)], NOW, prices(), result
    )
    assert result.done["cloud", "IA"].early == pytest.approx(20 / 30 * 0.01)
    dropped, gone = HeldCopy("cloud", "a.dcm", 0, GIB, state="cold", tier="GLACIER", tier_since=NOW - 89 * DAY), Forecast()
    landing = HeldCopy("landing", "a.dcm", 0, GIB)
    forecast(policy({"store": "landing"}), [instance((landing, dropped))], NOW, prices(), gone)
    assert gone.done["cloud", "GLACIER"].early == pytest.approx(1 / 30 * 0.004)


def test_what_is_planned_is_what_is_done(tmp_path: Path) -> None:
    placement = {
        "rules": [
            {"name": "small", "when": {"max_size": 40_000}, "copies": [{"store": "second"}]},
            {"name": "rest", "copies": [{"store": "landing"}, {"store": "cloud"}]},
        ],
        "prices": {"cloud": {"put": 1000.0, "get": 1.0}},
    }
    with placed_archive(tmp_path, placement) as archive:
        for number in range(1, 7):
            archive.offer(number, rows=128 if number % 2 else 512, SeriesInstanceUID=f"1.2.{number // 3}")
        told: list[int] = []
        plan = planned(archive.catalogue, archive.policy, archive.settings.placement, told.append)
        assert plan.series == told[-1] == 3
        cloud = archive.stores["cloud"]
        assert isinstance(cloud, FaultyStore)
        before = cloud.requests
        archive.work()
        assert cloud.requests - before == plan.after.done["cloud", ""].puts + plan.after.done["cloud", ""].gets
        for store in ("landing", "cloud", "second"):
            inner = archive.stores[store]
            held = list((inner.inner if isinstance(inner, FaultyStore) else inner).list())
            kept = plan.after.kept[store, ""]
            assert (kept.objects, kept.octets) == (len(held), sum(one.size for one in held))
        again = planned(archive.catalogue, archive.policy, archive.settings.placement)
        assert not again.after.done, "a plan after the work has nothing to do"
        document = plan.document()
        assert document["total"]["once_after"] == pytest.approx(plan.after.done["cloud", ""].puts * 1.0 + 3 / 1000)
        assert document["rules"] == {"small": 3, "rest": 3}
        usage = {one.store: one.octets for one in archive.catalogue.placements.usage()}
        assert usage == {store: plan.after.kept[store, ""].octets for store in ("landing", "cloud", "second")}
