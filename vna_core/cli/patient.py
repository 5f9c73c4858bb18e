"""``vna patient``: which Patient IDs mean one person."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from vna_core.bootstrap import Archive
from vna_core.cli.console import Console, Table
from vna_core.cli.options import AsJson, Config, Data, archive_of, operator, print_json
from vna_core.domain.errors import InvalidRequest
from vna_core.domain.identity import Demographics, LinkKind, LinkOrigin, PatientLink
from vna_core.domain.query import Level, Query
from vna_core.gateways.admin.patient_links import link_json
from vna_core.stewardship.links_in_doubt import links_in_doubt
from vna_core.stewardship.patient_identity import PatientIdentity, key_text, parse_key

app = typer.Typer(help="Which Patient IDs mean one person: link, merge, move, and take back.", no_args_is_help=True)

First = Annotated[str, typer.Argument(help="Patient ID as ID^^^ISSUER.")]
Second = Annotated[str, typer.Argument(help="The other Patient ID as ID^^^ISSUER.")]
Why = Annotated[str, typer.Option("--reason", help="Why; it is kept with the decision.")]
Number = Annotated[int, typer.Argument(help="Number of the decision, as `vna patient list` shows it.")]


def _identity(archive: Archive) -> PatientIdentity:
    match = archive.settings.identity.match
    return PatientIdentity(archive.catalogue, archive.audit, operator(), match)


def _show(links: list[PatientLink], as_json: bool) -> None:
    if as_json:
        for link in links:
            print_json(link_json(link))
        return
    table = Table("number", "what", "first", "second", "study", "why", "by", "when", "taken back")
    for link in links:
        undone = f"{link.undone_at:%Y-%m-%d %H:%M} by {link.undone_by}: {link.undone_reason}" if link.undone_at else ""
        made = f"{link.made_at:%Y-%m-%d %H:%M}"
        names = (key_text(link.first), key_text(link.second), link.study_instance_uid)
        table.add_row(str(link.id), link.kind.value, *names, link.reason, f"{link.made_by} ({link.origin.value})", made, undone)
    Console().print(table)


def _done(data: Path | None, config: Path | None, as_json: bool, work: Callable[[PatientIdentity], PatientLink]) -> None:
    with archive_of(data, config) as archive:
        _show([work(_identity(archive))], as_json)


def _decided(
    kind: LinkKind, first: str, second: str, reason: str, study: str, data: Path | None, config: Path | None, as_json: bool
) -> None:
    if not reason.strip():
        raise InvalidRequest("Say why with --reason: it is kept with the decision.")
    keys = parse_key(first), parse_key(second)
    _done(data, config, as_json, lambda identity: identity.decide(kind, *keys, reason, LinkOrigin.HAND, study))


@app.command("list", epilog="Example:\n\n`vna patient list --all --json`")
def list_(
    everything: Annotated[bool, typer.Option("--all", help="Also decisions that were taken back.")] = False,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """List decisions in force."""
    with archive_of(data, config) as archive:
        links: list[PatientLink] = []
        while page := archive.catalogue.identity.listed(all_=everything, after=links[-1].id if links else 0):
            links += page
    _show(links, as_json)


@app.command("link", epilog="Example:\n\n`vna patient link 4711^^^RAD 0815^^^CARD --reason 'passport seen'`")
def link(
    first: First, second: Second, reason: Why = "", data: Data = None, config: Config = None, as_json: AsJson = False
) -> None:
    """Say that two IDs mean one person. Both stay in use."""
    _decided(LinkKind.LINK, first, second, reason, "", data, config, as_json)


@app.command("merge", epilog="Example:\n\n`vna patient merge 4712^^^RAD 4711^^^RAD --reason 'registered twice'`")
def merge(
    first: First, second: Second, reason: Why = "", data: Data = None, config: Config = None, as_json: AsJson = False
) -> None:
    """Let the first ID go up in the second, which is shown in its place. Stored images stay as they are."""
    _decided(LinkKind.MERGE, first, second, reason, "", data, config, as_json)


@app.command("move", epilog="Example:\n\n`vna patient move 1.2.840.1 4711^^^RAD 4712^^^RAD --reason 'wrong worklist entry'`")
def move(
    study: Annotated[str, typer.Argument(help="Study Instance UID.")],
    first: First,
    second: Second,
    reason: Why = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Let a study of the first patient be the second's. Stored images stay as they are."""
    _decided(LinkKind.MOVE, first, second, reason, study, data, config, as_json)


@app.command("unlink", epilog="Example:\n\n`vna patient unlink 17 --reason 'another person'`")
@app.command("unmerge", epilog="Example:\n\n`vna patient unmerge 18 --reason 'another person'`")
def undo(number: Number, reason: Why = "", data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """Take a decision back, whatever was decided since."""
    if not reason.strip():
        raise InvalidRequest("Say why with --reason: it is kept with the decision.")
    _done(data, config, as_json, lambda identity: identity.undo(number, reason))


@app.command("explain", epilog="Example:\n\n`vna patient explain 4711^^^RAD`")
def explain(patient: First, data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """Show which IDs mean the same person as this one, and every decision that named it."""
    key = parse_key(patient)
    with archive_of(data, config) as archive:
        identity = archive.catalogue.identity
        same, shown, links = identity.same_person(key), identity.shown_as([key])[key], identity.history(key)
    document = {
        "patient": patient,
        "shown_as": key_text(shown),
        "same_person": sorted(map(key_text, same)),
        "decisions": [link_json(one) for one in links],
    }
    if as_json:
        print_json(document)
        return
    Console().print(f"shown as {document['shown_as']}; the same person: {', '.join(sorted(map(key_text, same)))}")
    _show(links, False)


@app.command("review", epilog="Example:\n\n`vna patient review --json`")
def review(data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """List links that a rule made of demographics which are not equal any more, and in what they differ.

    They stay in force until somebody takes them back with `vna patient unlink`.
    """
    with archive_of(data, config, reading=True) as archive:
        found = list(links_in_doubt(archive.catalogue))
    if as_json:
        for one in found:
            print_json(link_json(one.link) | {"differs": list(one.differs)})
        return
    table = Table("number", "first", "second", "why", "by", "when", "differs in")
    for one in found:
        link = one.link
        named = (str(link.id), key_text(link.first), key_text(link.second), link.reason, link.made_by)
        table.add_row(*named, f"{link.made_at:%Y-%m-%d %H:%M}", ", ".join(one.differs))
    Console().print(table)


@app.command("match", epilog="Example:\n\n`vna patient match --config /etc/vna.yaml`")
def match(data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """Link patients of different issuers whose demographics are equal, as far as `identity.match` demands.

    What somebody took back is not linked again.
    """
    with archive_of(data, config) as archive:
        if not archive.settings.identity.match:
            raise InvalidRequest("There is no rule: set identity.match, for instance to [name, birth-date, sex].")
        identity = _identity(archive)
        made: list[PatientLink] = []
        for one in archive.catalogue.search(Query(Level.PATIENT)).matches:
            said: Demographics | None = archive.catalogue.identity.demographics(one.patient)
            if said is not None and one.patient.patient_id:
                made += identity.match_one(said)
    _show(made, as_json)
