"""``vna ingest``: offer files to the archive."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from vna_core.bootstrap import Archive
from vna_core.cli.options import AsJson, Config, Data, archive_of, print_json
from vna_core.dicom.offered_files import OfferedFile, offered_files
from vna_core.domain.errors import EmptyPayload, OutOfResources, VnaError
from vna_core.domain.octets import CHUNK, Source
from vna_core.domain.outcome import IngestResult, Outcome

WORKERS: Final = 6
"""Instances on their way at once, so that flushes are shared."""

EPILOG = """
Examples:

`vna ingest --data /srv/vna /media/cdrom/DICOMDIR`

`vna ingest --data /srv/vna --json export.zip folder/ > report.jsonl`

Exit code 0 when nothing was quarantined or refused, else 3.
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
) -> int:
    """Offer files to the archive. Works beside a running server on the same folder."""
    missing = [path for path in paths if not path.exists()]
    if missing:
        raise VnaError(f"{missing[0]}: no such file or folder.")
    counts: Counter[str] = Counter()
    octets = 0
    console = Console(stderr=True)
    with archive_of(data, config) as archive, _progress(console) as progress:
        task = progress.add_task("offering", total=None)
        for number, (item, result) in enumerate(_results(archive, offered_files(paths), issuer), 1):
            counts[result.outcome.value] += 1
            octets += item.size
            progress.update(
                task, completed=number, description=f"offering ({counts['quarantined'] + counts['refused']} not taken)"
            )
            if as_json:
                print_json(_line(item, result))
            elif not result.outcome.acknowledged:
                reason = result.error.message if result.error is not None else ""
                progress.console.print(f"{result.outcome.value}: {item.path}: {reason}", markup=False)
    summary = {"offered": sum(counts.values()), **{one.value: counts[one.value] for one in Outcome}, "bytes": octets}
    if as_json:
        print_json({"summary": summary})
    else:
        parts = ", ".join(f"{counts[one.value]} {one.value}" for one in Outcome)
        sys.stdout.write(f"{summary['offered']} offered: {parts}\n")
    return 3 if counts["quarantined"] or counts["refused"] else 0


def _progress(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, disable=not console.is_terminal, transient=True)


def _results(archive: Archive, items: Iterator[OfferedFile], issuer: str) -> Iterator[tuple[OfferedFile, IngestResult]]:
    """Results as they come; reading happens here, one item after the other, offering in parallel."""
    running: dict[Future[IngestResult], OfferedFile] = {}
    with ThreadPoolExecutor(WORKERS, "ingest") as pool:
        for item in items:
            while len(running) >= WORKERS:
                yield from _finished(running)
            running[_begin(archive, item, issuer, pool)] = item
        while running:
            yield from _finished(running)


def _finished(running: dict[Future[IngestResult], OfferedFile]) -> Iterator[tuple[OfferedFile, IngestResult]]:
    done, _ = wait(running, return_when=FIRST_COMPLETED)
    for future in done:
        yield running.pop(future), future.result()


def _begin(archive: Archive, item: OfferedFile, issuer: str, pool: ThreadPoolExecutor) -> Future[IngestResult]:
    source = Source("file", "vna ingest", item.path, issuer)
    if item.open is None:
        return _already(IngestResult(Outcome.REFUSED, error=item.error))
    try:
        with archive.pipeline.reception(source) as reception:
            with item.open() as stream:
                while piece := stream.read(CHUNK):
                    reception.write(piece)
            if not reception.size:
                return _already(IngestResult(Outcome.REFUSED, error=EmptyPayload("The file is empty.")))
            received = reception.finish()
    except VnaError as error:
        return _already(IngestResult(Outcome.REFUSED, error=error))
    except Exception as error:  # damaged archives raise whatever their codec raises: that costs this item only
        failure = VnaError(f"Cannot be read: {type(error).__name__}: {error}.")
        return _already(IngestResult(Outcome.REFUSED, error=failure))

    def offer() -> IngestResult:
        try:
            return archive.pipeline.offer(received)
        except OutOfResources as error:
            return IngestResult(Outcome.REFUSED, error=error)

    return pool.submit(offer)


def _already(result: IngestResult) -> Future[IngestResult]:
    future: Future[IngestResult] = Future()
    future.set_result(result)
    return future


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
