"""Room `index`: the catalogue learns about the object, in one durable transaction.

Comes in: a placed object. Guaranteed afterwards: patient, study, series, instance, version, location, provenance and outbox row
are committed and flushed together; the sender may be told. A process that dies here before the commit leaves only the object
(see `place`); after it, the instance is held and its sender will offer it again as a duplicate.
"""

from __future__ import annotations

from vna_core.catalogue import Catalogue
from vna_core.domain.instance import IndexEntry, Location
from vna_core.domain.outcome import Outcome
from vna_core.ingest.stages import Indexed, Placed
from vna_core.ports.storage import Store


def index(placed: Placed, catalogue: Catalogue, landing: Store) -> Indexed:
    """Record what was placed.

    Raises
    ------
    CatalogueUnavailable
        The database does not answer; the instance is not acknowledged.
    """
    reconciled = placed.reconciled
    if reconciled.duplicate is not None or placed.location is None:
        assert reconciled.duplicate is not None
        return Indexed(placed, Outcome.DUPLICATE, reconciled.duplicate)
    entry = index_entry(placed, placed.location)
    if reconciled.damaged is not None:
        catalogue.replace_copy(reconciled.damaged.pk, entry)
        return Indexed(placed, Outcome.DUPLICATE, reconciled.damaged)
    recorded = catalogue.record(entry, reconciled.classification)
    if all(location.key != placed.location.key for location in recorded.held.locations):
        # The same octets arrived twice at once and the other arrival was recorded: nothing refers to this object.
        landing.delete(placed.location.key)
    return Indexed(placed, recorded.outcome, recorded.held)


def index_entry(placed: Placed, location: Location) -> IndexEntry:
    """The catalogue's view of a placed object."""
    canonical = placed.reconciled.canonical
    received = canonical.received
    return IndexEntry(
        patient=placed.reconciled.patient,
        study_instance_uid=canonical.study_instance_uid,
        series_instance_uid=canonical.series_instance_uid,
        sop_instance_uid=canonical.sop_instance_uid,
        sop_class_uid=canonical.sop_class_uid,
        transfer_syntax_uid=canonical.transfer_syntax_uid,
        attributes=canonical.attributes,
        json_header=canonical.json_header,
        location=location,
        sha256=placed.sha256,
        size=canonical.size,
        data_set_offset=canonical.data_set_offset,
        trailer_offset=canonical.trailer_offset,
        pixel_data=canonical.pixel_data,
        number_of_frames=len(canonical.frames.ranges),
        original_sha256=received.octets.sha256,
        original_size=received.octets.size,
        source=received.source,
        received_at=received.received_at,
        transformations=canonical.transformations,
        findings=canonical.findings,
        rule_set=canonical.rule_set,
        crc32c=placed.crc32c,
    )
