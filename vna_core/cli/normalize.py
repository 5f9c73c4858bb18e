"""``vna normalize``: what normalization did and would do."""

from __future__ import annotations

import typer

from vna_core.cli import normalize_report

app = typer.Typer(no_args_is_help=True, help="What normalization did to what is held.")
app.command("report", epilog="Examples:\n\n`vna normalize report`\n\n`vna normalize report --source LEGACY_PACS --json`")(
    normalize_report.report
)
