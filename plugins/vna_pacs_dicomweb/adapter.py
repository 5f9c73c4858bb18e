"""The adapter: one source archive that speaks DICOMweb."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

from pydantic import Field

from vna_core.dicom.answers import first_value
from vna_core.dicom.network.web_client import WebClient
from vna_core.dicom.network.web_source import WebSource, WebSourceOptions
from vna_core.domain.deadline import Deadline
from vna_core.domain.errors import NotFound, NotOffered, PeerError, PeerUnavailable, VnaError
from vna_core.domain.octets import Source
from vna_core.domain.query import Equals, Level, Query
from vna_core.ports.pacs import Deliver, DicomJson, FetchReport, InventoriedInstance, PacsAbilities, PacsAdapter
from vna_core.ports.parallel_fetch import ParallelFetch
from vna_pacs_dicomweb.retrieving import delivered_parts
from vna_pacs_dicomweb.searching import Search

_STUDY, _SERIES, _SOP, _CLASS, _MODALITY = 0x0020000D, 0x0020000E, 0x00080018, 0x00080016, 0x00080060
_TRIED: Final = 5
"""Answers that the probe asks for when it looks whether a source turns pages."""


class DicomwebOptions(WebSourceOptions):
    """Options of a ``dicomweb+http`` source."""

    page: int = Field(500, ge=1, le=100_000)
    """Answers asked for at once."""
    any_transfer_syntax: bool = True
    """Ask for instances as they are stored (``transfer-syntax=*``); false for services that refuse that."""
    via: str = Field("", pattern="^[A-Za-z0-9.-]{0,64}$")
    """Name sent in the field Via: a federation that is asked by another one does not pass the question on."""


class DicomwebAdapter(PacsAdapter):
    """Find, inventory and fetch over DICOMweb."""

    def __init__(self, name: str, client: WebClient, address: str, options: DicomwebOptions) -> None:
        self.name = name
        self._client = client
        self._options = options
        self._source = Source("migration", name, address, options.issuer)
        self._search = Search(client, options.page)
        self._parallel = ParallelFetch(options.concurrency, "wado")

    @classmethod
    def open(cls, name: str, url: str, options: Mapping[str, Any]) -> DicomwebAdapter:
        """Factory for ``dicomweb+https://HOST:PORT/ROOT?page=500&concurrency=4&issuer=HOSPITAL``. Raises ConfigurationError."""
        source = WebSource.of(
            DicomwebOptions, name, url, options, "A DICOMweb source is given as dicomweb+https://HOST:PORT/ROOT"
        )
        via = source.options.via
        return cls(name, source.client({"Via": f"1.1 {via}"} if via else None), source.shown, source.options)

    # -- asking -----------------------------------------------------------------------------------------------------------

    def probe(self, thorough: bool = False) -> PacsAbilities:
        """See `PacsAdapter.probe`. What is tried: turning a page, and with `thorough` the levels without keys above them."""
        first, answer = self._client.document_and_answer("/studies", {"limit": str(_TRIED)})
        pages = self._turns_pages(first if isinstance(first, list) else [])
        levels, relational = {Level.STUDY, Level.SERIES, Level.IMAGE}, True
        if thorough:
            relational = self._answers("/series") and self._answers("/instances")
            if first and not self._answers(f"/studies/{quote(first_value(first[0], _STUDY), safe='')}/series"):
                levels -= {Level.SERIES}
        return PacsAbilities(
            "wado",
            relational,
            self._options.concurrency,
            levels=frozenset(levels),
            retrieve_modes=("wado",),
            pages=pages,
            as_stored=False,
            product=answer.header("Server")[:64],
        )

    def _turns_pages(self, first: list[DicomJson]) -> bool:
        """Whether the second answer comes when the first is skipped; an archive of one study cannot show it."""
        if len(first) < 2:
            return True
        second = self._client.document("/studies", {"limit": "1", "offset": "1"})
        return bool(second) and len(second) == 1 and first_value(second[0], _STUDY) != first_value(first[0], _STUDY)

    def _answers(self, path: str) -> bool:
        try:
            self._client.document(path, {"limit": "1"})
        except PeerUnavailable:
            raise
        except (NotFound, PeerError):
            return False
        return True

    def find(self, query: Query, *, attributes: tuple[int, ...] = (), deadline: Deadline | None = None) -> Iterator[DicomJson]:
        """See `PacsAdapter.find`. Pages are turned until one is empty."""
        if query.level is Level.PATIENT:
            raise NotOffered(f"{self.name} answers no questions at the patient level (QIDO-RS has none).")
        yield from self._search.answers(query, attributes, deadline)

    def inventory(self, study_instance_uid: str, *, deadline: Deadline | None = None) -> Iterator[InventoriedInstance]:
        """See `PacsAdapter.inventory`."""
        asked = Query(Level.IMAGE, (Equals(_STUDY, (study_instance_uid,)),))
        for one in self._search.answers(asked, (_CLASS, _MODALITY), deadline):
            series, sop, sop_class, modality = (first_value(one, tag) for tag in (_SERIES, _SOP, _CLASS, _MODALITY))
            yield InventoriedInstance(study_instance_uid, series, sop, sop_class, modality=modality)

    # -- fetching ---------------------------------------------------------------------------------------------------------

    def fetch(
        self,
        study_instance_uid: str,
        deliver: Deliver,
        series_instance_uid: str | None = None,
        sop_instance_uids: tuple[str, ...] = (),
        *,
        deadline: Deadline | None = None,
    ) -> FetchReport:
        """See `PacsAdapter.fetch`. Instances are asked for one by one and in parallel, a study or series as a whole."""
        path = f"/studies/{quote(study_instance_uid, safe='')}"
        if series_instance_uid is not None:
            path += f"/series/{quote(series_instance_uid, safe='')}"
        if not sop_instance_uids:
            return self._fetched(path, "", deliver, deadline)
        if series_instance_uid is None:
            series = {
                one.sop_instance_uid: one.series_instance_uid for one in self.inventory(study_instance_uid, deadline=deadline)
            }
            wanted = [(f"{path}/series/{quote(series.get(sop, ''), safe='')}", sop) for sop in sop_instance_uids if sop in series]
        else:
            wanted = [(path, sop) for sop in sop_instance_uids]
        report = self._parallel.run(
            wanted, lambda one: self._fetched(f"{one[0]}/instances/{quote(one[1], safe='')}", one[1], deliver, deadline)
        )
        absent = len(sop_instance_uids) - len(wanted)
        return FetchReport(report.delivered, report.failed + absent, report.warnings, report.message)

    def _fetched(self, path: str, sop: str, deliver: Deliver, deadline: Deadline | None) -> FetchReport:
        accepts = ['multipart/related; type="application/dicom"']
        if self._options.any_transfer_syntax:
            accepts.insert(0, 'multipart/related; type="application/dicom"; transfer-syntax=*')
        for number, accept in enumerate(accepts):
            try:
                with self._client.request(path, accept=accept, deadline=deadline) as answer:
                    delivered = delivered_parts(answer, self._source, sop, deliver)
                return FetchReport(delivered, 1 if sop and not delivered else 0)
            except NotFound:
                return FetchReport(0, 1, message="The source does not have it (HTTP 404).")
            except NotOffered as error:
                if number + 1 == len(accepts):
                    return FetchReport(0, 1, message=error.message)
        raise VnaError("No representation was asked for.")

    def close(self) -> None:
        """See `PacsAdapter.close`."""
        self._parallel.close()
        self._client.close()
