"""Periods of retention, and times of the day at which work in the background begins."""

from __future__ import annotations

import calendar
from datetime import date, datetime, timedelta


def after_period(begin: date, period: str) -> date:
    """The first day on which a period such as ``90d``, ``18m`` or ``10y`` is over. The 29th of February becomes the last of it."""
    number, unit = int(period[:-1]), period[-1]
    if unit == "d":
        return begin + timedelta(days=number)
    months = begin.year * 12 + begin.month - 1 + number * (12 if unit == "y" else 1)
    year, month = months // 12, months % 12 + 1
    if year > date.max.year:
        return date.max
    return date(year, month, min(begin.day, calendar.monthrange(year, month)[1]))


def length_of(period: str, now: datetime) -> timedelta:
    """How long a period that ends now was."""
    number, unit = int(period[:-1]), period[-1]
    if unit == "d":
        return timedelta(days=number)
    months = now.year * 12 + now.month - 1 - number * (12 if unit == "y" else 1)
    year, month = months // 12, months % 12 + 1
    begin = now.replace(year=year, month=month, day=min(now.day, calendar.monthrange(year, month)[1]))
    return now - begin


def seconds_until(at: str, now: datetime) -> float:
    """Seconds until the next ``HH:MM`` of local time after `now`."""
    hour, minute = (int(part) for part in at.split(":"))
    begin = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
    return ((begin if begin > now else begin + timedelta(days=1)) - now).total_seconds()


def is_within(at: str, until: str, now: datetime) -> bool:
    """Whether `now` is between two times of the day, over midnight where the first is the later one. Without an end: always."""
    if not until or at == until:
        return True
    time = f"{now:%H:%M}"
    return at <= time < until if at < until else time >= at or time < until
