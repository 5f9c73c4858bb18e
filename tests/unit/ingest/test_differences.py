"""Element by element, what was received and what is held instead."""

from __future__ import annotations

import hashlib

from tests.unit.normalize.handmade import LIMITS, element, file, identification, item, offer, sequence, stored
from vna_core.domain.octets import Octets
from vna_core.ingest.differences import ElementDifference, element_differences


def differences(octets: bytes) -> dict[str, ElementDifference]:
    canonical = offer(octets)
    served = stored(canonical)[: canonical.trailer_offset]
    sides = (Octets(len(raw), hashlib.sha256(raw).hexdigest(), raw) for raw in (octets, served))
    return {one.tag: one for one in element_differences(*sides, LIMITS)}


def test_a_corrected_value_is_shown_with_the_one_before() -> None:
    found = differences(file(identification(extra=element(0x00080020, "DA", b"1995.01.27"))))
    change = found.pop("00080020")
    assert (change.keyword, change.original, change.canonical) == ("StudyDate", "1995.01.27", "19950127")
    assert set(found) == {"00080015", "04000561"}
    assert found["04000561"].original is None


def test_text_in_another_character_set_is_the_same_text() -> None:
    name = element(0x00080005, "CS", b"ISO_IR 100") + identification(extra=element(0x00100010, "PN", "Müller".encode("latin-1")))
    found = differences(file(name))
    assert "00100010" not in found
    assert (found["00080005"].original, found["00080005"].canonical) == ("ISO_IR 100", "ISO_IR 192")


def test_another_representation_is_no_difference_of_the_value() -> None:
    assert differences(file(identification(extra=element(0x00101030, "LO", b"80")))) == {}


def test_values_inside_items_have_their_way_told() -> None:
    inner = sequence(0x00081115, [item(b""), item(element(0x00080020, "DA", b"1995.01.27"))])
    assert "00081115[1].00080020" in differences(file(identification(extra=inner)))


def test_a_supplied_identifier_was_absent_before() -> None:
    change = differences(file(identification(study="")))["0020000D"]
    assert (change.original, change.original_vr) == ("", "UI")
    assert change.canonical is not None and change.canonical.startswith("2.25.")


def test_what_needs_no_change_has_no_difference() -> None:
    octets = file(identification(extra=element(0x00100010, "PN", b"Doe^Jane")))
    assert differences(octets) == {}
    assert differences(identification(extra=element(0x00100010, "PN", b"Doe^Jane", implicit=True), implicit=True)) == {}
