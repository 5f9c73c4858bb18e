"""Room `normalize`: what does it look like when it is right?

Comes in: octets as received, and what `identify` read in them. Guaranteed afterwards: the canonical object as segments (a
conformant DICOM file, proven to give the octets as received back bit by bit), every change and finding recorded, the frames
located, the header in DICOM JSON and the indexed attributes decoded. Nothing is written but temporary files without a name,
so a process that dies here loses nothing: the sender was not answered yet.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from vna_core.configuration import IngestSettings
from vna_core.dicom.attribute_values import indexed_attributes
from vna_core.dicom.canonical_writer import write_data_set
from vna_core.dicom.elements import ParsedOctets
from vna_core.dicom.json_header import to_json
from vna_core.dicom.part10 import file_head
from vna_core.dicom.trailer_format import Provenance, build_trailer
from vna_core.domain.errors import LimitExceeded
from vna_core.domain.instance import CanonicalInstance, FrameIndex
from vna_core.domain.octets import ByteRange, ReceivedInstance
from vna_core.domain.renormalization import Renormalization
from vna_core.ingest.normalize.acr_nema import write_as_dicom
from vna_core.ingest.normalize.amendments import Amender
from vna_core.ingest.normalize.assembly import assemble, close_payloads, make_patch
from vna_core.ingest.normalize.container import apply_container_rules
from vna_core.ingest.normalize.dialects import describe_dialects, note_private_class
from vna_core.ingest.normalize.encoding import revise
from vna_core.ingest.normalize.engine import RULE_SET, Journal
from vna_core.ingest.normalize.identifiers import apply_identifier_rules, identity_of
from vna_core.ingest.normalize.identity_domains import note_domains, trim_patient_id
from vna_core.ingest.normalize.original_attributes import Label, record_amendments
from vna_core.ingest.normalize.pixel_derivation import derive_pixels
from vna_core.ingest.normalize.pixel_framing import canonical_transfer_syntax, lay_out_pixels
from vna_core.ingest.normalize.pixel_labels import describe_pixels
from vna_core.ingest.normalize.pixel_missing import note_missing_pixels
from vna_core.ingest.normalize.plain import KnownElements, PlainDataSet
from vna_core.ingest.normalize.plausibility import note_implausible
from vna_core.ingest.normalize.site_actions import apply_site_rules
from vna_core.ingest.normalize.site_rules import SiteRules, day_first, first_set
from vna_core.ingest.normalize.text import unify_text
from vna_core.ingest.normalize.values import Survey, survey
from vna_core.ports.dialect import Dialect

__all__ = ["RULE_SET", "KnownElements", "Label", "SiteRules", "normalize"]

_NO_SITE_RULES: Final = SiteRules()


def normalize(
    received: ReceivedInstance,
    parsed: ParsedOctets,
    limits: IngestSettings,
    *,
    spool: Path | None = None,
    site: SiteRules = _NO_SITE_RULES,
    label: Label | None = None,
    renormalization: Renormalization | None = None,
    dialects: tuple[Dialect, ...] = (),
    known: KnownElements | None = None,
) -> CanonicalInstance:
    """Make the canonical object.

    Parameters
    ----------
    limits
        ``ingest.max_instance`` bounds the canonical object as well.
    spool
        Folder for temporary files (None: the system's).
    site
        What the hospital changes.
    label
        The rule set and moment to be told in the data set (None: those of now, which are the present rules and the time of
        arrival). Octets normalized under the label of before show whether anything but the label would differ.
    renormalization
        Which run makes the object once more.
    dialects
        Vendors' dialects; what they find odd is recorded.
    known
        Elements that were looked at before; the result is the same without it.

    Raises
    ------
    RebuildMismatch
        The octets as received could not be proven to come back.
    Malformed
        Something cannot be written as a DICOM file at all.
    LimitExceeded
        The canonical object would pass ``ingest.max_instance``.
    """
    try:
        label = label or Label(site.rule_set, received.received_at)
        return _normalize(received, parsed, limits, spool, site, label, renormalization, dialects, known)
    finally:
        received.octets.release_pages()


def _amend(
    received: ReceivedInstance, parsed: ParsedOctets, site: SiteRules, amender: Amender, plain: PlainDataSet | None
) -> None:
    """Everything that is done to what the data set says, its pixels apart."""
    write_as_dicom(amender)
    source = received.source
    rules = site.applying_to(source, amender.revised)
    surveyed = Survey([], []) if plain is not None and plain.stands(amender) else survey(amender, day_first(rules))
    is_unified = unify_text(amender, surveyed, first_set(rules))
    apply_identifier_rules(amender, parsed, received)
    trim_patient_id(amender)
    apply_site_rules(amender, site, rules, source, text_is_unified=is_unified)
    note_domains(amender.revised, source, amender.journal)
    note_private_class(amender.revised, amender.journal)
    note_implausible(amender.revised, amender.journal)


def _normalize(
    received: ReceivedInstance,
    parsed: ParsedOctets,
    limits: IngestSettings,
    spool: Path | None,
    site: SiteRules,
    label: Label,
    renormalization: Renormalization | None,
    dialects: tuple[Dialect, ...],
    known: KnownElements | None,
) -> CanonicalInstance:
    journal = Journal()
    apply_container_rules(parsed, journal)
    plain = known.read(parsed, journal) if known is not None else None
    amender = plain.amender(journal) if plain is not None else revise(parsed, journal)
    revised = amender.revised
    recognized = describe_dialects(revised, parsed, dialects, journal)
    _amend(received, parsed, site, amender, plain)
    identity = identity_of(revised)
    transfer_syntax_uid = canonical_transfer_syntax(parsed)
    pixels = derive_pixels(amender, parsed, recognized)
    packed = False if pixels else describe_pixels(amender, parsed, transfer_syntax_uid)
    layout = lay_out_pixels(revised, parsed, transfer_syntax_uid, journal, spool, packed=packed)
    if layout is None:
        note_missing_pixels(revised, journal)
    record_amendments(revised, amender.amendments, received.source, label)
    head = file_head(identity.sop_class_uid, identity.sop_instance_uid, transfer_syntax_uid)
    pixel_pieces = layout.pieces if layout is not None else ()
    if plain is not None and not plain.stands(amender):
        plain = None
    written = plain.written(pixel_pieces) if plain is not None else write_data_set(revised, pixel_pieces)
    assembled = assemble(head, written.pieces, parsed)
    if assembled.size > limits.max_instance + (1 << 20):
        raise LimitExceeded(
            "The canonical object is too large (ingest.max_instance).", limit="ingest.max_instance", maximum=limits.max_instance
        )
    pixel_data, frames = None, FrameIndex()
    if layout is not None and written.pixel_offset >= 0:
        begin = len(head) + written.pixel_offset
        pixel_data = ByteRange(begin + layout.value.offset, layout.value.length)
        frames = FrameIndex(tuple(ByteRange(begin + frame.offset, frame.length) for frame in layout.frames))
    transformations, findings = journal.transformations(), journal.findings()
    provenance = Provenance(
        received.source,
        received.received_at,
        label.rule_set,
        received.octets.sha256,
        received.octets.size,
        transformations,
        findings,
        renormalization,
    )
    try:
        patch = make_patch(assembled, received, parsed)
        trailer = build_trailer(provenance, patch, len(head), pixel_data, frames.ranges)
    except Exception:
        close_payloads(assembled.segments)
        raise
    return CanonicalInstance(
        received=received,
        segments=(*assembled.segments, trailer),
        size=assembled.size + len(trailer),
        data_set_offset=len(head),
        trailer_offset=assembled.size,
        pixel_data=pixel_data,
        frames=frames,
        study_instance_uid=identity.study_instance_uid,
        series_instance_uid=identity.series_instance_uid,
        sop_instance_uid=identity.sop_instance_uid,
        sop_class_uid=identity.sop_class_uid,
        transfer_syntax_uid=transfer_syntax_uid,
        attributes=plain.attributes if plain is not None else indexed_attributes(revised),
        json_header=plain.json if plain is not None else to_json(revised),
        transformations=transformations,
        findings=findings,
        rule_set=label.rule_set,
    )
