"""A study brought together from members: whole when the sets of UIDs are equal, and honest when they are not."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from tests.unit.federation.federated_members import Federation, federation, study, uid
from vna_core.domain.instance import HeldInstance
from vna_core.domain.query import Equals, Level, Query
from vna_core.federation.absences import Absences
from vna_core.federation.fetching import Fetcher
from vna_core.federation.gathering import FetchOutcome, Means
from vna_core.federation.locating import InstanceKey, Located, Locator, key_of
from vna_core.federation.members import LOCAL, Outcome
from vna_core.federation.query import FederatedQuery
from vna_core.testing.faulty_pacs import PacsFaults

CITY = {"IssuerOfPatientID": "CITY"}
NAMES = ("alpha", "beta", "gamma")


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Federation]:
    with federation(tmp_path, NAMES, stall=0.3) as opened:
        yield opened


def located(house: Federation, number: int = 1) -> Located:
    return Locator(house.members, house.settings)(uid(number))


def fetched(house: Federation, number: int = 1) -> tuple[list[HeldInstance], FetchOutcome]:
    here = house.archives[LOCAL]

    def held(of_study: str, keys: Collection[InstanceKey]) -> dict[InstanceKey, HeldInstance]:
        return {key_of(one): one for one in here.catalogue.instances(study=of_study) if key_of(one) in keys}

    where = located(house, number)
    outcome = FetchOutcome(where.wanted())
    fetcher = Fetcher(Means(house.members, house.settings, here.pipeline.offer, held))
    return list(fetcher.fetch(where, outcome.wanted, outcome)), outcome


def test_the_union_of_all_members_comes_each_instance_once(house: Federation) -> None:
    parts = study(1, range(9), **CITY)
    house.put("alpha", *parts[:6])
    house.put("beta", *parts[4:])
    house.put(LOCAL, *parts[:2])
    got, outcome = fetched(house)
    assert len(got) == 9 == len({one.sop_instance_uid for one in got})
    assert outcome.is_complete
    assert sum(outcome.sources.values()) == 7 and set(outcome.sources) == {"alpha", "beta"}
    again, _ = fetched(house)
    assert len(again) == 9
    assert [house.pacs[name].calls.count("fetch") for name in NAMES] == [1, 1, 0], "what is here is not fetched again"


def test_a_source_that_breaks_off_is_completed_by_another_and_nothing_comes_twice(house: Federation) -> None:
    parts = study(1, range(8), **CITY)
    house.put("alpha", *parts)
    house.put("beta", *parts)
    house.pacs["alpha"].faults = PacsFaults(breaks_after=3)
    got, outcome = fetched(house)
    assert len(got) == 8 and outcome.is_complete
    assert outcome.sources == {"alpha": 3, "beta": 5}
    assert "broke" in outcome.reasons["alpha"]


@pytest.mark.parametrize("deaf", [False, True])
def test_a_source_that_stalls_is_overtaken(house: Federation, deaf: bool) -> None:
    parts = study(1, range(4), **CITY)
    house.put("alpha", *parts)
    house.put("beta", *parts)
    where = located(house)
    house.pacs["alpha"].faults = PacsFaults(hangs=True, deaf=deaf)
    here = house.archives[LOCAL]
    outcome = FetchOutcome(where.wanted())

    def held(_: str, keys: Collection[InstanceKey]) -> dict[InstanceKey, HeldInstance]:
        return {key: one for key in keys for one in here.catalogue.instances(sop=key.sop)}

    fetcher = Fetcher(Means(house.members, house.settings, here.pipeline.offer, held))
    assert len(list(fetcher.fetch(where, outcome.wanted, outcome))) == 4
    assert outcome.sources == {"beta": 4}


def test_what_no_member_delivers_is_named_with_the_reason(house: Federation) -> None:
    house.put("alpha", *study(1, range(5), **CITY))
    house.pacs["alpha"].faults = PacsFaults(breaks_after=2)
    got, outcome = fetched(house)
    assert (len(got), len(outcome.missing), outcome.is_complete) == (2, 3, False)
    assert outcome.reasons == {"alpha": "The connection broke."}


def test_a_member_that_cannot_be_asked_is_reported_by_the_locator(house: Federation) -> None:
    house.put("alpha", *study(1, **CITY))
    house.pacs["beta"].faults = PacsFaults(fails="no")
    where = located(house)
    assert where.holders.keys() == {"alpha"}
    assert [report.name for report in where.missing] == ["beta"]
    assert where.missing[0].outcome is Outcome.FAILED


def test_that_a_member_holds_nothing_is_remembered_but_not_for_ever(house: Federation) -> None:
    now = [0.0]
    locator = Locator(house.members, house.settings, Absences(house.settings.negative, lambda: now[0]))
    locator(uid(1))
    locator(uid(1))
    assert house.pacs["gamma"].calls == ["inventory"]
    house.put("gamma", *study(1, **CITY))
    now[0] = house.settings.negative + 1
    assert locator(uid(1)).holders.keys() == {"gamma"}


@pytest.mark.parametrize(
    ("query", "believed"),
    [
        (Query(Level.STUDY, (Equals(0x0020000D, (uid(1),)),)), True),
        (Query(Level.SERIES, (Equals(0x0020000D, (uid(1),)),)), True),
        (Query(Level.IMAGE, (Equals(0x0020000D, (uid(1),)),)), False),
        (Query(Level.STUDY, (Equals(0x0020000D, (uid(1), uid(2))),)), False),
        (Query(Level.STUDY, (Equals(0x0020000D, (uid(1),)), Equals(0x00080060, ("CT",)))), False),
        (Query(Level.STUDY, (Equals(0x00100020, ("P1",)),)), False),
    ],
)
def test_who_had_no_answer_to_a_question_about_a_study_is_not_asked_what_it_holds_of_it(
    house: Federation, query: Query, believed: bool
) -> None:
    house.put("alpha", *study(1, range(2), **CITY))
    house.pacs["gamma"].faults = PacsFaults(fails="no")
    absences = Absences(house.settings.negative)
    FederatedQuery(house.members, house.settings, absences=absences)(query)
    where = Locator(house.members, house.settings, absences)(uid(1))
    assert where.holders.keys() == {"alpha"}
    assert ("inventory" not in house.pacs["beta"].calls) is believed
    assert "inventory" in house.pacs["alpha"].calls and "inventory" in house.pacs["gamma"].calls
    assert {report.name for report in where.reports} == {LOCAL, *NAMES}


def test_a_series_or_some_instances_are_fetched_alone(house: Federation) -> None:
    house.put("alpha", *study(1, range(3), **CITY), *study(1, range(5, 7), SeriesInstanceUID="1.2.3.4", **CITY))
    where = located(house)
    assert len(where.wanted("1.2.3.4")) == 2
    chosen = set(list(where.wanted("1.2.3.4"))[:1])
    assert where.wanted("1.2.3.4", frozenset(key.sop for key in chosen)) == chosen
