"""Fetching begins while it is still being asked who holds what, and the answer is the same as if everybody had been waited for."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.unit.federation.federated_members import Federation, federation, study, uid
from tests.unit.federation.test_passing import CITY, Asking, anything
from vna_core.domain.corrections import AwaitedRejection
from vna_core.federation.members import LOCAL, Outcome
from vna_core.testing.faulty_pacs import PacsFaults

LONG = 20.0
"""Seconds that nothing takes here."""


class Order:
    """Has one member list what it holds only after another was asked to deliver."""

    def __init__(self, house: Federation, monkeypatch: pytest.MonkeyPatch, waits: str, delivers: str) -> None:
        self.fetched = threading.Event()
        self.in_time = False
        listing, fetch = house.pacs[waits].inventory, house.pacs[delivers].fetch

        def inventory(*arguments: Any, **named: Any) -> Iterator[Any]:
            self.in_time = self.fetched.wait(LONG)
            return listing(*arguments, **named)

        def fetching(*arguments: Any, **named: Any) -> Any:
            self.fetched.set()
            return fetch(*arguments, **named)

        monkeypatch.setattr(house.pacs[waits], "inventory", inventory)
        monkeypatch.setattr(house.pacs[delivers], "fetch", fetching)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Federation]:
    with federation(tmp_path, ("alpha", "beta"), deadline=LONG, stall=0.3) as opened:
        yield opened


@pytest.fixture
def asking(house: Federation, tmp_path: Path) -> Iterator[Asking]:
    made = Asking(house, tmp_path / "hub")
    with closing(made.memory):
        yield made


def given(asking: Asking, *, taken_in: bool = False) -> tuple[list[str], Any]:
    """SOP Instance UIDs in the order in which they come, and the retrieval."""
    retrieval = asking.begin(None if taken_in else anything)
    return [one.sop_instance_uid for one in asking.bringing.passed_on(retrieval)], retrieval


@pytest.mark.parametrize("taken_in", [False, True])
def test_the_first_member_delivers_while_others_are_still_asked(
    house: Federation, asking: Asking, monkeypatch: pytest.MonkeyPatch, taken_in: bool
) -> None:
    parts = study(1, range(6), **CITY)
    house.put("alpha", *parts[:4])
    house.put("beta", *parts[2:])
    order = Order(house, monkeypatch, waits="beta", delivers="alpha")
    got, retrieval = given(asking, taken_in=taken_in)
    assert order.in_time
    assert len(got) == 6 == len(set(got)) and retrieval.outcome.is_complete
    assert retrieval.outcome.sources == {"alpha": 4, "beta": 2}
    assert {one.name for one in retrieval.located.reports} == {LOCAL, "alpha", "beta"}
    holders = {name: {key.sop for key in held} for name, held in retrieval.located.holders.items()}
    assert holders == {"alpha": set(got[:4]), "beta": {*got[4:], *sorted(got[:4])[2:]}}


def test_a_member_that_is_preferred_is_waited_for(house: Federation, asking: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    house.put("alpha", *study(1, range(3), **CITY))
    house.put("beta", *study(1, range(3), **CITY))
    answered = threading.Event()
    listing = house.pacs["beta"].inventory

    def later(*arguments: Any, **named: Any) -> Iterator[Any]:
        answered.wait(LONG)
        return real(*arguments, **named)

    def soon(*arguments: Any, **named: Any) -> Iterator[Any]:
        yield from listing(*arguments, **named)
        answered.set()

    real = house.pacs["alpha"].inventory
    monkeypatch.setattr(house.pacs["alpha"], "inventory", later)
    monkeypatch.setattr(house.pacs["beta"], "inventory", soon)
    got, retrieval = given(asking)
    assert len(got) == 3 and retrieval.outcome.sources == {"alpha": 3}
    assert "fetch" not in house.pacs["beta"].calls


def test_one_that_breaks_off_is_completed_by_one_that_answered_later(
    house: Federation, asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = study(1, range(5), **CITY)
    house.put("alpha", *parts)
    house.put("beta", *parts)
    house.pacs["alpha"].faults = PacsFaults(breaks_after=2)
    order = Order(house, monkeypatch, waits="beta", delivers="alpha")
    got, retrieval = given(asking)
    assert order.in_time and len(got) == 5 == len(set(got))
    assert retrieval.outcome.sources == {"alpha": 2, "beta": 3}


def test_a_member_that_is_silent_is_named_before_anything_goes_out(house: Federation, asking: Asking) -> None:
    house.put("alpha", *study(1, range(3), **CITY))
    house.pacs["beta"].faults = PacsFaults(fails="no")
    retrieval = asking.begin(anything)
    assert [one.name for one in retrieval.silent] == ["beta"] and retrieval.silent[0].outcome is Outcome.FAILED
    assert len(list(asking.bringing.passed_on(retrieval))) == 3
    assert "beta" in retrieval.warnings[0]


def test_what_is_rejected_here_is_not_brought_ahead(house: Federation, asking: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    house.put("alpha", *study(1, range(4), **CITY))
    sops = sorted(one.sop_instance_uid for one in house.archives["alpha"].catalogue.instances(study=uid(1)))
    rejected = AwaitedRejection("1.2.3", uid(1), sops[0], "113001", ("ae-title", "QA", "127.0.0.1"))
    house.archives[LOCAL].catalogue.rejections.await_([rejected])
    order = Order(house, monkeypatch, waits="beta", delivers="alpha")
    got, retrieval = given(asking, taken_in=True)
    assert order.in_time and sorted(got) == sops[1:]
    assert retrieval.outcome.is_complete
    assert {one.sop_instance_uid for one in asking.memory.present().catalogue.instances(study=uid(1))} == set(sops[1:])


def test_what_is_kept_is_not_asked_for_again(house: Federation, asking: Asking) -> None:
    house.put("alpha", *study(1, range(3), **CITY))
    assert given(asking)[0] and given(asking)[0]
    assert house.pacs["alpha"].calls.count("fetch") == 1


def test_a_retrieval_that_nobody_reads_ends_when_it_is_closed(house: Federation, asking: Asking) -> None:
    house.put("alpha", *study(1, range(3), **CITY))
    hanging = house.pacs["alpha"]
    real = hanging.inventory

    def then_hangs(*arguments: Any, **named: Any) -> Iterator[Any]:
        yield from real(*arguments, **named)
        hanging.faults = PacsFaults(hangs=True)

    hanging.inventory = then_hangs  # type: ignore[method-assign]
    retrieval = asking.begin(anything)
    assert retrieval.begun is not None
    retrieval.close()
    retrieval.close()
    for one in threading.enumerate():
        if one.name == "fetch-alpha":
            one.join(LONG)
    assert "fetch-alpha" not in {one.name for one in threading.enumerate()}
    assert hanging.calls.count("fetch") == 1
