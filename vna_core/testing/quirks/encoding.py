"""Representations, lengths, order and private blocks of elements (E15 to E36 without E34)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from vna_core.testing.phantom_writer import IMPLICIT_LITTLE
from vna_core.testing.quirks import sequences
from vna_core.testing.quirks.octets import IMPLICIT, Fields, data_set, element, header, swapped, value_octets
from vna_core.testing.quirks.quirk_file import Maker, QuirkFile
from vna_core.testing.quirks.sheet import PIXEL_DATA, Sheet, gradient, image, octets_of, sheet

CREATOR, PRIVATE = 0x00090010, 0x00091010
STUDY_DESCRIPTION, STATION_NAME, PATIENT_ID, PATIENT_NAME = 0x00081030, 0x00081010, 0x00100020, 0x00100010
PIXEL_SPACING, ROWS = 0x00280030, 0x00280010


def written(name: str, tag: int, octets: bytes, expected: tuple[str, ...]) -> Sheet:
    """An image with one element encoded in its own way, and the values it must hold."""
    return image(name).odd(tag, "", octets, expected)


def private(name: str) -> Sheet:
    """An image with a reserved private block in group 0009."""
    return image(name).put(CREATOR, "LO", "ACME 1.1")


def illegal_representations() -> Iterator[QuirkFile]:
    value = b"Thorax pa "
    for label, vr in (
        ("blanks", b"  "),
        ("question-marks", b"??"),
        ("zeros", b"\0\0"),
        ("lower-case", b"lo"),
        ("uk", b"UK"),
        ("2c00", b"\x2c\0"),
        ("1c00", b"\x1c\0"),
    ):
        octets = header(STUDY_DESCRIPTION, "LO", len(value)).replace(b"LO", vr) + value
        yield written(f"E15-vr-{label}", STUDY_DESCRIPTION, octets, ("Thorax pa",)).file()


def ox_pixel_data() -> Iterator[QuirkFile]:
    for label, bits in (("16-bits", 12), ("8-bits", 8)):
        start = image(f"E16-ox-pixel-data-{label}", bits=bits)
        raw = octets_of(gradient(bits=bits))
        yield start.put(PIXEL_DATA, "", header(PIXEL_DATA, "OW", len(raw)).replace(b"OW", b"OX") + raw).file()


def short_form(tag: int, vr: str, value: bytes) -> bytes:
    """A long representation with a 16-bit length."""
    return header(tag, "LO", len(value)).replace(b"LO", vr.encode()) + value


def long_with_16_bits() -> Iterator[QuirkFile]:
    yield written("E17-ut-with-16-bit-length", 0x0040A160, short_form(0x0040A160, "UT", b"A finding."), ("A finding.",)).file()
    blob = bytes(range(1, 21))
    start = private("E17-un-with-16-bit-length").put(PRIVATE, "", short_form(PRIVATE, "UN", blob))
    yield start.keep_at(f"{PRIVATE:08X}", blob).file()
    start = image("E17-ow-with-16-bit-length")
    yield start.put(PIXEL_DATA, "", short_form(PIXEL_DATA, "OW", octets_of(gradient()))).file()


def private_implicit() -> Iterator[QuirkFile]:
    start = private("E18-private-elements-implicit")
    creator = element(CREATOR, "LO", "ACME 1.1", IMPLICIT)
    blob = element(PRIVATE, "OB", b"PRIVATE1", IMPLICIT)
    yield (
        start.put(CREATOR, "", creator)
        .put(PRIVATE, "", blob)
        .must({"00090010": ("ACME 1.1",)})
        .keep_at("00091010", b"PRIVATE1")
        .file()
    )


def length_13_for_10() -> Iterator[QuirkFile]:
    start = image("E19-length-13-for-10-octets")
    octets = header(STATION_NAME, "SH", 13, IMPLICIT) + b"CT SCANNER"
    odd = start.odd(STATION_NAME, "", octets, ("CT SCANNER",))
    yield odd.file(odd.part10(IMPLICIT_LITTLE, IMPLICIT))


def length_6_for_4() -> Iterator[QuirkFile]:
    tag = 0x00186018
    yield written("E20-length-6-for-4-octets", tag, header(tag, "UL", 6) + value_octets("UL", 17), ("17",)).file()


def odd_lengths() -> Iterator[QuirkFile]:
    for label, tag, vr, value in (
        ("ui", 0x00200052, "UI", b"2.25.4711.17.3"[:13]),
        ("lo", STUDY_DESCRIPTION, "LO", b"Thorax ap"),
        ("sh", STATION_NAME, "SH", b"CT1"),
    ):
        yield written(f"E21-odd-{label}", tag, header(tag, vr, len(value)) + value, (value.decode(),)).file()
    octets = header(STUDY_DESCRIPTION, "LO", 9) + b"Thorax ap "
    yield written("E21-padded-without-counting", STUDY_DESCRIPTION, octets, ("Thorax ap",)).file()
    inner: Fields = ((0x00081150, "UI", "1.2.840.10008.5.1.4.1.1.2"), (0x00081155, "", header(0x00081155, "UI", 5) + b"1.2.3"))
    start = image("E21-odd-ui-in-a-sequence").put(0x00081140, "SQ", [inner])
    yield start.must({"00081140[0].00081155": ("1.2.3",)}).file()


def large_private_text() -> Iterator[QuirkFile]:
    blob = bytes(index * 7 % 251 for index in range(0x10042))
    octets = header(PRIVATE, "LO", 0)[:-2] + len(blob).to_bytes(4, "little") + blob
    yield private("E22-lo-of-64-kib").put(PRIVATE, "", octets).keep_at(f"{PRIVATE:08X}", blob).file()


def big_endian_pixels() -> Iterator[QuirkFile]:
    raw = swapped(octets_of(gradient()))
    yield image("E23-big-endian-pixels").keep(PIXEL_DATA, "OW", raw).show(None).file()


def wrong_representations() -> Iterator[QuirkFile]:
    yield image("E24-pixel-spacing-as-lo").put(PIXEL_SPACING, "LO", "0.5\\0.75").file()
    yield image("E24-study-date-as-un").odd(0x00080020, "UN", b"20050101", ("20050101",)).file()
    yield image("E24-rows-as-ul").odd(ROWS, "UL", 6, ("6",)).file()
    yield image("E24-rows-as-un").odd(ROWS, "UN", b"\x06\0", ("6",)).file()
    yield sheet("E24-observation-class-as-cs").keep(0x0040A170, "CS", "DIAGNOSTIC").file()


def pixel_representations() -> Iterator[QuirkFile]:
    yield image("E25-ob-with-16-bits").put(PIXEL_DATA, "OB", octets_of(gradient())).file()


def out_of_order() -> Iterator[QuirkFile]:
    start = image("E26-patient-before-study")
    fields = sorted(start.fields, key=lambda one: (one[0] >> 16 != 0x0010, one[0]))
    yield start.file(start.part10()[: -len(start.body())] + data_set(fields))
    start = image("E26-pixel-data-before-spacing")
    fields = sorted(start.fields, key=lambda one: (one[0] == PIXEL_SPACING, one[0]))
    yield start.file(start.part10()[: -len(start.body())] + data_set(fields))


def duplicates() -> Iterator[QuirkFile]:
    both = element(PATIENT_ID, "LO", "FIRST1") + element(PATIENT_ID, "LO", "SECOND")
    yield written("E27-two-patient-ids", PATIENT_ID, both, ("FIRST1",)).file()
    same = element(PATIENT_NAME, "PN", "Doe^Jane") * 2
    yield written("E27-same-name-twice", PATIENT_NAME, same, ("Doe^Jane",)).file()


def group_lengths() -> Iterator[QuirkFile]:
    start = image("E28-wrong-group-lengths").must({"00080000": None, "00100000": None, "7FE00000": None})
    yield start.put(0x00080000, "UL", 42).put(0x00100000, "UL", 0).put(0x7FE00000, "UL", 0xFFFFFFF0).file()


def block_without_creator() -> Iterator[QuirkFile]:
    yield image("E29-private-without-creator").keep(PRIVATE, "OB", b"PRIVATE1").keep(0x00091011, "LO", "A text").file()


def odd_creators() -> Iterator[QuirkFile]:
    for label, vr, octets in (("nul-padded", "LO", b"ACME\0\0"), ("un", "UN", b"ACME"), ("un-nul-padded", "UN", b"ACME 1\0\0")):
        start = image(f"E30-creator-{label}").keep(PRIVATE, "OB", b"PRIVATE1")
        yield start.odd(CREATOR, vr, octets, (octets.decode().rstrip("\0"),)).file()
    yield image("E30-creator-empty").put(CREATOR, "LO", "").keep(PRIVATE, "OB", b"PRIVATE1").file()


def renumbered_blocks() -> Iterator[QuirkFile]:
    """The creator stands in the first slot where the vendor writes it in the second (``SIEMENS MR SDI 02``)."""
    inner: Fields = ((0x00210010, "LO", "SIEMENS MR SDI 02"), (0x002110FE, "SQ", [((0x00080100, "SH", "T-D3000"),)]))
    start = image("E31-renumbered-in-functional-groups").put(0x52009230, "SQ", [inner])
    yield start.keep_at("52009230[0].00210010", b"SIEMENS MR SDI 02").file()
    yield private("E31-renumbered").put(CREATOR, "LO", "SPI-P Release 1").keep(PRIVATE, "LO", "Renumbered").file()


def colliding_creators() -> Iterator[QuirkFile]:
    two = b"".join(
        element(CREATOR, "LO", creator) + element(PRIVATE, "LO", text)
        for creator, text in (("ACME 1", "first"), ("OTHER ", "second"))
    )
    start = image("E32-two-creators-in-one-slot").odd(CREATOR, "", two, ("ACME 1",))
    yield start.must({"00091010": ("first",), "00090011": ("OTHER",), "00091110": ("second",)}).file()


def illegal_tags() -> Iterator[QuirkFile]:
    for label, tag in (
        ("group-0001", 0x00010010),
        ("group-0003", 0x00030010),
        ("group-0007", 0x00070010),
        ("element-0005", 0x00090005),
    ):
        yield image(f"E33-{label}").odd(tag, "LO", "ILLEGAL", None).file()
    yield image("E33-group-ffff").odd(0xFFFF0010, "LO", "ILLEGAL", None).file()


def beyond_the_end() -> Iterator[QuirkFile]:
    start = sheet("E35-length-beyond-the-end")
    yield start.quarantined(start.part10() + header(0x00204000, "LT", 4000) + b"short")
    start = image("E35-pixel-data-beyond-the-end")
    raw = octets_of(gradient())
    yield start.quarantined(start.put(PIXEL_DATA, "", header(PIXEL_DATA, "OW", len(raw) + 400) + raw).part10())


def not_dicom() -> Iterator[QuirkFile]:
    text = b"(0008,0020) DA StudyDate 1 DICOM\n(0008,0030) TM StudyTime 1 DICOM\n" * 20
    yield sheet("E36-dictionary-text").quarantined(text)


ENTRIES: Final[Mapping[str, Maker]] = {
    **sequences.ENTRIES,
    "E15": illegal_representations,
    "E16": ox_pixel_data,
    "E17": long_with_16_bits,
    "E18": private_implicit,
    "E19": length_13_for_10,
    "E20": length_6_for_4,
    "E21": odd_lengths,
    "E22": large_private_text,
    "E23": big_endian_pixels,
    "E24": wrong_representations,
    "E25": pixel_representations,
    "E26": out_of_order,
    "E27": duplicates,
    "E28": group_lengths,
    "E29": block_without_creator,
    "E30": odd_creators,
    "E31": renumbered_blocks,
    "E32": colliding_creators,
    "E33": illegal_tags,
    "E35": beyond_the_end,
    "E36": not_dicom,
}
"""Catalogue entry to the function that makes its files."""
