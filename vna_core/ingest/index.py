"""Room `index`: the catalogue learns about the object, in one durable transaction.

Comes in: placed objects. Guaranteed afterwards, for each: patient, study, series, instance, version, location, provenance and jobs about it
are committed and flushed together; the sender may be told. A process that dies here before the commit leaves only the object
(see `place`); after it, the instance is held and its sender will offer it again as a duplicate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import structlog

from vna_core.archival_storage.delivery_notes import Delivery, keep_delivery
from vna_core.catalogue import Catalogue, Compare, Recorded
from vna_core.domain.errors import VnaError
from vna_core.domain.instance import IndexEntry, Location
from vna_core.domain.outcome import Outcome
from vna_core.ingest.stages import Indexed, Placed
from vna_core.ports.storage import Store

_log = structlog.get_logger(__name__)


def index(placed: Sequence[Placed], catalogue: Catalogue, landing: Store) -> list[Indexed | VnaError]:
    """Record what was placed, in one transaction; in place of each instance that could not be recorded its error.

    CatalogueUnavailable: the database does not answer; nothing is acknowledged.
    """
    results: list[Indexed | VnaError | None] = [_known(one, catalogue) for one in placed]
    new = [one for one, result in zip(placed, results, strict=True) if result is None]
    recorded = iter(catalogue.record_all([_version(one) for one in new]) if new else ())
    indexed = [
        _indexed(one, next(recorded), landing) if result is None else result for one, result in zip(placed, results, strict=True)
    ]
    return [_delivered(one, catalogue, landing) if isinstance(one, Indexed) else one for one in indexed]


def _version(placed: Placed) -> tuple[IndexEntry, Mapping[int, str], Compare]:
    """What the catalogue records of a new version: with it comes how it differs from others."""
    return index_entry(placed, _location(placed)), placed.reconciled.classification, placed.reconciled.compare


def _known(placed: Placed, catalogue: Catalogue) -> Indexed | VnaError | None:
    """The result for octets that are held already, healed where the copy was damaged; None for a new version."""
    reconciled = placed.reconciled
    if reconciled.duplicate is not None:
        return Indexed(placed, Outcome.DUPLICATE, reconciled.duplicate)
    if reconciled.damaged is None:
        return None
    try:
        catalogue.replace_copy(reconciled.damaged.pk, index_entry(placed, _location(placed)))
    except VnaError as error:
        return error
    return Indexed(placed, Outcome.DUPLICATE, reconciled.damaged)


def _delivered(indexed: Indexed, catalogue: Catalogue, landing: Store) -> Indexed | VnaError:
    """The same, when it is known durably that another department delivered what is held already."""
    received, held = indexed.placed.reconciled.canonical.received, indexed.held
    if indexed.outcome is not Outcome.DUPLICATE or held.original_sha256 != received.octets.sha256:
        return indexed
    try:
        if catalogue.labelling.widens(held.pk, received.source):
            keep_delivery(landing, Delivery(held.sop_instance_uid, held.original_sha256, received.source))
            catalogue.labelling.deliver(held.pk, received.source)
    except VnaError as error:
        return error
    return indexed


def _location(placed: Placed) -> Location:
    assert placed.location is not None, "only a duplicate has no location"
    return placed.location


def _indexed(placed: Placed, recorded: Recorded | VnaError, landing: Store) -> Indexed | VnaError:
    if isinstance(recorded, VnaError):
        return recorded
    key = _location(placed).key
    if all(location.key != key for location in recorded.held.locations):
        # The same octets arrived twice at once and the other arrival was recorded: nothing refers to this object.
        try:
            landing.delete(key)
        except VnaError as error:
            return error
    if recorded.outcome is Outcome.CONFLICT and recorded.held.current and recorded.held.version > 1:
        _log.info("whole-copy-is-current", version=recorded.held.version, sha256=recorded.held.original_sha256)
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
