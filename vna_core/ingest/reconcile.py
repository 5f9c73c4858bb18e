"""Room `reconcile`: whose patient, and what is held under this UID already.

Comes in: a canonical object. Guaranteed afterwards: the patient's issuer-qualified key; whether exactly these octets are held
in a copy that was read and found right; for every other version under the UID, how it differs. Nothing is written but the
mark on a copy that was found damaged, so a process that dies here loses nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from vna_core.archival_storage.copies import CopyReader
from vna_core.catalogue import Catalogue
from vna_core.configuration import IngestSettings
from vna_core.domain.errors import StorageError
from vna_core.domain.identifiers import PatientKey
from vna_core.domain.instance import CanonicalInstance, HeldInstance
from vna_core.domain.octets import ByteRange, Octets

_PATIENT_ID = 0x00100020
_ISSUER = 0x00100021


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What `reconcile` hands to `place`.

    Attributes
    ----------
    duplicate
        The version that holds exactly these octets; nothing needs to be stored.
    damaged
        The version that should hold exactly these octets but whose every copy is bad: to be healed.
    classification
        Primary keys of other versions under the UID to ``encoding``, ``header``, ``pixel`` or ``other-parent``.
    """

    canonical: CanonicalInstance
    patient: PatientKey
    duplicate: HeldInstance | None = None
    damaged: HeldInstance | None = None
    classification: Mapping[int, str] = field(default_factory=dict)


def reconcile(canonical: CanonicalInstance, catalogue: Catalogue, copies: CopyReader, settings: IngestSettings) -> Reconciled:
    """Compare with what is held.

    Raises
    ------
    CatalogueUnavailable
        The database does not answer.
    """
    patient = _patient(canonical, settings)
    versions = catalogue.versions(canonical.sop_instance_uid)
    if not versions:
        return Reconciled(canonical, patient)
    sha256 = canonical.received.octets.sha256
    for held in versions:
        if held.original_sha256 == sha256 and _same_place(held, canonical, patient):
            if copies.is_intact(held):
                return Reconciled(canonical, patient, duplicate=held)
            return Reconciled(canonical, patient, damaged=held)
    classification = {held.pk: _classify(held, canonical, patient, copies) for held in versions}
    return Reconciled(canonical, patient, classification=classification)


def _patient(canonical: CanonicalInstance, settings: IngestSettings) -> PatientKey:
    issuer = canonical.attributes.get(_ISSUER, ("",))[0] or canonical.received.source.issuer or settings.issuer
    return PatientKey(issuer, canonical.attributes.get(_PATIENT_ID, ("",))[0])


def _same_place(held: HeldInstance, canonical: CanonicalInstance, patient: PatientKey) -> bool:
    return (
        held.patient == patient
        and held.study_instance_uid == canonical.study_instance_uid
        and held.series_instance_uid == canonical.series_instance_uid
    )


def _classify(held: HeldInstance, canonical: CanonicalInstance, patient: PatientKey, copies: CopyReader) -> str:
    """How two versions differ. An unreadable earlier version counts as different pixels: the cautious answer."""
    if not _same_place(held, canonical, patient):
        return "other-parent"
    try:
        if not _same_pixels(held, canonical, copies):
            return "pixel"
        if held.trailer_offset - held.data_set_offset == canonical.trailer_offset - canonical.data_set_offset and _same_header(
            held, canonical, copies
        ):
            return "encoding"
        return "header"
    except StorageError:
        return "pixel"


def _pixels(pixel_data: ByteRange | None) -> ByteRange:
    return pixel_data or ByteRange(0, 0)


def _same_pixels(held: HeldInstance, canonical: CanonicalInstance, copies: CopyReader) -> bool:
    old, new = _pixels(held.pixel_data), _pixels(canonical.pixel_data)
    if old.length != new.length or held.transfer_syntax_uid != canonical.transfer_syntax_uid:
        return False
    return _equal(copies.chunks(held, old), _slice(canonical, new))


def _same_header(held: HeldInstance, canonical: CanonicalInstance, copies: CopyReader) -> bool:
    old, new = _pixels(held.pixel_data), _pixels(canonical.pixel_data)
    pairs = (
        (
            ByteRange(held.data_set_offset, (old.offset or held.trailer_offset) - held.data_set_offset),
            ByteRange(canonical.data_set_offset, (new.offset or canonical.trailer_offset) - canonical.data_set_offset),
        ),
        (ByteRange(old.end, held.trailer_offset - old.end), ByteRange(new.end, canonical.trailer_offset - new.end)),
    )
    if not old.length:
        pairs = pairs[:1]
    return all(a.length == b.length and _equal(copies.chunks(held, a), _slice(canonical, b)) for a, b in pairs)


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


def _equal(left: Iterator[bytes], right: Iterator[bytes | memoryview]) -> bool:
    """Whether two streams of any chunking carry the same octets."""
    a, b = memoryview(b""), memoryview(b"")
    while True:
        if not a:
            a = memoryview(next(left, b""))
        if not b:
            b = memoryview(next(right, b""))
        if not a or not b:
            return not a and not b
        size = min(len(a), len(b))
        if a[:size] != b[:size]:
            return False
        a, b = a[size:], b[size:]
