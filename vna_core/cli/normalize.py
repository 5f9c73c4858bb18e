"""``vna normalize``: what the rules would do, and doing it again to what is held."""

from __future__ import annotations

import fcntl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from vna_core.bootstrap import Archive, renormalizer
from vna_core.catalogue import NormalizationRun, Scope
from vna_core.cli import normalize_report
from vna_core.cli.console import Console
from vna_core.cli.normalize_tally import print_tally
from vna_core.cli.options import AsJson, Config, Data, archive_of, print_json
from vna_core.configuration import load_settings
from vna_core.dicom.offered_files import OfferedFile, offered_files
from vna_core.domain.errors import InvalidRequest, VnaError
from vna_core.domain.octets import CHUNK, Source
from vna_core.ingest.normalize import SiteRules
from vna_core.ingest.normalize.rule_book import RULE_BOOK
from vna_core.stewardship.rule_tally import RuleTally

app = typer.Typer(help="What the rules did, would do, and doing it again to what is held.", no_args_is_help=True)

CHECK_EPILOG = """
Examples:

`vna normalize check --from dimse:CT_ICU folder/`

`vna normalize check --all --rules candidate.yaml --samples 5`

Exit code 0 when every instance can be normalized, else 3.
"""
APPLY_EPILOG = """
Examples:

`vna normalize apply --source CT_ICU`

`vna normalize apply --undo 20261124T080000000000Z`

Stopped at any moment, it goes on where it was when it is run again. Exit code 3 when versions had to stay as they are.
"""

Rules = Annotated[Path | None, typer.Option(help="YAML file with `site_rules` to use instead of the configured ones.")]
SourceName = Annotated[str, typer.Option("--source", help="Only what this source sent: AE title, principal or PACS.")]
Study = Annotated[str, typer.Option(help="Only this Study Instance UID.")]
Everything = Annotated[bool, typer.Option("--all", help="Everything that is held.")]

app.command("report", epilog="Examples:\n\n`vna normalize report`\n\n`vna normalize report --source LEGACY_PACS --json`")(
    normalize_report.report
)

_PATHS = "PATHS, "


@app.callback()
def group() -> None:
    """What the rules did, would do, and doing it again to what is held."""


@app.command("check", epilog=CHECK_EPILOG)
def check(
    paths: Annotated[list[Path] | None, typer.Argument(help="Files, folders, DICOMDIR, ZIP or TAR files.")] = None,
    source: SourceName = "",
    study: Study = "",
    everything: Everything = False,
    received_from: Annotated[
        str, typer.Option("--from", help="KIND:NAME of the source that PATHS are taken to be from.")
    ] = "file",
    rules: Rules = None,
    samples: Annotated[int, typer.Option(help="Samples of each rule.", min=0, max=1000)] = 3,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> int:
    """Tell which rules would fire on how many instances. Nothing is written."""
    with archive_of(data, config) as archive:
        site = _site(archive, rules)
        versions = {entry.id: entry.version for entry in RULE_BOOK} | {rule.id: rule.version for rule in site.rules}
        tally = RuleTally(versions, samples)
        if paths:
            _scope("", "", not (source or study or everything), _PATHS)
            _check_files(archive, site, paths, received_from, tally)
        else:
            _check_held(archive, site, _scope(source, study, everything, _PATHS), tally)
    print_tally(tally, site, as_json)
    return 3 if tally.failures else 0


@app.command("apply", epilog=APPLY_EPILOG)
def apply(
    source: SourceName = "",
    study: Study = "",
    everything: Everything = False,
    rules: Rules = None,
    undo: Annotated[str, typer.Option(metavar="RUN", help="Take the run of this id back.")] = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> int:
    """Normalize held instances once more. Where the data set becomes another, the new object is current from then on."""
    with archive_of(data, config) as archive, _alone(archive.settings.data):
        worker = renormalizer(archive, _site(archive, rules))
        ledger = archive.catalogue.generations
        with _progress() as progress:
            if undo:
                task = progress.add_task("undoing", total=ledger.run(undo).counts.get("changed"))
                done = ("undone", "kept", "failed")
                run = worker.undo(undo, lambda run: progress.update(task, completed=sum(run.counts.get(one, 0) for one in done)))
            else:
                scope = _scope(source, study, everything)
                task = progress.add_task("normalizing", total=ledger.count(scope, 0, ledger.last()))
                run = worker.apply(scope, lambda run: progress.update(task, completed=run.counts.get("examined", 0)))
    _print_run(run, as_json)
    return 3 if run.counts.get("failed") else 0


@app.command("runs", epilog="Example:\n\n`vna normalize runs --json`")
def runs(data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """List what `apply` did, oldest first."""
    with archive_of(data, config) as archive:
        for run in archive.catalogue.generations.runs():
            _print_run(run, as_json)


@contextmanager
def _alone(data: Path) -> Iterator[None]:
    """One run at a time on a data folder; the lock goes with the process, however it ends."""
    with (data / "normalize.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InvalidRequest("Another `vna normalize apply` is under way on this data folder.") from error
        yield


def _site(archive: Archive, rules: Path | None) -> SiteRules:
    return archive.pipeline.site if rules is None else SiteRules.of(load_settings(rules, environment={}))


def _scope(source: str, study: str, everything: bool, otherwise: str = "") -> Scope:
    if everything == bool(source or study):
        raise InvalidRequest(f"Say what it is about: {otherwise}--source, --study or --all.")
    return Scope(source, study)


def _progress() -> Progress:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, disable=not console.is_terminal, transient=True)


def _check_held(archive: Archive, site: SiteRules, scope: Scope, tally: RuleTally) -> None:
    ledger = archive.catalogue.generations
    with _progress() as progress:
        task = progress.add_task("checking", total=ledger.count(scope, 0, ledger.last()))
        for found in renormalizer(archive, site).check(scope):
            if found.canonical is None:
                tally.fail(found.held.sop_instance_uid, found.error or VnaError("It cannot be normalized."))
            else:
                tally.add(found.held.sop_instance_uid, found.canonical, differs=found.differs)
            progress.advance(task)


def _check_files(archive: Archive, site: SiteRules, paths: list[Path], received_from: str, tally: RuleTally) -> None:
    missing = [path for path in paths if not path.exists()]
    if missing:
        raise VnaError(f"{missing[0]}: no such file or folder.")
    kind, _, name = received_from.partition(":")
    with _progress() as progress:
        task = progress.add_task("checking", total=None)
        for item in offered_files(paths):
            _check_file(archive, site, item, Source(kind, name, item.path, _issuer(archive, kind, name)), tally)
            progress.advance(task)


def _issuer(archive: Archive, kind: str, name: str) -> str:
    """The issuer that the configuration knows for a source."""
    settings = archive.settings
    peer = settings.dimse.peers.get(name)
    known = peer.issuer if kind == "dimse" and peer is not None else settings.http.issuers.get(name, "") if kind == "stow" else ""
    return known or settings.ingest.issuer


def _check_file(archive: Archive, site: SiteRules, item: OfferedFile, source: Source, tally: RuleTally) -> None:
    if item.open is None:
        tally.fail(item.path, item.error or VnaError("Cannot be read."))
        return
    try:
        with archive.pipeline.made_again(_pieces(item), source, datetime.now(UTC), ("", "", ""), site=site) as canonical:
            tally.add(item.path, canonical, differs=bool(canonical.transformations))
    except VnaError as error:
        tally.fail(item.path, error)
    except Exception as error:  # damaged archives raise whatever their codec raises: that costs this item only
        tally.fail(item.path, VnaError(f"Cannot be read: {type(error).__name__}: {error}."))


def _pieces(item: OfferedFile) -> Iterator[bytes]:
    assert item.open is not None
    with item.open() as stream:
        while piece := stream.read(CHUNK):
            yield piece


def _print_run(run: NormalizationRun, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "run": run.id,
                "state": run.state,
                "rule_set": run.rule_set,
                "scope": run.scope,
                "started_at": run.started_at.isoformat(),
                **run.counts,
            }
        )
        return
    counts = ", ".join(f"{number} {name}" for name, number in sorted(run.counts.items()))
    sys.stdout.write(f"run {run.id} {run.state} by rule set {run.rule_set}: {counts or 'nothing to do'}\n")
