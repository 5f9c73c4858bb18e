"""``vna pack``: settled series as one object each."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from vna_core.bootstrap import Archive, pack_keeper
from vna_core.cli.console import Console, Table
from vna_core.cli.options import AsJson, Config, Data, archive_of, print_json
from vna_core.domain.errors import InvalidRequest, NotFound
from vna_core.domain.packs import ListedPack, SeriesPlace
from vna_core.stewardship.pack_proof import PackProof, prove_packs
from vna_core.stewardship.sealing import PackingReport, PackKeeper

app = typer.Typer(help="Packs: one object for a settled series, at once a TAR archive and a Zarr array.", no_args_is_help=True)

Study = Annotated[str, typer.Option(metavar="UID", help="Only this Study Instance UID.")]
Series = Annotated[str, typer.Option(metavar="UID", help="Only this Series Instance UID.")]

SEAL_EPILOG = """
Examples:

`vna pack seal --series 1.2.840.99.1`

`vna pack seal --all-settled --json`

Stopped at any moment, it goes on where it was when it is run again. Exit code 3 when a damaged object had to be left out.
"""


@app.command("seal", epilog=SEAL_EPILOG)
def seal(
    study: Study = "",
    series: Series = "",
    all_settled: Annotated[
        bool, typer.Option("--all-settled", help="Everything that was quiet for as long as `packs.quiet` says.")
    ] = False,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> int:
    """Put loose instances of settled series into packs. A study or series that is named is sealed at once."""
    if all_settled == bool(study or series):
        raise InvalidRequest("Say what to seal: --study, --series or --all-settled.")
    with archive_of(data, config) as archive:
        keeper = pack_keeper(archive)
        named = [] if all_settled else _named(archive, study, series)
        places: Iterator[SeriesPlace] = keeper.settled(time.time()) if all_settled else iter(named)
        return _each(keeper, places, keeper.seal, "sealing", None if all_settled else len(named), as_json)


@app.command("compact", epilog="Examples:\n\n`vna pack compact --study 1.2.840.99`\n\n`vna pack compact --all --json`")
def compact(
    study: Study = "",
    series: Series = "",
    everything: Annotated[bool, typer.Option("--all", help="Every series.")] = False,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> int:
    """Make as few packs of each series as there can be, without what was deleted or has taken another place."""
    if everything == bool(study or series):
        raise InvalidRequest("Say what to compact: --study, --series or --all.")
    with archive_of(data, config) as archive:
        keeper = pack_keeper(archive)
        places = _all(archive) if everything else iter(_named(archive, study, series))
        return _each(keeper, places, keeper.compact, "compacting", None, as_json)


@app.command("list", epilog="Examples:\n\n`vna pack list`\n\n`vna pack list --study 1.2.840.99 --json`")
def list_(study: Study = "", series: Series = "", data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """List packs in the order of sealing."""
    table = Table("pack", "series", "members", "in use", "frames", "octets", "stores", "sealed at")
    with archive_of(data, config) as archive:
        for pack in _listed(archive, study, series):
            if as_json:
                print_json(_document(pack))
            else:
                counts = (f"{pack.members:,}", f"{pack.live:,}", f"{pack.frames:,}", f"{pack.size:,}")
                name = pack.sha256[:16]
                table.add_row(name, pack.series_instance_uid, *counts, ", ".join(pack.stores), f"{pack.sealed_at:%Y-%m-%d %H:%M}")
        waiting = archive.catalogue.packs.number_of_leftovers()
    if not as_json:
        Console().print(table)
        if waiting:
            sys.stdout.write(f"{waiting} objects whose content is in packs wait to be removed\n")


@app.command("verify", epilog="Examples:\n\n`vna pack verify`\n\n`vna pack verify --series 1.2.840.99.1 --json`")
def verify(study: Study = "", series: Series = "", data: Data = None, config: Config = None, as_json: AsJson = False) -> int:
    """Read every copy of packs whole. Exit code 3 when one is damaged; its members are read from other copies from then on."""
    good, bad = 0, 0
    with archive_of(data, config) as archive, _progress() as progress:
        task = progress.add_task("reading packs", total=None)
        for proof in prove_packs(_listed(archive, study, series), archive.stores, archive.catalogue):
            good, bad = good + proof.good, bad + (not proof.good)
            progress.advance(task)
            if as_json:
                print_json({**asdict(proof), "good": proof.good})
            elif not proof.good:
                sys.stdout.write(_told(proof))
    if not as_json:
        sys.stdout.write(f"{good + bad} copies of packs read: {good} good, {bad} damaged\n")
    return 3 if bad else 0


def _told(proof: PackProof) -> str:
    what = proof.problem or "damaged"
    lines = [f"{proof.store}:{proof.key}: {what}", *(f"  member {name}" for name in proof.damaged)]
    return "\n".join(lines) + "\n"


def _each(
    keeper: PackKeeper,
    places: Iterator[SeriesPlace],
    work: Any,
    doing: str,
    total: int | None,
    as_json: bool,
) -> int:
    """Do something to each series, show it, and remove what is due to be removed."""
    done: list[PackingReport] = []
    with _progress() as progress:
        task = progress.add_task(doing, total=total)
        for place in places:
            report = work(place)
            progress.advance(task)
            if as_json:
                print_json(asdict(report))
            done.append(report)
        removed = keeper.remove_leftovers()
    packs, members = sum(len(one.packs) for one in done), sum(one.members for one in done)
    damaged = [key for one in done for key in one.damaged]
    if as_json:
        print_json(
            {"summary": {"series": len(done), "packs": packs, "members": members, "damaged": len(damaged), "removed": removed}}
        )
        return 3 if damaged else 0
    for report in done:
        if report.skipped and len(done) == 1:
            sys.stdout.write(f"{report.series_instance_uid}: {report.skipped}\n")
    for key in damaged:
        sys.stdout.write(f"damaged, left out: {key}\n")
    sys.stdout.write(f"{members} instances of {len(done)} series are in {packs} new packs; {removed} objects removed\n")
    return 3 if damaged else 0


def _progress() -> Progress:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, disable=not console.is_terminal, transient=True)


def _named(archive: Archive, study: str, series: str) -> list[SeriesPlace]:
    found = archive.catalogue.packs.series(study=study or None, series=series or None)
    if not found:
        raise NotFound("The archive holds no such series.", study=study, series=series)
    return found


def _all(archive: Archive) -> Iterator[SeriesPlace]:
    after = 0
    while page := archive.catalogue.packs.series(after=after):
        yield from page
        after = page[-1].pk


def _listed(archive: Archive, study: str, series: str) -> Iterator[ListedPack]:
    after = 0
    while page := archive.catalogue.packs.listed(study=study or None, series=series or None, after=after):
        yield from page
        after = page[-1].pk


def _document(pack: ListedPack) -> dict[str, Any]:
    return {**{name: value for name, value in asdict(pack).items() if name != "pk"}, "sealed_at": pack.sealed_at.isoformat()}
