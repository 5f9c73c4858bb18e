"""``vna scrub`` and ``vna repair``: whether every copy is as it should be, and putting right what is not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from fractions import Fraction
from threading import Event
from typing import Annotated, Any

import typer
from rich.progress import Progress, TextColumn, TimeElapsedColumn

from vna_core.bootstrap import Archive
from vna_core.catalogue.checks import ObjectCheck, ScrubRun
from vna_core.cli.console import Console, Table
from vna_core.cli.options import AsJson, Config, Data, archive_of, print_json
from vna_core.cli.stopping import stopped_by_signal
from vna_core.configuration.stewardship import checked_share
from vna_core.domain.errors import InvalidRequest
from vna_core.stewardship.repair import LOST, Repair, Repairing
from vna_core.stewardship.scrub import Scrub, ScrubReport

_INCOMPLETE = 3


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command(
        "scrub", epilog="Examples:\n\n`vna scrub`\n\n`vna scrub --share 1/30 --rate 50000000 --json`\n\n`vna scrub --findings`"
    )(scrub)
    app.command("repair", epilog="Examples:\n\n`vna repair`\n\n`vna repair --no-adopt --json`")(repair)


def scrub(
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
    share: Annotated[str, typer.Option(help="Part of all objects to read, those first that were not read for longest.")] = "1",
    rate: Annotated[int, typer.Option(min=0, help="Octets a second that are read at most; 0: no limit.")] = 0,
    findings: Annotated[bool, typer.Option("--findings", help="Only list what earlier scrubs have found.")] = False,
) -> int:
    """Read every copy in every store against its digest. Interrupted, the same command goes on where it was.

    Finds bit rot, truncated, missing and orphaned objects, and copies in stores that are not configured. Exit code 3 when
    anything is wrong, a store did not answer, or it was stopped.
    """
    try:
        fraction = Fraction(checked_share(share))
    except ValueError as error:
        raise InvalidRequest(f"--share {share!r}: {error}.") from error
    stop = None if findings else stopped_by_signal(second_ends=True)
    with archive_of(data, config) as archive:
        report = None if stop is None else _scrubbed(archive, fraction, rate, stop)
        found = list(_findings(archive))
    if as_json:
        print_json({**_document(report), "findings": [_finding(one) for one in found]})
    else:
        _print(report, found)
    return 0 if not found and (report is None or report.complete) else _INCOMPLETE


def _scrubbed(archive: Archive, share: Fraction, rate: int, stop: Event) -> ScrubReport:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("scrubbing", total=None)

        def told(run: ScrubRun) -> None:
            counts = run.counts
            read = f"{counts.get('read', 0):,} read ({counts.get('octets', 0) / 1e9:.2f} GB)"
            where = f"{run.position.get('store', '')}: {counts.get('compared', 0):,} compared, {read}"
            progress.update(task, description=where)

        return Scrub(archive.stores, archive.catalogue, rate=rate).run(share, told, stop.is_set)


def _findings(archive: Archive) -> Iterator[ObjectCheck]:
    after = ("", "")
    while page := archive.catalogue.checks.findings(after=after):
        yield from page
        after = (page[-1].store, page[-1].key)


def _document(report: ScrubReport | None) -> dict[str, Any]:
    if report is None:
        return {}
    run = report.run
    return {
        "scrub": run.id,
        "share": run.scope,
        "started_at": run.started_at.isoformat(),
        "complete": report.complete,
        "unavailable": list(report.unavailable),
        "counts": dict(run.counts),
    }


def _finding(one: ObjectCheck) -> dict[str, Any]:
    return {**asdict(one), "checked_at": one.checked_at.isoformat() if one.checked_at else None}


def _print(report: ScrubReport | None, found: list[ObjectCheck]) -> None:
    console = Console()
    if report is not None:
        counts = report.run.counts
        console.print(f"{counts.get('compared', 0):,} objects compared, {counts.get('read', 0):,} read")
        for name in report.unavailable:
            console.print(f"store {name} did not answer: run the command again")
        if not report.complete and not report.unavailable:
            console.print("stopped: the same command goes on where it was")
    if not found:
        console.print("nothing is wrong" if report is None or report.complete else "nothing wrong was found so far")
        return
    table = Table("finding", "store", "key", "detail")
    for one in found:
        table.add_row(one.outcome, one.store, one.key, one.detail)
    console.print(table)
    console.print("`vna repair` puts right what can be.")


def repair(
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
    adopt: Annotated[bool, typer.Option(help="Record orphans that are good; otherwise they are listed.")] = True,
) -> int:
    """Restore what a scrub found bad or missing from good copies, and record orphans. Exit code 3 when something stays wrong.

    Nothing is deleted but what is certainly damaged, at the moment in which a proven copy takes its place.
    """
    console = Console(stderr=True)
    with archive_of(data, config) as archive, console.status("repairing", spinner="line") as status:

        def told(one: Repair) -> None:
            status.update(f"{one.outcome}: {one.key}")

        report = Repairing(archive.stores, archive.catalogue, adopt=adopt).run(told)
    if as_json:
        print_json({"repairs": [asdict(one) for one in report.repairs], "notes": report.notes, "counts": report.counts()})
    else:
        table = Table("outcome", "finding", "store", "key", "detail")
        for one in report.repairs:
            table.add_row(one.outcome, one.finding, one.store, one.key, one.detail)
        Console().print(table)
        Console().print(", ".join(f"{count} {outcome}" for outcome, count in report.counts().items()) or "nothing to repair")
        if LOST in report.counts():
            Console().print(
                "What is lost comes back when its source sends it again, or when the store's files are restored from a backup; "
                "then run `vna scrub` and `vna repair`. The UIDs of study and series are in the key.",
            )
    return 0 if report.complete else _INCOMPLETE
