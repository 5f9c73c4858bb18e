"""The sections ``scrub`` and ``retention``: looking after what is held, and letting go of what need not be kept."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from vna_core.configuration.section import Section

_SHARE: Final = re.compile(r"1|1/[1-9][0-9]{0,3}")
_TIME: Final = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
_PERIOD: Final = re.compile(r"[1-9][0-9]{0,4}[dmy]")


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def checked_share(text: str) -> str:
    """A share as ``1`` or ``1/30``; itself. Raises ValueError."""
    if not _SHARE.fullmatch(text):
        raise ValueError("a share is 1 or a fraction such as 1/30")
    return text


def _checked_time(text: str) -> str:
    if text and not _TIME.fullmatch(text):
        raise ValueError("a time is written as 22:30")
    return text


def _checked_period(text: str) -> str:
    if text[:-1].isdecimal() and not int(text[:-1]) and text[-1] in "dmy":
        raise ValueError("a period is at least 1d")
    if not _PERIOD.fullmatch(text):
        raise ValueError("a period is a number and d, m or y: 90d, 18m, 10y")
    return text


Texts = Annotated[tuple[str, ...], BeforeValidator(_listed)]
TimeOfDay = Annotated[str, AfterValidator(_checked_time)]


class ScrubSettings(Section):
    """Reading everything that is held against its digests."""

    at: TimeOfDay = Field("", description="Local time at which the workers begin every day; empty: only `vna scrub` does.")
    until: TimeOfDay = Field(
        "", description="Local time at which they stop and go on the next day; empty: when the share is done."
    )
    share: Annotated[str, AfterValidator(checked_share)] = Field(
        "1/30", description="Part of all objects read each time, those first that were not read for longest; `1`: all."
    )
    rate: int = Field(0, ge=0, description="Octets a second that are read at most; 0: as fast as the stores give them.")
    repair: bool = Field(False, description="Repair what was found when a scrub of the workers is done.")

    @property
    def fraction(self) -> Fraction:
        """The share as a number."""
        return Fraction(self.share)


class RetentionRuleSettings(Section):
    """How long studies of one kind are kept. A study falls under the first rule that fits all of it."""

    id: str = Field(pattern="^[A-Za-z0-9][A-Za-z0-9_.-]{0,31}$", description="Name of the rule, told as the reason.")
    modality: Texts = Field((), description="Modalities: every series of the study has one of them; absent: any.")
    source: Texts = Field((), description="AE titles, principals or PACS: everything came from one of them; absent: any.")
    department: Texts = Field(
        (),
        description="Configured departments (`departments`): every instance belongs to one of them and to no other; absent: any.",
    )
    institutional_department: Texts = Field(
        (), description="Institutional Department Name (0008,1040): every series has one of them; absent: any."
    )
    keep: Annotated[str, AfterValidator(_checked_period)] = Field(description="How long, as `90d`, `18m` or `10y`.")
    since: Literal["study-date", "arrival"] = Field(
        "study-date", description="From the Study Date (0008,0020) on, or since the last of it arrived."
    )


class RetentionSettings(Section):
    """What is deleted when, and how long it can be taken back."""

    grace: Annotated[str, AfterValidator(_checked_period)] = Field(
        "30d", description="How long a deletion can be taken back before its octets may be purged; at least `1d`."
    )
    at: TimeOfDay = Field(
        "", description="Local time at which the workers apply the rules and purge every day; empty: only the commands do."
    )
    rules: tuple[RetentionRuleSettings, ...] = Field((), description="In order. What no rule fits is kept for ever.")
