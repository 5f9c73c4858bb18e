"""Whole lives at random, for as long as one likes: ``python -m tests.unit.life.at_length --examples 500 --steps 50``.

What fails is printed as a list of calls; with ``--shrink`` the shortest that fails is looked for.
"""

from __future__ import annotations

import argparse
import uuid
from contextlib import ExitStack

import structlog
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.peers.postgresql import PostgresqlServer, postgresql
from tests.unit.life.test_whole_life import WholeLife

SERVER: list[PostgresqlServer] = []


class OnPostgresql(WholeLife):
    """The same on a database server."""

    def new_catalogue(self) -> str | None:
        return SERVER[0].new_database(uuid.uuid4().hex)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=100)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--postgresql", action="store_true")
    parser.add_argument("--shrink", action="store_true")
    told = parser.parse_args()
    structlog.configure(processors=[_dropped])
    with ExitStack() as stack:
        machine: type[WholeLife] = WholeLife
        if told.postgresql:
            SERVER.append(stack.enter_context(postgresql()))
            machine = OnPostgresql
        run_state_machine_as_test(  # type: ignore[no-untyped-call]
            seed(told.seed)(machine) if told.seed else machine,
            settings=settings(
                max_examples=told.examples,
                stateful_step_count=told.steps,
                deadline=None,
                phases=(Phase.generate, Phase.shrink) if told.shrink else (Phase.generate,),
                database=None,
                print_blob=False,
                suppress_health_check=list(HealthCheck),
            ),
        )


def _dropped(*_: object) -> dict[str, object]:
    raise structlog.DropEvent


if __name__ == "__main__":
    main()
