"""What people are told of a campaign that does nothing now: that it was stopped, or that its window is closed, and what goes on with it."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from rich.console import Console

from vna_core.catalogue import Campaign
from vna_core.catalogue.migration_throttle import Load
from vna_core.cli.migrate_progress import ShownProgress, printed_summary, status_lines, without_room
from vna_core.domain.errors import InvalidRequest, OutOfResources
from vna_core.migration.campaign import CampaignOptions
from vna_core.migration.held_up import HeldUp
from vna_core.migration.report import CampaignReport
from vna_core.migration.windows import Windows

IDLE = Load(0.0, 0, 0.0, 0.0, 0.0, 0.0, 0.0)
REPORT = CampaignReport(257, 0, 0, 0, 0, 0, 257, waiting=257)


def opening_later() -> tuple[Windows, datetime]:
    """A window that opens in two days, for an hour."""
    opens = (datetime.now().astimezone() + timedelta(days=2)).replace(minute=0, second=0, microsecond=0)
    begin = opens.weekday() * 1440 + opens.hour * 60
    return Windows(((begin, begin + 60),)), opens


@pytest.mark.parametrize(("state", "goes_on"), [("paused", "vna migrate resume"), ("cancelled", "vna migrate run")])
def test_a_run_that_was_stopped_says_so_and_how_it_goes_on(state: str, goes_on: str) -> None:
    first = printed_summary(REPORT, {}, "old pacs", state).splitlines()[0]
    assert first == f"{state} meanwhile: 257 instances were not asked for yet; {goes_on} 'old pacs' goes on"
    assert state not in printed_summary(REPORT, {}, "old pacs", "completed")


def test_commands_that_are_named_can_be_called_as_they_stand_there() -> None:
    told = printed_summary(replace(REPORT, exceptions=2, excluded=3), {}, "dimse://OLD@10.0.0.7:104?calling=VNA")
    assert "  3 that somebody accepted as not to be moved are not in the sum\n" in told
    assert "2 on the worklist: vna migrate exceptions 'dimse://OLD@10.0.0.7:104?calling=VNA'\n" in told


def test_a_closed_window_is_told_once_with_the_time_of_its_opening() -> None:
    windows, opens = opening_later()
    told = io.StringIO()
    shown = ShownProgress(Console(file=told, width=200), False)
    shown.windows = windows
    for _ in range(3):
        shown.stands(REPORT, IDLE, "running")
    line = f"outside of its windows: the source is asked for nothing before {opens:%a %Y-%m-%d %H:%M}"
    assert told.getvalue().splitlines() == [line]


def test_the_status_of_a_running_campaign_tells_of_a_closed_window() -> None:
    windows, opens = opening_later()
    details = {"options": CampaignOptions(windows).as_dict()}
    assert f"before {opens:%a %Y-%m-%d %H:%M}" in status_lines(Campaign("old", "old", "running", details), REPORT, IDLE, {})
    for state in ("paused", "completed"):
        assert "windows" not in status_lines(Campaign("old", "old", state, details), REPORT, IDLE, {})
    assert "windows" not in status_lines(Campaign("old", "old", "running", {}), REPORT, IDLE, {})


def test_an_archive_that_takes_nothing_is_told_once_with_the_file_system_that_is_full(tmp_path: Path) -> None:
    told = io.StringIO()
    shown = ShownProgress(Console(file=told, width=40), False)
    shown.folders = (tmp_path, tmp_path / "is not there")
    for _ in range(3):
        shown.held_up(OutOfResources("Store 'landing' is full: free space, then send again."))
    shown.held_up(None)
    shown.held_up(None)
    first, last = told.getvalue().splitlines()
    assert first.startswith("Store 'landing' is full") and "The run waits" in first
    assert last == "The archive takes instances again."
    assert without_room((tmp_path,), 1 << 62).startswith(f" The file system of {tmp_path} has")


def test_the_less_an_archive_can_take_the_less_often_it_is_tried() -> None:
    clock = [0.0]
    held_up = HeldUp(lambda: clock[0])
    full = OutOfResources("full")
    assert held_up.note(full) is False and held_up.seconds == 1.0
    clock[0] = 20.0
    assert held_up.seconds == 0.0 and held_up.note(full) is True and held_up.seconds == 10.0
    clock[0] = 500.0
    assert held_up.note(full) is True and held_up.seconds == 15.0 and held_up.why is full
    assert held_up.note(InvalidRequest("no passing failure")) is False and held_up.why is full
    held_up.over()
    assert (held_up.why, held_up.seconds) == (None, 0.0)
