"""Runs the rules, writes the canonical object and proves that the octets as received come back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

from vna_core.configuration import IngestSettings
from vna_core.dicom import attribute_values
from vna_core.dicom.canonical_writer import CanonicalWriter
from vna_core.dicom.character_sets import character_set_names
from vna_core.dicom.codestream import EXPLICIT_LITTLE, NATIVE
from vna_core.dicom.elements import ParsedOctets
from vna_core.dicom.frame_index import ImageShape
from vna_core.dicom.json_header import SPECIFIC_CHARACTER_SET, to_json
from vna_core.dicom.part10 import file_meta
from vna_core.dicom.reverse_patch import operations, rebuild_from
from vna_core.dicom.trailer import Record, read_trailer, write_trailer
from vna_core.domain.errors import RebuildMismatch
from vna_core.domain.indexed_attributes import INDEXED
from vna_core.domain.instance import CanonicalInstance, FrameIndex, Segment
from vna_core.domain.octets import ByteRange, Octets, ReceivedInstance
from vna_core.domain.transformation import Confidence, Finding, Transformation
from vna_core.ingest.normalize import identification
from vna_core.ingest.normalize.pixel_payload import (
    EXTENDED_LENGTHS,
    EXTENDED_OFFSETS,
    Payload,
    covered_by,
    differences,
    make_payload,
)
from vna_core.ingest.normalize.rules import READING, RULE_SET, Draft, Rule

FAMILIES: Final[tuple[tuple[Rule, ...], ...]] = (identification.RULES,)
"""The families of rules in the order they run."""

_PIXEL_DATA: Final = 0x7FE00010
_SHAPE_TAGS: Final = (0x00280010, 0x00280011, 0x00280002, 0x00280100, 0x00280004, 0x00280008)


def normalize(received: ReceivedInstance, parsed: ParsedOctets, limits: IngestSettings) -> CanonicalInstance:
    """Make the canonical object.

    Raises
    ------
    RebuildMismatch
        The octets as received could not be proven to come back from the canonical object.
    """
    draft = Draft(received, parsed)
    transformations, findings = _apply_rules(draft)
    attributes = _attributes(draft)
    shape = _shape(attributes, parsed)
    study, series, sop_class, sop = (
        _first(attributes, tag)
        for tag in (identification.STUDY_INSTANCE_UID, identification.SERIES_INSTANCE_UID, identification.SOP_CLASS_UID, identification.SOP_INSTANCE_UID)
    )
    transfer_syntax = EXPLICIT_LITTLE if parsed.unfolded == "inflate" else _canonical_transfer_syntax(parsed)
    meta = file_meta(sop_class, sop, transfer_syntax)
    writer = CanonicalWriter(parsed.buffer, parsed.encapsulated, clean=not parsed.notes and not parsed.unfolded)
    pixel_tag = parsed.pixel.tag if parsed.pixel is not None else _PIXEL_DATA
    encapsulated = parsed.pixel is not None and parsed.pixel.fragments is not None
    left_out = (EXTENDED_OFFSETS, EXTENDED_LENGTHS) if encapsulated else ()
    before, after = writer.top_level(parsed.data_set, pixel_tag, left_out, draft.replaced)
    head = meta + before
    payload = make_payload(parsed, received.octets, shape, len(head))
    transformations.extend(_encoding_changes(parsed, writer.changes, payload))
    segments: list[Segment] = [head, *payload.segments, after]
    trailer_offset = len(head) + payload.size + len(after)
    made, literal_ranges = operations(payload.pieces, received.octets.size)
    literals = b"".join([bytes(received.octets.read(one.offset, one.length)) for one in literal_ranges])
    record = Record(
        received.source,
        received.received_at,
        RULE_SET,
        received.octets.sha256,
        received.octets.size,
        payload.value,
        made,
        tuple(transformations),
        tuple(findings),
    )
    trailer = write_trailer(trailer_offset, head, len(meta), payload.frames, record, literals)
    segments.append(trailer)
    canonical = CanonicalInstance(
        received=received,
        segments=tuple(segment for segment in segments if not isinstance(segment, bytes) or segment),
        size=trailer_offset + len(trailer),
        data_set_offset=len(meta),
        trailer_offset=trailer_offset,
        pixel_data=payload.value,
        frames=FrameIndex(payload.frames),
        study_instance_uid=study,
        series_instance_uid=series,
        sop_instance_uid=sop,
        sop_class_uid=sop_class,
        transfer_syntax_uid=transfer_syntax,
        attributes=attributes,
        json_header=to_json(parsed.buffer, parsed.data_set, draft.replaced),
        transformations=tuple(transformations),
        findings=tuple(findings),
        rule_set=RULE_SET,
    )
    _prove(canonical, payload)
    received.octets.release_pages()
    return canonical


def _apply_rules(draft: Draft) -> tuple[list[Transformation], list[Finding]]:
    transformations: list[Transformation] = []
    findings: list[Finding] = []
    for family in FAMILIES:
        for rule in family:
            if rule.apply is None:
                continue
            for outcome in rule.apply(draft):
                if isinstance(outcome, Transformation):
                    transformations.append(outcome)
                else:
                    findings.append(outcome)
    return transformations, findings


def _canonical_transfer_syntax(parsed: ParsedOctets) -> str:
    """Encapsulated pixel data keeps its transfer syntax; everything else is Explicit VR Little Endian (decision D3)."""
    uid = parsed.transfer_syntax_uid
    native = uid in NATIVE or not uid[:1].isdigit() or (parsed.pixel is not None and parsed.pixel.fragments is None)
    return EXPLICIT_LITTLE if native else uid


def _first(attributes: dict[int, tuple[str, ...]], tag: int) -> str:
    return attributes.get(tag, ("",))[0]


def _attributes(draft: Draft) -> dict[int, tuple[str, ...]]:
    """Decoded values of the indexed elements at the top level."""
    buffer, data_set = draft.parsed.buffer, draft.parsed.data_set
    sets: tuple[str, ...] = ()
    found: dict[int, tuple[str, ...]] = {}
    little = data_set.little_endian
    for tag, vr, start, length, items in data_set.elements:
        if tag == SPECIFIC_CHARACTER_SET:
            sets = character_set_names(bytes(buffer[start : start + length]))
        elif tag in INDEXED and items is None and length and tag not in found:
            values = attribute_values.strings(bytes(buffer[start : start + length]), vr, little, sets)
            if any(values):
                found[tag] = values
    for tag, (vr, raw) in draft.replaced.items():
        if tag in INDEXED:
            found[tag] = attribute_values.strings(raw, vr, True, sets)
    return found


def _shape(attributes: dict[int, tuple[str, ...]], parsed: ParsedOctets) -> ImageShape:
    numbers = []
    for tag in _SHAPE_TAGS:
        text = _first(attributes, tag).strip()
        numbers.append(int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0)
    rows, columns, samples, allocated, _, frames = numbers
    return ImageShape(rows, columns, samples or 1, allocated, _first(attributes, 0x00280004), frames)


def _encoding_changes(parsed: ParsedOctets, written: Counter[str], payload: Payload) -> Iterable[Transformation]:
    """One entry a rule: what the reader noted, what the writer changed, what the payload needed."""
    counts: Counter[str] = Counter(note.rule for note in parsed.notes)
    details = {note.rule: note.detail for note in reversed(parsed.notes)}
    counts.update(written)
    counts.update(payload.changes)
    if parsed.unfolded == "inflate":
        counts["N01"], details["N01"] = 1, "inflated"
    elif not (parsed.data_set.explicit and parsed.data_set.little_endian):
        counts["N01"] = 1
        details["N01"] = "implicit" if not parsed.data_set.explicit else "big endian"
    if isinstance(parsed.buffer, (bytes, bytearray, memoryview)) or parsed.buffer is not None:
        junk = len(parsed.buffer) - parsed.end if not parsed.unfolded else 0
        if junk > 0 and "F22" not in counts:
            counts["F22"], details["F22"] = 1, f"{junk} octets"
    for rule, count in counts.items():
        known = READING.get(rule)
        yield Transformation(rule, known.confidence if known else Confidence.PROVEN, count=count, detail=details.get(rule, "")[:128])


def _prove(canonical: CanonicalInstance, payload: Payload) -> None:
    """Rebuild the octets as received out of what will be stored, and compare (promise 3).

    Ranges that the canonical object takes unchanged from the octets as received are compared as ranges; everything else octet
    by octet, literals out of the finished trailer.
    """
    octets = canonical.received.octets
    placed: list[tuple[int, Segment]] = []
    position = 0
    for segment in canonical.segments:
        placed.append((position, segment))
        position += segment.length if isinstance(segment, ByteRange) else segment.size if isinstance(segment, Octets) else len(segment)
    if position != canonical.size:
        raise RebuildMismatch("The canonical object is not as long as its segments.")

    def read(offset: int, length: int) -> bytes:
        out = []
        for begin, segment in placed:
            size = segment.length if isinstance(segment, ByteRange) else segment.size if isinstance(segment, Octets) else len(segment)
            low, high = max(offset, begin), min(offset + length, begin + size)
            if low < high:
                if isinstance(segment, ByteRange):
                    out.append(bytes(octets.read(segment.offset + low - begin, high - low)))
                elif isinstance(segment, Octets):
                    out.append(bytes(segment.read(low - begin, high - low)))
                else:
                    out.append(segment[low - begin : high - begin])
        return b"".join(out)

    trailer = read_trailer(read, canonical.size)
    copies = {piece.canonical: piece for piece in payload.pieces}
    at = taken = 0
    for operation in trailer.record.operations:
        length = operation[0] if len(operation) == 1 else operation[1]
        if len(operation) == 1:
            same = bytes(octets.read(at, length)) == trailer.literals[taken : taken + length]
            taken += length
        elif operation[2] == 1 and covered_by(placed, copies[operation[0]]):
            same = copies[operation[0]].original == ByteRange(at, length)
        else:
            same = not differences(octets, rebuild_from(read, [operation], b""), at)
        if not same:
            raise RebuildMismatch("The octets as received do not come back from the canonical object.", offset=at)
        at += length
    if at != octets.size:
        raise RebuildMismatch("The reverse patch does not cover all octets as received.", covered=at)
