"""Dates, times and ages written in another way than PS3.5 section 6.2 (D01 to D06)."""

from __future__ import annotations

import re
from datetime import date
from functools import partial
from typing import Final

from vna_core.ingest.normalize.amendments import Place
from vna_core.ingest.normalize.value_verdicts import SuspectValue, Verdict, each_value

_DOTTED: Final = re.compile(rb"([0-9]{4})\.([0-9]{1,2})\.([0-9]{1,2})")
_YEAR_FIRST: Final = re.compile(rb"([0-9]{4})([-/])([0-9]{1,2})\2([0-9]{1,2})")
_YEAR_LAST: Final = re.compile(rb"([0-9]{1,2})([-/.])([0-9]{1,2})\2([0-9]{4})")
_DATE_AND_TIME: Final = re.compile(rb"([0-9]{8})[ T]?([0-9]{2}:?[0-9]{2}(?::?[0-9]{2})?(?:\.[0-9]*)?)")
_NO_DATE: Final = re.compile(
    rb"0+|000[01].*|0{4}[-/.]0{2}[-/.]0{2}|[*?.-]+|UNKNOWN|UNK|NONE|N/?A|NULL|NOT ?AVAILABLE", re.IGNORECASE
)
_CLOCK: Final = re.compile(
    rb"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]*)|:([0-9]{3}))?)? ?([AP]\.?M\.?)?", re.IGNORECASE
)
_DIGITS: Final = re.compile(rb"([0-9]{2})([0-9]{2})(?:([0-9]{2})(?:\.([0-9]*)|([0-9]{3}|[0-9]{6}))?)?")
"""Without the point only milliseconds and microseconds: eight or fourteen digits are a date, with or without its time."""

_HALF_DAY: Final = re.compile(rb"([0-9]{1,2})([0-9]{2})([0-9]{2})?()() ?([AP]\.?M\.?)", re.IGNORECASE)
_ISO_8601: Final = re.compile(
    rb"([0-9]{4})[-.]?([0-9]{2})[-.]?([0-9]{2})"
    rb"(?:[T ]?([0-9]{2}):?([0-9]{2})(?::?([0-9]{2})(?:[.,]([0-9]*)|([0-9]{3}|[0-9]{6}))?)?)? ?(Z|[+-][0-9]{2}:?[0-9]{2})?"
)
_AGE: Final = re.compile(rb"([0-9]{1,3}) ?([DWMYdwmy])")
_BARE_AGE: Final = re.compile(rb"0*([0-9]{1,3})")

_TIME_OF: Final[dict[int, int]] = {
    0x00080012: 0x00080013, 0x00080020: 0x00080030, 0x00080021: 0x00080031, 0x00080022: 0x00080032, 0x00080023: 0x00080033,
    0x00080024: 0x00080034, 0x00080025: 0x00080035, 0x00100030: 0x00100032, 0x00181200: 0x00181201, 0x00380020: 0x00380021,
    0x00400002: 0x00400003, 0x00400004: 0x00400005, 0x00400244: 0x00400245, 0x00400250: 0x00400251, 0x0040A121: 0x0040A122,
    0x00700082: 0x00700083, 0x300A0006: 0x300A0007, 0x30060008: 0x30060009, 0x30080250: 0x30080251, 0x300E0004: 0x300E0005,
}  # fmt: skip
"""Dates and the times that belong to them (PS3.3)."""


def _joined(year: bytes, month: bytes, day: bytes) -> bytes | None:
    """YYYYMMDD of a day that the calendar has; None otherwise."""
    try:
        return date(int(year), int(month), int(day)).strftime("%Y%m%d").rjust(8, "0").encode()
    except ValueError:
        return None


def dotted_date(suspect: SuspectValue) -> Verdict | None:
    if suspect.vr != "DA":
        return None

    def change(value: bytes) -> bytes | None:
        match = _DOTTED.fullmatch(value)
        return _joined(*match.groups()) if match else None

    value = each_value(suspect, change)
    return None if value is None else Verdict(value)


def separated_date(suspect: SuspectValue) -> Verdict | None:
    if suspect.vr != "DA":
        return None

    def change(value: bytes) -> bytes | None:
        match = _YEAR_FIRST.fullmatch(value)
        if match:
            return _joined(match[1], match[3], match[4])
        match = _YEAR_LAST.fullmatch(value)
        if not match:
            return None
        first, second = int(match[1]), int(match[3])
        if first > 12 or first == second:
            return _joined(match[4], match[3], match[1])
        if second > 12:
            return _joined(match[4], match[1], match[3])
        if suspect.day_first is None:
            return None
        return _joined(match[4], match[3], match[1]) if suspect.day_first else _joined(match[4], match[1], match[3])

    value = each_value(suspect, change)
    return None if value is None else Verdict(value)


def undecided_date(suspect: SuspectValue) -> Verdict | None:
    if suspect.vr != "DA":
        return None
    return Verdict(finding="Not a date of the calendar as DICOM writes it, or one that can be read in several ways.")


def date_with_time(suspect: SuspectValue) -> Verdict | None:
    if suspect.vr != "DA" or len(suspect.values) != 1:
        return None
    match = _DATE_AND_TIME.fullmatch(suspect.values[0])
    day = match and _joined(match[1][:4], match[1][4:6], match[1][6:])
    if not match or not day:
        return None
    also: tuple[tuple[Place, str, bytes], ...] = ()
    partner = _TIME_OF.get(suspect.place.tag)
    if partner is not None:
        place = Place(suspect.place.data_set, suspect.place.path, partner)
        found = suspect.amender.element(place)
        clock = _time(match[2])
        if clock and (found is None or (found.items is None and not suspect.amender.revised.value(found).strip(b" \0"))):
            also = ((place, "TM", clock),)
    return Verdict(day, also=also)


def no_date(suspect: SuspectValue) -> Verdict | None:
    if suspect.vr != "DA":
        return None
    value = each_value(suspect, lambda value: b"" if _NO_DATE.fullmatch(value) else None)
    return None if value is None else Verdict(value)


def time(suspect: SuspectValue) -> Verdict | None:
    if suspect.vr != "TM":
        return None
    value = each_value(suspect, _time)
    return Verdict(finding="Not a time of day as DICOM writes it.") if value is None else Verdict(value)


def _time(value: bytes) -> bytes | None:
    """HHMMSS.FFFFFF; None when it is no time of the day or has no single meaning (24:00:00 is another day's)."""
    match = _CLOCK.fullmatch(value) or _DIGITS.fullmatch(value) or _HALF_DAY.fullmatch(value)
    if not match:
        return None
    hour, minute, second = int(match[1]), int(match[2]), int(match[3] or 0)
    half = match[6][:1].upper() if len(match.groups()) > 5 and match[6] else b""
    if half:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if half == b"P" else 0)
    if hour > 23 or minute > 59 or second > 60:
        return None
    fraction = (match[4] or match[5] or b"")[:6]
    written = b"%02d%02d" % (hour, minute)
    if match[3]:
        written += b"%02d" % second + (b"." + fraction if fraction else b"")
    return written


def date_time(suspect: SuspectValue) -> Verdict | None:
    if suspect.vr != "DT":
        return None
    value = each_value(suspect, _date_time)
    return Verdict(finding="Not a date and time as DICOM writes it.") if value is None else Verdict(value)


def _date_time(value: bytes) -> bytes | None:
    match = _ISO_8601.fullmatch(value)
    day = match and _joined(match[1], match[2], match[3])
    if not match or not day:
        return None
    written = day
    if match[4]:
        clock = _time(match[4] + match[5] + (match[6] or b"00") + b"." + (match[7] or match[8] or b""))
        if clock is None:
            return None
        written += clock if match[6] else clock[:4]
    zone = (match[9] or b"").replace(b":", b"")
    return written + (b"+0000" if zone == b"Z" else zone)


def age(suspect: SuspectValue) -> Verdict | None:
    if suspect.vr != "AS":
        return None
    value = each_value(suspect, partial(_age, suspect))
    return Verdict(finding="Not an age with its unit.") if value is None else Verdict(value)


def _age(suspect: SuspectValue, value: bytes) -> bytes | None:
    match = _AGE.fullmatch(value)
    if match:
        return match[1].rjust(3, b"0") + match[2].upper()
    match = _BARE_AGE.fullmatch(value)
    years = _years_by_birth_date(suspect)
    if match and suspect.place.tag == 0x00101010 and years is not None and int(match[1]) == years:
        return b"%03dY" % years
    return None


def _years_by_birth_date(suspect: SuspectValue) -> int | None:
    """The patient's age in whole years at the study; None when a date is missing."""
    texts = [suspect.amender.revised.text(tag) for tag in (0x00100030, 0x00080020)]
    try:
        birth, study = (date(int(text[:4]), int(text[4:6]), int(text[6:8])) for text in texts)
    except ValueError:
        return None
    return study.year - birth.year - ((study.month, study.day) < (birth.month, birth.day))
