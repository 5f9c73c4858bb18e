"""``vna stats``: how much is held."""

from __future__ import annotations

from dataclasses import asdict

import typer

from vna_core.cli.console import Console, Table
from vna_core.cli.options import AsJson, Config, Data, archive_of, print_json


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("stats", epilog="Example:\n\n`vna stats --data /srv/vna --json`")(stats)


def stats(data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """Count patients, studies, series, instances, versions, conflicts, quarantined items and octets."""
    with archive_of(data, config, reading=True) as archive:
        counted = asdict(archive.catalogue.statistics())
    if as_json:
        print_json(counted)
        return
    table = Table("what", "count")
    for name, value in counted.items():
        table.add_row(name, f"{value:,}")
    Console().print(table)
