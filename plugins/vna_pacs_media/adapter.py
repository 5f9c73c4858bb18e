"""The adapter: a medium, a folder, an archive file, or the files that an Inventory names, read in place."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import structlog

from vna_core.dicom.inventory_tree import is_inventory
from vna_core.domain.deadline import Deadline
from vna_core.domain.errors import ConfigurationError, PeerUnavailable
from vna_core.domain.octets import Source
from vna_core.domain.query import Level, Query
from vna_core.ports.pacs import (
    Deliver,
    DicomJson,
    FetchReport,
    InventoriedInstance,
    PacsAbilities,
    PacsAdapter,
    SourceStatistics,
)
from vna_core.ports.pacs_options import PacsOptions, source_address, source_options
from vna_core.ports.parallel_fetch import ParallelFetch
from vna_pacs_media import inventoried
from vna_pacs_media.fetching import Fetching
from vna_pacs_media.index import Index
from vna_pacs_media.looking import look

_log = structlog.get_logger(__name__)


class MediaOptions(PacsOptions):
    """Options of a medium or folder."""

    root: str = ""
    """Folder below which files may be read that an Inventory names; without it, the folder of the Inventory itself."""


class MediaAdapter(PacsAdapter):
    """Find, inventory and fetch what lies in files.

    The files are looked at once, at the first question; what appears later is seen when the source is opened again. Where an
    index is kept, a file that has not changed since is not read again, by whichever process.
    """

    def __init__(self, name: str, path: Path, options: MediaOptions) -> None:
        self.name = name
        self._path = path
        self._options = options
        self._index: Index | None = None
        self._lock = threading.Lock()
        self._fetching = Fetching(Source("migration", name, str(path), options.issuer))
        self._parallel = ParallelFetch(options.concurrency, "media")

    @classmethod
    def open(cls, name: str, url: str, options: Mapping[str, Any]) -> MediaAdapter:
        """Factory for a path or ``file:///media/cdrom?issuer=HOSPITAL``. Raises ConfigurationError."""
        query, path = "", url
        if url.lower().startswith("file:"):
            address = source_address(name, url)
            if address.hostname not in (None, "", "localhost"):
                raise ConfigurationError("A folder is given as a path or as file:///PATH.", source=name)
            query, path = address.query, unquote(address.path)
        checked = source_options(MediaOptions, name, query, options)
        if not path or not Path(path).exists():
            raise ConfigurationError(f"{path or url}: no such file or folder.", source=name)
        return cls(name, Path(path), checked)

    def probe(self, thorough: bool = False) -> PacsAbilities:
        """See `PacsAdapter.probe`. Looks at every file."""
        self._indexed(None)
        return PacsAbilities(
            "file",
            True,
            self._options.concurrency,
            levels=frozenset(Level),
            retrieve_modes=("file",),
            pages=True,
            as_stored=True,
            digests=self._is_inventory(),
            statistics=True,
            product="files",
        )

    def find(self, query: Query, *, attributes: tuple[int, ...] = (), deadline: Deadline | None = None) -> Iterator[DicomJson]:
        """See `PacsAdapter.find`. `attributes` beyond those that are kept of every file are not answered."""
        yield from self._indexed(deadline).answers(query)

    def inventory(self, study_instance_uid: str, *, deadline: Deadline | None = None) -> Iterator[InventoriedInstance]:
        """See `PacsAdapter.inventory`. A file that says it is DICOM and cannot be read is an instance with minted UIDs."""
        for one in self._indexed(deadline).instances(study_instance_uid):
            uids = (one.study_instance_uid, one.series_instance_uid, one.sop_instance_uid, one.sop_class_uid)
            yield InventoriedInstance(*uids, digest=one.digest, size=one.place.size, modality=one.modality)

    def fetch(
        self,
        study_instance_uid: str,
        deliver: Deliver,
        series_instance_uid: str | None = None,
        sop_instance_uids: tuple[str, ...] = (),
        *,
        deadline: Deadline | None = None,
    ) -> FetchReport:
        """See `PacsAdapter.fetch`."""
        wanted = frozenset(sop_instance_uids)
        found = [
            one
            for one in self._indexed(deadline).instances(study_instance_uid, series_instance_uid)
            if not wanted or one.sop_instance_uid in wanted
        ]
        absent = len(wanted - {one.sop_instance_uid for one in found})
        report = self._parallel.run(self._fetching.units(found), lambda unit: self._fetching.fetch(unit, deliver, deadline))
        return FetchReport(report.delivered, report.failed + absent, report.warnings, report.message)

    def statistics(self) -> SourceStatistics:
        """See `PacsAdapter.statistics`."""
        return self._indexed(None).statistics()

    def close(self) -> None:
        """See `PacsAdapter.close`."""
        self._parallel.close()
        with self._lock:
            index, self._index = self._index, None
        if index is not None:
            index.close()

    # -- looking at the files ---------------------------------------------------------------------------------------------

    def _indexed(self, deadline: Deadline | None) -> Index:
        with self._lock:
            if self._index is None:
                self._index = self._filled(deadline)
            return self._index

    def _kept_index(self) -> Index:
        """The index that is kept, where one can be."""
        if self._options.kept_in:
            try:
                return Index(Path(self._options.kept_in))
            except (OSError, sqlite3.Error) as error:
                _log.warning("index-not-kept", source=self.name, folder=self._options.kept_in, error=str(error))
        return Index()

    def _is_inventory(self) -> bool:
        return self._path.is_file() and is_inventory(self._path)

    def _filled(self, deadline: Deadline | None) -> Index:
        """An index of everything that is there. None of an Inventory is kept: it is read as quickly as an index of it."""
        if not self._path.exists():
            raise PeerUnavailable(f"{self._path} is not there (any more): mount it, then try again.")
        is_inventory = self._is_inventory()
        index = Index() if is_inventory else self._kept_index()
        try:
            if is_inventory:
                root = Path(self._options.root or self._path.parent).resolve()
                with index.looking():
                    instances = inventoried.fill(index, self._path, root)
                _log.info("inventory-indexed", source=self.name, instances=instances)
            else:
                _log.info("medium-indexed", source=self.name, **look(index, self._path, deadline))
        except BaseException:
            index.close()
            raise
        return index
