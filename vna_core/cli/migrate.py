"""``vna migrate``: fill the archive from a legacy PACS."""

from __future__ import annotations

import sys
from collections import Counter
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from vna_core.bootstrap import open_source
from vna_core.cli.options import AsJson, Config, Data, archive_of, print_json
from vna_core.domain.outcome import IngestResult
from vna_core.migration.campaign import CampaignRunner
from vna_core.migration.report import CampaignReport
from vna_core.ports.pacs_options import without_secrets

app = typer.Typer(help="Fill the archive from a legacy PACS.", no_args_is_help=True)

EPILOG = """
Examples:

`vna migrate run dimse://OLDPACS@10.0.0.7:104 --data /srv/vna`

`vna migrate run 'dimse://OLDPACS@10.0.0.7:104?calling=VNA&issuer=HOSPITAL' --concurrency 2 --json`

Run again, it fetches only what is missing. Exit code 0 only if nothing failed and nothing is missing, else 3.
"""


@app.callback()
def group() -> None:
    """Fill the archive from a legacy PACS."""


@app.command("run", epilog=EPILOG)
def run(
    source: Annotated[str, typer.Argument(help="URL, path or configured name of the source: dimse://CALLED@HOST:PORT")],
    data: Data = None,
    config: Config = None,
    concurrency: Annotated[int | None, typer.Option(help="Retrievals at once.", min=1, max=64)] = None,
    as_json: AsJson = False,
) -> int:
    """Inventory a source, pull what is missing, compare, and report."""
    console = Console(stderr=True)
    with archive_of(data, config) as archive:
        adapter = open_source(archive.settings, archive.plugins, source)
        try:
            with _Shown(console, as_json) as shown:
                runner = CampaignRunner(campaign_name(source), adapter, archive.pipeline, archive.catalogue, shown)
                report = runner.run(concurrency)
        finally:
            adapter.close()
    if as_json:
        print_json({"summary": report.as_dict()})
    else:
        _print(report, shown.rules)
    return 0 if report.complete else 3


def campaign_name(source: str) -> str:
    """The campaign's name: the source without its options."""
    return without_secrets(source)


class _Shown:
    """Progress on the terminal, and one JSON line an instance where asked for."""

    def __init__(self, console: Console, as_json: bool) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        self._bars = Progress(*columns, console=console, disable=not console.is_terminal)
        self._task = self._bars.add_task("inventory", total=None)
        self._as_json = as_json
        self.rules: Counter[str] = Counter()

    def __enter__(self) -> _Shown:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def inventoried(self, studies: int, instances: int) -> None:
        self._bars.update(self._task, description=f"inventory: {studies} studies", advance=instances)

    def planned(self, instances: int) -> None:
        self._bars.reset(self._task, total=instances, description="fetching")

    def fetched(self, result: IngestResult) -> None:
        self._bars.advance(self._task)
        self.rules.update(change.rule for change in result.transformations)
        if self._as_json:
            print_json(
                {
                    "sop_instance_uid": result.sop_instance_uid,
                    "outcome": result.outcome.value,
                    "changes": len(result.transformations),
                }
            )


def _print(report: CampaignReport, rules: Counter[str]) -> None:
    lines = [
        f"inventoried {report.inventoried} instances of {report.studies} studies; fetched {report.fetched} now",
        f"  = {report.held} held + {report.duplicate} duplicate + {report.conflict} conflict + {report.quarantined} quarantined"
        f" + {report.failed} failed + {report.missing} missing: the sum {'closes' if report.closes else 'does not close'}",
    ]
    if report.unexpected:
        lines.append(f"  {report.unexpected} delivered that the inventory does not name")
    if rules:
        lines.append("normalized: " + ", ".join(f"{rule} x{count}" for rule, count in rules.most_common(12)))
    sys.stdout.write("\n".join(lines) + "\n")
