"""What people see of a migration: bars, when it will be done, which stage holds it up, and how it ended."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from vna_core.catalogue import Campaign
from vna_core.catalogue.migration_throttle import Load
from vna_core.cli.console import Console
from vna_core.cli.options import print_json
from vna_core.domain.errors import OutOfResources, VnaError
from vna_core.domain.outcome import IngestResult
from vna_core.migration.campaign import CampaignOptions
from vna_core.migration.estimate import RateWatch, duration
from vna_core.migration.report import CampaignReport
from vna_core.migration.windows import Windows

NO_ROOM: Final = 64 << 20
"""Octets below which a file system is named when something finds no room."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What is shown of one instance that was fetched. `rules` has one entry a change."""

    sop_instance_uid: str
    outcome: str
    rules: tuple[str, ...]

    @classmethod
    def of(cls, result: IngestResult) -> Fetched:
        """That of a result."""
        return cls(result.sop_instance_uid, result.outcome.value, tuple(change.rule for change in result.transformations))

    def as_list(self) -> list[Any]:
        """As JSON, in the order of the fields."""
        return [self.sop_instance_uid, self.outcome, list(self.rules)]


def worker_name(process: int | None = None) -> str:
    """A process of a migration in the ledger; this one where none is given."""
    return f"migrate@{socket.gethostname()}:{process or os.getpid()}"


class ShownProgress:
    """Progress on the terminal, and one JSON line an instance where asked for."""

    def __init__(self, console: Console, as_json: bool) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}"),
        )
        self._bars = Progress(*columns, console=console, disable=not console.is_terminal)
        self._task = self._bars.add_task("inventory", total=None, note="")
        self._as_json = as_json
        self._watch = RateWatch(2.0)
        self._lock = threading.Lock()
        self._planned = 0
        self.rules: Counter[str] = Counter()
        self.windows = Windows()
        self.folders: tuple[Path, ...] = ()
        self._is_closed = self._is_held_up = False

    def __enter__(self) -> ShownProgress:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def inventoried(self, studies: int, instances: int) -> None:
        """See `Progress.inventoried`."""
        self._bars.update(self._task, description=f"inventory: {studies} studies", advance=instances)

    def planned(self, instances: int) -> None:
        """See `Progress.planned`."""
        self._planned = instances
        self._bars.reset(self._task, total=instances, description="fetching")

    def fetched(self, result: IngestResult) -> None:
        """See `Progress.fetched`."""
        self.told(Fetched.of(result))

    def told(self, one: Fetched) -> None:
        """One instance came in, here or in another process of this run."""
        with self._lock:
            self.rules.update(one.rules)
            if self._as_json:
                print_json({"sop_instance_uid": one.sop_instance_uid, "outcome": one.outcome, "changes": len(one.rules)})

    def stands(self, report: CampaignReport, load: Load, state: str) -> None:
        """See `Progress.stands`."""
        now = datetime.now().astimezone()
        was_closed, self._is_closed = self._is_closed, not self.windows.is_open(now)
        if self._is_closed and not was_closed:
            self._bars.console.print(closed_until(self.windows, now))
        done = self._planned - report.waiting  # of this campaign: what comes in here may be another one's
        self._watch.see(time.monotonic(), done)
        parts = [f"slowest: {load.bottleneck}"] if load.bottleneck else []
        if load.silent_since is not None:
            parts = [silent_since(load.silent_since)]
        estimate = self._watch.estimate(report.waiting)
        if estimate is not None and load.silent_since is None:
            band = f"{duration(estimate.low)} to {duration(estimate.high)}"
            parts = [f"{estimate.rate:.0f}/s, {duration(estimate.likely)} left ({band})", *parts]
        if report.exceptions:
            parts.append(f"{report.exceptions} exceptions")
        self._bars.update(self._task, completed=done, note=", ".join(parts))

    def held_up(self, error: VnaError | None) -> None:
        """See `Progress.held_up`: said once when it begins, and once when it is over."""
        was_held_up, self._is_held_up = self._is_held_up, error is not None
        if error is not None and not was_held_up:
            room = without_room(self.folders) if isinstance(error, OutOfResources) else ""
            self._say(
                f"{error.message}{room} The run waits, and goes on by itself when that is over; `vna migrate pause` ends it."
            )
        elif was_held_up and error is None:
            self._say("The archive takes instances again.")

    def _say(self, text: str) -> None:
        self._bars.console.print(text, soft_wrap=True, highlight=False)


def without_room(folders: Iterable[Path], least: int = NO_ROOM) -> str:
    """Which file systems have (nearly) no room, each once."""
    full: dict[int, str] = {}
    for folder in folders:
        with contextlib.suppress(OSError):
            free = shutil.disk_usage(folder).free
            if free < least:
                full[folder.stat().st_dev] = f" The file system of {folder} has {free / 1e6:.0f} MB left: free space there."
    return "".join(full.values())


def silent_since(since: datetime) -> str:
    """That the source does not answer, or refuses us, in the time of this machine."""
    return f"the source does not answer, or refuses us, since {since.astimezone():%H:%M} of {since.astimezone():%Y-%m-%d}"


def closed_until(windows: Windows, now: datetime) -> str:
    """That the source may not be worked now, and from when on it may be."""
    return f"outside of its windows: the source is asked for nothing before {windows.next_opening(now):%a %Y-%m-%d %H:%M}"


def printed_summary(report: CampaignReport, rules: Mapping[str, int], name: str, state: str = "") -> str:
    """How a run of a campaign ended, for people. `state`: whether somebody stopped it meanwhile."""
    lines, name = [], shlex.quote(name)
    if state in ("paused", "cancelled"):
        go_on = "resume" if state == "paused" else "run"
        lines.append(f"{state} meanwhile: {report.waiting} instances were not asked for yet; vna migrate {go_on} {name} goes on")
    lines += [
        f"inventoried {report.inventoried} instances of {report.studies} studies; fetched {report.fetched} now",
        f"  = {report.held} held + {report.duplicate} duplicate + {report.conflict} conflict + {report.quarantined} quarantined"
        f" + {report.failed} failed + {report.missing} missing: the sum {'closes' if report.closes else 'does not close'}",
    ]
    if report.unexpected:
        lines.append(f"  {report.unexpected} delivered that the inventory does not name")
    if report.deleted_at_source:
        gone = f"{report.deleted_at_source} (and {report.studies_deleted_at_source} whole studies)"
        lines.append(f"  {gone} that the source listed before and deleted since are not in the sum")
    if report.excluded:
        lines.append(f"  {report.excluded} that somebody accepted as not to be moved are not in the sum")
    if report.exceptions:
        lines.append(f"  {report.exceptions} on the worklist: vna migrate exceptions {name}")
    if report.unlisted:
        lines.append(
            f"  {report.unlisted} of them tell of what the sum cannot count: the campaign is not complete while they are open"
        )
    if rules:
        lines.append("normalized: " + ", ".join(f"{rule} x{count}" for rule, count in Counter(rules).most_common(12)))
    return "\n".join(lines) + "\n"


def status_lines(campaign: Campaign, report: CampaignReport, load: Load, states: Mapping[str, int]) -> str:
    """How a campaign stands, for people."""
    windows, now = CampaignOptions.of(campaign).windows, datetime.now().astimezone()
    counted = ", ".join(f"{number} {state}" for state, number in sorted(states.items()) if number)
    lines = [
        f"{campaign.name}: {campaign.state}",
        f"  studies: {counted or 'none'}",
        f"  instances: {report.inventoried} inventoried = {report.held} held + {report.duplicate} duplicate + {report.conflict} "
        f"conflict + {report.quarantined} quarantined + {report.failed} failed + {report.missing} missing "
        f"({report.waiting} of them not asked for yet)",
        "  now: "
        + (f"{load.running} retrievals of at most {load.bound:.1f}" if load.bound else "nothing was fetched yet")
        + (f", slowest: {load.bottleneck}" if load.bottleneck else ""),
        *([f"  {silent_since(load.silent_since)}; it is asked again by itself"] if load.silent_since else []),
        *([f"  {closed_until(windows, now)}"] if campaign.state == "running" and not windows.is_open(now) else []),
        f"  worklist: {report.exceptions} open",
    ]
    return "\n".join(lines) + "\n"
