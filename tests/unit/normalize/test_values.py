"""What becomes of values that are written in another way than the standard says, and how the way back is told."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import UTC, datetime

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.normalize.handmade import (
    LIMITS,
    assert_reversible_and_stable,
    data_set,
    element,
    file,
    identification,
    item,
    offer,
    received,
    rules,
    sequence,
    stored,
)
from vna_core.dicom.elements import Element
from vna_core.domain.instance import CanonicalInstance
from vna_core.ingest.identify import identify
from vna_core.ingest.normalize.encoding import revise
from vna_core.ingest.normalize.engine import Journal
from vna_core.ingest.normalize.original_attributes import Label, record_amendments
from vna_core.ingest.normalize.values import VALUE_RULES, survey

TAGS = {
    "AS": 0x00101010, "CS": 0x00080060, "DA": 0x00080020, "DS": 0x00180050, "DT": 0x0008002A, "IS": 0x00200013, "LO": 0x00081030,
    "LT": 0x00104000, "PN": 0x00100010, "SH": 0x00080050, "TM": 0x00080030, "UI": 0x00080058,
}  # fmt: skip


def with_value(vr: str, raw: bytes) -> bytes:
    """A file with one more element, in its place by tag."""
    tag = TAGS[vr]
    extra = element(tag, vr, raw)
    if tag > 0x0020000E:
        return file(identification() + extra)
    return file(identification(extra=extra))


def read(canonical: CanonicalInstance) -> pydicom.Dataset:
    return pydicom.dcmread(io.BytesIO(stored(canonical)))


CORRECTED = [
    ("D01", "DA", b"1995.01.27", b"19950127"),
    ("D02", "DA", b"1995-01-27", b"19950127"),
    ("D02", "DA", b"27/01/1995", b"19950127"),
    ("D02", "DA", b"01/27/1995", b"19950127"),
    ("D03", "DA", b"19950127101112", b"19950127"),
    ("D03", "DA", b"********", b""),
    ("D03", "DA", b"00000000", b""),
    ("D03", "DA", b"UNKNOWN ", b""),
    ("D03", "DA", b"00010101", b""),
    ("D04", "TM", b"10:11:12", b"101112"),
    ("D04", "TM", b"10:11:12.123456789", b"101112.123456 "),
    ("D04", "TM", b"101112123", b"101112.123"),
    ("D04", "TM", b"1:02:03 PM", b"130203"),
    ("D04", "TM", b"12:00 AM", b"0000"),
    ("D05", "DT", b"2011-01-01T10:11:12.5Z", b"20110101101112.5+0000 "),
    ("D05", "DT", b"2011-01-01T10:11:12+01:00", b"20110101101112+0100 "),
    ("D06", "AS", b"45Y ", b"045Y"),
    ("D06", "AS", b"9m", b"009M"),
    ("D07", "DS", b"0.10000000000000001 ", b"0.1 "),
    ("D08", "DS", b"0,5 ", b"0.5 "),
    ("D08", "DS", b"0,500 ", b"0.500 "),
    ("D08", "DS", b"1.5D+00 ", b"1.5E+00 "),
    ("D09", "IS", b"12.0", b"12"),
    ("T12", "CS", b"ct", b"CT"),
    ("T10", "LO", b"a\r\nb ", b"a b "),
    ("T10", "LO", b"a\x07bc", b"abc "),
]


@pytest.mark.parametrize(("rule", "vr", "raw", "expected"), CORRECTED)
def test_an_illegal_value_becomes_the_legal_one_that_says_the_same(rule: str, vr: str, raw: bytes, expected: bytes) -> None:
    octets = with_value(vr, raw)
    canonical = offer(octets)
    assert element(TAGS[vr], vr, expected + (b" " if len(expected) & 1 else b"")) in data_set(canonical)
    assert rule in rules(canonical)
    assert_reversible_and_stable(octets, canonical)


@pytest.mark.parametrize(("rule", "vr", "raw", "expected"), CORRECTED)
def test_the_octets_before_stand_in_the_original_attributes(rule: str, vr: str, raw: bytes, expected: bytes) -> None:
    ds = read(offer(with_value(vr, raw)))
    (record,) = ds.OriginalAttributesSequence
    (before,) = [one for one in record.NonconformingModifiedAttributesSequence if one.SelectorAttribute == TAGS[vr]]
    assert before.NonconformingDataElementValue == raw + b"\0" * (len(raw) & 1)
    assert record.ModifiedAttributesSequence[0][TAGS[vr]].is_empty
    assert record.ReasonForTheAttributeModification == "CORRECT"
    assert record.SourceOfPreviousValues == "SENDER"
    assert str(ds.InstanceCoercionDateTime).startswith(datetime(2026, 11, 24, 8, tzinfo=UTC).strftime("%Y%m%d%H%M%S"))


KEPT = [
    ("D04", "TM", b"20240101"), ("D04", "TM", b"20240101123456"), ("D04", "TM", b"10:20:30:5"), ("D05", "DT", b"20240101 +9900"),
    ("D05", "DT", b"2024010110203055"), ("D08", "DS", b"+1,500"), ("D08", "DS", b"12,345"),
    ("D02", "DA", b"02/03/1995"), ("D02", "DA", b"Jan 1995"), ("D04", "TM", b"24:00:00"), ("D05", "DT", b"soon"), ("D06", "AS", b"45"),
    ("D07", "DS", b"-0.123456789012345678 "), ("D08", "DS", b"nan "), ("D08", "DS", b"5 mm"), ("D09", "IS", b"1A"), ("D09", "IS", b"99999999999 "),
    ("I01", "UI", b"1.2.00.4"), ("I02", "UI", b"1.2.x\0"), ("I02", "UI", b"1." * 40), ("T09", "PN", b"a^b^c^d^e^f "), ("T11", "SH", b"12345678901234567890"),
    ("T12", "CS", b"Comp tomo "),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "vr", "raw"), KEPT)
def test_what_could_mean_several_things_is_kept_and_flagged(rule: str, vr: str, raw: bytes) -> None:
    octets = with_value(vr, raw)
    canonical = offer(octets)
    assert element(TAGS[vr], vr, raw) in data_set(canonical)
    assert rule in [finding.rule for finding in canonical.findings]
    assert rules(canonical) == []
    assert_reversible_and_stable(octets, canonical)


@pytest.mark.parametrize(("vr", "raw"), [("LO", b"abc\0"), ("UI", b"1.2.3 "), ("DA", b"19950127\0\0"), ("DS", b"1.5\0")])
def test_padding_is_no_change_of_the_value(vr: str, raw: bytes) -> None:
    canonical = offer(with_value(vr, raw))
    assert rules(canonical) in (["T10"], ["I03"])
    assert 0x04000561 not in read(canonical)


def test_an_age_without_unit_is_completed_where_the_birth_date_agrees() -> None:
    birth = element(0x00100030, "DA", b"19500101") + element(0x00101010, "AS", b"45")
    study = element(0x00080020, "DA", b"19950127")
    assert read(offer(file(identification(extra=study + birth)))).PatientAge == "045Y"


def test_the_time_in_a_date_goes_to_the_empty_time_beside_it_and_never_over_another() -> None:
    date = element(0x00080020, "DA", b"19950127101112")
    assert read(offer(file(identification(extra=date)))).StudyTime == "101112"
    kept = read(offer(file(identification(extra=date + element(0x00080030, "TM", b"0900")))))
    assert (kept.StudyDate, kept.StudyTime) == ("19950127", "0900")


def test_a_decimal_comma_that_may_divide_values_is_kept() -> None:
    octets = file(identification() + element(0x00280030, "DS", b"0,5 "))
    assert rules(offer(octets)) == []
    assert read(offer(file(identification() + element(0x00280030, "DS", b"0,5\\0,5 ")))).PixelSpacing == [0.5, 0.5]


def test_a_value_inside_sequences_is_told_with_the_way_to_it() -> None:
    inner = sequence(0x00081199, [item(element(0x00080020, "DA", b"1995.01.27"))])
    octets = file(identification(extra=sequence(0x00081115, [item(b""), item(inner)])))
    canonical = offer(octets)
    assert canonical.transformations[0].tag == "00081115[1].00081199[0].00080020"
    (before,) = read(canonical).OriginalAttributesSequence[0].NonconformingModifiedAttributesSequence
    assert list(before.SelectorSequencePointer) == [0x00081115, 0x00081199]
    assert list(before.SelectorSequencePointerItems) == [2, 1]
    assert before.NonconformingDataElementValue == b"1995.01.27"
    assert_reversible_and_stable(octets, canonical)


def test_a_private_value_is_told_with_its_creator() -> None:
    block = element(0x00090010, "LO", b"ACME") + element(0x00091001, "DA", b"1995.01.27")
    canonical = offer(file(identification(extra=block)))
    (before,) = read(canonical).OriginalAttributesSequence[0].NonconformingModifiedAttributesSequence
    assert (before.SelectorAttribute, before.SelectorAttributePrivateCreator) == (0x00091001, "ACME")


def test_records_that_came_with_the_instance_stay_and_ours_follows() -> None:
    theirs = sequence(
        0x04000561,
        [item(sequence(0x04000550, [item(element(0x00080020, "DA", b"1994.01.01"))]) + element(0x04000565, "CS", b"COERCE"))],
    )
    octets = file(identification(extra=element(0x00080020, "DA", b"1995.01.27")) + theirs)
    canonical = offer(octets)
    first, second = read(canonical).OriginalAttributesSequence
    assert first.ModifiedAttributesSequence[0].StudyDate == "1994.01.01"
    assert second.ReasonForTheAttributeModification == "CORRECT"
    assert_reversible_and_stable(octets, canonical)


def test_supplied_identifiers_are_coercions() -> None:
    (record,) = read(offer(file(identification(study="")))).OriginalAttributesSequence
    assert record.ReasonForTheAttributeModification == "COERCE"
    assert record.ModifiedAttributesSequence[0]["StudyInstanceUID"].is_empty
    assert "NonconformingModifiedAttributesSequence" not in record


def test_a_second_element_with_the_same_tag_is_told() -> None:
    twice = element(0x00100020, "LO", b"17") + element(0x00100020, "LO", b"18")
    ds = read(offer(file(identification(extra=twice))))
    assert ds.PatientID == "17"
    (before,) = ds.OriginalAttributesSequence[0].NonconformingModifiedAttributesSequence
    assert (before.SelectorAttribute, before.NonconformingDataElementValue) == (0x00100020, b"18")


def test_leading_zeros_of_a_patient_identifier_stay() -> None:
    assert read(offer(file(identification(extra=element(0x00100020, "LO", b" 000123 "))))).PatientID.strip() == "000123"


def test_every_value_rule_is_proven_by_a_case() -> None:
    told = {rule for rule, *_ in CORRECTED} | {rule for rule, *_ in KEPT} | {"T10", "I03"}
    assert {rule.id for rule in VALUE_RULES} == told


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(TAGS)), st.binary(min_size=1, max_size=40))
def test_any_octets_in_any_value_come_back_and_pass_a_second_time_untouched(vr: str, raw: bytes) -> None:
    octets = with_value(vr, raw)
    assert_reversible_and_stable(octets, offer(octets))


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(["DA", "TM", "DT", "DS", "IS", "AS", "UI", "CS"]), st.text("0123456789.:-/+ APMYDZTDE,\\*", max_size=24))
def test_what_is_changed_becomes_legal(vr: str, text: str) -> None:
    canonical = offer(with_value(vr, text.encode()))
    if set(rules(canonical)) - {"E21", "T10", "I03"}:
        with Strict():
            _ = read(canonical)[TAGS[vr]].value


class Strict:
    """Values are checked by pydicom and a deviation is an error."""

    def __enter__(self) -> None:
        self._before = pydicom.config.settings.reading_validation_mode
        pydicom.config.settings.reading_validation_mode = pydicom.config.RAISE

    def __exit__(self, *_: object) -> None:
        pydicom.config.settings.reading_validation_mode = self._before


ODD = {
    "AS": b"0123456789 YMDWymdw", "CS": b"cCtTmMrR_ \0\xe9-", "DA": b"0123456789./- T:*UNKOWA", "DS": b"0123456789.,+-eEdD ",
    "DT": b"0123456789.: -+TZ", "IS": b"0123456789.+- eA", "LO": b"aB\0\n\r\t\x1b \\^=\xe9\xc3\x82$()BJI", "PN": b"aB\0\n\x1b \\^=\xe9\xc3\x82$)C(J",
    "SH": b"ab \0\\\xff", "TM": b"0123456789.: ,APMapm", "UI": b"0123. a\0\\",
}  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_value_is_changed_twice_or_into_itself(data: st.DataObject) -> None:
    vrs = data.draw(st.lists(st.sampled_from(sorted(ODD)), min_size=1, max_size=4, unique=True))
    elements = {TAGS[vr]: (vr, bytes(data.draw(st.lists(st.sampled_from(ODD[vr]), max_size=20)))) for vr in vrs}
    extra = b"".join(element(tag, vr, raw) for tag, (vr, raw) in sorted(elements.items()) if tag < 0x0020000D)
    octets = file(identification(extra=extra))
    canonical = offer(octets)
    assert_reversible_and_stable(octets, canonical)
    for change in canonical.transformations:
        assert change.original is None or change.original != change.canonical or change.rule == "T10"


@pytest.mark.parametrize(
    ("vr", "raw", "wanted"), [("UL", b"\6\0\0\0", b"\6\0"), ("SS", b"\6\0", b"\6\0"), ("UL", b"\0\0\1\0", b"")]
)
def test_an_integer_of_another_size_becomes_the_standards_where_it_fits(vr: str, raw: bytes, wanted: bytes) -> None:
    octets = file(identification() + element(0x00280010, vr, raw))
    canonical = offer(octets)
    expected = element(0x00280010, "US", wanted) if wanted else element(0x00280010, vr, raw)
    assert expected in data_set(canonical)
    assert "E24" in (rules(canonical) if wanted else [finding.rule for finding in canonical.findings])
    assert_reversible_and_stable(octets, canonical)


def test_telling_what_was_before_takes_time_in_proportion() -> None:
    """Thousands of corrected values behind very many other elements: places are found by bisection."""
    before = b"".join(
        element((0x0021 + 2 * (number // 0xE000)) << 16 | (0x1000 + number % 0xE000), "SH", b"") for number in range(60_000)
    )
    items = [item(element(0x00080020, "DA", b"2024.01.%02d" % (number % 28 + 1))) for number in range(2_000)]
    octets = file(identification() + before + sequence(0x00400275, items))
    examined = 0

    class Counting(list[Element]):
        def __iter__(self) -> Iterator[Element]:
            nonlocal examined
            examined += len(self)
            return super().__iter__()

    one = received(octets)
    parsed = identify(one, LIMITS)
    amender = revise(parsed, Journal())
    survey(amender)
    amender.revised.data_set.elements = Counting(amender.revised.data_set.elements)
    record_amendments(amender.revised, amender.amendments, one.source, Label("test", one.received_at))
    assert len(amender.amendments) == 2_000
    assert examined == 0
