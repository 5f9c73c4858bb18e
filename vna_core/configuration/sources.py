"""Settings of the archives that are not ours: where they are, and how they want to be treated."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import Field, field_validator

from vna_core.configuration.section import Section
from vna_core.domain.windows import DAYS, Window

_HOURS = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-(?:([01][0-9]|2[0-3]):([0-5][0-9])|24:00)")


Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class WindowSettings(Section):
    """Hours in which a source may be asked for much."""

    days: tuple[Day, ...] = Field(("mon", "tue", "wed", "thu", "fri", "sat", "sun"), description="Days on which it opens.")
    hours: str = Field("00:00-24:00", description="Local time as `19:00-06:00`; an end before the begin is on the next day.")

    @field_validator("hours")
    @classmethod
    def _are_hours(cls, value: str) -> str:
        if _HOURS.fullmatch(value) is None:
            raise ValueError("expected hours as 19:00-06:00")
        return value

    def window(self) -> Window:
        """The window as a value."""
        begins, ends = (int(text[:2]) * 60 + int(text[3:]) for text in self.hours.split("-"))
        return Window(frozenset(DAYS.index(day) for day in self.days), begins, ends)


class SourceSettings(Section):
    """One source: an archive, a medium or a folder that a PACS adapter opens."""

    url: str = Field(min_length=1, description="Where it is: `dimse://OLDPACS@10.0.0.7:104`, `orthanc+http://...`, a path.")
    issuer: str = Field("", description="Assigning authority of its Patient IDs that carry none.")
    concurrency: int | None = Field(None, ge=1, le=256, description="Most retrievals at once; empty: what the source bears.")
    rate: float | None = Field(None, gt=0, description="Most instances a second over all workers; empty: no limit.")
    windows: tuple[WindowSettings, ...] = Field((), description="When it may be asked for much; empty: always.")
    options: dict[str, Any] = Field(default_factory=dict, description="Options of the adapter, as its page lists them.")

    def open_windows(self) -> tuple[Window, ...]:
        """The windows as values."""
        return tuple(one.window() for one in self.windows)
