"""The adapter: one Orthanc, asked through its REST interface."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field

from vna_core.dicom.network.web_client import WebClient
from vna_core.dicom.network.web_source import WebSource, WebSourceOptions
from vna_core.domain.deadline import Deadline
from vna_core.domain.errors import NotFound, PeerError
from vna_core.domain.numbers import whole_number
from vna_core.domain.octets import Source
from vna_core.domain.query import Level, Query
from vna_core.ports.pacs import (
    Change,
    Deliver,
    DicomJson,
    FetchReport,
    InventoriedInstance,
    PacsAbilities,
    PacsAdapter,
    SourceStatistics,
)
from vna_core.ports.parallel_fetch import ParallelFetch
from vna_pacs_orthanc.change_feed import changes_behind, last_change
from vna_pacs_orthanc.files import StoredFiles
from vna_pacs_orthanc.finding import Finder


class OrthancOptions(WebSourceOptions):
    """Options of an ``orthanc+http`` source."""

    concurrency: int = Field(8, ge=1, le=256)
    """Files at once over all retrievals."""
    page: int = Field(1000, ge=1, le=100_000)
    """Answers asked for at once."""
    check: bool = True
    """Compare every file with the MD5 that Orthanc keeps of it; what differs is fetched once more, then counted as failed."""
    digests: bool = False
    """Ask for that MD5 and size already in the inventory (one more request an instance)."""


class OrthancAdapter(PacsAdapter):
    """Find, inventory, fetch and follow an Orthanc. Files are delivered as Orthanc stores them."""

    def __init__(self, name: str, client: WebClient, address: str, options: OrthancOptions) -> None:
        self.name = name
        self._client = client
        self._options = options
        self._finder = Finder(client, options.page)
        self._files = StoredFiles(client, Source("migration", name, address, options.issuer), options.check)
        self._parallel = ParallelFetch(options.concurrency, "orthanc")

    @classmethod
    def open(cls, name: str, url: str, options: Mapping[str, Any]) -> OrthancAdapter:
        """Factory for ``orthanc+http://USER:PASSWORD@HOST:8042?concurrency=8&issuer=HOSPITAL``. Raises ConfigurationError."""
        source = WebSource.of(OrthancOptions, name, url, options, "An Orthanc is given as orthanc+http://HOST:PORT")
        return cls(name, source.client(), source.shown, source.options)

    def probe(self, thorough: bool = False) -> PacsAbilities:
        """See `PacsAdapter.probe`."""
        system = self._client.document("/system")
        if not isinstance(system, dict) or "Version" not in system:
            raise PeerError("This is no Orthanc: its /system does not say a version.")
        return PacsAbilities(
            "file",
            True,
            self._options.concurrency,
            levels=frozenset(Level),
            retrieve_modes=("file",),
            pages=True,
            as_stored=True,
            digests=self._options.digests,
            changes=self._has("/changes?limit=1"),
            statistics=self._has("/statistics"),
            product=f"Orthanc {str(system['Version'])[:32]}",
        )

    def _has(self, target: str) -> bool:
        try:
            with self._client.request(target):
                return True
        except NotFound:
            return False

    def find(self, query: Query, *, attributes: tuple[int, ...] = (), deadline: Deadline | None = None) -> Iterator[DicomJson]:
        """See `PacsAdapter.find`. Answers carry the main DICOM tags that Orthanc keeps of the level and of the patient, and sequences from the header of an instance."""
        yield from self._finder.answers(query, attributes, deadline)

    def inventory(self, study_instance_uid: str, *, deadline: Deadline | None = None) -> Iterator[InventoriedInstance]:
        """See `PacsAdapter.inventory`."""
        for one in self._finder.instances(study_instance_uid, None, deadline):
            digest = self._files.digest(one.identifier, deadline) if self._options.digests else ""
            yield InventoriedInstance(
                study_instance_uid,
                one.series_instance_uid,
                one.sop_instance_uid,
                one.sop_class_uid,
                f"md5:{digest}" if digest else "",
                one.size,
                one.modality,
            )

    def fetch(
        self,
        study_instance_uid: str,
        deliver: Deliver,
        series_instance_uid: str | None = None,
        sop_instance_uids: tuple[str, ...] = (),
        *,
        deadline: Deadline | None = None,
    ) -> FetchReport:
        """See `PacsAdapter.fetch`. An instance that the index names and the storage has lost counts as failed."""
        wanted = frozenset(sop_instance_uids)
        found = [
            one
            for one in self._finder.instances(study_instance_uid, series_instance_uid, deadline)
            if not wanted or one.sop_instance_uid in wanted
        ]
        report = self._parallel.run(found, lambda one: self._files.fetch(one, deliver, deadline))
        absent = len(wanted - {one.sop_instance_uid for one in found})
        return FetchReport(report.delivered, report.failed + absent, report.warnings, report.message)

    def changes(self, since: str = "", *, deadline: Deadline | None = None) -> Iterator[Change]:
        """See `PacsAdapter.changes`."""
        yield from changes_behind(self._client, since, deadline)

    def change_cursor(self) -> str:
        """See `PacsAdapter.change_cursor`."""
        return last_change(self._client)

    def statistics(self) -> SourceStatistics:
        """See `PacsAdapter.statistics`. Octets are those on Orthanc's disk."""
        said = self._client.document("/statistics")
        if not isinstance(said, dict):
            raise PeerError("Orthanc's statistics are no JSON object.")
        names = ("CountPatients", "CountStudies", "CountSeries", "CountInstances", "TotalDiskSize")
        return SourceStatistics(*(_count(said.get(name)) for name in names))

    def close(self) -> None:
        """See `PacsAdapter.close`."""
        self._parallel.close()
        self._client.close()


def _count(value: object) -> int:
    number = whole_number(str(value))
    return -1 if number is None else number
