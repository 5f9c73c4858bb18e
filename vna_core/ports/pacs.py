"""The PACS adapter port (decision D1): migration walks it, federation fans out over it, lazy retrieval fetches through it.

An adapter speaks for one source. It answers with DICOM JSON objects (PS3.18 annex F) and delivers octets as they come; it never
decides what is kept. Every method may be called from several threads at once. What a source cannot do is declared in
`PacsAbilities`, and callers branch on that, never on an adapter's name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from vna_core.domain.deadline import Deadline
from vna_core.domain.errors import NotOffered
from vna_core.domain.octets import ReceivedInstance
from vna_core.domain.query import Level, Query

DicomJson = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PacsAbilities:
    """What the source was found to support, probed at `PacsAdapter.probe`.

    Attributes
    ----------
    retrieve
        How `fetch` gets octets: ``get`` (C-GET), ``move`` (C-MOVE to our own SCP), ``wado`` (WADO-RS), ``file`` (stored files).
    relational
        Series and instances can be asked for without the unique keys above them.
    concurrency
        How many retrievals at once the source is known to bear.
    response_limit
        Answers after which the source is known to stop without saying so (None: none seen).
    levels
        Levels at which `find` works.
    retrieve_modes
        Every way the source offers, the one in use first.
    transfer_syntaxes
        Those in which the source was seen to deliver (empty: not known before something is fetched).
    pages
        `Query.limit` and `Query.offset` are honoured by the source, so that a capped answer can be paged through.
    as_stored
        `fetch` delivers the files as the source stores them, octet by octet, never converted.
    digests
        `inventory` names the digest of what `fetch` delivers.
    changes, statistics
        The method of that name works.
    product
        What the source calls itself (implementation version name, server header); a hint for people.
    """

    retrieve: str
    relational: bool
    concurrency: int
    response_limit: int | None = None
    levels: frozenset[Level] = frozenset((Level.STUDY, Level.SERIES, Level.IMAGE))
    retrieve_modes: tuple[str, ...] = ()
    transfer_syntaxes: frozenset[str] = frozenset()
    pages: bool = False
    as_stored: bool = False
    digests: bool = False
    changes: bool = False
    statistics: bool = False
    product: str = ""


@dataclass(frozen=True, slots=True)
class InventoriedInstance:
    """One instance that the source says it holds.

    Attributes
    ----------
    digest
        ``md5:<hex>`` or ``sha256:<hex>`` of the octets that `fetch` delivers; empty: the source does not know.
    size
        Their number; -1: the source does not say.
    modality
        Of its series; empty: the source does not say.
    """

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str = ""
    digest: str = ""
    size: int = -1
    modality: str = ""


@dataclass(frozen=True, slots=True)
class FetchReport:
    """What the source said about one retrieval. Never proof: UID sets and digests are."""

    delivered: int
    failed: int
    warnings: int = 0
    message: str = ""


class ChangeKind(StrEnum):
    """What happened to a study at the source."""

    ADDED = "added"
    UPDATED = "updated"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Change:
    """One entry of a source's change feed.

    Attributes
    ----------
    cursor
        Give it to `changes` to go on behind this entry. Opaque.
    study_instance_uid
        Empty where the source does not know any more whose the deleted thing was.
    """

    cursor: str
    kind: ChangeKind
    study_instance_uid: str


@dataclass(frozen=True, slots=True)
class SourceStatistics:
    """What the source says it holds in all; -1 for what it does not say."""

    patients: int = -1
    studies: int = -1
    series: int = -1
    instances: int = -1
    octets: int = -1


Deliver = Callable[[ReceivedInstance], None]
"""Takes one instance over, octets included; returns when the next may come. May be called from several threads."""


class PacsAdapter(ABC):
    """One source archive.

    A `deadline` bounds the wait for the source, not the time a caller takes between two answers; when it is over, the call
    raises PeerUnavailable, what was answered or delivered before stays, and the connection is given up.
    """

    name: str

    @abstractmethod
    def probe(self, thorough: bool = False) -> PacsAbilities:
        """Connect, and find out what the source can do.

        `thorough` tries what negotiation does not tell (levels, caps, concurrency) with real questions, which may take a
        minute. Raises PeerUnavailable, PeerError. May be repeated.
        """

    @abstractmethod
    def find(self, query: Query, *, attributes: tuple[int, ...] = (), deadline: Deadline | None = None) -> Iterator[DicomJson]:
        """Matches at the level of `query`, as the source answers; they may be too many, twice, or too few.

        Conditions are single values, lists, wild cards and ranges: for empty values and for what is in sequences no source is asked.
        `attributes` are wanted beyond what is usual for the level. Raises AnswerCapped behind the last answer where the source
        says that there are more, NotOffered for a level that it does not answer, PeerUnavailable, PeerError. May be repeated.
        """

    @abstractmethod
    def inventory(self, study_instance_uid: str, *, deadline: Deadline | None = None) -> Iterator[InventoriedInstance]:
        """Every instance the source says a study has. Raises as `find`. May be repeated."""

    @abstractmethod
    def fetch(
        self,
        study_instance_uid: str,
        deliver: Deliver,
        series_instance_uid: str | None = None,
        sop_instance_uids: tuple[str, ...] = (),
        *,
        deadline: Deadline | None = None,
    ) -> FetchReport:
        """Retrieve a study, one series of it, or some instances of that series, and hand each instance to `deliver`.

        Raises PeerUnavailable when the connection breaks (what was delivered before stays delivered), and whatever `deliver`
        raises; nothing is delivered after the call has ended. May be repeated.
        """

    def changes(self, since: str = "", *, deadline: Deadline | None = None) -> Iterator[Change]:
        """What happened behind the cursor `since` (empty: from the beginning), oldest first, up to now. Raises as `find`."""
        raise NotOffered(f"{self.name} has no change feed.")

    def change_cursor(self) -> str:
        """The cursor of the feed's present end: take it before an inventory, then follow what changed since. Raises as `find`."""
        raise NotOffered(f"{self.name} has no change feed.")

    def statistics(self) -> SourceStatistics:
        """What the source says it holds in all. Raises as `find`."""
        raise NotOffered(f"{self.name} has no statistics.")

    def close(self) -> None:  # noqa: B027 - adapters without connections have nothing to do
        """Give back connections and listeners. May be called twice."""
