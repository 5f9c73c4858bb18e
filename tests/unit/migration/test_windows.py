"""Windows open and close when they say, across midnight and the end of the week; estimates narrow as more is seen."""

from __future__ import annotations

from datetime import datetime

import pytest

from vna_core.domain.errors import InvalidRequest
from vna_core.migration.estimate import RateWatch, duration
from vna_core.migration.windows import Windows

MONDAY = datetime(2026, 11, 23)


def at(day: int, hour: int, minute: int = 0) -> datetime:
    return MONDAY.replace(day=23 + day, hour=hour, minute=minute)


def test_without_windows_it_is_always_open() -> None:
    assert Windows().is_open(at(0, 12))


@pytest.mark.parametrize(
    ("moment", "wait"),
    [
        (at(0, 18, 59), 60.0),
        (at(0, 19), 0.0),
        (at(1, 5, 59), 0.0),
        (at(1, 6), 13 * 3600.0),
        (at(5, 5), 0.0),
        (at(5, 6), 0.0),
        (at(5, 12), 30 * 3600.0 + 25 * 3600.0),
    ],
)
def test_a_window_goes_on_after_midnight(moment: datetime, wait: float) -> None:
    windows = Windows.parse(["mon-fri 19:00-06:00", "sat 06:00-08:00"])
    assert windows.seconds_until_open(moment) == wait


def test_a_sunday_window_goes_on_into_monday() -> None:
    windows = Windows.parse(["sun 22:00-04:00"])
    assert windows.is_open(at(0, 3)) and not windows.is_open(at(0, 4)) and windows.is_open(at(6, 23))


@pytest.mark.parametrize("text", ["always", "mon 25:00-26:00", "abc 10:00-11:00", "10:00-10:00"])
def test_what_is_no_window_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        Windows.parse([text])


def test_an_estimate_has_a_band_around_what_is_likely() -> None:
    watch = RateWatch(1.0)
    assert watch.estimate(100) is None
    done = 0
    for second, step in enumerate([0, 9, 11, 10, 9, 11, 10]):
        done += step
        watch.see(float(second), done)
    estimate = watch.estimate(100)
    assert estimate is not None
    assert estimate.rate == pytest.approx(10.0)
    assert estimate.low < estimate.likely < estimate.high
    assert estimate.likely == pytest.approx(10.0)


def test_durations_are_for_people() -> None:
    assert [duration(seconds) for seconds in (7, 65, 7200, 273600)] == ["7 s", "1 min 5 s", "2 h", "3 d 4 h"]
