"""The section ``placement``: where copies of instances live, in which tier, and what that costs."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from vna_core.configuration.section import Section

_UNITS: Final = {"h": 3600, "d": 86_400, "w": 7 * 86_400, "y": 365 * 86_400}
_AGE: Final = re.compile(r"([0-9]{1,6})([hdwy])")


def _age(value: str) -> str:
    if value != "0" and not _AGE.fullmatch(value):
        raise ValueError("an age is a whole number and h, d, w or y, such as 90d")
    return value


def _written(value: object) -> object:
    """A bare zero, as YAML reads it."""
    return "0" if value == 0 and not isinstance(value, bool) else value


Age = Annotated[str, BeforeValidator(_written), AfterValidator(_age)]
Since = Literal["arrival", "study", "access"]
Names = Annotated[tuple[str, ...], BeforeValidator(lambda value: [value] if isinstance(value, str) else value)]


def seconds_of(age: str) -> int:
    """An age as the configuration writes it in seconds."""
    found = _AGE.fullmatch(age)
    return int(found[1]) * _UNITS[found[2]] if found else 0


class PlacementCondition(Section):
    """Which instances a rule is for: all that is given must hold. `*` at the end of a text: begins with."""

    department: Names = Field((), description="Department or collection that sees the instance.")
    modality: Names = Field((), description="Modality (0008,0060).")
    source_kind: Names = Field((), description="How it came: `dimse`, `stow`, `file` or `migration`.")
    source: Names = Field((), description="AE title, principal or name of the PACS it came from.")
    min_size: int = Field(0, ge=0, description="Octets that the stored object has at least.")
    max_size: int | None = Field(None, ge=0, description="Octets that it has at most.")
    older_than: Age = Field("0", description="Age it has reached, such as `2y`.")
    since: Since = Field("study", description="What the age counts from: `arrival`, `study` (Study Date) or last `access`.")


class TierStep(Section):
    """A tier that a copy moves to at an age."""

    tier: str = Field(min_length=1, description="Tier as the store names it.")
    after: Age = Field("0", description="Age at which the copy moves there, such as `90d`.")
    since: Since = Field("arrival", description="What the age counts from: `arrival`, `study` or last `access`.")


class CopySettings(Section):
    """One copy that a rule asks for."""

    store: str = Field(description="Store where the copy is.")
    lock: Age = Field("0", description="How long after its arrival the instance is locked there (object lock), such as `10y`.")
    compliance: bool = Field(False, description="The lock binds the account's owner too.")
    after: Age = Field("0", description="Age at which the copy is made.")
    until: Age | None = Field(
        None, description="Age at which the copy is dropped, once all others are verified; absent: it stays."
    )
    since: Since = Field("arrival", description="What `after` and `until` count from: `arrival`, `study` or last `access`.")
    tiers: tuple[TierStep, ...] = Field((), description="Tiers it moves through, in the order of their ages.")


class PlacementRule(Section):
    """Where the instances that it is for must live. The first rule that is for an instance decides alone."""

    name: str = Field(pattern="^[A-Za-z0-9][A-Za-z0-9_.-]{0,31}$", description="Name of the rule.")
    when: PlacementCondition = Field(PlacementCondition(), description="Which instances it is for; absent: all.")
    copies: tuple[CopySettings, ...] = Field(
        min_length=1, description="Copies it asks for. The landing store keeps its copy only where it is named."
    )

    @model_validator(mode="after")
    def _lasting(self) -> PlacementRule:
        if all(copy.until is not None for copy in self.copies):
            raise ValueError("at least one copy must be without 'until'")
        if len({copy.store for copy in self.copies}) < len(self.copies):
            raise ValueError("two copies in one store are one copy")
        for copy in self.copies:
            if copy.until is not None and seconds_of(copy.until) <= seconds_of(copy.after):
                raise ValueError("'until' must be later than 'after'")
        return self


class RecallSettings(Section):
    """What is done when somebody asks for an image of an archive tier."""

    days: int = Field(7, ge=1, le=365, description="Days that a recalled object can be read before it is put away again.")
    cache: str = Field("", description="Store that gets a copy of what was recalled, for as long; empty: it is read where it is.")
    wait_dimse: float = Field(0.0, ge=0, description="Seconds that C-MOVE and C-GET wait for the recall before they fail.")
    wait_web: float = Field(0.0, ge=0, description="Seconds that WADO-RS waits for the recall before it answers 503.")
    retry_after: int = Field(300, ge=1, description="Seconds after which a web client is asked to come again.")
    poll: float = Field(60.0, gt=0, description="Seconds between looks at what is being recalled.")


class TierPrice(Section):
    """What one tier of a store costs. Every price is in the same currency; GiB are 2^30 octets."""

    gib_month: float = Field(0.0, ge=0, description="One GiB kept for a month (30 days).")
    put: float = Field(0.0, ge=0, description="A thousand requests that write or move.")
    get: float = Field(0.0, ge=0, description="A thousand requests that read.")
    retrieval_gib: float = Field(0.0, ge=0, description="One GiB read.")
    minimum_days: int = Field(0, ge=0, description="Days that are paid for even when the object is deleted or moved before.")


class StorePrice(TierPrice):
    """What a store costs; the prices beside `tiers` are those of the tier that new objects are in."""

    tiers: dict[str, TierPrice] = Field(default_factory=dict, description="Tier to its prices.")


class PlacementSettings(Section):
    """Where copies of instances live, in which tier, and what that costs."""

    rules: tuple[PlacementRule, ...] = Field(
        (), description="Rules; the first that is for an instance decides. Without one it stays where it landed."
    )
    quarantine: Names = Field((), description="Stores that get a copy of what lies in quarantine.")
    settle: float = Field(5.0, ge=0, description="Seconds that the instances of a series are gathered before they are copied.")
    sweep: float = Field(900.0, gt=0, description="Seconds between looks for what has reached an age.")
    commitment_wait: float = Field(
        86_400.0, ge=0, description="Seconds that a storage commitment waits for missing copies before it reports them as failed."
    )
    recall: RecallSettings = RecallSettings()
    currency: str = Field("EUR", max_length=8, description="Currency of the prices, for people who read the plan.")
    prices: dict[str, StorePrice] = Field(default_factory=dict, description="Store to its prices.")
