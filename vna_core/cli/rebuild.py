"""``vna rebuild``: the catalogue from the stores."""

from __future__ import annotations

from dataclasses import asdict

import typer
from rich.progress import Progress, TextColumn, TimeElapsedColumn

from vna_core.cli.console import Console
from vna_core.cli.options import AsJson, Config, Data, archive_of, print_json
from vna_core.stewardship.rebuild import rebuild as rebuild_catalogue


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("rebuild", epilog="Example:\n\n`rm /srv/vna/catalogue.sqlite*; vna rebuild --data /srv/vna`")(rebuild)


def rebuild(data: Data = None, config: Config = None, as_json: AsJson = False) -> int:
    """Fill the catalogue from what the stores hold. What it knows already is left as it is, so it may be run again.

    Exit code 3 when an object is damaged.
    """
    console = Console(stderr=True)
    columns = (TextColumn("rebuilding: {task.completed} objects"), TimeElapsedColumn())
    with archive_of(data, config) as archive, Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("rebuild", total=None)
        report = rebuild_catalogue(archive.stores, archive.catalogue, lambda: progress.advance(task))
    if as_json:
        print_json(asdict(report))
    else:
        Console().print(
            f"{report.objects} objects: {report.recorded} recorded, {report.known} known, {report.quarantined} quarantined"
        )
        for key in report.damaged:
            Console().print(f"damaged: {key}")
    return 3 if report.damaged else 0
