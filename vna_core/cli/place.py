"""``vna place``: where copies must be: what a policy would do and cost, how far it is, and catching up with it."""

from __future__ import annotations

import sys
import time
from collections import Counter
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from vna_core.archival_storage.placement import PlacementPolicy
from vna_core.bootstrap_jobs import job_work
from vna_core.catalogue import Catalogue
from vna_core.cli.console import Console, Table, shown
from vna_core.cli.options import AsJson, Config, Data, archive_of, print_json, settings_of
from vna_core.domain.errors import ConfigurationError
from vna_core.domain.placement import PLACE
from vna_core.gateways.admin.placement import status_of
from vna_core.stewardship.placement_plan import PlacementPlan, planned
from vna_core.stewardship.placement_rounds import SCAN, ask_for_scan

app = typer.Typer(help="Placement: where copies must be, what that costs, and how far it is.", no_args_is_help=True)

_PAUSE = 0.5
_MOST = 10_000
"""Jobs that are asked why they wait."""
_TOLD = 3
"""Reasons that are told, the most frequent first."""
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


@app.command(
    "plan",
    epilog="Examples:\n\n`vna place plan`\n\n`vna place plan --config other.yaml` asks another policy, and changes nothing\n\n"
    "`vna place plan --json`",
)
def plan(data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """Show what the policy would do with everything held, and what it costs before and after. Asks no store."""
    settings = settings_of(data, config)
    policy, console = PlacementPolicy.of(settings), Console(stderr=True)
    with Catalogue.open(settings.catalogue, settings.data) as catalogue, _progress(console) as progress:
        task = progress.add_task("looking at series", total=catalogue.statistics().series)
        found = planned(catalogue, policy, settings.placement, lambda series: progress.update(task, completed=series))
    if as_json:
        print_json(found.document())
    else:
        _print_plan(found)


@app.command("status", epilog="Examples:\n\n`vna place status`\n\n`vna place status --usage --json`")
def status(
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
    usage: Annotated[bool, typer.Option("--usage", help="Also count every copy by store, tier and state.")] = False,
) -> None:
    """Show how many series have all their copies, and what waits or failed."""
    settings = settings_of(data, config)
    policy = PlacementPolicy.of(settings)
    with Catalogue.open(settings.catalogue, settings.data) as catalogue:
        document = status_of(catalogue, policy)
        if usage:
            names = ("store", "tier", "state", "copies", "octets")
            document["usage"] = [{name: getattr(one, name) for name in names} for one in catalogue.placements.usage()]
    if as_json:
        print_json(document)
    else:
        _print_status(document)


@app.command("apply", epilog="Examples:\n\n`vna place apply`\n\n`vna place apply --wait`")
def apply(
    data: Data = None,
    config: Config = None,
    wait: Annotated[bool, typer.Option("--wait", help="Do the work here, beside the workers, until nothing is free.")] = False,
) -> None:
    """Have every series brought to where the policy wants it, in the background; it goes on after an interruption."""
    with archive_of(data, config) as archive:
        if not archive.availability.policy.digest:
            raise ConfigurationError("There are no placement rules: add `placement.rules` to the configuration.")
        ask_for_scan(archive.catalogue, archive.availability.policy, again=True)
        if not wait:
            sys.stdout.write("Asked for. `vna place status` shows how far it is.\n")
            return
        with _progress(Console(stderr=True)) as progress:
            task = progress.add_task("jobs", total=None)
            work, done = job_work(archive, "cli"), 0
            while (more := work.run_until_idle(200)) or archive.catalogue.jobs.listed(kind=SCAN, state="open"):
                done += more
                progress.update(task, completed=done, total=done + sum(archive.catalogue.jobs.counts().values()))
                time.sleep(0.0 if more else _PAUSE)
        document = status_of(archive.catalogue, archive.availability.policy)
        errors = Counter(job.error for job in archive.catalogue.jobs.listed(kind=PLACE, limit=_MOST) if job.error)
    sys.stdout.write(f"{document['met']} of {document['series']} series have all their copies.\n")
    for error, count in errors.most_common(_TOLD):
        sys.stdout.write(f"{count} to be tried again: {shown(error)}\n")
    if document["met"] < document["series"]:
        raise typer.Exit(3)


def _progress(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, disable=not console.is_terminal, transient=True)


def _print_plan(plan: PlacementPlan) -> None:
    document, console = plan.document(), Console()
    rules = ", ".join(f"{name or 'no rule'}: {count}" for name, count in sorted(plan.rules.items()))
    console.print(f"{plan.instances:,} instances in {plan.series:,} series ({rules or 'nothing held'})")
    if plan.lost:
        console.print(f"{plan.lost:,} of them lack a copy and have no good one to copy: send them again, or repair.")
    _print_places(console, document, plan.currency)
    total = document["total"]
    console.print(
        f"a month: {total['month_now']:.2f} now, {total['month_after']:.2f} when this is done, "
        f"{total['month_settled']:.2f} when every age is reached; once: {total['once_after']:.2f} now, "
        f"{total['once_settled']:.2f} by age ({plan.currency})",
    )


def _print_places(console: Console, document: dict[str, Any], currency: str) -> None:
    heads = ("store", "tier", "now", "then", "in the end", "to write", "to read", "to delete", "once", "a month then")
    table = Table(*heads, caption=f"octets; costs in {currency}")
    for one in document["places"]:
        once = one["once_after"]
        table.add_row(
            one["store"],
            one["tier"] or "-",
            *(_size(one[state]["octets"]) for state in ("now", "after", "settled")),
            f"{once['puts']:,}",
            f"{once['gets']:,}",
            f"{once['deletions']:,}",
            f"{once['cost']:.2f}",
            f"{one['after']['month']:.2f}",
        )
    console.print(table)


def _print_status(document: dict[str, Any]) -> None:
    console = Console()
    if not document["rules"]:
        console.print("No placement rules: everything stays where it landed.")
    table = Table("what", "count")
    for name in ("series", "met", "unmet", "unasked"):
        table.add_row(name, f"{document[name]:,}")
    for kind, counts in document["jobs"].items():
        table.add_row(f"jobs {kind}", f"{counts['open']:,} open, {counts['failed']:,} failed")
    console.print(table)
    if "usage" in document:
        usage = Table("store", "tier", "state", "copies", "octets")
        for one in document["usage"]:
            usage.add_row(one["store"], one["tier"] or "-", one["state"], f"{one['copies']:,}", _size(one["octets"]))
        console.print(usage)


def _size(octets: int) -> str:
    size, unit = float(octets), 0
    while size >= 1024 and unit < len(_UNITS) - 1:
        size, unit = size / 1024, unit + 1
    return f"{octets} B" if not unit else f"{size:.1f} {_UNITS[unit]}"
