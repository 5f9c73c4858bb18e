"""``vna migrate``: fill the archive from a legacy PACS."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from vna_core.bootstrap import Archive, own_folders
from vna_core.bootstrap_migration import campaign_name, configured_options, migration_worker, open_campaign_source, plugins_for
from vna_core.catalogue import Campaign
from vna_core.cli.commands import importing
from vna_core.cli.console import Console
from vna_core.cli.migrate_helpers import ForkedHelpers
from vna_core.cli.migrate_progress import ShownProgress, printed_summary, status_lines, worker_name
from vna_core.cli.options import (
    AsJson,
    Config,
    Data,
    Processes,
    SourceName,
    account,
    archive_for,
    archive_of,
    print_json,
    settings_of,
)
from vna_core.cli.ordered import processors
from vna_core.domain.errors import InvalidRequest
from vna_core.domain.jobs import URGENT
from vna_core.domain.migration import SWITCHED_FROM, StudyState
from vna_core.migration.campaign import CampaignRunner, loaded, looked_at, resume_study
from vna_core.migration.handlers import CampaignOptions
from vna_core.migration.priorities import Priorities
from vna_core.migration.report import summary_of
from vna_core.migration.study_jobs import FEED
from vna_core.migration.windows import Windows
from vna_core.ports.pacs import PacsAdapter

Concurrency = Annotated[int | None, typer.Option(help="Retrievals at once.", min=1, max=64)]
Window = Annotated[
    list[str] | None, typer.Option("--window", help="When the source may be worked: 'mon-fri 19:00-06:00'. May be repeated.")
]
Rate = Annotated[float | None, typer.Option(help="Most instances a second over all workers; 0: no limit.", min=0)]
Copies = Annotated[int | None, typer.Option(help="Stores in which a committed instance must be readable.", min=1, max=16)]
Patience = Annotated[float | None, typer.Option(help="Seconds without an answer after which a retrieval is given up.", min=1)]
Priority = Annotated[
    Path | None,
    typer.Option(help="CSV in UTF-8 with a column StudyInstanceUID or PatientID: moved first.", exists=True, dir_okay=False),
]
ListedIn = Annotated[
    Path | None,
    typer.Option(
        "--inventory",
        help="Take what the source holds from this Inventory instance instead of asking it.",
        exists=True,
        dir_okay=False,
    ),
]
AcceptDeletions = Annotated[
    bool, typer.Option("--accept-deletions", help="What the source lists no more was deleted on purpose, however much it is.")
]
Quick = Annotated[bool, typer.Option("--quick", help="Do not cross-check the inventory by Patient ID.")]

EPILOG = """
Examples:

`vna migrate run dimse://OLDPACS@10.0.0.7:104 --data /srv/vna`

`vna migrate run 'dimse://OLDPACS@10.0.0.7:104?calling=VNA&issuer=HOSPITAL' --concurrency 2 --json`

`vna migrate run oldpacs --inventory /mnt/oldpacs/inventory.dcm`

`vna migrate run /mnt/export/inventory.dcm --data /srv/vna`

`vna migrate run oldpacs --accept-deletions`

`vna migrate run oldpacs --window 'mon-fri 19:00-06:00' --window 'sat-sun 00:00-24:00' --rate 40`

Run again, it fetches only what is missing. Exit code 0 only if nothing failed, nothing is missing, and nothing is known that the sum
cannot count, else 3.
"""
PLAN_EPILOG = "Example:\n\n`vna migrate plan dimse://OLDPACS@10.0.0.7:104 --window 'mon-fri 19:00-06:00' --rate 40`"
STATUS_EPILOG = "Examples:\n\n`vna migrate status`\n\n`vna migrate status dimse://OLDPACS@10.0.0.7:104 --json`"


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command("run", epilog=EPILOG)(run)
    app.command("plan", epilog=PLAN_EPILOG)(plan)
    app.command("status", epilog=STATUS_EPILOG)(status)
    app.command("pause", epilog="Example:\n\n`vna migrate pause oldpacs`")(pause)
    app.command("resume", epilog="Example:\n\n`vna migrate resume oldpacs`")(resume)
    app.command("cancel", epilog="Example:\n\n`vna migrate cancel oldpacs`")(cancel)


def runner(archive: Archive, campaign: Campaign, progress: ShownProgress, helpers: ForkedHelpers | None = None) -> CampaignRunner:
    """What runs a campaign here."""
    worker = migration_worker(archive, worker_name(), progress.fetched)
    return CampaignRunner(
        campaign,
        worker,
        lambda one: open_campaign_source(archive, one),
        archive.catalogue,
        progress,
        archive.settings.jobs,
        helpers,
    )


@contextlib.contextmanager
def listing_of(archive: Archive, inventory: Path | None) -> Iterator[PacsAdapter | None]:
    """The adapter of an Inventory that lists what a source holds, where one is given. Raises PeerError: it is damaged."""
    if inventory is None:
        yield None
        return
    adapter = archive.plugins.open_pacs(inventory.name, str(inventory.absolute()), {})
    try:
        if not adapter.probe().digests:
            raise InvalidRequest(f"{inventory} is no Inventory instance, or one that cannot be read.")
        yield adapter
    finally:
        adapter.close()


def campaign_of(
    archive: Archive,
    source: str,
    windows: Sequence[str] | None,
    rate: float | None,
    concurrency: int | None,
    copies: int | None,
    patience: float | None,
    state: str,
) -> Campaign:
    """The campaign for a source with its options as kept before, and as given now. Raises InvalidRequest."""
    name = campaign_name(source)
    place = Path(source).resolve() if Path(source).is_dir() else None
    for own in own_folders(archive.settings):
        if place is not None and own.resolve().is_relative_to(place):
            raise InvalidRequest(
                f"The source {source} has this archive's own folder {own} in it: move one of them out of the other."
            )
    known = archive.catalogue.campaigns.load(name)
    options = configured_options(archive, source) if known is None else CampaignOptions.of(known)
    given: dict[str, Any] = {"rate": rate, "concurrency": concurrency, "copies": copies, "patience": patience}
    options = replace(options, **{key: value for key, value in given.items() if value is not None})
    if windows is not None:
        options = replace(options, windows=Windows.parse(windows))
    return Campaign(name, source, state, {**(known.details if known else {}), "options": options.as_dict()})


def run(
    source: SourceName,
    data: Data = None,
    config: Config = None,
    concurrency: Concurrency = None,
    window: Window = None,
    rate: Rate = None,
    copies: Copies = None,
    patience: Patience = None,
    priority: Priority = None,
    quick: Quick = False,
    inventory: ListedIn = None,
    accept_deletions: AcceptDeletions = False,
    no_inventory: Annotated[bool, typer.Option("--no-inventory", help="Go on with the inventory there is.")] = False,
    processes: Processes = None,
    as_json: AsJson = False,
) -> int:
    """Inventory a source, pull what is missing, compare, and report."""
    shown, first = ShownProgress(Console(stderr=True), as_json), None if priority is None else Priorities.read(priority)
    settings, helping = settings_of(data, config), processes or processors()
    with importing():
        plugins = plugins_for(settings, source)
    with (
        contextlib.closing(ForkedHelpers(settings, helping, shown.told, plugins)) as helpers,
        archive_for(settings, helping, plugins=plugins) as archive,
    ):
        helpers.prepare()
        campaign = campaign_of(archive, source, window, rate, concurrency, copies, patience, "running")
        shown.windows = CampaignOptions.of(campaign).windows
        shown.folders = own_folders(settings)
        before = summary_of(archive.catalogue, campaign.name).fetched
        with shown:
            with listing_of(archive, inventory) as listing:
                report = runner(archive, campaign, shown, helpers).run(
                    concurrency,
                    fresh=not no_inventory,
                    thorough=not quick,
                    listing=listing,
                    deletions_accepted_by=account() if accept_deletions else "",
                    priorities=first,
                )
            report = replace(
                report, fetched=report.fetched - before
            )  # also what workers elsewhere fetched, and nothing of others
        state = loaded(archive.catalogue, campaign.name).state
    if as_json:
        print_json({"summary": {**report.as_dict(), "state": state}})
    else:
        sys.stdout.write(printed_summary(report, shown.rules, campaign.name, state))
    return 0 if report.complete else 3


def plan(
    source: SourceName,
    data: Data = None,
    config: Config = None,
    concurrency: Concurrency = None,
    window: Window = None,
    rate: Rate = None,
    copies: Copies = None,
    patience: Patience = None,
    priority: Priority = None,
    quick: Quick = False,
    inventory: ListedIn = None,
    accept_deletions: AcceptDeletions = False,
    as_json: AsJson = False,
) -> int:
    """Take the inventory, put the studies in order, and keep how the source is to be treated; nothing is moved yet."""
    console, listed = Console(stderr=True), None if priority is None else Priorities.read(priority)
    with archive_of(data, config) as archive:
        campaign = campaign_of(archive, source, window, rate, concurrency, copies, patience, "planned")
        archive.catalogue.campaigns.save(campaign)
        with _shown(console, as_json) as shown, listing_of(archive, inventory) as listing:
            accepted_by = account() if accept_deletions else ""
            planning = runner(archive, campaign, shown)
            planning.plan(concurrency, thorough=not quick, listing=listing, deletions_accepted_by=accepted_by, priorities=listed)
        taken = archive.catalogue.inventories.newest(campaign.name)
        assert taken is not None
        document = {
            "campaign": campaign.name,
            "inventory": taken.number,
            "studies": taken.studies,
            "instances": taken.instances,
            "sha256": taken.digest,
            "taken_at": taken.finished_at.isoformat(),
            "studies_without_instances": _without_instances(archive, campaign.name),
            "first": planning.first,
            "exceptions": summary_of(archive.catalogue, campaign.name).exceptions,
            "options": campaign.details["options"],
        }
    if as_json:
        print_json({"plan": document})
    else:
        sys.stdout.write(_planned(document, listed is not None))
    return 0


def _without_instances(archive: Archive, name: str) -> int:
    """Studies that are listed, and whose instances are not: they are counted in no inventory."""
    counts = archive.catalogue.ledger_reader.exception_counts(name)
    return sum(counts.get((reason, "open"), 0) for reason in ("no-instances", "inventory-failed"))


def _planned(document: dict[str, Any], by_list: bool) -> str:
    """What was planned, for people, and what is next."""
    name = shlex.quote(document["campaign"])
    lines = [
        f"{document['campaign']}: inventory {document['inventory']} of {document['studies']} studies and {document['instances']} "
        f"instances, SHA-256 {document['sha256']}"
    ]
    if document["studies_without_instances"]:
        lines.append(f"{document['studies_without_instances']} more are listed without their instances: see the worklist")
    if by_list:
        lines.append(
            f"{document['first']} studies first" if document["first"] else "nothing that the list names waits to be moved"
        )
    if document["exceptions"]:
        lines.append(f"{document['exceptions']} on the worklist: look before you go on, `vna migrate exceptions {name}`")
    lines.append(f"go on with `vna migrate run {name} --no-inventory`")
    return "\n".join(lines) + "\n"


def status(
    source: Annotated[str | None, typer.Argument(help="Campaign; all where none is given.")] = None,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> int:
    """How campaigns stand."""
    with archive_of(data, config) as archive:
        catalogue = archive.catalogue
        names = [campaign_name(source)] if source else [one.name for one in catalogue.campaigns.listed()]
        for name in names:
            campaign = looked_at(catalogue, name, worker_name())
            report, load = summary_of(catalogue, campaign.name), catalogue.throttle.load(campaign.name)
            states = {one.state: one.number for one in catalogue.ledger_reader.tallies(campaign.name) if one.level == "study"}
            if as_json:
                document = {"campaign": campaign.name, "state": campaign.state, "states": states, **report.as_dict()}
                document |= {"running": load.running, "bound": round(load.bound, 2), "bottleneck": load.bottleneck}
                document["silent_since"] = load.silent_since.isoformat() if load.silent_since else None
                print_json(document)
            else:
                sys.stdout.write(status_lines(campaign, report, load, states))
    return 0


_NOT_SWITCHED: Final = {
    "paused": "nothing is being moved that could pause.",
    "running": "there is nothing to go on with. `vna migrate run` takes a new inventory and moves what is new in it.",
    "cancelled": "there is nothing left to be given up.",
}


def _set_state(source: str, data: Path | None, config: Path | None, state: str) -> None:
    with archive_of(data, config) as archive:
        campaign = loaded(archive.catalogue, campaign_name(source))
        if campaign.state not in SWITCHED_FROM[state]:
            raise InvalidRequest(f"{campaign.name} is {campaign.state}: {_NOT_SWITCHED[state]}", state=campaign.state)
        archive.catalogue.campaigns.set_state(campaign.name, state)
        if state == "running":
            archive.catalogue.jobs.add(FEED, campaign.name, priority=URGENT)
            for study in archive.catalogue.ledger_reader.studies(campaign.name, (StudyState.QUEUED,)):
                resume_study(archive.catalogue, study, worker_name())


def pause(source: SourceName, data: Data = None, config: Config = None) -> None:
    """Start no further retrievals; those that run come to their end."""
    _set_state(source, data, config, "paused")


def resume(source: SourceName, data: Data = None, config: Config = None) -> None:
    """Go on, by the workers of `vna serve` and whoever helps."""
    _set_state(source, data, config, "running")


def cancel(source: SourceName, data: Data = None, config: Config = None) -> None:
    """Give a campaign up. What was moved stays, and so does the ledger; `vna migrate run` takes it up again."""
    _set_state(source, data, config, "cancelled")


def _shown(console: Console, as_json: bool) -> AbstractContextManager[ShownProgress]:
    return ShownProgress(console, as_json)
