"""``vna testing``: what engineers test migrations and archives with."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from vna_core.cli.options import AsJson, print_json
from vna_core.cli.stopping import stopped_by_signal
from vna_core.domain.errors import InvalidRequest
from vna_core.testing.hostile_pacs.faults import FAULTS, FaultPlan
from vna_core.testing.hostile_pacs.injection_log import InjectionLog

app = typer.Typer(help="What engineers test archives with.", no_args_is_help=True)

EPILOG = """
Examples:

`vna testing hostile-pacs --seed 7 --faults all --port 4242 --log injections.jsonl`

`vna testing hostile-pacs --seed 7 --faults W8,W20=0.1 --studies 500 --move-to VNA=127.0.0.1:11113`

`vna testing hostile-pacs --list --json`

Nothing but the loopback address is listened on. The line `ready PORT` is written when the source answers.
"""


@app.callback()
def group() -> None:
    """What engineers test archives with."""


@app.command("hostile-pacs", epilog=EPILOG)
def hostile_pacs(
    seed: Annotated[int, typer.Option(help="The same seed misbehaves the same way.", min=0)] = 1,
    faults: Annotated[str, typer.Option(help="`all`, `none`, or faults with rates: `W1,W20=0.1`.")] = "all",
    studies: Annotated[int, typer.Option(help="Studies it holds.", min=1, max=100_000)] = 100,
    most: Annotated[int, typer.Option(help="Most instances of one study.", min=1, max=999)] = 20,
    cap: Annotated[int, typer.Option(help="Answers after which W8 stops a query.", min=1)] = 50,
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.", min=0, max=65535)] = 0,
    aet: Annotated[str, typer.Option(help="Its application entity title.")] = "OLDPACS",
    move_to: Annotated[
        list[str] | None, typer.Option(help="Destination of C-MOVE as AET=HOST:PORT.", metavar="AET=HOST:PORT")
    ] = None,
    hang: Annotated[float, typer.Option(help="Seconds for which a retrieval hangs that is never answered.", min=0)] = 3600.0,
    log: Annotated[Path | None, typer.Option(help="File for one JSON line for each fault played.")] = None,
    show: Annotated[bool, typer.Option("--list", help="Only list the faults it can play.")] = False,
    as_json: AsJson = False,
) -> int:
    """Run a source archive that misbehaves on purpose, until it is interrupted."""
    # Here, because phantoms need NumPy, which no other command should wait for.
    from vna_core.testing.hostile_pacs.population import Population
    from vna_core.testing.hostile_pacs.server import HostilePacs

    if show:
        _list(as_json)
        return 0
    plan = FaultPlan.parse(seed, faults, cap)
    injections = InjectionLog(log)
    population = Population(plan, studies, most)
    stop = stopped_by_signal()
    with HostilePacs(population, plan, injections, aet=aet, destinations=_destinations(move_to or []), hang=hang) as source:
        sys.stdout.write(f"ready {source.start(port)}\n")
        sys.stdout.flush()
        stop.wait()
    injections.close()
    return 0


def _list(as_json: bool) -> None:
    for one in FAULTS.values():
        if as_json:
            print_json({"fault": one.name, "target": one.target.value, "transient": one.transient, "summary": one.summary})
        else:
            sys.stdout.write(f"{one.name:4} {one.target.value:9} {'once' if one.transient else 'always':7} {one.summary}\n")


def _destinations(texts: list[str]) -> dict[str, tuple[str, int]]:
    found: dict[str, tuple[str, int]] = {}
    for text in texts:
        title, equals, address = text.partition("=")
        host, colon, port = address.rpartition(":")
        if not (equals and colon and port.isdigit() and 0 < int(port) < 65536):
            raise InvalidRequest(f"{text!r}: a destination is given as AET=HOST:PORT.")
        found[title] = (host, int(port))
    return found
