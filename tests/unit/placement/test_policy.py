"""The policy decides by the first rule that is for an instance, by age and by what is there; bad policies are refused by line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vna_core.archival_storage.placement import SECOND, PlacementPolicy, check_abilities
from vna_core.archival_storage.steps import steps_of
from vna_core.configuration import Settings, load_settings
from vna_core.configuration.placement import PlacementSettings
from vna_core.domain.errors import ConfigurationError
from vna_core.domain.placement import HeldCopy, PlacedInstance
from vna_core.ports.storage import Abilities

DAY = 86_400 * SECOND
START = 1_000 * DAY
LANDING = HeldCopy("landing", "studies/a.dcm", 0, 100)
PLAIN = Abilities(conditional_create=True, local=False, durable_create=True)
ABLE = Abilities(
    conditional_create=True,
    local=False,
    durable_create=True,
    tiers=("STANDARD", "GLACIER"),
    archive_tiers=("GLACIER",),
    recall=True,
    object_lock=True,
)


def policy(*rules: object, stores: tuple[str, ...] = ("landing", "cloud", "second")) -> PlacementPolicy:
    return PlacementPolicy.of(
        Settings.model_validate({"stores": {name: {} for name in stores}, "placement": {"rules": list(rules)}})
    )


def instance(*copies: HeldCopy, pk: int = 1, **facts: object) -> PlacedInstance:
    known = {"modality": "CT", "source_kind": "dimse", "source": "CT1", "size": 100, "sha256": "0" * 64}
    times = {"received_at": START, "studied_at": START - 10 * DAY, "accessed_at": 0}
    values = {"pk": pk, "sop_instance_uid": f"1.{pk}", **known, **times, **facts}
    return PlacedInstance(copies=copies, **values)  # type: ignore[arg-type]


TYPICAL = {
    "name": "images",
    "copies": [
        {"store": "landing", "until": "90d"},
        {"store": "cloud", "lock": "10y", "tiers": [{"after": "90d", "tier": "GLACIER"}]},
        {"store": "second"},
    ],
}


def test_landing_and_two_copies_then_cold_and_without_landing() -> None:
    rules = policy(TYPICAL)
    first = rules.verdict(instance(LANDING), START)
    assert [copy.store for copy in first.missing] == ["cloud", "second"]
    assert not first.excess and first.due == START + 90 * DAY
    cloud = HeldCopy("cloud", LANDING.key, 0, 100, locked_until=START + 3650 * DAY)
    second = HeldCopy("second", LANDING.key, 0, 100)
    met = rules.verdict(instance(LANDING, cloud, second), START + DAY)
    assert met.met and not met.excess
    unlocked = rules.verdict(instance(LANDING, HeldCopy("cloud", LANDING.key, 0, 100), second), START + DAY)
    assert [copy.store for copy in unlocked.missing] == ["cloud"]
    later = rules.verdict(instance(LANDING, cloud, second), START + 90 * DAY)
    assert later.excess == (LANDING,)
    assert {copy.store: copy.tier for copy in later.wanted} == {"cloud": "GLACIER", "second": ""}


@pytest.mark.parametrize(
    ("when", "facts", "fits"),
    [
        ({"modality": ["CT", "MR"]}, {"modality": "MR"}, True),
        ({"modality": "CT"}, {"modality": "US"}, False),
        ({"source": "CT*"}, {"source": "CT7"}, True),
        ({"source": "CT*"}, {"source": "MR7"}, False),
        ({"source_kind": "migration"}, {"source_kind": "dimse"}, False),
        ({"department": "radiology"}, {"departments": ("radiology", "tumour-board")}, True),
        ({"department": "radiology"}, {}, False),
        ({"min_size": 101}, {"size": 100}, False),
        ({"max_size": 100}, {"size": 100}, True),
        ({"older_than": "10d"}, {}, True),
        ({"older_than": "11d"}, {}, False),
        ({"older_than": "1d", "since": "arrival"}, {}, False),
        ({"older_than": "0", "since": "access"}, {}, True),
    ],
)
def test_a_rule_is_for_what_fulfils_all_its_conditions(when: dict[str, object], facts: dict[str, object], fits: bool) -> None:
    rules = policy({"name": "one", "when": when, "copies": [{"store": "cloud"}]})
    assert bool(rules.verdict(instance(LANDING, **facts), START).rule) == fits


def test_the_first_rule_that_is_for_an_instance_decides_alone() -> None:
    rules = policy(
        {"name": "ct", "when": {"modality": "CT"}, "copies": [{"store": "landing"}]},
        {"name": "rest", "copies": [{"store": "cloud"}]},
    )
    assert rules.verdict(instance(LANDING), START).met
    assert rules.verdict(instance(LANDING, modality="US"), START).rule == "rest"


def test_what_no_rule_is_for_stays_where_it_is() -> None:
    verdict = policy({"name": "us", "when": {"modality": "US"}, "copies": [{"store": "cloud"}]}).verdict(instance(LANDING), START)
    assert (verdict.rule, verdict.wanted, verdict.excess, verdict.met) == ("", (), (), True)


def test_an_age_since_the_last_access_begins_anew_with_every_access() -> None:
    tiers = [{"tier": "GLACIER", "after": "90d", "since": "access"}]
    rules = policy({"name": "one", "copies": [{"store": "cloud", "tiers": tiers}]})
    assert rules.counts_accesses
    now = START + 100 * DAY
    assert rules.verdict(instance(LANDING), now).wanted[0].tier == "GLACIER"
    touched = rules.verdict(instance(LANDING, accessed_at=START + 50 * DAY), now)
    assert (touched.wanted[0].tier, touched.due) == ("", START + 140 * DAY)


def test_a_copy_is_dropped_only_when_every_version_in_its_object_has_all_others() -> None:
    rules = policy({"name": "one", "copies": [{"store": "cloud"}]})
    pack = [HeldCopy("landing", "packs/p", offset, 100) for offset in (0, 100)]
    away = HeldCopy("cloud", "packs/p", 0, 100)
    half = steps_of(rules, [instance(pack[0], away, pk=1), instance(pack[1], pk=2)], START)
    assert not half.drops and not half.met
    whole = [instance(pack[0], away, pk=1), instance(pack[1], HeldCopy("cloud", "packs/p", 100, 100), pk=2)]
    done = steps_of(rules, whole, START)
    assert [(drop.store, drop.size, drop.required) for drop in done.drops] == [("landing", 200, (("cloud", "packs/p"),))]


def packed(*ages: int, locked_until: int = 0, tier: str = "") -> list[PlacedInstance]:
    """Instances that came so many days apart and lie in one pack in the cloud."""
    copies = [
        HeldCopy("cloud", "packs/p", 100 * number, 100, locked_until=locked_until, tier=tier) for number in range(len(ages))
    ]
    return [
        instance(copy, pk=number, received_at=START + age * DAY)
        for number, (age, copy) in enumerate(zip(ages, copies, strict=True))
    ]


def test_a_pack_is_locked_for_as_long_as_any_instance_in_it_must_be() -> None:
    rules = policy({"name": "one", "copies": [{"store": "cloud", "lock": "10y"}]})
    until = START + 20 * DAY + 3650 * DAY
    [step] = steps_of(rules, packed(0, 20, 5), START + 30 * DAY).adjustments
    assert (step.store, step.key, step.locked_until, step.size) == ("cloud", "packs/p", until, 300)
    done = steps_of(rules, packed(0, 20, 5, locked_until=until), START + 30 * DAY)
    assert done.met and not done.adjustments, "one step is enough"
    strict = policy(
        {
            "name": "a",
            "when": {"older_than": "15d", "since": "arrival"},
            "copies": [{"store": "cloud", "lock": "2y", "compliance": True}],
        },
        {"name": "b", "copies": [{"store": "cloud", "lock": "10y"}]},
    )
    [step] = steps_of(strict, packed(0, 20), START + 30 * DAY).adjustments
    assert step.locked_until == until and step.compliance, "the strictest of all"


def test_a_pack_goes_to_a_tier_when_the_instance_that_came_last_does_and_stays_there() -> None:
    tiers = [{"tier": "STANDARD", "after": "0"}, {"tier": "GLACIER", "after": "90d"}]
    rules = policy({"name": "one", "copies": [{"store": "cloud", "tiers": tiers}]})
    pack = packed(0, 20, 5, tier="STANDARD")
    assert not steps_of(rules, pack, START + 100 * DAY).adjustments, "one of its instances must be readable still"
    [step] = steps_of(rules, pack, START + 110 * DAY).adjustments
    assert (step.tier, step.size) == ("GLACIER", 300)
    assert not steps_of(rules, packed(0, 20, 5, tier="GLACIER"), START + 110 * DAY).adjustments
    assert steps_of(rules, pack, START + 100 * DAY).due == START + 110 * DAY


def test_a_locked_copy_and_a_copy_of_something_recalled_are_not_dropped_before_their_time() -> None:
    rules = policy({"name": "one", "copies": [{"store": "cloud"}]})
    cloud = HeldCopy("cloud", LANDING.key, 0, 100)
    locked = rules.verdict(instance(HeldCopy("second", "k", 0, 100, locked_until=START + DAY), cloud), START)
    assert not locked.excess and locked.due == START + DAY
    cached = PlacementPolicy(rules.rules, rules.digest, cache="landing")
    recalled = HeldCopy("landing", "k", 0, 100, readable_until=START + DAY)
    assert not cached.verdict(instance(recalled, cloud), START).excess
    assert cached.verdict(instance(recalled, cloud), START + DAY).excess == (recalled,)


ages = st.integers(0, 400).map(lambda days: f"{days}d" if days else "0")
copies = st.fixed_dictionaries(
    {"store": st.sampled_from(["landing", "cloud", "second"])},
    optional={
        "until": st.integers(1, 400).map(lambda days: f"{days}d"),
        "since": st.sampled_from(["arrival", "study", "access"]),
    },
)
held = st.builds(
    HeldCopy,
    store=st.sampled_from(["landing", "cloud", "second", "gone"]),
    key=st.sampled_from(["a.dcm", "b.dcm", "packs/p"]),
    offset=st.just(0),
    size=st.just(100),
    state=st.sampled_from(["ok", "ok", "ok", "bad", "cold", "leaving"]),
)


@given(
    st.lists(copies, min_size=1, max_size=3, unique_by=lambda copy: copy["store"]).filter(
        lambda found: any("until" not in copy for copy in found)
    ),
    st.lists(st.lists(held, max_size=4, unique_by=lambda copy: (copy.store, copy.key)), min_size=1, max_size=3),
    st.integers(0, 500),
)
@settings(max_examples=300, deadline=None)
def test_no_step_ever_takes_the_last_good_copy_of_anything(
    wanted: list[dict[str, str]], placed: list[list[HeldCopy]], days: int
) -> None:
    """Whatever is held and whatever is asked for: after all drops every version has each copy it had to have."""
    instances = [instance(*one, pk=number) for number, one in enumerate(placed)]
    rules = policy({"name": "one", "copies": wanted})
    now = START + days * DAY
    dropped = {(drop.store, drop.key) for drop in steps_of(rules, instances, now).drops}
    for one in instances:
        left = [copy for copy in one.copies if (copy.store, copy.key) not in dropped]
        if any((copy.store, copy.key) in dropped for copy in one.copies):
            assert any(copy.state in ("ok", "cold") for copy in left)
            stores = {copy.store for copy in left if copy.state in ("ok", "cold")}
            assert {copy.store for copy in rules.verdict(one, now).wanted} <= stores


@given(st.integers(0, 1200))
@settings(max_examples=100, deadline=None)
def test_nothing_changes_before_it_is_due(days: int) -> None:
    rules = policy(TYPICAL, {"name": "old", "when": {"older_than": "5y"}, "copies": [{"store": "second"}]})
    now = START + days * DAY
    verdict = rules.verdict(instance(LANDING), now)
    if verdict.due:
        just_before = rules.verdict(instance(LANDING), verdict.due - 1)
        assert (just_before.wanted, just_before.excess, just_before.rule) == (verdict.wanted, verdict.excess, verdict.rule)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "rules: [{name: a, copies: [{store: clod}]}]",
            "vna.yaml:4: store 'clod' is not configured. Configured: cloud, landing.",
        ),
        ("rules: [{name: a, copies: []}]", "at least 1 item"),
        ("rules: [{name: a, copies: [{store: cloud, until: 5d}]}]", "at least one copy must be without 'until'"),
        ("rules: [{name: a, copies: [{store: cloud}, {store: cloud}]}]", "two copies in one store are one copy"),
        ("rules: [{name: a, copies: [{store: cloud, lock: 5}]}]", "placement.rules.0.copies.0.lock"),
        ("rules: [{name: a, copies: [{store: cloud, lock: 5x}]}]", "an age is a whole number and h, d, w or y"),
        ("rules: [{name: a, when: {modaliti: CT}, copies: [{store: cloud}]}]", "Did you mean 'modality'"),
        ("rules: [{name: a, copies: [{store: cloud}]}, {name: a, copies: [{store: cloud}]}]", "stands twice"),
        ("recall: {cache: nowhere}", "store 'nowhere' is not configured"),
        ("prices: {nowhere: {put: 1}}", "store 'nowhere' is not configured"),
    ],
)
def test_a_bad_policy_is_one_line_that_says_where(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "vna.yaml"
    path.write_text(f"stores:\n  cloud: {{}}\nplacement:\n  {text}\n")
    with pytest.raises(ConfigurationError) as raised:
        PlacementPolicy.of(load_settings(path, environment={}))
    assert message in raised.value.message and "\n" not in raised.value.message


@pytest.mark.parametrize(
    ("copy", "message"),
    [
        ({"lock": "1y"}, "store 'cloud' was found to have no object lock"),
        ({"tiers": [{"tier": "GLACIER"}]}, "store 'cloud' has no tier 'GLACIER'. It has none. .*option 'tiers'"),
    ],
)
def test_what_a_store_cannot_do_is_refused(copy: dict[str, object], message: str) -> None:
    document = {"stores": {"cloud": {}}, "placement": {"rules": [{"name": "a", "copies": [{"store": "cloud", **copy}]}]}}
    settings = Settings.model_validate(document)
    with pytest.raises(ConfigurationError, match=message):
        check_abilities(settings, {"cloud": PLAIN})
    check_abilities(settings, {"cloud": ABLE})


def test_without_rules_there_is_no_policy() -> None:
    assert PlacementPolicy.of(Settings(placement=PlacementSettings())).digest == ""
