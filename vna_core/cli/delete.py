"""``vna delete``, ``vna undelete`` and ``vna purge``: deletion in two steps."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from vna_core.bootstrap import Archive
from vna_core.cli.console import Console, Table
from vna_core.cli.options import AsJson, Config, Data, account, archive_of, print_json
from vna_core.domain.stewardship import Deletion, Extent
from vna_core.stewardship.calendar import length_of
from vna_core.stewardship.deletion import Deleting

app = typer.Typer(help="Delete, so that it can be taken back: hidden at once, purged later.", no_args_is_help=True)

Uid = Annotated[str, typer.Argument(help="Its UID.")]
Reason = Annotated[str, typer.Option("--reason", "-r", help="Why; it stays known.")]
By = Annotated[str, typer.Option("--by", help="Who.", show_default="the account of this machine")]
Id = Annotated[str, typer.Argument(help="Deletion, as `vna delete list` shows it.")]


def whoever(by: str) -> str:
    """Who is named, or the account that runs the command."""
    return by or account()


def deleting_of(archive: Archive) -> Deleting:
    """What deletes in this archive."""
    return Deleting(archive.stores, archive.landing, archive.catalogue, auditor=archive.audit)


def _delete(level: Extent, uid: str, reason: str, by: str, archive: Archive, as_json: bool) -> None:
    with archive:
        deletion = deleting_of(archive).delete(level, uid, reason, whoever(by))
        staying = [one.id for one in archive.catalogue.deletions.staying(deletion)]
        grace = archive.settings.retention.grace
    if as_json:
        print_json({**deletion.as_dict(), "staying": staying})
        return
    console = Console()
    console.print(f"{deletion.id}: {deletion.versions} versions hidden, {deletion.size:,} octets")
    console.print(f"`vna undelete {deletion.id}` takes it back, until it is purged ({grace} from now at the earliest).")
    for one in staying:
        console.print(
            f"Octets of it stay, as {one} rejected them or set them aside: `vna undelete {one}` and delete again, to have them go."
        )


_REFUSED = "Refused while a hold is on any of it."


@app.command("study", help=f"Hide a study. {_REFUSED}", epilog="Example:\n\n`vna delete study 1.2.3 --reason 'wrong patient'`")
def study(uid: Uid, reason: Reason, by: By = "", data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """See `help` above."""
    _delete(Extent.STUDY, uid, reason, by, archive_of(data, config), as_json)


@app.command("series", help=f"Hide a series. {_REFUSED}", epilog="Example:\n\n`vna delete series 1.2.3.4 --reason 'test images'`")
def series(uid: Uid, reason: Reason, by: By = "", data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """See `help` above."""
    _delete(Extent.SERIES, uid, reason, by, archive_of(data, config), as_json)


@app.command(
    "instance",
    help=f"Hide an instance with all its versions. {_REFUSED}",
    epilog="Example:\n\n`vna delete instance 1.2.3.4.5 --reason 'burned-in name'`",
)
def instance(uid: Uid, reason: Reason, by: By = "", data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """See `help` above."""
    _delete(Extent.INSTANCE, uid, reason, by, archive_of(data, config), as_json)


@app.command("list", epilog="Examples:\n\n`vna delete list`\n\n`vna delete list --state purged --json`")
def list_(
    state: Annotated[str, typer.Option(help="hidden, undone, purging or purged.", show_default="all")] = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """List deletions: what, when, by whom, why, and how it stands."""
    found: list[Deletion] = []
    with archive_of(data, config) as archive:
        while page := archive.catalogue.deletions.listed(*([state] if state else []), after=found[-1].id if found else ""):
            found += page
    if as_json:
        for one in found:
            print_json(one.as_dict())
        return
    table = Table("deletion", "state", "level", "UID", "versions", "by", "reason", "ended")
    for one in found:
        ended = f"{one.ended_at:%Y-%m-%d %H:%M} {one.ended_by}" if one.ended_at else ""
        table.add_row(one.id, one.state, one.level.value, one.uid, str(one.versions), one.deleted_by, one.reason, ended)
    Console().print(table)


def add_to(app: typer.Typer) -> None:
    """Register the commands that end a deletion."""
    app.command("undelete", epilog="Example:\n\n`vna undelete 20260102T030405678901-0a1b2c3d`")(undelete)
    app.command("purge", epilog="Examples:\n\n`vna purge`\n\n`vna purge 20260102T030405678901-0a1b2c3d --json`")(purge)


def undelete(deletion: Id, by: By = "", data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """Take a deletion back: what was hidden is held again, exactly as it was."""
    with archive_of(data, config) as archive:
        done = deleting_of(archive).undelete(deletion, whoever(by))
    if as_json:
        print_json(done.as_dict())
    else:
        Console().print(f"{done.id}: {done.versions} versions are held again")


def purge(
    deletion: Annotated[str | None, typer.Argument(help="One deletion.", show_default="all that are due")] = None,
    by: By = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> int:
    """Remove the octets of deletions whose time of grace is over (`retention.grace`), in every store. There is no way back.

    What is under hold stays hidden. What stays known: UIDs, digests, who, when and why. Exit code 3 when objects could not be
    removed yet: they are locked, lie in a pack with others, or a store does not answer. Workers go on with them (job `purge`).
    """
    console = Console(stderr=True)
    with archive_of(data, config) as archive, console.status("purging", spinner="line"):
        grace = length_of(archive.settings.retention.grace, datetime.now(UTC))
        report = deleting_of(archive).purge(whoever(by), grace, deletion)
    if as_json:
        print_json(asdict(report))
    else:
        out = Console()
        out.print(f"{len(report.purged)} deletions purged, {report.objects} objects removed")
        for one, hold in report.held.items():
            out.print(f"{one}: under hold {hold}")
        for left in report.left:
            out.print(f"{left.deletion}: {left.key}: {left.why}")
    return 3 if report.left else 0
