"""``vna testing``: what engineers test migrations and archives with."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from vna_core.cli.options import AsJson, print_json
from vna_core.cli.stopping import stopped_by_signal
from vna_core.domain.errors import InvalidRequest
from vna_core.testing.hostile_pacs.faults import FAULTS, Face, FaultPlan
from vna_core.testing.hostile_pacs.injection_log import InjectionLog

app = typer.Typer(help="What engineers test archives with.", no_args_is_help=True)

EPILOG = """
Examples:

`vna testing hostile-pacs --seed 7 --faults all --port 4242 --log injections.jsonl`

`vna testing hostile-pacs --seed 7 --faults W8,W20=0.1 --studies 500 --move-to VNA=127.0.0.1:11113`

`vna testing hostile-pacs --seed 7 --face web --port 8042 --log injections.jsonl`

`vna testing hostile-pacs --list --json`

Nothing but the loopback address is listened on. The line `ready PORT` is written when the source answers. Over DICOMweb
its root is `/dicom-web`: `vna migrate run dicomweb+http://127.0.0.1:8042/dicom-web`.
"""


@app.callback()
def group() -> None:
    """What engineers test archives with."""


@app.command("hostile-pacs", epilog=EPILOG)
def hostile_pacs(
    seed: Annotated[int, typer.Option(help="The same seed misbehaves the same way.", min=0)] = 1,
    face: Annotated[Face, typer.Option(help="How it is spoken to: over DIMSE, or by DICOMweb.")] = Face.DIMSE,
    faults: Annotated[str, typer.Option(help="`all`, `none`, or faults with rates: `W1,W20=0.1`.")] = "all",
    studies: Annotated[int, typer.Option(help="Studies it holds.", min=1, max=100_000)] = 100,
    most: Annotated[int, typer.Option(help="Most instances of one study.", min=1, max=999)] = 20,
    cap: Annotated[int, typer.Option(help="Answers after which W8 and H5 stop a query.", min=1)] = 50,
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
    from vna_core.testing.hostile_pacs.web_server import HostileDicomweb

    if show:
        _list(as_json)
        return 0
    plan = FaultPlan.parse(seed, faults, cap, face)
    injections = InjectionLog(log)
    population = Population(plan, studies, most)
    destinations = _destinations(move_to or [])
    served: HostilePacs | HostileDicomweb = HostileDicomweb(population, plan, injections, hang=hang)
    if face is Face.DIMSE:
        served = HostilePacs(population, plan, injections, aet=aet, destinations=destinations, hang=hang)
    stop = stopped_by_signal()
    with served as source:
        sys.stdout.write(f"ready {source.start(port)}\n")
        sys.stdout.flush()
        stop.wait()
    injections.close()
    return 0


def _list(as_json: bool) -> None:
    for one in FAULTS.values():
        if as_json:
            faces = sorted(one.faces)
            print_json(
                {"fault": one.name, "target": one.target, "transient": one.transient, "faces": faces, "summary": one.summary}
            )
        else:
            often = "once" if one.transient else "always"
            sys.stdout.write(f"{one.name:4} {one.target.value:9} {often:7} {one.only or 'both':6} {one.summary}\n")


def _destinations(texts: list[str]) -> dict[str, tuple[str, int]]:
    found: dict[str, tuple[str, int]] = {}
    for text in texts:
        title, equals, address = text.partition("=")
        host, colon, port = address.rpartition(":")
        if not (equals and colon and port.isdigit() and 0 < int(port) < 65536):
            raise InvalidRequest(f"{text!r}: a destination is given as AET=HOST:PORT.")
        found[title] = (host, int(port))
    return found
