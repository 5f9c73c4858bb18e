"""What dialects are told: values by path, private elements by their creator, wherever their block is."""

from __future__ import annotations

import struct

import pytest

from tests.unit.dialects.instances import facts_of, text
from tests.unit.normalize.handmade import BIG_ENDIAN, IMPLICIT, element, identification, item, sequence

SCALE = struct.pack("<f", 2.5)


@pytest.mark.parametrize("block", [0x10, 0x14, 0xFF])
def test_a_private_element_is_found_by_its_creator_whatever_its_block(block: int) -> None:
    creator = text(0x20050000 | block, "LO", "Philips MR Imaging DD 001")
    facts = facts_of(identification() + creator + element(0x20050000 | block << 8 | 0x0E, "FL", SCALE))
    path = facts.private("Philips MR Imaging DD 001", 0x0E, group=0x2005)
    assert path == f"2005{block:02X}0E"
    assert facts.values(path) == ("2.5",)
    assert facts.private("Philips MR Imaging DD 005", 0x0E, group=0x2005) == ""
    assert facts.private("Philips MR Imaging DD 001", 0x0D, group=0x2005) == ""


def test_a_creator_counts_only_in_its_own_data_set() -> None:
    inner = text(0x00210011, "LO", "INNER") + text(0x00211104, "LO", "deep")
    facts = facts_of(identification() + text(0x00210010, "LO", "OUTER") + sequence(0x52009230, [item(b""), item(inner)]))
    assert facts.private("INNER", 4, group=0x0021) == ""
    assert facts.private("INNER", 4, group=0x0021, within="52009230[0]") == ""
    path = facts.private("INNER", 4, group=0x0021, within="52009230[1]")
    assert path == "52009230[1].00211104"
    assert facts.values(path) == ("deep",)


def test_creators_of_every_level_are_told_with_their_paths() -> None:
    inner = text(0x00210011, "LO", "INNER")
    facts = facts_of(identification() + text(0x00210010, "LO", "OUTER") + sequence(0x52009230, [item(inner), item(inner)]))
    assert facts.creators() == (("00210010", "OUTER"), ("52009230[0].00210011", "INNER"))


def test_a_private_value_without_representation_is_read_as_its_creator_says() -> None:
    creator = element(0x20050010, "LO", b"Philips MR Imaging DD 001 ", implicit=True)
    data_set = identification(implicit=True) + creator + element(0x2005100E, "FL", SCALE, implicit=True)
    assert facts_of(data_set, IMPLICIT).values("2005100E") == ("2.5",)
    explicit = text(0x20050010, "LO", "Philips MR Imaging DD 001") + element(0x2005100E, "UN", SCALE)
    assert facts_of(identification() + explicit).values("2005100E") == ("2.5",)


def test_numbers_of_a_big_endian_data_set_are_right() -> None:
    data_set = identification(big=True) + element(0x00280010, "US", struct.pack(">H", 300), big=True)
    facts = facts_of(data_set, BIG_ENDIAN)
    assert facts.text(0x00280010) == "300"
    assert facts.octets("00280010", 2) == struct.pack("<H", 300)


def test_lengths_are_octets_or_items_and_absence_is_told() -> None:
    facts = facts_of(identification(extra=text(0x00080070, "LO", "ABCD")) + sequence(0x52009230, [item(b"")] * 3))
    assert [facts.length(path) for path in ("00080070", "52009230", "00080060")] == [4, 3, -1]
    assert facts.octets("00080070", 3) == b"ABC"


@pytest.mark.parametrize(
    "path", ["", "x", "0008", "00080070[0].00080060", "52009230[7].00080060", "52009230[", "..", "00080070\n"]
)
def test_a_path_that_leads_nowhere_reads_as_empty(path: str) -> None:
    facts = facts_of(identification(extra=text(0x00080070, "LO", "ABCD")) + sequence(0x52009230, [item(b"")]))
    assert facts.values(path) == ()
    assert facts.octets(path, 10) == b""
    assert facts.length(path) == -1
    assert facts.private("A", 1, group=9, within=path or "x") == ""


def test_file_meta_elements_are_text_too() -> None:
    assert facts_of(identification()).text(0x00020010) == "1.2.840.10008.1.2.1"
