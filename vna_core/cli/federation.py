"""``vna federation``: members and how they are, and one question to all of them."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from vna_core.bootstrap import Archive
from vna_core.bootstrap_federation import open_federation
from vna_core.cli.console import Console, Table
from vna_core.cli.find import conditions_of
from vna_core.cli.options import AsJson, Config, Data, archive_of, print_json
from vna_core.configuration.tls import TlsSettings
from vna_core.dicom.network.tls import ClientTls
from vna_core.dicom.network.web_client import WebClient, authorization
from vna_core.domain.deadline import Deadline
from vna_core.domain.errors import ConfigurationError, InvalidRequest, PeerError
from vna_core.domain.query import Level, Query
from vna_core.federation.fan_out import FanOut
from vna_core.federation.federation import Federation
from vna_core.federation.members import LOCAL, Member
from vna_core.federation.rows import text
from vna_core.gateways.federated_rows import described
from vna_core.ports.pacs import PacsAbilities

app = typer.Typer(help="Archives that are asked together with this one.", no_args_is_help=True)

INCOMPLETE = 3
_PROBE = 10.0
"""Seconds that a probe may take at least: it opens connections of every kind that the member may offer."""


def _federation(archive: Archive) -> Federation:
    federation = open_federation(archive)
    if federation is None:
        raise ConfigurationError("No members are configured. Name them under `federation.members`.", setting="federation.members")
    return federation


@app.command("status", epilog="Examples:\n\n`vna federation status --json`\n\n`vna federation status --at http://127.0.0.1:8042`")
def status(
    at: Annotated[str, typer.Option(help="Address of the running archive: show the circuits of its processes as well.")] = "",
    token: Annotated[str, typer.Option(help="Bearer token for `--at`.", envvar="VNA_TOKEN")] = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> int:
    """Ask every member whether it answers, and show what it can do. Exit code 3 when one does not."""
    failed = 0
    table = Table("member", "department", "issuer", "may be asked for", "answers", "what", *(("circuits",) if at else ()))
    with archive_of(data, config) as archive:
        circuits = _circuits(at, token, archive.settings.tls) if at else {}
        federation = _federation(archive)
        for one, said in _probed(federation):
            failed += not said["answers"]
            if at:
                said["circuits"] = circuits.get(one.name, [])
            if as_json:
                print_json(said)
            else:
                allowed = ", ".join(said["allow"])
                answers = "yes" if said["answers"] else "no"
                told = [", ".join(f"{each['process']} {each['state']}" for each in said["circuits"])] if at else []
                what = said["product"] or said["error"]
                table.add_row(one.name, said["department"], said["issuer"], allowed, answers, what, *told)
        federation.close()
    if not as_json:
        Console().print(table)
    return INCOMPLETE if failed else 0


def _circuits(at: str, token: str, tls: TlsSettings) -> dict[str, list[dict[str, Any]]]:
    """Member to its circuits in the processes of a running archive. Raises ConfigurationError, PeerError."""
    try:
        address = urlsplit(at)
        valid = address.scheme in ("http", "https") and bool(address.hostname) and address.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise ConfigurationError("--at takes the address of the running archive, such as http://127.0.0.1:8042.")
    client = WebClient(address, authorization(address, token, "", ""), ClientTls.of(tls))
    try:
        listed = client.document("/federated/members", deadline=Deadline(_PROBE))
    finally:
        client.close()
    if not isinstance(listed, list):
        raise PeerError("The archive at this address does not list members.")
    return {str(one["name"]): list(one.get("processes", [])) for one in listed if isinstance(one, dict) and "name" in one}


def _probed(federation: Federation) -> list[tuple[Member, dict[str, Any]]]:
    """Every member, asked at once; one that does not answer within the deadline of queries is told so and not waited for."""
    told: dict[str, dict[str, Any]] = {}

    def probe(one: Member, deadline: Deadline) -> list[PacsAbilities]:
        del deadline  # an adapter's probe has its own; nobody waits for it beyond that of the question
        return [one.adapter.probe()]

    for heard in FanOut().ask(federation.members, probe, max(federation.settings.deadline, _PROBE), lambda one: 1):
        said = told.setdefault(heard.member.name, {"answers": True, "seconds": 0.0, "retrieve": "", "product": "", "error": ""})
        if heard.answer is not None:
            said |= {"retrieve": heard.answer.retrieve, "product": heard.answer.product}
        elif heard.report is not None:
            error = "" if heard.report.outcome.is_whole else heard.report.sentence
            said |= {"answers": heard.report.outcome.is_whole, "seconds": round(heard.report.seconds, 3), "error": error}
    return [
        (
            one,
            {
                "name": one.name,
                "department": one.settings.department,
                "issuer": one.settings.issuer,
                "allow": sorted(one.settings.allow),
                **told[one.name],
            },
        )
        for one in federation.members
    ]


@app.command(
    "find",
    epilog="Examples:\n\n`vna federation find PatientID=4711 IssuerOfPatientID=CITY`\n\n`vna federation find StudyDate=20260101- --json`",
)
def find(
    keys: Annotated[list[str] | None, typer.Argument(help="KEYWORD=VALUE, as `vna find` takes them.")] = None,
    level: Annotated[str, typer.Option(help="patient, study, series or image.")] = "study",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> int:
    """Ask all members at once. Exit code 3 when one did not answer in full; it is named."""
    try:
        wanted = Level(level.upper().replace("INSTANCE", "IMAGE"))
    except ValueError as error:
        raise InvalidRequest(f"--level {level!r}: patient, study, series or image.") from error
    conditions = conditions_of(keys or ())
    console = Console(stderr=True)
    table = Table("patient", "issuer", "date", "description", "instances", "held by", "differs in", "UID")
    with archive_of(data, config) as archive:
        federation = _federation(archive)
        answer = federation.query(Query(wanted, conditions))
        federation.close()
    if answer.unmatched:
        names = ", ".join(f"{tag:08X}" for tag in answer.unmatched)
        console.print(f"Not matched by every member, so rows may be too many: {names}", style="yellow")
    for row in answer.rows:
        if as_json:
            print_json(described(row, archive.settings.federation.aet))
            continue
        cells = [text(row.attributes, tag) for tag in ("00080020", "00081030", "00201208")]
        names = ", ".join(name if name != LOCAL else "here" for name in row.sources)
        uid = text(row.attributes, "00080018") or text(row.attributes, "0020000E") or text(row.attributes, "0020000D")
        table.add_row(row.patient.patient_id, row.patient.issuer, *cells, names, ", ".join(sorted(row.disagreements)), uid)
    if not as_json:
        Console().print(table)
    for report in answer.reports:
        if as_json:
            print_json({"member": report.as_dict()})
        elif not report.outcome.is_whole:
            console.print(f"The member {report.sentence}.", style="yellow")
    return INCOMPLETE if answer.missing else 0
