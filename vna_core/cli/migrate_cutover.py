"""``vna migrate cutover``: whether the archive answers for a source whose studies are still being moved."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from vna_core.bootstrap_migration import campaign_name
from vna_core.catalogue.cutovers import CutOverState
from vna_core.cli.options import AsJson, Config, Data, archive_of, operator, print_json
from vna_core.domain.errors import InvalidRequest
from vna_core.domain.migration import AWAITED
from vna_core.migration.campaign import loaded

EPILOG = """
Examples:

`vna migrate cutover`

`vna migrate cutover oldpacs --off`

`vna migrate cutover dimse://OLDPACS@10.0.0.7:104 --on --json`

`vna migrate cutover oldpacs --automatic`

While it is on, C-FIND and QIDO-RS list what was not moved yet as NEARLINE, and C-MOVE, C-GET and WADO-RS have it fetched while their
client waits. Running servers follow within two seconds.
"""


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("cutover", epilog=EPILOG)(cutover)


def cutover(
    source: Annotated[str | None, typer.Argument(help="Campaign; all where none is given.")] = None,
    data: Data = None,
    config: Config = None,
    on: Annotated[bool, typer.Option("--on", help="Answer for its whole source, once an inventory is whole.")] = False,
    off: Annotated[bool, typer.Option("--off", help="Answer for what was moved only.")] = False,
    automatic: Annotated[bool, typer.Option("--automatic", help="Do as the setting `cutover.automatic` says.")] = False,
    as_json: AsJson = False,
) -> int:
    """Say or see whether the archive answers for a whole source while its studies are still being moved."""
    if on + off + automatic > 1:
        raise InvalidRequest("Give one of --on, --off and --automatic.")
    if (on or off or automatic) and source is None:
        raise InvalidRequest("Name the campaign for which that is to be so; `vna migrate cutover` lists them.")
    with archive_of(data, config) as archive:
        catalogue = archive.catalogue
        cutovers = catalogue.awaited.cutovers
        name = loaded(catalogue, campaign_name(source)).name if source is not None else None
        if name is not None and (on or off or automatic):
            cutovers.decide(name, None if automatic else on, operator().name)
        for one in cutovers.states():
            if name in (None, one.campaign):
                waiting = {state.value for state in AWAITED}
                tallies = catalogue.ledger_reader.tallies(one.campaign)
                studies = sum(tally.number for tally in tallies if tally.level == "study" and tally.state in waiting)
                _show(_document(one, cutovers.automatic, studies), as_json)
    return 0


def _document(one: CutOverState, automatic: bool, studies: int) -> dict[str, Any]:
    answering = one.answering(automatic)
    return {
        "campaign": one.campaign,
        "answering": answering,
        "decided": one.decided,
        "awaited_studies": studies,
        "why": "" if answering else _why_not(one, automatic),
    }


def _why_not(one: CutOverState, automatic: bool) -> str:
    if one.cancelled:
        return "the campaign is cancelled"
    if one.decided is False:
        return "switched off"
    if one.decided is None and not automatic:
        return "cutover.automatic is false, and nobody switched it on"
    return "nothing is left to be moved" if one.inventoried else "no inventory is whole yet"


def _show(document: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json({"cutover": document})
        return
    state = "answering for the whole source" if document["answering"] else f"not answering: {document['why']}"
    sys.stdout.write(f"{document['campaign']}: {state}; {document['awaited_studies']} studies not moved yet\n")
