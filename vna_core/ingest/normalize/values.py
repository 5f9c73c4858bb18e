"""Layer 2: values of single elements at every level: dates, times, numbers, codes, padding (D01 to D09, I01 to I03, T09 to T12).

A value that conforms passes with one look. Any other is taken through `VALUE_RULES`, in order, until one decides. A rule
that cannot tell for certain what was meant leaves the value alone and says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from vna_core.dicom.dictionary import VR_OF
from vna_core.dicom.elements import DataSet
from vna_core.domain.transformation import Confidence
from vna_core.ingest.normalize import code_values, date_values, number_values
from vna_core.ingest.normalize.amendments import Amender, Path, Place, Record
from vna_core.ingest.normalize.conforming import EXAMINED, conforms
from vna_core.ingest.normalize.engine import Layer, Rule
from vna_core.ingest.normalize.original_attributes import ORIGINAL_ATTRIBUTES
from vna_core.ingest.normalize.representation import may_be
from vna_core.ingest.normalize.value_verdicts import SuspectValue, Verdict

LARGEST: Final = 1 << 20
"""Octets of the longest value that is examined; longer texts hold reports, not identifiers."""

_SPECIFIC_CHARACTER_SET: Final = 0x00080005
_ESCAPE: Final = 0x1B
_PROVEN, _INFERRED = Confidence.PROVEN, Confidence.INFERRED

ValueRule = Rule[SuspectValue, Verdict | None]


def _rule(id_: str, confidence: Confidence, apply: object, summary: str, version: int = 1) -> ValueRule:
    return Rule(id_, version, Layer.VALUES, confidence, apply, summary)  # type: ignore[arg-type]


VALUE_RULES: Final[tuple[ValueRule, ...]] = (
    _rule("I03", _PROVEN, code_values.uid_padding, "UID padded with spaces: padded with NUL."),
    _rule("I01", _PROVEN, code_values.uid_leading_zero, "UID component with a leading zero: kept and flagged."),
    _rule("I02", _PROVEN, code_values.uid_illegal, "UID that is none (letters, too long, trailing dot): kept and flagged."),
    _rule("T10", _PROVEN, code_values.padding, "Text padded with NUL: padded with spaces."),
    _rule("T10", _PROVEN, code_values.controls, "Control characters inside a text: left out, ends of line as a space."),
    _rule("D01", _PROVEN, date_values.dotted_date, "Date as YYYY.MM.DD (ACR-NEMA): YYYYMMDD."),
    _rule("D02", _INFERRED, date_values.separated_date, "Date as YYYY-MM-DD, or day and month that only one reading allows: YYYYMMDD."),
    _rule("D03", _PROVEN, date_values.date_with_time, "Date and time in one date: the date; the time goes to its own element where that is empty."),
    _rule("D03", _INFERRED, date_values.no_date, "Something that says no date: empty."),
    _rule("D02", _INFERRED, date_values.undecided_date, "Date that several readings allow: kept and flagged."),
    _rule("D04", _PROVEN, date_values.time, "Time as HH:MM:SS, with AM or PM, without the point or with more than six digits: HHMMSS.FFFFFF.", 2),
    _rule("D05", _PROVEN, date_values.date_time, "Date and time as ISO 8601 writes it: as DICOM writes it.", 2),
    _rule("D06", _PROVEN, date_values.age, "Age without leading zeros: three digits and the unit."),
    _rule("D07", _PROVEN, number_values.long_decimal, "Decimal string of more than 16 characters: the shortest that says the same number, else kept and flagged."),
    _rule("D08", _PROVEN, number_values.fortran_decimal, "Decimal string with a Fortran exponent: as DICOM writes it.", 2),
    _rule("D08", _INFERRED, number_values.decimal_comma, "Decimal comma where as many values stand as belong there: a point; else kept and flagged.", 2),
    _rule("D09", _PROVEN, number_values.odd_integer, "Integer string with a fraction of zero: without."),
    _rule("T12", _PROVEN, code_values.code_case, "Code in lower case that the standard knows in upper case: upper case."),
    _rule("T12", _PROVEN, code_values.code_illegal, "Code with characters that a code cannot have: kept and flagged."),
    _rule("T11", _PROVEN, code_values.too_long, "Text longer than its representation allows: kept and flagged."),
    _rule("T09", _PROVEN, code_values.odd_name, "Person name of more components or groups than there are: kept and flagged."),
)  # fmt: skip
"""In the order they are tried."""


@dataclass(frozen=True, slots=True)
class ForeignText:
    """Text that needs Specific Character Set to be understood, and the data sets around it (outermost first)."""

    place: Place
    around: tuple[DataSet, ...]


@dataclass(slots=True)
class Survey:
    """What one walk over all values met.

    Attributes
    ----------
    foreign
        Text with octets beyond ASCII or escape sequences.
    declaring
        Places of Specific Character Set in items.
    """

    foreign: list[ForeignText]
    declaring: list[Place]


def survey(amender: Amender, day_first: bool | None = None) -> Survey:
    """Look at every value of characters; what does not conform goes through the rules, foreign text is only gathered.

    Parameters
    ----------
    day_first
        Whether the site says that its source writes the day before the month (None: it says nothing).
    """
    found = Survey([], [])
    revised = amender.revised
    buffer, literals, examined = revised.buffer, revised.literals, EXAMINED
    pending: list[tuple[DataSet, Path, tuple[DataSet, ...]]] = [(revised.data_set, (), (revised.data_set,))]
    while pending:
        data_set, path, around = pending.pop()
        kept = bool(path) and path[0][0] == ORIGINAL_ATTRIBUTES  # values before are told as they were
        for tag, vr, start, length, items in tuple(data_set.elements):
            if items is not None:
                pending += ((item, (*path, (tag, number)), (*around, item)) for number, item in enumerate(items))
                continue
            if not length or vr not in examined or length > LARGEST:
                continue
            if tag == _SPECIFIC_CHARACTER_SET:
                if path and not kept:
                    found.declaring.append(Place(data_set, path, tag))
                continue
            raw = bytes(buffer[start : start + length]) if start >= 0 else literals[-1 - start]
            if conforms(vr, raw):
                continue
            if _ESCAPE in raw or not raw.isascii():
                found.foreign.append(ForeignText(Place(data_set, path, tag), around))
            elif not kept and (VR_OF.get(tag, vr) == vr or may_be(tag, vr)):  # else E24 told that it reads as neither
                examine(amender, Place(data_set, path, tag), vr, raw, day_first)
    return found


def examine(amender: Amender, place: Place, vr: str, raw: bytes, day_first: bool | None = None) -> None:
    """Take one value through the rules; later ones see what earlier ones made of it."""
    for rule in VALUE_RULES:
        verdict = rule.apply(SuspectValue(amender, place, vr, raw, day_first))
        if verdict is None:
            continue
        if verdict.finding:
            amender.journal.find(rule.id, verdict.finding, str(place))
            return
        if verdict.value is None:
            continue
        written = amender.put(place, vr, verdict.value, rule.id, rule.confidence, record=verdict.record, detail=verdict.detail)
        if not written:
            continue
        for other_place, other_vr, value in verdict.also:
            amender.put(other_place, other_vr, value, rule.id, rule.confidence, record=Record.LEGAL, detail=verdict.detail)
        raw = verdict.value
        if conforms(vr, raw):
            return
