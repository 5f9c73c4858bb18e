"""Room `identify`: what is it?

Comes in: octets as received, and what the sender said about them. Guaranteed afterwards: the octets are one DICOM data set
that was read to its end within the limits; its encoding, transfer syntax and every deviation met on the way are known by
the octets, not by labels. Nothing is written, so a process that dies here loses nothing: the sender was not answered yet.
"""

from __future__ import annotations

from vna_core.configuration import IngestSettings
from vna_core.dicom import codestream
from vna_core.dicom.container import TRANSFER_SYNTAX_UID, Container, open_container
from vna_core.dicom.elements import Alike, Buffer, Note, ParsedOctets
from vna_core.dicom.encoding_detection import Encoding, detect, first_header_fits
from vna_core.dicom.inflate import InflationRoom, inflate, looks_inflatable
from vna_core.dicom.layouts import KnownLayouts
from vna_core.dicom.tokenizer import Walk, tokenize
from vna_core.domain.errors import EmptyPayload, Malformed, NotDicom, OtherStudy
from vna_core.domain.octets import ReceivedInstance

_DECLARED = {
    codestream.IMPLICIT_LITTLE: Encoding(False, True),
    codestream.GE_PRIVATE: Encoding(False, True),
    codestream.EXPLICIT_BIG: Encoding(True, False),
}
_EXPLICIT_LITTLE = Encoding(True, True)
_STUDY_INSTANCE_UID = 0x0020000D


def identify(
    received: ReceivedInstance,
    limits: IngestSettings,
    layouts: KnownLayouts | None = None,
    room: InflationRoom | None = None,
) -> ParsedOctets:
    """Read the octets as one DICOM instance.

    Parameters
    ----------
    layouts
        Headers that were met before; what is read is the same without them.
    room
        Memory of what is inflated.

    Raises
    ------
    EmptyPayload
        There are no octets.
    NotDicom
        No plausible chain of elements was found.
    Truncated
        The octets end before their declared end.
    Malformed
        Damage that the octets do not decide.
    LimitExceeded
        ``ingest.max_depth``, ``ingest.max_elements`` or ``ingest.max_inflated`` was hit.
    OutOfResources
        There is no room to inflate it now.
    OtherStudy
        It names another study than the one to which its sender gave it.
    """
    octets = received.octets
    if octets.size == 0:
        raise EmptyPayload("Nothing was offered: the payload has no octets.")
    try:
        parsed = _identify(octets.buffer, received.transfer_syntax_uid.strip(" \0"), limits, layouts, room)
        if received.addressed_study and _study(parsed) not in ("", received.addressed_study):
            raise OtherStudy("The instance belongs to another study than the one addressed.")
        return parsed
    finally:
        octets.release_pages()


def _study(parsed: ParsedOctets) -> str:
    """Study Instance UID (0020,000D) as it stands there."""
    for one in parsed.data_set.elements:
        if one.tag == _STUDY_INSTANCE_UID:
            return bytes(parsed.buffer[one.start : one.start + one.length]).decode("latin-1").strip(" \0")
    return ""


def _identify(
    buffer: Buffer, hint: str, limits: IngestSettings, layouts: KnownLayouts | None, room: InflationRoom | None
) -> ParsedOctets:
    deflated_outside = hint in codestream.DEFLATED and looks_inflatable(buffer, 0) and detect(buffer, 0, len(buffer)) is None
    container = Container(buffer, 0, bare=True) if deflated_outside else open_container(buffer, declared=bool(hint))
    declared = container.meta.get(TRANSFER_SYNTAX_UID, "") or hint
    encoding = _plain_encoding(container, declared)
    begin, end = container.data_set_offset, len(container.buffer)
    if encoding is None:
        encoding, end = _inflated(container, declared, limits, room)
    walk, alike = _walk(container, end, encoding, limits, layouts)
    notes = container.notes
    uid = _transfer_syntax(container, walk, encoding, declared, notes)
    notes.extend(walk.notes)
    return ParsedOctets(
        buffer=container.buffer,
        unfolded=container.unfolded,
        data_set_offset=begin,
        end=walk.end,
        file_meta=container.meta,
        data_set=walk.data_set,
        pixel=walk.pixel,
        transfer_syntax_uid=uid,
        declared_transfer_syntax_uid=declared,
        notes=notes,
        encapsulated=walk.encapsulated,
        alike=alike,
    )


def _walk(
    container: Container, end: int, encoding: Encoding, limits: IngestSettings, layouts: KnownLayouts | None
) -> tuple[Walk, Alike | None]:
    """Every element, and whether the header is alike to an earlier one."""
    buffer, begin = container.buffer, container.data_set_offset
    bounds = {"max_depth": limits.max_depth, "max_elements": limits.max_elements}
    if layouts is not None and encoding == _EXPLICIT_LITTLE and not container.unfolded:
        known = layouts.walk(buffer, begin, end, **bounds)
        if known is not None:
            return known
    end = end if container.unfolded != "inflate" else len(buffer)
    walk = tokenize(buffer, begin, end, explicit=encoding.explicit, little_endian=encoding.little_endian, **bounds)
    return walk, None


def _plain_encoding(container: Container, declared: str) -> Encoding | None:
    """Encoding of a data set that is not deflated; None when the octets do not look like one."""
    buffer, begin, end = container.buffer, container.data_set_offset, len(container.buffer)
    if declared not in codestream.DEFLATED:
        expected = _DECLARED.get(declared, _EXPLICIT_LITTLE)
        if first_header_fits(buffer, begin, end, expected):
            return expected
    return detect(buffer, begin, end, sure=declared not in codestream.DEFLATED)


def _inflated(container: Container, declared: str, limits: IngestSettings, room: InflationRoom | None) -> tuple[Encoding, int]:
    """Unfold a deflated data set in place; its encoding and the end of the deflate stream."""
    buffer, begin = container.buffer, container.data_set_offset
    if not looks_inflatable(buffer, begin):
        raise (NotDicom if container.bare else Malformed)("No plausible chain of elements follows the File Meta Information.")
    unfolded, end, rule = inflate(buffer, begin, bytes(buffer[:begin]), limits.max_inflated, room)
    encoding = detect(unfolded, begin, len(unfolded), sure=declared in codestream.DEFLATED)
    if encoding is None:
        raise (NotDicom if container.bare else Malformed)("The octets inflate to something that is not a data set.")
    if rule:
        container.notes.append(Note(rule, begin, "deflate stream with a zlib or gzip header"))
    container.buffer, container.unfolded = unfolded, "inflate"
    if end < len(buffer):
        container.notes.append(Note("F19", end, f"{len(buffer) - end} octets after the deflate stream"))
    return encoding, end


def _transfer_syntax(container: Container, walk: Walk, encoding: Encoding, declared: str, notes: list[Note]) -> str:
    """What the octets are. The declared transfer syntax stands where they do not contradict it."""
    native = _native_uid(container, encoding)
    if walk.pixel is not None and walk.pixel.fragments is not None:
        found = codestream.first_header(container.buffer, walk.pixel)
        if declared not in codestream.NATIVE and declared and (found is None or codestream.agrees(declared, found)):
            return declared
        if found is not None and declared and not codestream.is_encapsulated(declared) and declared not in codestream.NATIVE:
            return declared
        uid = codestream.uid_of(found) if found is not None else codestream.ENCAPSULATED_UNCOMPRESSED
        if declared:
            family = found.family if found is not None else "unknown"
            notes.append(Note("P09", walk.pixel.value.offset, f"codestream is {family}, not {declared}", walk.pixel.tag))
        return uid
    if not declared or declared == native:
        return native
    if codestream.is_encapsulated(declared):
        if walk.pixel is None and encoding == _EXPLICIT_LITTLE:
            return declared
        if walk.pixel is not None:
            notes.append(Note("P09", walk.pixel.value.offset, f"pixel data is native, not {declared}", walk.pixel.tag))
        return native
    if declared == codestream.GE_PRIVATE and encoding == _DECLARED[codestream.GE_PRIVATE]:
        notes.append(Note("F15", container.data_set_offset, "pixel data is big endian in a little endian data set"))
        return declared
    if declared in codestream.NATIVE:
        wanted = _DECLARED.get(declared, _EXPLICIT_LITTLE)
        if wanted.little_endian != encoding.little_endian:
            rule = "F14"
        else:
            rule = "F12" if wanted.explicit else "F13"
        notes.append(Note(rule, container.data_set_offset, f"declared {declared}, encoded as {native}"))
        return native
    notes.append(Note("F11", container.data_set_offset, f"transfer syntax {declared} over a standard encoding"))
    return native


def _native_uid(container: Container, encoding: Encoding) -> str:
    if container.unfolded == "inflate":
        return codestream.DEFLATED_LITTLE
    if not encoding.little_endian:
        return codestream.EXPLICIT_BIG if encoding.explicit else "implicit-big-endian"
    return codestream.EXPLICIT_LITTLE if encoding.explicit else codestream.IMPLICIT_LITTLE
