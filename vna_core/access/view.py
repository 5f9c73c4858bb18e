"""The catalogue as one principal sees it for one purpose: the only way by which the faces of the archive read it.

What lies outside the scope is left out by the database itself, so pages and counts are right; it answers exactly as what is
not held at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from vna_core.catalogue import Answer, Catalogue, Explanation, InstanceHeader, ListedHeader
from vna_core.domain.access import Scope
from vna_core.domain.errors import NotFound
from vna_core.domain.identifiers import PatientKey
from vna_core.domain.instance import HeldInstance
from vna_core.domain.query import Query


@dataclass(frozen=True, slots=True)
class CatalogueView:
    """Reads what lies in a scope. Every method may raise CatalogueUnavailable and CatalogueError."""

    catalogue: Catalogue
    scope: Scope

    def search(self, query: Query) -> Answer:
        """Matches in the scope; counts are of what lies in it. Raises InvalidRequest."""
        return self.catalogue.search(replace(query, scope=self.scope))

    def instances(
        self,
        *,
        patient: PatientKey | None = None,
        study: str | None = None,
        series: str | None = None,
        sop: str | None = None,
    ) -> list[HeldInstance]:
        """Current versions that fulfil everything given, in the order of recording."""
        if self.scope.is_nothing:
            return []
        return self.catalogue.instances(patient=patient, study=study, series=series, sop=sop, scope=self.scope)

    def instances_by_uid_list(self, sop_instance_uids: Sequence[str]) -> Iterator[HeldInstance]:
        """Current versions of many instances; unknown UIDs are passed over."""
        return iter(()) if self.scope.is_nothing else self.catalogue.instances_by_uid_list(sop_instance_uids, self.scope)

    def versions(self, sop_instance_uid: str) -> tuple[HeldInstance, ...]:
        """Every version under a SOP Instance UID."""
        return () if self.scope.is_nothing else self.catalogue.versions(sop_instance_uid, self.scope)

    def headers(self, *, study: str, series: str | None = None, sop: str | None = None) -> Iterator[tuple[HeldInstance, bytes]]:
        """Current versions with their DICOM JSON, in the order of recording."""
        return self.catalogue.headers(study=study, series=series, sop=sop, scope=self.scope)

    def listed_headers(self, study: str, series: str) -> tuple[ListedHeader, ...]:
        """What `metadata_of` would read for a series; equal as long as that is the same."""
        return self.catalogue.listed_headers(study, series, self.scope)

    def metadata_of(self, listed: Sequence[ListedHeader]) -> Iterator[InstanceHeader]:
        """DICOM JSON of versions that were listed by this view, in that order."""
        return self.catalogue.metadata_of(listed)

    def explanation(self, held: HeldInstance) -> Explanation:
        """Where a version came from and what normalization did. Raises NotFound."""
        if not self.catalogue.seen([held.pk], self.scope):
            raise NotFound("Nothing is held under this UID.")
        found = self.catalogue.explanation(held.pk)
        return replace(found, versions=self.versions(held.sop_instance_uid))

    def only_in(self, scope: Scope, held: Sequence[HeldInstance]) -> list[HeldInstance]:
        """Those that lie in another scope as well: that of whoever is to receive them."""
        seen = self.catalogue.seen([one.pk for one in held], scope)
        return [one for one in held if one.pk in seen]
