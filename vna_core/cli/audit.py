"""``vna audit``: who did what."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from vna_core.cli.console import Console, Table
from vna_core.cli.options import AsJson, Config, Data, archive_of, operator, print_json
from vna_core.domain.audit import AuditEvent, AuditEventId
from vna_core.domain.errors import InvalidRequest
from vna_core.stewardship.audit import verification
from vna_core.stewardship.audit.xml import audit_message

app = typer.Typer(help="The audit trail: list, verify, export.", no_args_is_help=True)

Since = Annotated[str, typer.Option(help="Records from this time on: 2026-11-26 or 2026-11-26T09:00 (UTC).")]
Who = Annotated[str, typer.Option("--principal", help="Records of this principal or AE title.")]
About = Annotated[str, typer.Option("--about", help="Records about this Study Instance UID or Patient ID.")]


def _wanted(folder: Path, since: str, who: str, about: str) -> Iterator[dict[str, Any]]:
    for record in verification.read(folder):
        if "event" not in record or record["event"]["time"] < since:
            continue
        if who and all(participant["user_id"] != who for participant in record["participants"]):
            continue
        if about and all(about not in (one["id"], one["id"].split("^^^")[0]) for one in record["objects"]):
            continue
        yield record


def _folder(data: Path | None, config: Path | None, what: str) -> Path:
    """The folder of the trail; that it is used is recorded before it is read (PS3.15 A.5.3.2)."""
    with archive_of(data, config) as archive:
        archive.audit.note_durably(AuditEvent(AuditEventId.AUDIT_LOG_USED, operator(), description=what))
        return archive.audit.folder


@app.command(
    "list", epilog="Examples:\n\n`vna audit list --since 2026-11-26 --principal viewer`\n\n`vna audit list --about 4711 --json`"
)
def list_(
    since: Since = "",
    who: Who = "",
    about: About = "",
    limit: Annotated[int, typer.Option(help="The latest so many records.", min=1)] = 100,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Show the latest records."""
    found = deque(_wanted(_folder(data, config, "list"), since, who, about), maxlen=limit)
    if as_json:
        for record in found:
            print_json(record)
        return
    table = Table("time", "event", "outcome", "who", "from", "about", "note")
    for record in found:
        event, asker = record["event"], record["participants"][0]
        about_what = ", ".join(one["id"] for one in record["objects"])
        outcome = {0: "success", 4: "failed", 8: "denied"}.get(event["outcome"], str(event["outcome"]))
        row = (event["time"][:19], event["id"][2], outcome, asker["user_id"], asker.get("network_access_point", ""), about_what)
        table.add_row(*row, event.get("description", ""))
    Console().print(table)


@app.command("verify", epilog="Example:\n\n`vna audit verify --config /etc/vna.yaml`")
def verify(data: Data = None, config: Config = None, as_json: AsJson = False) -> int:
    """Read every record and find what was altered, removed or reordered. Exit code 1 when anything was."""
    with archive_of(data, config) as archive:
        archive.audit.note_durably(AuditEvent(AuditEventId.AUDIT_LOG_USED, operator(), description="verify"))
        report = verification.verify(archive.audit.folder, tuple(archive.stores.values()))
    if as_json:
        print_json(asdict(report))
    else:
        Console().print(f"{report.records:,} records, {report.anchors:,} anchors compared, {len(report.findings)} findings")
        for one in report.findings:
            Console().print(f"{one.kind}: record {one.number} in {one.where}")
    return 1 if report.findings else 0


@app.command("export", epilog="Example:\n\n`vna audit export --format xml --since 2026-11-01 -o november.xml`")
def export(
    output: Annotated[Path, typer.Option("--output", "-o", help="File; - for standard output.")] = Path("-"),
    form: Annotated[str, typer.Option("--format", help="json (a record a line) or xml (messages of PS3.15 A.5).")] = "json",
    since: Since = "",
    who: Who = "",
    about: About = "",
    data: Data = None,
    config: Config = None,
) -> None:
    """Write records as JSON lines, or as XML messages inside one element."""
    if form not in ("json", "xml"):
        raise InvalidRequest(f"--format {form!r}: json or xml.")
    records = _wanted(_folder(data, config, "export"), since, who, about)
    if str(output) == "-":
        for piece in _pieces(records, form):
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
        return
    with output.open("wb") as stream:
        for piece in _pieces(records, form):
            stream.write(piece)


def _pieces(records: Iterator[dict[str, Any]], form: str) -> Iterator[bytes]:
    import json

    if form == "json":
        for record in records:
            yield json.dumps(record, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
        return
    yield b'<?xml version="1.0" encoding="UTF-8"?>\n<AuditMessages>\n'
    for record in records:
        yield audit_message(record) + b"\n"
    yield b"</AuditMessages>\n"
