"""Members of the federation and how they are, as every process of the run sees them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from vna_core.federation.health import State
from vna_core.federation.members import Member, Members
from vna_core.gateways.web.exchange import Exchange
from vna_core.metering import Meters
from vna_core.metering.metrics import FEDERATION_FAILURES, FEDERATION_MEMBER, FEDERATION_SECONDS

_WORST: Final = (State.OPEN, State.TRYING, State.CLOSED)


class MemberStates:
    """GET `/federated/members`: members, what they may be asked for, and their circuits in every process."""

    def __init__(self, members: Members, run: Meters) -> None:
        self._members = members
        self._run = run

    async def __call__(self, exchange: Exchange) -> None:
        await exchange.json(states_of(self._members, self._run))


def states_of(members: Members, run: Meters) -> list[dict[str, Any]]:
    """Every member; its ``state`` is the worst of its circuits, as each process that asks it has one of its own."""
    circuits = _circuits(run)
    return [_state_of(one, circuits.get(one.name, {})) for one in members]


def _circuits(run: Meters) -> dict[str, dict[str, dict[str, Any]]]:
    """Member and process to the state of the circuit, failures in a row, and seconds of an answer (None before the first)."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for reading in run.readings():
        if reading.metric not in (FEDERATION_MEMBER, FEDERATION_FAILURES, FEDERATION_SECONDS):
            continue
        member, *state, process = reading.labels
        circuit = found.setdefault(member, {}).setdefault(process, {"state": "", "failures": 0, "latency": None})
        (number,) = reading.numbers
        if reading.metric is FEDERATION_FAILURES:
            circuit["failures"] = int(number)
        elif reading.metric is FEDERATION_SECONDS:
            circuit["latency"] = None if number < 0 else round(number, 3)
        elif number:
            circuit["state"] = state[0]
    return found


def _state_of(one: Member, circuits: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    states = {circuit["state"] for circuit in circuits.values()}
    return {
        "name": one.name,
        "department": one.settings.department,
        "issuer": one.settings.issuer,
        "allow": sorted(one.settings.allow),
        "state": next((state.value for state in _WORST if state.value in states), one.breaker.health.state.value),
        "failures": max((circuit["failures"] for circuit in circuits.values()), default=0),
        "error": one.breaker.health.error,
        "processes": [{"process": process, **circuits[process]} for process in sorted(circuits)],
    }
