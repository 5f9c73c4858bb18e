"""Which departments and collections an instance belongs to: a function of the instance and the site's rules alone.

The same instance gets the same labels on arrival, when it is normalized again, and when the catalogue is rebuilt from the stores.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from vna_core.domain.octets import Source

COLLECTION: Final = "collection:"
"""What the label of a collection begins with; no department's name does."""


def fits(pattern: str, value: str) -> bool:
    """Whether a value is the pattern, or begins with what stands before the ``*`` at the pattern's end."""
    return value.startswith(pattern[:-1]) if pattern.endswith("*") else value == pattern


def fits_any(patterns: tuple[str, ...], values: tuple[str, ...]) -> bool:
    """Whether any value fits any pattern; without patterns everything does."""
    return not patterns or any(fits(pattern, value) for pattern in patterns for value in values)


@dataclass(frozen=True, slots=True)
class Origin:
    """Which instances are meant: all that is given must hold.

    Attributes
    ----------
    kind
        Of the source: ``dimse``, ``stow``, ``file`` or ``migration``; empty: any.
    names
        Patterns of the source's name: AE title, principal, name of a PACS, folder.
    attributes
        Indexed attribute to patterns of its value; absent is the empty text.
    studies
        Study Instance UIDs.
    """

    kind: str = ""
    names: tuple[str, ...] = ()
    attributes: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    studies: frozenset[str] = frozenset()

    def covers(self, source: Source, study_instance_uid: str, attributes: Mapping[int, tuple[str, ...]]) -> bool:
        """Whether an instance is meant."""
        return (
            (not self.kind or self.kind == source.kind)
            and fits_any(self.names, (source.name,))
            and (not self.studies or study_instance_uid in self.studies)
            and all(fits_any(patterns, attributes.get(tag) or ("",)) for tag, patterns in self.attributes.items())
        )

    def may_cover(
        self,
        source: Source,
        study_instance_uid: str,
        attributes: Mapping[int, tuple[str, ...]],
        known: Collection[int],
    ) -> bool:
        """Whether an instance of which only the `known` attributes are at hand can be meant."""
        told = {tag: patterns for tag, patterns in self.attributes.items() if tag in known}
        return replace(self, attributes=told).covers(source, study_instance_uid, attributes)


@dataclass(frozen=True, slots=True)
class Departments:
    """The site's rules.

    Attributes
    ----------
    holds
        Department to what belongs to it wherever it came from. Where one applies, members are not asked.
    members
        ``(kind of source, name)`` of a member that stores, to its department.
    collections
        Label of a collection to what is in it, besides the departments it belongs to.
    unassigned
        Department of what belongs to no other; empty: to none.
    """

    holds: Mapping[str, tuple[Origin, ...]] = field(default_factory=dict)
    members: Mapping[tuple[str, str], str] = field(default_factory=dict)
    collections: Mapping[str, tuple[Origin, ...]] = field(default_factory=dict)
    unassigned: str = ""

    @property
    def divided(self) -> bool:
        """Whether there are departments at all. Without them nothing has a label."""
        return bool(self.holds)

    def labels(
        self, source: Source, study_instance_uid: str, attributes: Mapping[int, tuple[str, ...]], among: tuple[Source, ...] = ()
    ) -> tuple[str, ...]:
        """Departments and collections of an instance, in order.

        Parameters
        ----------
        among
            Further sources that delivered the same octets.
        """
        if not self.divided:
            return ()
        found = {label for one in (source, *among) for label in self._departments(one, study_instance_uid, attributes)}
        found |= {
            label
            for label, origins in self.collections.items()
            if any(origin.covers(source, study_instance_uid, attributes) for origin in origins)
        }
        return tuple(sorted(found))

    def surely(
        self,
        source: Source,
        study_instance_uid: str,
        attributes: Mapping[int, tuple[str, ...]],
        known: Collection[int],
        labels: Collection[str],
    ) -> bool:
        """Whether an instance of which only the `known` attributes are at hand gets one of these labels whatever the others are."""

        def named(rules: Mapping[str, tuple[Origin, ...]]) -> tuple[set[str], set[str]]:
            """Labels that the instance surely gets, and those that it may get."""
            sure: set[str] = set()
            perhaps: set[str] = set()
            for label, origins in rules.items():
                meant = [one for one in origins if one.may_cover(source, study_instance_uid, attributes, known)]
                if any(tag not in known for one in meant for tag in one.attributes):
                    perhaps.add(label)
                if any(all(tag in known for tag in one.attributes) for one in meant):
                    sure.add(label)
            return sure, perhaps - sure

        sure, perhaps = named(self.holds)
        wanted = set(labels)
        if (sure | named(self.collections)[0]) & wanted:
            return True
        if sure or not perhaps <= wanted:
            return False
        otherwise = self.members.get((source.kind, source.name)) or self.unassigned
        return otherwise in wanted

    def _departments(self, source: Source, study: str, attributes: Mapping[int, tuple[str, ...]]) -> set[str]:
        found = {
            name for name, origins in self.holds.items() if any(origin.covers(source, study, attributes) for origin in origins)
        }
        if not found and (member := self.members.get((source.kind, source.name))):
            found = {member}
        return found or ({self.unassigned} if self.unassigned else set())


UNDIVIDED: Final = Departments()
"""An archive without departments."""
