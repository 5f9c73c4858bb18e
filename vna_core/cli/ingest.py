"""``vna ingest``: offer files to the archive."""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from vna_core.bootstrap import own_folders
from vna_core.cli.commands import importing
from vna_core.cli.console import Console
from vna_core.cli.ingest_helpers import IngestHelpers
from vna_core.cli.offering import Offering
from vna_core.cli.options import AsJson, Config, Data, Processes, archive_for, print_json, settings_of
from vna_core.cli.ordered import processors
from vna_core.cli.patience import Patience
from vna_core.dicom.offered_files import OfferedFile, offered_files
from vna_core.domain.outcome import IngestResult, Outcome
from vna_core.plugin_manager import Plugins

EPILOG = """
Examples:

`vna ingest --data /srv/vna /media/cdrom/DICOMDIR`

`vna ingest --data /srv/vna --json export.zip folder/ > report.jsonl`

Exit code 0 when everything was offered and nothing was quarantined or refused, else 3. The summary comes in any case; `stopped` in it says why not everything was offered.
"""


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("ingest", epilog=EPILOG)(ingest)


def ingest(
    paths: Annotated[list[Path], typer.Argument(help="Files, folders, DICOMDIR, ZIP or TAR files.")],
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
    issuer: Annotated[str, typer.Option(help="Assigning authority of Patient IDs that carry none.")] = "",
    wait: Annotated[
        float, typer.Option(min=0, help="Seconds to wait for an archive that can take nothing now; then the run stops.")
    ] = 60.0,
    processes: Processes = None,
) -> int:
    """Offer files to the archive. Works beside a running server on the same folder.

    Links to folders are not followed, and this archive's own folders are left out where they lie in an offered one.

    Results come in the order of the items, and mean that the item is durable. While the catalogue or a store does not answer, or a disk is full, items are tried again. A run that stopped, or was interrupted, is simply repeated: what is held already ends as duplicate.
    """
    counts: Counter[str] = Counter()
    octets = 0
    console = Console(stderr=True)
    settings, plugins = settings_of(data, config), Plugins()
    with importing():
        plugins.load()
    with (
        contextlib.closing(IngestHelpers(settings, processes or processors(), plugins)) as helpers,
        archive_for(settings, helpers.sharing, plugins=plugins) as archive,
        contextlib.closing(helpers.colleagues(archive)) as colleagues,
        _progress(console) as progress,
    ):
        task = progress.add_task("offering", total=None)
        patience = Patience(wait, lambda error: progress.console.print(f"waiting: {error.message}"))
        items = offered_files(paths, but=own_folders(settings))
        offering = Offering(archive.pipeline, issuer, patience, colleagues)
        for number, (item, result) in enumerate(offering.results(helpers.called_for(items)), 1):
            counts[result.outcome.value] += 1
            octets += item.size
            progress.update(
                task, completed=number, description=f"offering ({counts['quarantined'] + counts['refused']} not taken)"
            )
            if as_json:
                print_json(_line(item, result))
            elif not result.outcome.acknowledged:
                reason = result.error.message if result.error is not None else ""
                progress.console.print(f"{result.outcome.value}: {item.path}: {reason}")
    summary: dict[str, Any] = {
        "offered": sum(counts.values()),
        **{one.value: counts[one.value] for one in Outcome},
        "bytes": octets,
    }
    if patience.over is not None:
        summary["stopped"] = patience.over.as_dict()
        console.print(f"Stopped: {patience.over.message} What was not offered is still to be offered: call this again.")
    if as_json:
        print_json({"summary": summary})
    else:
        parts = ", ".join(f"{counts[one.value]} {one.value}" for one in Outcome)
        sys.stdout.write(f"{summary['offered']} offered: {parts}\n")
    return 3 if counts["quarantined"] or counts["refused"] or patience.over is not None else 0


def _progress(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, disable=not console.is_terminal, transient=True)


def _line(item: OfferedFile, result: IngestResult) -> dict[str, Any]:
    line: dict[str, Any] = {
        "path": item.path,
        "outcome": result.outcome.value,
        "study_instance_uid": result.study_instance_uid,
        "series_instance_uid": result.series_instance_uid,
        "sop_instance_uid": result.sop_instance_uid,
        "changes": len(result.transformations),
        "quarantine_id": result.quarantine_id,
    }
    if result.error is not None:
        line["error"] = {"code": result.error.code, "message": result.error.message}
    return line
