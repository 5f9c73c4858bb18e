"""What is held here and what was brought from members, seen as one for the time of an answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from vna_core.access.view import CatalogueView
from vna_core.catalogue import InstanceHeader, ListedHeader
from vna_core.domain.access import Scope
from vna_core.domain.identifiers import PatientKey
from vna_core.domain.instance import HeldInstance
from vna_core.federation.locating import InstanceKey, key_of
from vna_core.federation.rejected import NOTHING_REJECTED, Rejected

BROUGHT: Final = "federation"
"""Name of the store of what members delivered and this archive does not keep."""

_SOP: Final = 3
"""Place of the SOP Instance UID in a listed header."""


@dataclass(frozen=True, slots=True)
class FederatedView(CatalogueView):
    """This archive's view, completed by that of what members delivered. An instance that both have is taken from here.

    What has been rejected here since it was brought is left out, as is what was rejected before.

    Attributes
    ----------
    only
        The instances that `instances` tells; None: all.
    rejected
        What is rejected here.
    """

    brought: CatalogueView | None = None
    only: frozenset[InstanceKey] | None = None
    rejected: Rejected = NOTHING_REJECTED
    _listed: set[ListedHeader] = field(default_factory=set)
    _hidden: dict[str, frozenset[str]] = field(default_factory=dict)

    def _is_rejected(self, study: str, sop: str) -> bool:
        """Whether an instance is held back; what is rejected of a study is read once for an answer."""
        hidden = self._hidden.get(study)
        if hidden is None:
            hidden = self._hidden[study] = self.rejected.of(study).within(self.scope)
        return sop in hidden

    def instances(
        self,
        *,
        patient: PatientKey | None = None,
        study: str | None = None,
        series: str | None = None,
        sop: str | None = None,
    ) -> list[HeldInstance]:
        """Current versions that fulfil everything given, those of this archive first."""
        found = self._all_instances(patient, study, series, sop)
        return found if self.only is None else [one for one in found if key_of(one) in self.only]

    def _all_instances(
        self, patient: PatientKey | None, study: str | None, series: str | None, sop: str | None
    ) -> list[HeldInstance]:
        here = CatalogueView.instances(self, patient=patient, study=study, series=series, sop=sop)
        if self.brought is None:
            return here
        known = {_uids(one) for one in here}
        more = self.brought.instances(patient=patient, study=study, series=series, sop=sop)
        more = [one for one in more if _uids(one) not in known]
        return here + [one for one in more if not self._is_rejected(one.study_instance_uid, one.sop_instance_uid)]

    def instances_by_uid_list(self, sop_instance_uids: Sequence[str]) -> Iterator[HeldInstance]:
        """Current versions of many instances; unknown UIDs are passed over."""
        known = set()
        for one in CatalogueView.instances_by_uid_list(self, sop_instance_uids):
            known.add(_uids(one))
            yield one
        if self.brought is not None:
            for one in self.brought.instances_by_uid_list(sop_instance_uids):
                if _uids(one) not in known and not self._is_rejected(one.study_instance_uid, one.sop_instance_uid):
                    yield one

    def headers(self, *, study: str, series: str | None = None, sop: str | None = None) -> Iterator[tuple[HeldInstance, bytes]]:
        """Current versions with their DICOM JSON."""
        known = set()
        for held, header in CatalogueView.headers(self, study=study, series=series, sop=sop):
            known.add(_uids(held))
            yield held, header
        if self.brought is not None:
            for held, header in self.brought.headers(study=study, series=series, sop=sop):
                if _uids(held) not in known and not self._is_rejected(study, held.sop_instance_uid):
                    yield held, header

    def listed_headers(self, study: str, series: str) -> tuple[ListedHeader, ...]:
        """What `metadata_of` would read for a series."""
        here = CatalogueView.listed_headers(self, study, series)
        if self.brought is None:
            return here
        known = {one[_SOP] for one in here}
        more = tuple(
            one
            for one in self.brought.listed_headers(study, series)
            if one[_SOP] not in known and not self._is_rejected(study, one[_SOP])
        )
        self._listed.update(more)
        return here + more

    def metadata_of(self, listed: Sequence[ListedHeader]) -> Iterator[InstanceHeader]:
        """DICOM JSON of versions that were listed by this view."""
        yield from CatalogueView.metadata_of(self, [one for one in listed if one not in self._listed])
        if self.brought is not None:
            yield from self.brought.metadata_of([one for one in listed if one in self._listed])

    def only_in(self, scope: Scope, held: Sequence[HeldInstance], receiver: str) -> list[HeldInstance]:
        """Those that lie in another scope as well: that of whoever is to receive them."""
        if self.brought is None:
            return CatalogueView.only_in(self, scope, held, receiver)
        here = {one.pk for one in CatalogueView.only_in(self, scope, [one for one in held if not _is_brought(one)], receiver)}
        there = {one.pk for one in self.brought.only_in(scope, [one for one in held if _is_brought(one)], receiver)}
        return [one for one in held if one.pk in (there if _is_brought(one) else here)]


def _uids(held: HeldInstance) -> tuple[str, str, str]:
    return held.study_instance_uid, held.series_instance_uid, held.sop_instance_uid


def _is_brought(held: HeldInstance) -> bool:
    return any(location.store == BROUGHT for location in held.locations)
