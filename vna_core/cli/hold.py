"""``vna hold``: what may not be deleted."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

import typer

from vna_core.cli.console import Console, Table
from vna_core.cli.delete import By, deleting_of, whoever
from vna_core.cli.options import AsJson, Config, Data, archive_of, print_json
from vna_core.domain.stewardship import Extent, Hold

app = typer.Typer(help="Legal holds: what is under one is deleted by no route.", no_args_is_help=True)


def hold_json(hold: Hold) -> dict[str, Any]:
    """A hold for machines."""
    released = hold.released_at.isoformat() if hold.released_at else None
    return {**asdict(hold), "level": hold.level.value, "set_at": hold.set_at.isoformat(), "released_at": released}


@app.command(
    "set",
    epilog="Examples:\n\n`vna hold set study 1.2.3 --reason 'court case 7 C 12/26'`\n\n"
    "`vna hold set patient 0042 --issuer HOSPITAL_A --reason 'complaint'`",
)
def set_(
    level: Annotated[Literal["patient", "study", "series"], typer.Argument(help="Of an instance, hold the series.")],
    identifier: Annotated[str, typer.Argument(help="Patient ID, Study or Series Instance UID.")],
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why.")],
    issuer: Annotated[str, typer.Option("--issuer", help="Assigning authority of the Patient ID.")] = "",
    by: By = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Set a hold. It is in force at once, also for what comes later, and for what is deleted but not purged yet."""
    with archive_of(data, config) as archive:
        hold = deleting_of(archive).set_hold(Extent(level), identifier, reason, whoever(by), issuer)
    if as_json:
        print_json(hold_json(hold))
    else:
        Console().print(f"hold {hold.id} is set")


@app.command("release", epilog="Example:\n\n`vna hold release 20260102T030405678901-0a1b2c3d`")
def release(
    hold: Annotated[str, typer.Argument(help="Hold, as `vna hold list` shows it.")],
    by: By = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Release a hold. It stays known that there was one."""
    with archive_of(data, config) as archive:
        released = deleting_of(archive).release_hold(hold, whoever(by))
    if as_json:
        print_json(hold_json(released))
    else:
        Console().print(f"hold {released.id} is released")


@app.command("list", epilog="Examples:\n\n`vna hold list`\n\n`vna hold list --all --json`")
def list_(
    everything: Annotated[bool, typer.Option("--all", help="Also those that were released.")] = False,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """List holds."""
    with archive_of(data, config) as archive:
        found = archive.catalogue.holds.listed(everything=everything)
    if as_json:
        for hold in found:
            print_json(hold_json(hold))
        return
    table = Table("hold", "level", "identifier", "issuer", "reason", "set by", "released")
    for hold in found:
        released = f"{hold.released_at:%Y-%m-%d %H:%M} {hold.released_by}" if hold.released_at else ""
        table.add_row(hold.id, hold.level.value, hold.identifier, hold.issuer, hold.reason, hold.set_by, released)
    Console().print(table)
