"""The catalogue as one principal sees it for one purpose: the only way by which the faces of the archive read it.

What lies outside the scope is left out by the database itself, so pages and counts are right; it answers exactly as what is
not held at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Final

from vna_core.access.notes import UNNOTED, AccessNotes
from vna_core.catalogue import Answer, Catalogue, Explanation, InstanceHeader, Items, ListedHeader, Match
from vna_core.domain.access import Action, Principal, PrincipalKind, Scope
from vna_core.domain.errors import NotAuthorized, NotFound
from vna_core.domain.identifiers import PatientKey
from vna_core.domain.instance import HeldInstance
from vna_core.domain.query import InSequence, Query

_UNNOTED: Final = AccessNotes(UNNOTED, Principal(PrincipalKind.LOCAL, ""), Action.QUERY)


@dataclass(frozen=True, slots=True)
class CatalogueView:
    """Reads what lies in a scope. Every method may raise CatalogueUnavailable and CatalogueError."""

    catalogue: Catalogue
    scope: Scope
    notes: AccessNotes = _UNNOTED
    linked: bool = False

    def search(self, query: Query) -> Answer:
        """Matches in the scope; counts are of what lies in it. What a source in cut-over still has is among them.

        Raises InvalidRequest.
        """
        self.notes.queried(query)
        return self.catalogue.awaited.search(replace(query, scope=self.scope, linked=self.linked))

    def sequences(
        self, matches: Sequence[Match], wanted: Mapping[int, InSequence | None], *, whole: bool
    ) -> Iterator[tuple[Match, Mapping[int, Items]]]:
        """Every match with items of sequences by tag: see `SequenceReader.told`."""
        return self.catalogue.sequences.told(matches, wanted, self.scope, whole=whole)

    def instances(
        self,
        *,
        patient: PatientKey | None = None,
        study: str | None = None,
        series: str | None = None,
        sop: str | None = None,
    ) -> list[HeldInstance]:
        """Current versions that fulfil everything given, in the order of recording."""
        found: list[HeldInstance] = []
        if not self.scope.is_nothing:
            found = self.catalogue.instances(patient=patient, study=study, series=series, sop=sop, scope=self.scope)
        self.notes.read(found, (study, series, sop))
        return found

    def instances_by_uid_list(self, sop_instance_uids: Sequence[str]) -> Iterator[HeldInstance]:
        """Current versions of many instances; unknown UIDs are passed over."""
        found = [] if self.scope.is_nothing else list(self.catalogue.instances_by_uid_list(sop_instance_uids, self.scope))
        self.notes.read(found, sop_instance_uids)
        return iter(found)

    def versions(self, sop_instance_uid: str) -> tuple[HeldInstance, ...]:
        """Every version under a SOP Instance UID."""
        found = () if self.scope.is_nothing else self.catalogue.versions(sop_instance_uid, self.scope)
        self.notes.read(found, (sop_instance_uid,))
        return found

    def headers(self, *, study: str, series: str | None = None, sop: str | None = None) -> Iterator[tuple[HeldInstance, bytes]]:
        """Current versions with their DICOM JSON, in the order of recording."""
        found = self.catalogue.headers(study=study, series=series, sop=sop, scope=self.scope)
        first = next(found, None)
        self.notes.described(study, first is not None)
        return iter(()) if first is None else chain((first,), found)

    def listed_headers(self, study: str, series: str) -> tuple[ListedHeader, ...]:
        """What `metadata_of` would read for a series; equal as long as that is the same."""
        listed = self.catalogue.listed_headers(study, series, self.scope)
        self.notes.described(study, bool(listed))
        return listed

    def metadata_of(self, listed: Sequence[ListedHeader]) -> Iterator[InstanceHeader]:
        """DICOM JSON of versions that were listed by this view, in that order."""
        return self.catalogue.metadata_of(listed)

    def explanation(self, held: HeldInstance) -> Explanation:
        """Where a version came from and what normalization did. Raises NotFound."""
        if not self.catalogue.seen([held.pk], self.scope):
            raise NotFound("Nothing is held under this UID.")
        found = self.catalogue.explanation(held.pk)
        return replace(found, versions=self.versions(held.sop_instance_uid))

    def is_of(self, held: HeldInstance, patient_id: str) -> bool:
        """Whether an instance is that of a bare Patient ID: filed under it or, where queries are expanded, the same person's."""
        if held.patient.patient_id == patient_id or not self.linked:
            return held.patient.patient_id == patient_id
        identity = self.catalogue.identity
        moved = identity.moved([held.study_instance_uid])
        owner = moved.get((held.study_instance_uid, held.patient), held.patient)
        return any(key.patient_id == patient_id for key in identity.same_person(owner))

    def are_one_person(self, keys: frozenset[PatientKey]) -> bool:
        """Whether all these IDs mean one person."""
        if len(keys) <= 1 or not self.linked:
            return len(keys) <= 1
        return keys <= self.catalogue.identity.same_person(next(iter(keys)))

    def demand_all(self, held: Sequence[HeldInstance]) -> None:
        """See to it that something is only done to versions that all lie in the scope; who tried otherwise is in the audit trail.

        Raises NotFound where none does, NotAuthorized where some do not.
        """
        seen = self.catalogue.seen([one.pk for one in held], self.scope)
        studies = {one.study_instance_uid for one in held}
        if not seen:
            self.notes.missed(next(iter(sorted(studies)), ""))
            raise NotFound("Nothing is held under this UID.")
        if any(one.pk not in seen for one in held):
            self.notes.refused(studies)
            raise NotAuthorized("Part of it belongs to a department in which you may not do this.")

    def only_in(self, scope: Scope, held: Sequence[HeldInstance], receiver: str) -> list[HeldInstance]:
        """Those that lie in another scope as well: that of whoever is to receive them."""
        seen = self.catalogue.seen([one.pk for one in held], scope)
        found = [one for one in held if one.pk in seen]
        self.notes.read(found, destination=receiver)
        return found
