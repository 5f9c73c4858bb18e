"""``vna quarantine``: what could not be archived as DICOM."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Annotated, Any

import typer

from vna_core.bootstrap import Archive
from vna_core.catalogue import QuarantineEntry
from vna_core.cli.console import Console, Table
from vna_core.cli.options import AsJson, Config, Data, archive_of, print_json
from vna_core.domain.outcome import IngestResult

app = typer.Typer(help="List, show and retry what could not be archived as DICOM.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(help="Quarantine id, as `vna quarantine list` shows it.")]


def _entries(archive: Archive) -> list[QuarantineEntry]:
    found: list[QuarantineEntry] = []
    while page := archive.catalogue.quarantined(found[-1].id if found else "", 1000):
        found += page
    return found


def _document(entry: QuarantineEntry) -> dict[str, Any]:
    return {**asdict(entry), "received_at": entry.received_at.isoformat()}


@app.command("list", epilog="Example:\n\n`vna quarantine list --json`")
def list_(data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """List what waits."""
    with archive_of(data, config) as archive:
        entries = _entries(archive)
    if as_json:
        for entry in entries:
            print_json(_document(entry))
        return
    table = Table("id", "received", "octets", "code", "source", "why")
    for entry in entries:
        table.add_row(
            entry.id,
            f"{entry.received_at:%Y-%m-%d %H:%M}",
            f"{entry.size:,}",
            entry.code,
            entry.source.address or entry.source.name,
            entry.message,
        )
    Console().print(table)


@app.command("show", epilog="Example:\n\n`vna quarantine show 0123456789abcdef --original > item.bin`")
def show(
    quarantine_id: Id,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
    original: Annotated[bool, typer.Option("--original", help="Write the octets as received to standard output.")] = False,
) -> None:
    """Show one item, or write its octets."""
    with archive_of(data, config) as archive:
        entry = archive.catalogue.quarantine_entry(quarantine_id)
        if original:
            for piece in archive.pipeline.quarantine.octets(quarantine_id):
                sys.stdout.buffer.write(piece)
            return
    if as_json:
        print_json(_document(entry))
        return
    console = Console()
    for name, value in _document(entry).items():
        console.print(f"{name}: {value}")


@app.command("retry", epilog="Examples:\n\n`vna quarantine retry 0123456789abcdef`\n\n`vna quarantine retry --all`")
def retry(
    quarantine_id: Annotated[str | None, typer.Argument(help="Quarantine id.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every item that waits.")] = False,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> int:
    """Offer items again, for instance after an update of the rules. Exit code 3 when one stays."""
    staying = 0
    with archive_of(data, config) as archive:
        entries = _entries(archive) if everything else [archive.catalogue.quarantine_entry(quarantine_id or "")]
        for entry in entries:
            result = _offer_again(archive, entry)
            if result.outcome.acknowledged:
                archive.pipeline.quarantine.resolve(entry.id, result.outcome.value)
            else:
                staying += 1
            if as_json:
                print_json({"id": entry.id, "outcome": result.outcome.value, "sop_instance_uid": result.sop_instance_uid})
            else:
                sys.stdout.write(
                    f"{entry.id} {result.outcome.value} {result.error.message if result.error else result.sop_instance_uid}\n"
                )
    return 3 if staying else 0


def _offer_again(archive: Archive, entry: QuarantineEntry) -> IngestResult:
    with archive.pipeline.reception(
        entry.source,
        transfer_syntax_uid=entry.transfer_syntax_uid,
        sop_class_uid=entry.sop_class_uid,
        sop_instance_uid=entry.sop_instance_uid,
    ) as reception:
        for piece in archive.pipeline.quarantine.octets(entry.id):
            reception.write(piece)
        return archive.pipeline.offer(reception.finish())
