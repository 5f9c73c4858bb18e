"""The circuit breaker: every state meets every event, and a member that recovers is asked again."""

from __future__ import annotations

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from vna_core.federation.health import TRANSITIONS, Breaker, Event, State


def test_every_state_has_an_answer_to_every_event() -> None:
    assert set(TRANSITIONS) == set(product(State, Event))


def test_failures_in_a_row_open_the_circuit_and_one_success_closes_it() -> None:
    now = [0.0]
    breaker = Breaker(3, 10.0, lambda: now[0])
    for _ in range(2):
        breaker.failed("no")
    breaker.succeeded(0.5)
    for number in range(3):
        assert breaker.may_ask()
        breaker.failed(f"no {number}")
    assert not breaker.may_ask()
    assert (breaker.health.state, breaker.health.error) == (State.OPEN, "no 2")
    now[0] = 10.0
    assert breaker.may_ask(), "one tries it"
    assert not breaker.may_ask(), "the others wait"
    breaker.failed("still no")
    assert not breaker.may_ask()
    now[0] = 20.0
    assert breaker.may_ask()
    breaker.succeeded(0.1)
    assert breaker.may_ask() and breaker.health.failures == 0


def test_a_trial_that_never_comes_back_does_not_close_the_door_for_ever() -> None:
    now = [0.0]
    breaker = Breaker(1, 5.0, lambda: now[0])
    breaker.failed("no")
    now[0] = 5.0
    assert breaker.may_ask()
    now[0] = 10.0
    assert breaker.may_ask()


@given(st.lists(st.sampled_from(["ask", "success", "failure", "wait"]), max_size=60))
def test_a_closed_circuit_always_asks_and_an_open_one_never_before_its_pause(steps: list[str]) -> None:
    now = [0.0]
    breaker = Breaker(2, 10.0, lambda: now[0])
    opened = None
    for step in steps:
        before = breaker.health.state
        if step == "ask":
            if breaker.may_ask():
                assert before is State.CLOSED or now[0] - (opened or 0.0) >= 10.0
            else:
                assert before is not State.CLOSED
        elif step == "success":
            breaker.succeeded(1.0)
            assert breaker.health.state is State.CLOSED
        elif step == "failure":
            breaker.failed("no")
        else:
            now[0] += 4.0
        after = breaker.health.state
        if after is not before and after in (State.OPEN, State.TRYING):
            opened = now[0]
