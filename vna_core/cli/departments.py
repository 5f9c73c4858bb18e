"""``vna departments``: what belongs to which department, and who may do what."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Final

import typer
from rich.progress import Progress

from vna_core.access.policy import Policy
from vna_core.cli.console import Console, Table
from vna_core.cli.options import AsJson, Config, Data, archive_of, print_json, settings_of
from vna_core.domain.access import Action, Principal, PrincipalKind, Scope
from vna_core.domain.errors import InvalidRequest

app = typer.Typer(help="Departments: what belongs to them, and who may do what.", no_args_is_help=True)

_KINDS: Final = {"token": PrincipalKind.TOKEN, "ae": PrincipalKind.AE_TITLE}


@app.command("list", epilog="Example:\n\n`vna departments list --config /etc/vna.yaml --json`")
def list_(data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """Count what has the label of each department and collection."""
    with archive_of(data, config) as archive:
        counted = archive.catalogue.labelling.counts()
    if as_json:
        for one in counted:
            print_json(asdict(one))
        return
    table = Table("department or collection", "studies", "instances")
    for one in counted:
        table.add_row(one.label, f"{one.studies:,}", f"{one.instances:,}")
    Console().print(table)


@app.command("assign", epilog="Example:\n\n`vna departments assign --config /etc/vna.yaml`")
def assign(data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """Give everything that is held the labels that the configuration says now. Run it after departments or collections change.

    May be interrupted and run again, also while the archive serves.
    """
    console = Console(stderr=True)
    with archive_of(data, config) as archive, Progress(console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("assigning", total=archive.catalogue.statistics().versions)
        changed = archive.catalogue.labelling.relabel_all(lambda done: progress.advance(task, done))
    if as_json:
        print_json({"changed": changed})
    else:
        Console().print(f"{changed:,} versions have other labels now")


@app.command("who", epilog="Examples:\n\n`vna departments who token:viewer`\n\n`vna departments who ae:CT1@10.0.0.7 --json`")
def who(
    principal: Annotated[str, typer.Argument(help="token:NAME, or ae:TITLE@ADDRESS.")],
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Show what somebody may do, and where."""
    policy = Policy(settings_of(data, config))
    asked = _principal(principal)
    scopes = {action.value: _shown(policy.scope(asked, action)) for action in Action}
    glass = {one.value: _shown(policy.emergency_scope(asked, one)) for one in (Action.QUERY, Action.RETRIEVE)}
    document = {
        "principal": principal,
        "department": policy.department(asked),
        "administrator": policy.is_administrator(asked),
        "may": scopes,
        "break_glass": glass if policy.may_break_glass(asked) else None,
    }
    if as_json:
        print_json(document)
        return
    console = Console()
    console.print(f"{principal}: {document['department'] or 'no department'}")
    table = Table("action", "where")
    for action, where in scopes.items():
        table.add_row(action, _sentence(where))
    if document["break_glass"]:
        for action, where in glass.items():
            table.add_row(f"{action}, glass broken", _sentence(where))
    console.print(table)


def _principal(text: str) -> Principal:
    kind, separator, rest = text.partition(":")
    if not separator or kind not in _KINDS or not rest:
        raise InvalidRequest(f"{text!r}: expected token:NAME or ae:TITLE@ADDRESS.")
    name, _, address = rest.partition("@") if kind == "ae" else (rest, "", "")
    return Principal(_KINDS[kind], name, address)


def _shown(scope: Scope) -> list[str] | str:
    return "everything" if scope.labels is None else sorted(scope.labels)


def _sentence(where: list[str] | str) -> str:
    return where if isinstance(where, str) else ", ".join(where) or "nowhere"
