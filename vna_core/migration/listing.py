"""A source whose content is listed elsewhere: in an Inventory that its maker wrote, say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from vna_core.domain.deadline import Deadline
from vna_core.domain.query import Query
from vna_core.ports.pacs import Deliver, DicomJson, FetchReport, InventoriedInstance, PacsAbilities, PacsAdapter, SourceStatistics


class Listing(PacsAdapter):
    """Answers out of `listing`, and fetches from `source`.

    The digests of the listing are left out: they are of files as they lie there, and what the source sends is encoded anew.
    """

    def __init__(self, listing: PacsAdapter, source: PacsAdapter) -> None:
        self.name = source.name
        self._listing, self._source = listing, source

    def probe(self, thorough: bool = False) -> PacsAbilities:
        """See `PacsAdapter.probe`."""
        return replace(self._listing.probe(thorough), digests=False)

    def find(self, query: Query, *, attributes: tuple[int, ...] = (), deadline: Deadline | None = None) -> Iterator[DicomJson]:
        """See `PacsAdapter.find`."""
        return self._listing.find(query, attributes=attributes, deadline=deadline)

    def inventory(self, study_instance_uid: str, *, deadline: Deadline | None = None) -> Iterator[InventoriedInstance]:
        """See `PacsAdapter.inventory`."""
        for one in self._listing.inventory(study_instance_uid, deadline=deadline):
            yield replace(one, digest="", size=-1)

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
        return self._source.fetch(study_instance_uid, deliver, series_instance_uid, sop_instance_uids, deadline=deadline)

    def statistics(self) -> SourceStatistics:
        """See `PacsAdapter.statistics`."""
        return self._listing.statistics()
