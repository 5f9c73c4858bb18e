"""This archive as a member of its own federation: the same questions, answered from the catalogue."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Final

from vna_core.access.availability import ONLINE, Availability
from vna_core.catalogue import Catalogue
from vna_core.dicom.answers import sequence_members
from vna_core.dicom.json_header import encode_attributes
from vna_core.domain.access import EVERYTHING, Scope
from vna_core.domain.deadline import Deadline
from vna_core.domain.errors import NotOffered
from vna_core.domain.query import InSequence, Query
from vna_core.domain.sequence_levels import level_of_sequence
from vna_core.federation.members import LOCAL, Member
from vna_core.federation.rows import AVAILABILITY
from vna_core.ports.pacs import Deliver, DicomJson, FetchReport, InventoriedInstance, PacsAbilities, PacsAdapter, SourceStatistics

_PIECE: Final = 500


class LocalMember(PacsAdapter):
    """Answers from here. Nothing is fetched from it: what is here is served from here."""

    name = LOCAL

    def __init__(self, catalogue: Catalogue, availability: Availability | None = None, scope: Scope = EVERYTHING) -> None:
        self._catalogue = catalogue
        self._availability = availability or Availability(catalogue)
        self._scope = scope

    def seen_within(self, scope: Scope) -> LocalMember:
        """The same as far as a scope goes."""
        return LocalMember(self._catalogue, self._availability, scope)

    def probe(self, thorough: bool = False) -> PacsAbilities:
        """See `PacsAdapter.probe`."""
        return PacsAbilities("file", True, 16, pages=True, statistics=True, product="this archive")

    def find(self, query: Query, *, attributes: tuple[int, ...] = (), deadline: Deadline | None = None) -> Iterator[DicomJson]:
        """See `PacsAdapter.find`."""
        matches = self._catalogue.search(replace(query, scope=self._scope)).matches
        conditions = {one.tag: one for one in query.conditions if isinstance(one, InSequence)}
        in_items = {tag: conditions.get(tag) for tag in attributes if level_of_sequence(tag) is not None}
        while piece := list(islice(matches, _PIECE)):
            told = self._availability.of(query.level, [match.pk for match in piece])
            for match, sequences in self._catalogue.sequences.told(piece, in_items, self._scope, whole=True):
                available = {"vr": "CS", "Value": [told.get(match.pk, ONLINE)]}
                yield {**encode_attributes(match.attributes), **sequence_members(sequences), AVAILABILITY: available}

    def inventory(self, study_instance_uid: str, *, deadline: Deadline | None = None) -> Iterator[InventoriedInstance]:
        """See `PacsAdapter.inventory`."""
        for held in self._catalogue.instances(study=study_instance_uid, scope=self._scope):
            yield InventoriedInstance(
                held.study_instance_uid,
                held.series_instance_uid,
                held.sop_instance_uid,
                held.sop_class_uid,
                f"sha256:{held.original_sha256}",
                held.original_size,
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
        """Raises NotOffered."""
        raise NotOffered("What is here is served from here.")

    def statistics(self) -> SourceStatistics:
        """See `PacsAdapter.statistics`."""
        known = self._catalogue.statistics()
        return SourceStatistics(known.patients, known.studies, known.series, known.instances, known.bytes)


def within(member: Member, scope: Scope) -> PacsAdapter:
    """A member's adapter; this archive's as far as a scope goes."""
    return member.adapter.seen_within(scope) if isinstance(member.adapter, LocalMember) else member.adapter
