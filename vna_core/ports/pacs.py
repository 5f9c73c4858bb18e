"""The PACS adapter port (decision D1): migration walks it, federation fans out over it, lazy retrieval fetches through it.

An adapter speaks for one source. It answers with DICOM JSON objects (PS3.18 annex F) and delivers octets as they come; it never
decides what is kept. Every method may be called from several threads at once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from vna_core.domain.octets import ReceivedInstance
from vna_core.domain.query import Query

DicomJson = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PacsAbilities:
    """What the source was found to support, probed at `probe`.

    Attributes
    ----------
    retrieve
        ``get`` (C-GET or HTTP: octets come back on the same connection) or ``move`` (they arrive at our own SCP).
    relational
        Series and instances can be asked for without the unique keys above them.
    concurrency
        How many retrievals at once the source is known to bear.
    response_limit
        Answers after which the source is known to stop without saying so (None: none seen).
    """

    retrieve: str
    relational: bool
    concurrency: int
    response_limit: int | None = None


@dataclass(frozen=True, slots=True)
class InventoriedInstance:
    """One instance that the source says it holds."""

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str = ""


@dataclass(frozen=True, slots=True)
class FetchReport:
    """What the source said about one retrieval. Never proof: UID sets and digests are."""

    delivered: int
    failed: int
    warnings: int = 0
    message: str = ""


Deliver = Callable[[ReceivedInstance], None]
"""Takes one instance over, octets included; returns when the archive has decided about it."""


class PacsAdapter(ABC):
    """One source archive."""

    name: str

    @abstractmethod
    def probe(self) -> PacsAbilities:
        """Connect, and find out what the source can do. Raises PeerUnavailable, PeerError."""

    @abstractmethod
    def find(self, query: Query) -> Iterator[DicomJson]:
        """Matches at the level of `query`, as the source answers. Raises PeerUnavailable, PeerError."""

    @abstractmethod
    def inventory(self, study_instance_uid: str) -> Iterator[InventoriedInstance]:
        """Every instance the source says a study has. Raises PeerUnavailable, PeerError."""

    @abstractmethod
    def fetch(
        self,
        study_instance_uid: str,
        deliver: Deliver,
        series_instance_uid: str | None = None,
        sop_instance_uids: tuple[str, ...] = (),
    ) -> FetchReport:
        """Retrieve a study, one series of it, or some instances of that series, and hand each instance to `deliver`.

        Raises PeerUnavailable when the connection breaks (what was delivered before stays delivered); may be called again.
        """

    def close(self) -> None:  # noqa: B027 - adapters without connections have nothing to do
        """Give back connections and listeners."""
