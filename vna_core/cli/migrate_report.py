"""``vna migrate report``: how a migration stands, as HTML and CSV."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from vna_core.bootstrap_migration import campaign_name
from vna_core.cli.migrate_progress import worker_name
from vna_core.cli.options import AsJson, Config, Data, SourceName, archive_of, print_json
from vna_core.migration.campaign import looked_at
from vna_core.migration.report_tables import html_page, report_tables, write_csv

EPILOG = """
Examples:

`vna migrate report oldpacs --out report/`

`vna migrate report oldpacs --json`
"""


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("report", epilog=EPILOG)(report)


def report(
    source: SourceName,
    data: Data = None,
    config: Config = None,
    out: Annotated[Path, typer.Option(help="Folder for index.html and one CSV file a table.")] = Path("migration-report"),
    as_json: AsJson = False,
) -> None:
    """Write the reports: progress by day, exceptions, identity, reconciliation whose sums close, and fidelity."""
    with archive_of(data, config) as archive:
        campaign = looked_at(archive.catalogue, campaign_name(source), worker_name())
        tables = report_tables(archive.catalogue, campaign)
    if as_json:
        for table in tables:
            print_json({"table": table.name, "rows": [dict(zip(table.columns, row, strict=True)) for row in table.rows]})
        return
    written = write_csv(tables, out)
    page = out / "index.html"
    page.write_text(html_page(tables, f"Migration of {campaign.name}"), encoding="utf-8")
    sys.stdout.write("".join(f"{path}\n" for path in (page, *written)))
