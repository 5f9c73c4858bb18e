"""Sequences, items and delimiters that are not encoded as the standard says (E01 to E14, E34)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from vna_core.testing.phantom_writer import EXPLICIT_BIG, IMPLICIT_LITTLE, UNDEFINED
from vna_core.testing.quirks.octets import (
    BIG,
    IMPLICIT,
    LITTLE,
    Fields,
    Form,
    data_set,
    delimiter,
    element,
    header,
    item,
    tag_octets,
)
from vna_core.testing.quirks.quirk_file import Maker, QuirkFile
from vna_core.testing.quirks.sheet import Sheet, image, sheet, truth_of

CREATOR, PRIVATE = 0x00090010, 0x00091030
REQUEST_ATTRIBUTES: Final = 0x00400275
CODE: Final[Fields] = ((0x00080100, "SH", "T-D3000"), (0x00080102, "SH", "SRT"), (0x00080104, "LO", "Chest"))
STEP: Final[Fields] = ((0x00400007, "LO", "CT thorax"), (0x00400009, "SH", "STEP1"))
IMPLICIT_UNDEFINED: Final = Form(explicit=False, undefined=True)


def items_of(*items: Fields, form: Form = LITTLE) -> bytes:
    """Items with their elements in one encoding."""
    return b"".join(item(data_set(one, form), form, undefined=form.undefined) for one in items)


def sequenced(name: str, octets: bytes, items: list[Fields], tag: int = PRIVATE) -> Sheet:
    """An image with an encoded sequence that must hold these items."""
    start = image(name).put(CREATOR, "LO", "ACME 1.1") if tag == PRIVATE else image(name)
    return start.put(tag, "", octets).must(truth_of(((tag, "SQ", items),)))


def unknown(tag: int, value: bytes) -> bytes:
    """The value under UN, of defined length."""
    return element(tag, "UN", value)


def unknown_undefined(tag: int, value: bytes, vr: str = "UN") -> bytes:
    """The items under `vr`, of undefined length."""
    return header(tag, vr, UNDEFINED) + value + delimiter()


def unknown_defined() -> Iterator[QuirkFile]:
    private = items_of(CODE, STEP, form=IMPLICIT)
    yield sequenced("E01-un-private-sequence", unknown(PRIVATE, private), [CODE, STEP]).file()
    public = unknown(REQUEST_ATTRIBUTES, items_of(STEP, form=IMPLICIT))
    yield sequenced("E01-un-public-sequence", public, [STEP], REQUEST_ATTRIBUTES).file()
    nested: Fields = ((CREATOR, "LO", "ACME 1.1"), (PRIVATE, "SQ", [CODE]))
    yield sequenced("E01-un-nested-twice", unknown(PRIVATE, items_of(nested, form=IMPLICIT)), [nested]).file()
    blob = b"\xfe\xff\x00\xe0not an item"
    start = image("E01-un-blob-like-an-item").put(CREATOR, "LO", "ACME 1.1")
    yield start.keep(PRIVATE, "UN", blob + b"\0" * (len(blob) & 1)).file()


def unknown_undefined_length() -> Iterator[QuirkFile]:
    octets = unknown_undefined(PRIVATE, items_of(CODE, form=IMPLICIT))
    yield sequenced("E02-un-undefined-length", octets, [CODE]).file()
    octets = unknown_undefined(PRIVATE, items_of(CODE, STEP, form=IMPLICIT_UNDEFINED))
    yield sequenced("E02-un-and-items-of-undefined-length", octets, [CODE, STEP]).file()


def unknown_explicit() -> Iterator[QuirkFile]:
    octets = unknown_undefined(PRIVATE, items_of(CODE, STEP))
    yield sequenced("E03-un-explicit-inside", octets, [CODE, STEP]).file()
    octets = unknown_undefined(PRIVATE, items_of(CODE) + items_of(STEP, form=IMPLICIT))
    yield sequenced("E03-un-first-item-explicit-second-implicit", octets, [CODE, STEP]).file()


def unknown_in_big_endian() -> Iterator[QuirkFile]:
    content = items_of(((0x00080100, "SH", "T-D3000"), (0x00280010, "US", 258)), form=IMPLICIT)
    start = sequenced("E04-un-in-big-endian", b"", [((0x00080100, "SH", "T-D3000"), (0x00280010, "US", 258))])
    big = start.put(PRIVATE, "", header(PRIVATE, "UN", len(content), BIG) + content)
    yield big.file(big.part10(EXPLICIT_BIG, BIG))


def sequence_under_ob() -> Iterator[QuirkFile]:
    tag = 0x00491001
    start = image("E05-ob-of-undefined-length").put(0x00490010, "LO", "GEMS_CT_CARDIAC_001")
    octets = unknown_undefined(tag, items_of(CODE), "OB")
    yield start.put(tag, "", octets).must(truth_of(((tag, "SQ", [CODE]),))).file()


def private_in_implicit() -> Iterator[QuirkFile]:
    nested: Fields = ((CREATOR, "LO", "ACME 1.1"), (PRIVATE, "SQ", [CODE, STEP]))
    start = image("E06-nested-private-sequence-implicit").put(CREATOR, "LO", "ACME 1.1").put(PRIVATE, "SQ", [nested])
    yield start.file(start.part10(IMPLICIT_LITTLE, IMPLICIT_UNDEFINED))
    start = image("E06-private-sequence-of-defined-length-implicit").put(CREATOR, "LO", "ACME 1.1").put(PRIVATE, "SQ", [CODE])
    yield start.file(start.part10(IMPLICIT_LITTLE, IMPLICIT))


def swapped_items() -> Iterator[QuirkFile]:
    big_implicit = Form(explicit=False, big_endian=True)
    tag, items = 0x00E11042, items_of(CODE, form=big_implicit)
    start = image("E07-byte-swapped-sequence-implicit").put(0x00E10010, "LO", "ELSCINT1")
    start = start.put(tag, "", header(tag, "", len(items), IMPLICIT) + items).must(truth_of(((tag, "SQ", [CODE]),)))
    yield start.file(start.part10(IMPLICIT_LITTLE, IMPLICIT))
    items = items_of(CODE, form=BIG)
    yield sequenced("E07-byte-swapped-sequence-explicit", header(PRIVATE, "SQ", len(items)) + items, [CODE]).file()


def damaged_item_tags() -> Iterator[QuirkFile]:
    for label, octets in (("3f3f", b"\x3f\x3f\x00\x3f"), ("fffe-0000", b"\xfe\xff\x00\x00")):
        items = octets + items_of(CODE)[4:]
        yield sequenced(f"E08-item-tag-{label}", header(PRIVATE, "SQ", len(items)) + items, [CODE]).file()


def delimiter_in_defined() -> Iterator[QuirkFile]:
    items = items_of(CODE) + delimiter()
    yield sequenced("E09-delimiter-in-defined-length", header(PRIVATE, "SQ", len(items)) + items, [CODE]).file()
    items = items_of(STEP) + delimiter()
    octets = header(REQUEST_ATTRIBUTES, "SQ", len(items)) + items
    yield sequenced("E09-delimiter-in-public-sequence", octets, [STEP], REQUEST_ATTRIBUTES).file()


def wrong_sequence_length() -> Iterator[QuirkFile]:
    items = items_of(CODE, STEP)
    for label, lie in (("too-long", 8), ("too-short", -4), ("zero", -len(items))):
        octets = header(PRIVATE, "SQ", len(items) + lie) + items
        yield sequenced(f"E10-sequence-length-{label}", octets, [CODE, STEP]).file()


def wrong_item_length() -> Iterator[QuirkFile]:
    content = data_set(CODE)
    short = item(content, length=len(content) - 4)
    start = sequenced("E11-item-length-too-short", header(PRIVATE, "SQ", len(short)) + short, [CODE[:2]])
    yield start.file()
    long = item(content, length=len(content) + 6)
    yield sequenced("E11-item-length-too-long", header(PRIVATE, "SQ", len(long)) + long, [CODE]).file()


def delimiter_with_length() -> Iterator[QuirkFile]:
    items = items_of(CODE, form=Form(undefined=True))
    octets = header(PRIVATE, "SQ", UNDEFINED) + items + delimiter(length=0x1234)
    yield sequenced("E12-sequence-delimiter-with-length", octets, [CODE]).file()
    odd = items[:-4] + b"\x08\0\0\0"
    yield sequenced("E12-item-delimiter-with-length", header(PRIVATE, "SQ", UNDEFINED) + odd + delimiter(), [CODE]).file()


def stray_delimiters() -> Iterator[QuirkFile]:
    for label, octets in (
        ("sequence-delimiter", delimiter()),
        ("item-delimiter", tag_octets(0xFFFEE00D) + bytes(4)),
        ("empty-item", item(b"")),
    ):
        start = image(f"E13-stray-{label}")
        at = start.body().index(tag_octets(0x00280002))
        meta_and_preamble = start.part10()[: -len(start.body())]
        yield start.file(meta_and_preamble + start.body()[:at] + octets + start.body()[at:])


def never_closed() -> Iterator[QuirkFile]:
    tag = 0x0040A730
    start = sheet("E14-sequence-open-at-the-end").must(truth_of(((tag, "SQ", [CODE]),)))
    open_sequence = header(tag, "SQ", UNDEFINED) + items_of(CODE)
    yield start.file(start.part10() + open_sequence)
    start = sheet("E14-item-open-at-the-end")
    yield start.quarantined(start.part10() + header(tag, "SQ", UNDEFINED) + item(data_set(CODE), undefined=True)[:-8])


def nest(levels: int) -> bytes:
    """A content sequence in a content sequence, `levels` deep."""
    octets = data_set(CODE)
    for _ in range(levels):
        octets = item(octets)
        octets = header(0x0040A730, "SQ", len(octets)) + octets
    return octets


def nested_deeply() -> Iterator[QuirkFile]:
    start = sheet("E34-300-levels")
    yield start.quarantined(start.part10() + nest(300))
    start = sheet("E34-40-levels")
    yield start.must({"0040A730[0]." * 40 + "00080100": ("T-D3000",)}).file(start.part10() + nest(40))


ENTRIES: Final[Mapping[str, Maker]] = {
    "E01": unknown_defined,
    "E02": unknown_undefined_length,
    "E03": unknown_explicit,
    "E04": unknown_in_big_endian,
    "E05": sequence_under_ob,
    "E06": private_in_implicit,
    "E07": swapped_items,
    "E08": damaged_item_tags,
    "E09": delimiter_in_defined,
    "E10": wrong_sequence_length,
    "E11": wrong_item_length,
    "E12": delimiter_with_length,
    "E13": stray_delimiters,
    "E14": never_closed,
    "E34": nested_deeply,
}
"""Catalogue entry to the function that makes its files."""
