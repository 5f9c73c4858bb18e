"""Where copies are and where they must be: values that the policy, the catalogue and the jobs share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

PLACE: Final = "place"
"""Kind of the job that brings a series to where the policy wants it; its key is the series' primary key."""
RECALL: Final = "recall"
"""Kind of the job that recalls a study; its key is the Study Instance UID."""

OK: Final = "ok"
BAD: Final = "bad"
COLD: Final = "cold"
"""In an archive tier: there, verified when it was made, and to be recalled before it is read."""
LEAVING: Final = "leaving"
"""Being deleted: not read any more, perhaps gone."""


@dataclass(frozen=True, slots=True)
class HeldCopy:
    """One copy of an instance: an object, loose or a pack, and what is known about it.

    Attributes
    ----------
    size
        Octets of the instance in the object, which are all of a loose one.
    state
        ``ok``, ``bad``, ``cold`` or ``leaving``.
    tier
        Where placement moved it to; empty: where new objects of the store are.
    tier_since, locked_until, readable_until
        Microseconds since 1970 in UTC; 0: never moved, not locked, not recalled.
    sealed
        Grows with the order in which packs were listed; 0: the object is loose.
    legal_hold
        The store holds the object against deletion.
    """

    store: str
    key: str
    offset: int
    size: int
    state: str = OK
    tier: str = ""
    tier_since: int = 0
    locked_until: int = 0
    readable_until: int = 0
    sealed: int = 0
    legal_hold: bool = False


@dataclass(frozen=True, slots=True)
class PlacedInstance:
    """What the policy must know about one version of an instance. Times are microseconds since 1970 in UTC.

    `departments` are the labels by which departments and collections see it.
    """

    pk: int
    sop_instance_uid: str
    modality: str
    source_kind: str
    source: str
    size: int
    sha256: str
    received_at: int
    studied_at: int
    accessed_at: int
    departments: tuple[str, ...] = ()
    copies: tuple[HeldCopy, ...] = ()


@dataclass(frozen=True, slots=True)
class WantedCopy:
    """A copy that must be there now.

    Attributes
    ----------
    tier
        Tier it belongs in now; empty: it stays where it is.
    locked_until
        Microseconds since 1970 in UTC; 0: no lock.
    """

    store: str
    tier: str = ""
    locked_until: int = 0
    compliance: bool = False


@dataclass(frozen=True, slots=True)
class MissingCopies:
    """Copies of versions that a store must have and has not, and the octets of the versions."""

    store: str
    copies: int
    octets: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the policy says about one instance at one moment.

    Attributes
    ----------
    rule
        Name of the rule that decided; empty: no rule is for it, and it stays where it is.
    wanted
        Copies that must be there.
    missing
        Those of them that are not, or are not locked as long as they must be.
    loose
        Those that are there, but as a loose object or in an older pack, while a newer pack holds the instance elsewhere.
    excess
        Copies that may be dropped when nothing is missing.
    due
        When the answer may change by time alone, in microseconds since 1970; 0: never.
    """

    rule: str = ""
    wanted: tuple[WantedCopy, ...] = ()
    missing: tuple[WantedCopy, ...] = ()
    excess: tuple[HeldCopy, ...] = field(default=())
    due: int = 0
    loose: tuple[WantedCopy, ...] = ()

    @property
    def met(self) -> bool:
        """Whether every copy that must be there is there."""
        return not self.missing
