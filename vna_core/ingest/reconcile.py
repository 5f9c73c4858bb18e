"""Room `reconcile`: whose patient, and what is held under this UID already.

Comes in: a canonical object. Guaranteed afterwards: the patient's issuer-qualified key; whether exactly these octets are held
in a copy that was read and found right; for every other version under the UID, how it differs. Nothing is written but the
mark on a copy that was found damaged, so a process that dies here loses nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from vna_core.archival_storage.comparison import ComparedObject, classify
from vna_core.archival_storage.copies import CopyReader
from vna_core.catalogue import Catalogue
from vna_core.domain.errors import Deleted
from vna_core.domain.identifiers import PatientKey
from vna_core.domain.instance import CanonicalInstance, HeldInstance
from vna_core.domain.octets import ByteRange, Octets
from vna_core.domain.stewardship import Deletion, Extent
from vna_core.ingest.stages import Reconciled

_PATIENT_ID = 0x00100020
_ISSUER = 0x00100021


def reconcile(canonical: CanonicalInstance, catalogue: Catalogue, copies: CopyReader) -> Reconciled:
    """Compare with what is held.

    Raises
    ------
    CatalogueUnavailable
        The database does not answer.
    Deleted
        Exactly these octets were deleted here: they are not taken again.
    """
    patient = _patient(canonical)
    if catalogue.is_new(canonical.sop_instance_uid):  # as nearly all are: one question instead of two longer ones
        compare = partial(_compared, _new_object(canonical, patient), copies)
        return Reconciled(canonical, patient, compare, classification={})
    versions = catalogue.versions(canonical.sop_instance_uid)
    sha256 = canonical.received.octets.sha256
    if all(held.original_sha256 != sha256 for held in versions):
        _refuse_deleted(catalogue.deletions.find(canonical.sop_instance_uid, sha256))
    compare = partial(_compared, _new_object(canonical, patient), copies)
    for held in versions:
        if held.original_sha256 == sha256:
            if copies.is_intact(held):
                return Reconciled(canonical, patient, compare, duplicate=held)
            return Reconciled(canonical, patient, compare, damaged=held)
    return Reconciled(canonical, patient, compare, classification=compare(versions))


def _compared(new: ComparedObject, copies: CopyReader, versions: Sequence[HeldInstance]) -> dict[int, str]:
    return {held.pk: classify(_held_object(held, copies), new) for held in versions}


def _refuse_deleted(deletion: Deletion | None) -> None:
    if deletion is not None and deletion.level is Extent.VERSION:
        raise Deleted(
            f"Exactly these octets were set aside here on {deletion.deleted_at:%Y-%m-%d} ({deletion.id}), as another version of the "
            "instance is right, and are not taken again. Take that back with `vna undelete` if it was wrong.",
            deletion=deletion.id,
        )
    if deletion is not None:
        raise Deleted(
            f"Exactly these octets were deleted here on {deletion.deleted_at:%Y-%m-%d} (deletion {deletion.id}) and are not taken "
            "again. Take the deletion back with `vna undelete` if that was wrong.",
            deletion=deletion.id,
        )


def _patient(canonical: CanonicalInstance) -> PatientKey:
    issuer = canonical.attributes.get(_ISSUER, ("",))[0] or canonical.received.source.issuer
    return PatientKey(issuer, canonical.attributes.get(_PATIENT_ID, ("",))[0])


def _held_object(held: HeldInstance, copies: CopyReader) -> ComparedObject:
    return ComparedObject(
        held.patient,
        held.study_instance_uid,
        held.series_instance_uid,
        held.transfer_syntax_uid,
        held.data_set_offset,
        held.trailer_offset,
        held.pixel_data,
        lambda wanted: copies.chunks(held, wanted),
        lambda: copies.original(held),
    )


def _new_object(canonical: CanonicalInstance, patient: PatientKey) -> ComparedObject:
    return ComparedObject(
        patient,
        canonical.study_instance_uid,
        canonical.series_instance_uid,
        canonical.transfer_syntax_uid,
        canonical.data_set_offset,
        canonical.trailer_offset,
        canonical.pixel_data,
        lambda wanted: _slice(canonical, wanted),
        canonical.received.octets.chunks,
    )


def _slice(canonical: CanonicalInstance, wanted: ByteRange) -> Iterator[bytes | memoryview]:
    """A range of the canonical object that is not stored yet."""
    position = 0
    for segment in canonical.segments:
        size = segment.length if isinstance(segment, ByteRange) else segment.size if isinstance(segment, Octets) else len(segment)
        low, high = max(wanted.offset, position), min(wanted.end, position + size)
        if low < high:
            if isinstance(segment, ByteRange):
                yield from canonical.received.octets.chunks(segment.offset + low - position, high - low)
            elif isinstance(segment, Octets):
                yield from segment.chunks(low - position, high - low)
            else:
                yield segment[low - position : high - position]
        position += size
