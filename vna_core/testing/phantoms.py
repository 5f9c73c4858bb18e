"""Deterministic DICOM instances with known truth: ordinary ones, and ones with the oddities of vendors."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from vna_core.testing import phantom_writer as write
from vna_core.testing.phantom_writer import EXPLICIT_LITTLE, Elements, Form, Value

CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
US_MULTIFRAME = "1.2.840.10008.5.1.4.1.1.3.1"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
GE_PRIVATE_CLASS = "1.2.840.113619.4.27"
ROOT = "2.25.4711"


@dataclass(frozen=True, slots=True)
class Phantom:
    """One odd instance.

    Attributes
    ----------
    outcome
        How offering it must end: ``held`` or ``quarantined``.
    sendable
        A Part 10 file that an ordinary sender can transmit.
    """

    name: str
    octets: bytes
    outcome: str = "held"
    rules: tuple[str, ...] = ()
    sendable: bool = False


def uid(*numbers: int) -> str:
    """A UID of the phantoms' root."""
    return ".".join([ROOT, *map(str, numbers)])


def pixels(seed: int, rows: int, columns: int, frames: int = 1) -> bytes:
    """Native 12-bit samples in 16 bits: a gradient with noise, the same for the same seed."""
    noise = np.random.default_rng(seed).integers(0, 512, size=(frames, rows, columns), dtype=np.uint16)
    gradient = np.linspace(0, 3000, columns, dtype=np.uint16)
    return (noise + gradient).astype("<u2").tobytes()


def ct_elements(seed: int = 1, rows: int = 512, columns: int = 512, **overrides: Value) -> Elements:
    """About 150 elements of a CT instance without pixel data. `overrides` replace values by keyword; TypeError: there is no such element."""
    series, instance = divmod(seed, 1000)
    named: dict[str, tuple[int, str, Value]] = {
        "SpecificCharacterSet": (0x00080005, "CS", "ISO_IR 100"),
        "ImageType": (0x00080008, "CS", "ORIGINAL\\PRIMARY\\AXIAL"),
        "SOPClassUID": (0x00080016, "UI", CT),
        "SOPInstanceUID": (0x00080018, "UI", uid(series + 1, 1, instance + 1)),
        "StudyDate": (0x00080020, "DA", f"2026{series % 12 + 1:02}{seed % 28 + 1:02}"),
        "SeriesDate": (0x00080021, "DA", "20260401"),
        "AcquisitionDate": (0x00080022, "DA", "20260401"),
        "ContentDate": (0x00080023, "DA", "20260401"),
        "StudyTime": (0x00080030, "TM", "101500"),
        "SeriesTime": (0x00080031, "TM", "101601"),
        "AccessionNumber": (0x00080050, "SH", f"ACC{series:05}"),
        "Modality": (0x00080060, "CS", "CT"),
        "Manufacturer": (0x00080070, "LO", "PHANTOM WORKS"),
        "InstitutionName": (0x00080080, "LO", "General Hospital"),
        "ReferringPhysicianName": (0x00080090, "PN", "Referrer^Anna"),
        "StationName": (0x00081010, "SH", "CT1"),
        "StudyDescription": (0x00081030, "LO", "Chest"),
        "SeriesDescription": (0x0008103E, "LO", "Axial 1 mm"),
        "ReferencedStudySequence": (  # type: ignore[dict-item]
            0x00081110,
            "SQ",
            [[(0x00081150, "UI", "1.2.840.10008.3.1.2.3.1"), (0x00081155, "UI", uid(9, series + 1))]],
        ),
        "PatientName": (0x00100010, "PN", f"Phantom^Patient {series}"),
        "PatientID": (0x00100020, "LO", f"P{series:06}"),
        "PatientBirthDate": (0x00100030, "DA", "19600229"),
        "PatientSex": (0x00100040, "CS", "O"),
        "PatientAge": (0x00101010, "AS", "066Y"),
        "BodyPartExamined": (0x00180015, "CS", "CHEST"),
        "SliceThickness": (0x00180050, "DS", "1.0"),
        "KVP": (0x00180060, "DS", "120"),
        "ProtocolName": (0x00181030, "LO", "Chest routine"),
        "StudyInstanceUID": (0x0020000D, "UI", uid(series + 1)),
        "SeriesInstanceUID": (0x0020000E, "UI", uid(series + 1, 1)),
        "StudyID": (0x00200010, "SH", str(series + 1)),
        "SeriesNumber": (0x00200011, "IS", "1"),
        "InstanceNumber": (0x00200013, "IS", str(instance + 1)),
        "ImagePositionPatient": (0x00200032, "DS", f"-250\\-250\\{instance}"),
        "ImageOrientationPatient": (0x00200037, "DS", "1\\0\\0\\0\\1\\0"),
        "FrameOfReferenceUID": (0x00200052, "UI", uid(series + 1, 2)),
        "SliceLocation": (0x00201041, "DS", str(instance)),
        "SamplesPerPixel": (0x00280002, "US", 1),
        "PhotometricInterpretation": (0x00280004, "CS", "MONOCHROME2"),
        "Rows": (0x00280010, "US", rows),
        "Columns": (0x00280011, "US", columns),
        "PixelSpacing": (0x00280030, "DS", "0.9765625\\0.9765625"),
        "BitsAllocated": (0x00280100, "US", 16),
        "BitsStored": (0x00280101, "US", 12),
        "HighBit": (0x00280102, "US", 11),
        "PixelRepresentation": (0x00280103, "US", 0),
        "RescaleIntercept": (0x00281052, "DS", "-1024"),
        "RescaleSlope": (0x00281053, "DS", "1"),
    }
    unknown = overrides.keys() - named.keys()
    if unknown:
        raise TypeError(f"The phantom has no {', '.join(sorted(unknown))}; `ct` takes more elements by their tags.")
    for keyword, value in overrides.items():
        tag, vr, _ = named[keyword]
        named[keyword] = (tag, vr, value)
    elements: Elements = list(named.values())
    elements.append((0x00090010, "LO", "PHANTOM PRIVATE 01"))
    elements += [(0x00091000 + number, "LO", f"private {number}") for number in range(40)]
    elements += [(0x00431000 + number, "DS", str(number / 8)) for number in range(60)]
    elements.append((0x00430010, "LO", "PHANTOM PRIVATE 02"))
    return sorted(elements, key=lambda one: one[0])


def ct(
    seed: int = 1,
    rows: int = 512,
    columns: int = 512,
    private: Mapping[int, tuple[str, Value]] = MappingProxyType({}),
    **overrides: Value,
) -> bytes:
    """A conformant CT instance as a Part 10 file in Explicit VR Little Endian.

    Parameters
    ----------
    private
        More elements, private ones and others, creators included: tag to representation and value.
    overrides
        See `ct_elements`.
    """
    more = [(tag, vr, value) for tag, (vr, value) in private.items()]
    elements = sorted([*ct_elements(seed, rows, columns, **overrides), *more], key=lambda one: one[0])
    return _file(elements, write.data_set([(0x7FE00010, "OW", pixels(seed, rows, columns))]))


def multiframe(frames: int, seed: int = 1, rows: int = 512, columns: int = 512) -> bytes:
    """A native multi-frame instance."""
    elements = ct_elements(seed, rows, columns, SOPClassUID=US_MULTIFRAME, Modality="US")
    elements = sorted([*elements, (0x00280008, "IS", str(frames))], key=lambda one: one[0])
    return _file(elements, write.data_set([(0x7FE00010, "OW", pixels(seed, rows, columns, frames))]))


def series(count: int, number: int = 1, rows: int = 64, columns: int = 64) -> Iterator[bytes]:
    """A CT series of `count` instances; `number` makes patient, study and series differ."""
    for instance in range(count):
        yield ct(number * 1000 + instance, rows, columns)


def _text(elements: Elements, tag: int) -> str:
    return next(str(value) for one, _, value in elements if one == tag)


def _meta(elements: Elements, transfer_syntax: str = EXPLICIT_LITTLE, group_length: int | None = None) -> bytes:
    return write.file_meta(_text(elements, 0x00080016), _text(elements, 0x00080018), transfer_syntax, group_length)


def _file(elements: Elements, tail: bytes, transfer_syntax: str = EXPLICIT_LITTLE) -> bytes:
    return write.part10(_meta(elements, transfer_syntax), write.data_set(elements) + tail)


def _without(elements: Elements, *tags: int) -> Elements:
    return [one for one in elements if one[0] not in tags]


def odd() -> dict[str, Phantom]:
    """Odd instances by name. Each has a SOP Instance UID of its own."""
    return {one.name: one for one in _odd()}


def _odd() -> Iterator[Phantom]:
    size = 32

    def body(seed: int, **overrides: Value) -> Elements:
        elements = ct_elements(900_000 + 1000 * seed, size, size, **overrides)
        return [*elements, (0x7FE00010, "OW", pixels(seed, size, size))]

    def part10(elements: Elements, encoded: bytes, syntax: str = EXPLICIT_LITTLE) -> bytes:
        return write.part10(_meta(elements, syntax), encoded)

    implicit, big = Form(explicit=False), Form(big_endian=True)
    one = body(1)
    yield Phantom("no_preamble", _meta(one) + write.data_set(one), rules=("F01",))
    one = body(2)
    yield Phantom("bare_implicit", write.data_set(one, implicit), rules=("F03",))
    one = body(3)
    yield Phantom("bare_explicit", write.data_set(one), rules=("F04",))
    one = body(4)
    yield Phantom("implicit", part10(one, write.data_set(one, implicit), write.IMPLICIT_LITTLE), sendable=True)
    one = body(5)
    yield Phantom("big_endian", part10(one, write.data_set(one, big), write.EXPLICIT_BIG), sendable=True)
    one = body(6)
    packer = zlib.compressobj(wbits=-15)
    yield Phantom("deflated", part10(one, packer.compress(write.data_set(one)) + packer.flush(), write.DEFLATED))
    one = body(7)
    yield Phantom("implicit_labelled_explicit", part10(one, write.data_set(one, implicit)), rules=("F12",))
    one = body(8)
    yield Phantom("explicit_labelled_implicit", part10(one, write.data_set(one), write.IMPLICIT_LITTLE), rules=("F13",))
    one = body(9)
    lengths = write.element(0x00080000, "UL", 1234) + write.data_set(one)
    yield Phantom("group_length", part10(one, lengths), rules=("E28",), sendable=True)
    one = body(10)
    yield Phantom("undefined_sequences", part10(one, write.data_set(one, Form(undefined_sequences=True))), sendable=True)
    one = body(11)
    wrong_meta = write.part10(_meta(one, group_length=20), write.data_set(one))
    yield Phantom("wrong_meta_length", wrong_meta, rules=("F07",))
    one = body(12)
    padded = [*one, (0xFFFCFFFC, "OB", bytes(126))]
    yield Phantom("trailing_padding", part10(one, write.data_set(padded)), rules=("F21",), sendable=True)
    one = _without(body(13), 0x0020000D, 0x0020000E)
    yield Phantom("no_study_no_series", part10(one, write.data_set(one)), rules=("I04",))
    one = body(14, SOPClassUID=GE_PRIVATE_CLASS)
    yield Phantom("private_class", part10(one, write.data_set(one)))
    one = _without(body(15), 0x7FE00010)
    frames = [b"\xff\xd8\xff\xd9\0\0" + bytes([number]) * 26 for number in range(4)]
    jpeg = [*one, (0x00280008, "IS", "2")]
    jpeg.sort(key=lambda element: element[0])
    fragmented = write.data_set(jpeg) + write.encapsulated(frames, (0, 80))
    yield Phantom("two_fragments_a_frame", part10(one, fragmented, "1.2.840.10008.1.2.4.50"), rules=("P12",))
    one = body(16)
    yield Phantom("junk_after_data_set", part10(one, write.data_set(one)) + b"\0" * 512, rules=("F22",))
    one = body(17)
    whole = part10(one, write.data_set(one))
    yield Phantom("cut_in_pixels", whole[:-700], "quarantined")
    yield Phantom("cut_in_header", part10(body(18), write.data_set(body(18)))[:900], "quarantined")
    yield Phantom("not_dicom", b"This is a letter about an image, not an image.\n" * 40, "quarantined")
    one = body(19, PatientID="a%b_c\\..", PatientName="O'Neil^*?")
    yield Phantom("hostile_identifiers", part10(one, write.data_set(one)))
    one = body(20, SOPInstanceUID="../../etc/passwd")
    yield Phantom("path_as_uid", part10(one, write.data_set(one)))
