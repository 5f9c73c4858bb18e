"""``vna corrections``: what was corrected here or elsewhere, which member has not applied it yet, and telling it again."""

from __future__ import annotations

from typing import Annotated

import typer

from vna_core.bootstrap_federation import correction_sender
from vna_core.cli.console import Console, Table
from vna_core.cli.options import AsJson, Config, Data, archive_of, print_json
from vna_core.domain.corrections import Correction, Delivery, DeliveryState
from vna_core.domain.errors import NotFound, PeerUnavailable
from vna_core.gateways.admin.corrections import correction_json

app = typer.Typer(
    help="Merges, moves, rejections and deletions that travel to members of the federation, and who has applied them.",
    no_args_is_help=True,
)

INCOMPLETE = 3

Id = Annotated[str, typer.Argument(help="Correction, as `vna corrections list` shows it.")]
OfMember = Annotated[str, typer.Option("--member", help="One member.", show_default="all")]


@app.command("list", epilog="Examples:\n\n`vna corrections list --waiting`\n\n`vna corrections list --member heart --json`")
def list_(
    waiting: Annotated[bool, typer.Option("--waiting", help="Those that somebody has not applied.")] = False,
    member: OfMember = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """List corrections, oldest first, each with how far every member is; with --member those that it has not applied."""
    table = Table("number", "what", "reason", "by", "when", "members", "id")
    with archive_of(data, config) as archive:
        ledger = archive.catalogue.corrections
        after = 0
        while page := ledger.listed(after=after, member=member, waiting=waiting):
            after = page[-1].number
            told = ledger.deliveries(page)
            for one in page:
                if as_json:
                    print_json(correction_json(one, told[one.number]))
                    continue
                states = ", ".join(f"{each.member}: {each.state.value}" for each in told[one.number]) or "nobody is told"
                made = (one.reason, one.made_by, f"{one.made_at:%Y-%m-%d %H:%M}")
                table.add_row(str(one.number), _what(one), *made, states, one.id)
    if not as_json:
        Console().print(table)


def _what(one: Correction) -> str:
    if one.undoes:
        return f"{one.kind.value} taken back"
    if "first" in one.content:
        first, second = ("^^^".join(reversed(one.content[name])) for name in ("first", "second"))
        return f"{one.kind.value} {one.content.get('study', '')} {first} to {second}".replace("  ", " ")
    return f"{one.kind.value} {one.content.get('code', '')}".strip()


@app.command("show", epilog="Example:\n\n`vna corrections show 2.25.329800735698586629295641978511506172918`")
def show(correction: Id, data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """Show one correction, and for each member whether it has applied it, how often it was tried, and why not."""
    with archive_of(data, config) as archive:
        found = archive.catalogue.corrections.find(correction)
        if found is None:
            raise NotFound("There is no such correction: `vna corrections list` shows them.", id=correction)
        told = archive.catalogue.corrections.deliveries([found])[found.number]
    if as_json:
        print_json(correction_json(found, told))
        return
    origin = f", from {found.origin}" if found.origin else ""
    Console().print(f"{_what(found)}: {found.reason} (by {found.made_by}{origin}, {found.made_at:%Y-%m-%d %H:%M})")
    _print(told)


def _print(deliveries: list[Delivery]) -> None:
    table = Table("member", "state", "attempts", "last", "why")
    for one in deliveries:
        table.add_row(one.member, one.state.value, str(one.attempts), f"{one.updated_at:%Y-%m-%d %H:%M}", one.error)
    Console().print(table)


@app.command("retry", epilog="Examples:\n\n`vna corrections retry 2.25.3298`\n\n`vna corrections retry --member heart`")
def retry(
    correction: Annotated[str, typer.Argument(help="One correction.", show_default="all")] = "",
    member: OfMember = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Have told again what members refused or do not take, after what was in the way is gone; the worker does it."""
    with archive_of(data, config) as archive:
        number = archive.catalogue.corrections.retry(correction, member)
    if as_json:
        print_json({"deliveries": number})
    else:
        Console().print(f"{number} deliveries are tried again")


@app.command("send", epilog="Example:\n\n`vna corrections send --member heart`")
def send(member: OfMember = "", data: Data = None, config: Config = None, as_json: AsJson = False) -> int:
    """Tell members now what waits for them, without waiting for the worker. Exit code 3 when somebody has not applied everything."""
    console = Console(stderr=True)
    with archive_of(data, config) as archive:
        sender, ledger = correction_sender(archive), archive.catalogue.corrections
        names = sorted({name for (name, state) in ledger.counts() if state == DeliveryState.WAITING.value})
        for name in [one for one in names if member in ("", one)]:
            with console.status(f"telling {name}", spinner="line"):
                try:
                    sender.send(name)
                except PeerUnavailable as error:
                    console.print(f"{name}: {error.message}", style="yellow")
        counts = {key: number for key, number in ledger.counts().items() if member in ("", key[0])}
    table = Table("member", "state", "corrections")
    for (name, state), number in sorted(counts.items()):
        if as_json:
            print_json({"member": name, "state": state, "corrections": number})
        table.add_row(name, state, str(number))
    if not as_json:
        Console().print(table)
    left = (DeliveryState.WAITING.value, DeliveryState.REFUSED.value)
    return INCOMPLETE if any(state in left for _, state in counts) else 0
