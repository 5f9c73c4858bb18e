"""Dates, times and numbers that are not written as the standard says (D01 to D12)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from vna_core.testing.quirks.octets import value_octets
from vna_core.testing.quirks.quirk_file import Maker, QuirkFile
from vna_core.testing.quirks.sheet import Sheet, image

STUDY_DATE, STUDY_TIME, AGE, PIXEL_SPACING, INSTANCE_NUMBER = 0x00080020, 0x00080030, 0x00101010, 0x00280030, 0x00200013
ACQUISITION_DATETIME, WEIGHT, WINDOW_CENTER, WINDOW_WIDTH = 0x0008002A, 0x00101030, 0x00281050, 0x00281051
INTERCEPT, SLOPE, ORIENTATION = 0x00281052, 0x00281053, 0x00200037
REQUEST_ATTRIBUTES, STEP_START_DATE = 0x00400275, 0x00400002


def one(name: str, tag: int, vr: str, written: str, expected: str) -> QuirkFile:
    """An image with one value written in another way; it must become `expected`."""
    return image(name).odd(tag, vr, written, tuple(expected.split("\\")) if expected else ()).file()


def kept(name: str, tag: int, vr: str, written: str) -> QuirkFile:
    """An image with one odd value that must stay."""
    return image(name).keep(tag, vr, written).file()


def with_dots() -> Iterator[QuirkFile]:
    yield one("D01-da-with-dots", STUDY_DATE, "DA", "1995.01.27", "19950127")
    yield (
        image("D01-da-with-dots-in-a-sequence")
        .put(REQUEST_ATTRIBUTES, "SQ", [((STEP_START_DATE, "DA", "1995.01.27"), (0x00400009, "SH", "STEP1"))])
        .must({"00400275[0].00400002": ("19950127",)})
        .file()
    )


def with_other_separators() -> Iterator[QuirkFile]:
    yield one("D02-da-iso-8601", STUDY_DATE, "DA", "1995-01-27", "19950127")
    yield image("D02-da-day-first").put(STUDY_DATE, "DA", "27/01/1995").unsure(STUDY_DATE).file()
    yield kept("D02-da-day-or-month", STUDY_DATE, "DA", "03/04/1995")


def not_a_date() -> Iterator[QuirkFile]:
    yield (
        image("D03-da-with-a-time")
        .put(STUDY_TIME, "TM", "")
        .odd(STUDY_DATE, "DA", "19950127131415", ("19950127",))
        .must({"00080030": ("131415",)})
        .file()
    )
    for label, written in (("stars", "***"), ("zeros", "00000000"), ("word", "UNKNOWN")):
        yield one(f"D03-da-{label}", STUDY_DATE, "DA", written, "")
    yield image("D03-da-year-1").put(STUDY_DATE, "DA", "00010101").unsure(STUDY_DATE).file()


def odd_times() -> Iterator[QuirkFile]:
    for label, written, expected in (
        ("colons", "13:14:15", "131415"),
        ("colons-and-fraction", "13:14:15.25", "131415.25"),
        ("seven-digits", "131415.1234561", "131415.123456"),
        ("no-dot", "131415123", "131415.123"),
        ("am-pm", "01:14:15 PM", "131415"),
    ):
        yield one(f"D04-tm-{label}", STUDY_TIME, "TM", written, expected)
    yield image("D04-tm-24-hours").put(STUDY_TIME, "TM", "24:00:00").unsure(STUDY_TIME).file()


def odd_date_times() -> Iterator[QuirkFile]:
    yield one("D05-dt-no-dot", ACQUISITION_DATETIME, "DT", "19950127131415123", "19950127131415.123")
    yield one("D05-dt-date-with-dots", ACQUISITION_DATETIME, "DT", "1995.01.27", "19950127")
    yield kept("D05-dt-with-zone", ACQUISITION_DATETIME, "DT", "19950127131415-0500")
    yield (
        image("D05-dt-zone-with-colon")
        .put(ACQUISITION_DATETIME, "DT", "19950127131415-05:00")
        .unsure(ACQUISITION_DATETIME)
        .file()
    )


def ages() -> Iterator[QuirkFile]:
    born = image("D06-age-without-unit-and-birth-date").put(0x00100030, "DA", "19590127").put(STUDY_DATE, "DA", "20050101")
    yield born.odd(AGE, "AS", "45", ("045Y",)).file()
    yield one("D06-age-two-digits", AGE, "AS", "45Y", "045Y")
    yield image("D06-age-without-unit").put(0x00100030, "DA", "").keep(AGE, "AS", "45").file()
    yield image("D06-age-zero").put(AGE, "AS", "000Y").unsure(AGE).file()


def long_decimals() -> Iterator[QuirkFile]:
    yield one("D07-ds-shorter-form", WEIGHT, "DS", "0.50000000000000000000", "0.5")
    yield kept("D07-ds-needs-its-digits", WEIGHT, "DS", "-0.123456789012345678")
    yield one(
        "D07-ds-one-of-six", ORIENTATION, "DS", "1\\0\\0\\0\\0.800000000000000000\\0.600000000000000000", "1\\0\\0\\0\\0.8\\0.6"
    )


def odd_decimals() -> Iterator[QuirkFile]:
    yield one("D08-ds-comma", PIXEL_SPACING, "DS", "0,5\\0,75", "0.5\\0.75")
    yield one("D08-ds-fortran", WEIGHT, "DS", "1.5D+01", "1.5E+01")
    for label, written in (("unit", "75 kg"), ("nan", "nan"), ("blank-inside", "7 5.5"), ("comma-list", "40,400")):
        tag = WINDOW_CENTER if label == "comma-list" else WEIGHT
        yield kept(f"D08-ds-{label}", tag, "DS", written)


def odd_integers() -> Iterator[QuirkFile]:
    yield one("D09-is-with-point", INSTANCE_NUMBER, "IS", "17.0", "17")
    yield kept("D09-is-with-letter", INSTANCE_NUMBER, "IS", "1A")
    yield kept("D09-is-fraction", INSTANCE_NUMBER, "IS", "17.5")
    yield kept("D09-is-too-big", INSTANCE_NUMBER, "IS", "4294967296")
    yield image("D09-is-blank").put(INSTANCE_NUMBER, "IS", "    ").unsure(INSTANCE_NUMBER).file()


def geometry() -> Iterator[QuirkFile]:
    yield kept("D10-pixel-spacing-empty-component", PIXEL_SPACING, "DS", "0.5\\")
    yield kept("D10-pixel-spacing-zero", PIXEL_SPACING, "DS", "0\\0")
    yield kept("D10-orientation-not-unit", ORIENTATION, "DS", "2\\0\\0\\0\\1\\0")
    yield image("D10-orientation-missing").without(ORIENTATION).must({"00200037": None}).file()
    retired = image("D10-orientation-in-retired-element").without(ORIENTATION).must({"00200037": None})
    yield retired.keep(0x00200035, "DS", "1\\0\\0\\0\\1\\0").file()


def windows() -> Iterator[QuirkFile]:
    two = image("D11-window-more-centers-than-widths").keep(WINDOW_CENTER, "DS", "40\\400")
    yield two.keep(WINDOW_WIDTH, "DS", "350").file()
    yield image("D11-window-width-zero").keep(WINDOW_CENTER, "DS", "40").keep(WINDOW_WIDTH, "DS", "0").file()


def rescaling() -> Iterator[QuirkFile]:
    yield image("D12-slope-zero").keep(INTERCEPT, "DS", "-1024").keep(SLOPE, "DS", "0").file()
    yield image("D12-slope-missing").keep(INTERCEPT, "DS", "-1024").file()
    yield per_frame_slopes().file()


def per_frame_slopes() -> Sheet:
    """A slope of zero inside the functional groups of a frame."""
    transformation = ((INTERCEPT, "DS", "-1024"), (SLOPE, "DS", "0"), (0x00281054, "LO", "HU"))
    return (
        image("D12-slope-zero-in-functional-groups")
        .put(0x52009230, "SQ", [((0x00289145, "SQ", [transformation]),)])
        .keep_at("52009230[0].00289145[0].00281053", value_octets("DS", "0"))
    )


ENTRIES: Final[Mapping[str, Maker]] = {
    "D01": with_dots,
    "D02": with_other_separators,
    "D03": not_a_date,
    "D04": odd_times,
    "D05": odd_date_times,
    "D06": ages,
    "D07": long_decimals,
    "D08": odd_decimals,
    "D09": odd_integers,
    "D10": geometry,
    "D11": windows,
    "D12": rescaling,
}
"""Catalogue entry to the function that makes its files."""
