"""Settings of departments: who belongs to them, what belongs to them, and who may do what to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator

from vna_core.configuration.section import Section
from vna_core.domain.data_dictionary import tag_for_keyword
from vna_core.domain.departments import COLLECTION, Departments, Origin
from vna_core.domain.indexed_attributes import INDEXED


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str | dict) else value


Texts = Annotated[tuple[str, ...], BeforeValidator(_listed)]
Deed = Literal["query", "retrieve", "store", "correct", "delete"]
Deeds = Annotated[tuple[Deed, ...], BeforeValidator(_listed)]
_NAME = r"^[a-z0-9][a-z0-9-]{0,31}$"
Name = Annotated[str, Field(pattern=_NAME)]
_INSTITUTION, _MODALITY = 0x00080080, 0x00080060
_NOBODY: Mapping[str, str] = {}


def _indexed(keyword: str) -> int:
    tag = tag_for_keyword(keyword)
    if tag is None or tag not in INDEXED:
        raise ValueError(f"{keyword!r} is no attribute that the catalogue indexes")
    return tag


class OriginSettings(Section):
    """Which instances are meant: all that is given must hold. A `*` at the end of a value: begins with."""

    kind: Literal["", "dimse", "stow", "file", "migration"] = Field("", description="How the octets came; empty: any way.")
    name: Texts = Field((), description="AE title, principal, name of the PACS or folder they came from.")
    institution: Texts = Field((), description="Institution Name (0008,0080).")
    modality: Texts = Field((), description="Modality (0008,0060).")
    tags: dict[str, Texts] = Field(default_factory=dict, description="Keyword of an indexed attribute to its value.")
    studies: Texts = Field((), description="Study Instance UIDs.")

    @field_validator("tags")
    @classmethod
    def _known(cls, tags: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        for keyword in tags:
            _indexed(keyword)
        return tags

    def origin(self) -> Origin:
        """The rule as the domain knows it."""
        attributes = {_indexed(keyword): values for keyword, values in self.tags.items()}
        for tag, values in ((_INSTITUTION, self.institution), (_MODALITY, self.modality)):
            if values:
                attributes[tag] = values
        return Origin(self.kind, self.name, attributes, frozenset(self.studies))


Origins = Annotated[tuple[OriginSettings, ...], BeforeValidator(_listed)]


class DepartmentSettings(Section):
    """One department. What its members store belongs to it, unless a department `holds` it by rule."""

    principals: Texts = Field(
        (), description="Members: principals of `http.tokens` and `http.certificates`; `anonymous` while there are no tokens."
    )
    ae_titles: Texts = Field((), description="Members: AE titles of `dimse.peers`, from the addresses given there.")
    may: Deeds = Field(("query", "retrieve", "store"), description="What members may do in their own department.")
    holds: Origins = Field((), description="What belongs to the department wherever it came from.")


class GrantSettings(Section):
    """A door in a wall."""

    to: Texts = Field(min_length=1, description="Departments whose members may pass; `*`: all.")
    of: Texts = Field(min_length=1, description="Departments and collections it leads to; `*`: all departments.")
    may: Deeds = Field(("query", "retrieve"), description="What they may do there.")


class CollectionSettings(Section):
    """A named set of instances, shared by grants."""

    holds: Origins = Field(min_length=1, description="What is in it.")


class BreakGlassSettings(Section):
    """Access in an emergency: to all departments, with a reason, for a limited time, loudly audited."""

    to: Texts = Field((), description="Departments whose members may break the glass; `*`: all. Empty: nobody.")
    may: Annotated[tuple[Literal["query", "retrieve"], ...], BeforeValidator(_listed)] = Field(
        ("query", "retrieve"), description="What they may do then."
    )
    minutes: int = Field(60, ge=1, le=1440, description="Minutes until the glass is whole again.")


class PolicySettings(Section):
    """Who may do what across departments."""

    grants: Annotated[tuple[GrantSettings, ...], BeforeValidator(_listed)] = Field((), description="Doors in the walls.")
    collections: dict[Name, CollectionSettings] = Field(default_factory=dict, description="Shared sets by name.")
    break_glass: BreakGlassSettings = BreakGlassSettings()
    administrators: Texts = Field((), description="Principals of `http.tokens` that may do everything, everywhere.")
    monitors: Texts = Field((), description="Principals of `http.tokens` that may read statistics, metrics and readiness.")
    unassigned: str = Field("", description="Department of what belongs to no other; empty: administrators alone see it.")


def departments_of(
    departments: Mapping[str, DepartmentSettings], policy: PolicySettings, delivering: Mapping[str, str] = _NOBODY
) -> Departments:
    """The rules that decide which departments and collections an instance belongs to.

    `delivering` names members of the federation with their departments: what they deliver belongs to these.
    """
    members = {("dimse", title): name for name, one in departments.items() for title in one.ae_titles}
    members |= {("stow", principal): name for name, one in departments.items() for principal in one.principals}
    members |= {("migration", name): department for name, department in delivering.items() if department in departments}
    return Departments(
        holds={name: tuple(rule.origin() for rule in one.holds) for name, one in departments.items()},
        members=members,
        collections={
            f"{COLLECTION}{name}": tuple(rule.origin() for rule in one.holds) for name, one in policy.collections.items()
        },
        unassigned=policy.unassigned,
    )
