"""What people are told of a campaign that does nothing now: that it was stopped, or that its window is closed, and what goes on with it."""

from __future__ import annotations

import io
from datetime import datetime, timedelta

import pytest
from rich.console import Console

from vna_core.catalogue import Campaign
from vna_core.catalogue.migration_throttle import Load
from vna_core.cli.migrate_progress import ShownProgress, printed_summary, status_lines
from vna_core.migration.campaign import CampaignOptions
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
    first = printed_summary(REPORT, {}, state).splitlines()[0]
    assert first == f"{state} meanwhile: 257 instances were not asked for yet; {goes_on} goes on"
    assert state not in printed_summary(REPORT, {}, "completed")


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
