"""One golden case for every rule: what is offered, what is written, how it is told."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from itertools import chain

import pytest

from tests.unit.normalize.handmade import (
    BIG_ENDIAN,
    CT,
    EXPLICIT,
    IMPLICIT,
    JPEG_BASELINE,
    assert_reversible_and_stable,
    data_set,
    description,
    element,
    file,
    fragments,
    identification,
    item,
    noticed,
    number,
    offer,
    rules,
    sequence,
    stored,
    uid,
    without_record,
)
from vna_core.domain.identifiers import mint_uid, uid_is_valid
from vna_core.domain.transformation import Confidence
from vna_core.ingest.normalize.container import CONTAINER_RULES
from vna_core.ingest.normalize.encoding import ELEMENT_RULES
from vna_core.ingest.normalize.identifiers import IDENTIFIER_RULES

CLEAN = identification(extra=element(0x00100010, "PN", b"Doe^Jane"))
NATIVE = CLEAN + description(2, 2, 8) + element(0x7FE00010, "OB", b"\1\2\3\4")
CODESTREAM = b"\xff\xd8\xff\xe0\0\4\0\0\xff\xd9"
LOSSLESS = b"\xff\xd8\xff\xc3\0\x0b\x08\0\2\0\2\1\1\x11\0\xff\xda\0\x08\1\1\0\1\0\0\x2a\xff\xd9"


@dataclass(frozen=True)
class Golden:
    """What is offered under a rule, and the data set it becomes."""

    rule: str
    offered: bytes
    canonical: bytes
    others: tuple[str, ...] = ()


CREATOR = element(0x00090010, "LO", b"ACME")


def between(extra: bytes) -> bytes:
    return identification(extra=extra)


CASES = [
    Golden("F01", file(CLEAN)[132:], CLEAN),
    Golden("F02", file(CLEAN)[128:], CLEAN),
    Golden("F03", identification(implicit=True), identification(), ("N01",)),
    Golden("F04", CLEAN, CLEAN),
    Golden("F07", file(CLEAN).replace(struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(file(b"")) - 144), struct.pack("<HH2sHI", 2, 0, b"UL", 4, 20)), CLEAN),
    Golden("F08", file(CLEAN)[:132] + file(CLEAN)[144:], CLEAN),
    Golden("F09", file(CLEAN).replace(uid(0x00020010, EXPLICIT), b"").replace(file(b"")[132:144], element(0x00020000, "UL", struct.pack("<I", len(file(b"")) - 144 - 28))), CLEAN),
    Golden("F10", file(CLEAN).replace(EXPLICIT.encode() + b"\0", EXPLICIT.encode() + b" "), CLEAN),
    Golden("F11", file(CLEAN, "1.3.46.670589.33.1.4.1"), CLEAN),
    Golden("F12", file(identification(implicit=True), EXPLICIT), identification(), ("N01",)),
    Golden("F13", file(CLEAN, IMPLICIT), CLEAN),
    Golden("F14", file(CLEAN, BIG_ENDIAN), CLEAN),
    Golden("F24", file(CLEAN, preamble=b"II*\0" + bytes(124)), CLEAN),
    Golden("F21", file(CLEAN + element(0xFFFCFFFC, "OB", bytes(10))), CLEAN),
    Golden("F26", b"HTTP header, 20 oct\n" + file(CLEAN), CLEAN),
    Golden("F27", file(b"") + file(CLEAN), CLEAN),
    Golden("E21", file(between(element(0x00104000, "LT", b"odd"))), between(element(0x00104000, "LT", b"odd "))),
    Golden("E24", file(between(element(0x00101030, "LO", b"80"))), between(element(0x00101030, "DS", b"80"))),
    Golden("E25", file(CLEAN + description(2, 1, 16) + element(0x7FE00010, "OB", b"\1\2\3\4")), CLEAN + description(2, 1, 16) + element(0x7FE00010, "OW", b"\1\2\3\4")),
    Golden("E26", file(element(0x00100010, "PN", b"Doe^Jane") + identification()), CLEAN),
    Golden("E27", file(between(element(0x00100020, "LO", b"17") + element(0x00100020, "LO", b"18"))), between(element(0x00100020, "LO", b"17"))),
    Golden("E28", file(element(0x00080000, "UL", b"\x2a\0\0\0") + CLEAN), CLEAN),
    Golden("E30", file(between(element(0x00090010, "LO", b"ACME 1 \0"))), between(element(0x00090010, "LO", b"ACME 1"))),
    Golden("E33", file(between(element(0x00010010, "LO", b"ACME"))), identification()),
    Golden("E01", file(between(element(0x00081140, "UN", item(element(0x00081155, "UI", b"1.2\0", implicit=True))))), between(sequence(0x00081140, [item(uid(0x00081155, "1.2"))]))),
    Golden("E02", file(between(sequence(0x00081140, [item(element(0x00081155, "UI", b"1.2\0", implicit=True))], vr="UN", undefined=True))), between(sequence(0x00081140, [item(uid(0x00081155, "1.2"))])), ("N02",)),
    Golden("N01", file(identification(implicit=True), IMPLICIT), identification()),
    Golden("N02", file(between(sequence(0x00081140, [item(uid(0x00081155, "1.2"), undefined=True)], undefined=True))), between(sequence(0x00081140, [item(uid(0x00081155, "1.2"))]))),
    Golden("P09", file(CLEAN + description(2, 2, 8) + fragments([LOSSLESS], [0]), JPEG_BASELINE), CLEAN + description(2, 2, 8) + fragments([LOSSLESS], [0])),
    Golden("P12", file(CLEAN + description(2, 2, 8) + fragments([CODESTREAM[:4], CODESTREAM[4:]], [0]), JPEG_BASELINE), CLEAN + description(2, 2, 8) + fragments([CODESTREAM], [0])),
    Golden("P13", file(CLEAN + description(2, 2, 8) + fragments([CODESTREAM]), JPEG_BASELINE), CLEAN + description(2, 2, 8) + fragments([CODESTREAM], [0])),
    Golden("P15", file(CLEAN + description(2, 2, 8) + fragments([CODESTREAM], [0])[:-8], JPEG_BASELINE), CLEAN + description(2, 2, 8) + fragments([CODESTREAM], [0])),
    Golden("P16", file(CLEAN + description(2, 2, 8) + element(0x7FE00010, "OB", fragments([CODESTREAM], [0])[12:-8]), JPEG_BASELINE), CLEAN + description(2, 2, 8) + fragments([CODESTREAM], [0])),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=[case.rule for case in CASES])
def test_the_canonical_data_set_is_the_golden_one(case: Golden) -> None:
    assert without_record(data_set(offer(case.offered))) == case.canonical


@pytest.mark.parametrize("case", CASES, ids=[case.rule for case in CASES])
def test_the_rule_is_named(case: Golden) -> None:
    found = rules(offer(case.offered))
    assert case.rule in found
    assert set(found) <= {case.rule, *case.others}


@pytest.mark.parametrize("case", CASES, ids=[case.rule for case in CASES])
def test_the_octets_come_back_and_a_second_pass_changes_nothing(case: Golden) -> None:
    assert_reversible_and_stable(case.offered, offer(case.offered))


def test_every_rule_has_an_identity() -> None:
    for rule in chain(CONTAINER_RULES, ELEMENT_RULES, IDENTIFIER_RULES):
        assert rule.id and rule.version >= 1 and rule.summary.endswith(".")
        assert rule.confidence in (Confidence.PROVEN, Confidence.INFERRED)


def test_a_note_without_a_rule_is_told_all_the_same() -> None:
    assert {rule.id for rule in CONTAINER_RULES} >= {f"F{n:02d}" for n in range(1, 20)} - {"F20"}


# -- identifiers ---------------------------------------------------------------------------------------------------------


def test_missing_uids_follow_from_the_octets() -> None:
    octets = file(uid(0x00080016, CT) + uid(0x00080018, "1.2.3.4") + element(0x00100020, "LO", b"17"))
    canonical = offer(octets)
    sha256 = canonical.received.octets.sha256
    assert canonical.study_instance_uid == mint_uid(sha256, "study")
    assert canonical.series_instance_uid == mint_uid(sha256, "series")
    assert canonical.sop_instance_uid == "1.2.3.4"
    assert uid_is_valid(canonical.study_instance_uid)
    assert rules(canonical) == ["I04", "I04"]
    assert offer(octets).study_instance_uid == canonical.study_instance_uid
    assert_reversible_and_stable(octets, canonical)


def test_an_empty_uid_is_told_apart_from_an_absent_one() -> None:
    octets = file(uid(0x00080016, CT) + uid(0x00080018, "1.2.3.4") + uid(0x0020000D, "") + uid(0x0020000E, "1.2.3.2"))
    (change,) = offer(octets).transformations
    assert (change.rule, change.tag, change.keyword, change.original) == ("I04", "0020000D", "StudyInstanceUID", "")


def test_what_the_sender_named_counts_before_a_minted_uid() -> None:
    octets = uid(0x0020000D, "1.2.3.1") + uid(0x0020000E, "1.2.3.2") + description(2, 2, 8)
    canonical = offer(octets, transfer_syntax=EXPLICIT, sop_class=CT, sop_instance="1.2.9")
    assert (canonical.sop_class_uid, canonical.sop_instance_uid) == (CT, "1.2.9")


def test_without_any_sop_class_it_is_a_secondary_capture() -> None:
    canonical = offer(uid(0x0020000D, "1.2.3.1") + uid(0x0020000E, "1.2.3.2") + description(2, 2, 8), transfer_syntax=EXPLICIT)
    assert canonical.sop_class_uid == "1.2.840.10008.5.1.4.1.1.7"
    assert "I06" in rules(canonical)


def test_the_data_set_wins_over_the_file_meta_information() -> None:
    canonical = offer(file(CLEAN, sop_instance="9.9.9"))
    (change,) = canonical.transformations
    assert (change.rule, change.original, change.canonical) == ("I05", "9.9.9", "1.2.3.4")
    assert b"9.9.9" not in stored(canonical)[: canonical.data_set_offset]


# -- flagged, not changed ------------------------------------------------------------------------------------------------


def test_a_private_block_without_creator_is_kept_and_flagged() -> None:
    octets = file(between(element(0x00091001, "LO", b"orphan")))
    canonical = offer(octets)
    assert data_set(canonical) == between(element(0x00091001, "LO", b"orphan"))
    assert noticed(canonical) == ["E29"]


def test_a_representation_that_the_value_does_not_read_as_is_kept_and_flagged() -> None:
    data = between(element(0x00101030, "LO", b"eighty"))
    canonical = offer(file(data))
    assert data_set(canonical) == data
    assert noticed(canonical) == ["E24"]


def test_the_same_change_of_many_elements_is_one_entry_with_a_count() -> None:
    items = [item(uid(0x00081155, "1.2"), undefined=True) for _ in range(3)]
    octets = file(between(b"".join(sequence(tag, items, undefined=True) for tag in (0x00081111, 0x00081140))))
    (change,) = offer(octets).transformations
    assert (change.rule, change.count) == ("N02", 2)


def test_rules_reach_into_items() -> None:
    inner = element(0x00080000, "UL", b"\4\0\0\0") + element(0x00081150, "UI", b"1.2") + element(0x00090010, "LO", b"ACME\0\0")
    octets = file(between(sequence(0x00081140, [item(inner)])))
    canonical = offer(octets)
    golden = uid(0x00081150, "1.2") + element(0x00090010, "LO", b"ACME")
    assert data_set(canonical) == between(sequence(0x00081140, [item(golden)]))
    assert_reversible_and_stable(octets, canonical)


def test_elements_of_the_command_and_file_meta_groups_do_not_stay_in_the_data_set() -> None:
    octets = file(element(0x00020010, "UI", b"1.2\0") + CLEAN)  # the walk over group 2 takes it for file meta
    assert data_set(offer(octets)) == CLEAN


def test_rows_and_columns_of_another_width_are_read_by_their_octets() -> None:
    pixels = element(0x7FE00010, "OB", bytes(range(4)))
    wide = CLEAN + description(2, 2, 8).replace(number(0x00280010, 2), element(0x00280010, "UL", b"\2\0\0\0")) + pixels
    canonical = offer(file(wide))
    assert len(canonical.frames.ranges) == 1 and canonical.frames.ranges[0].length == 4


@pytest.mark.parametrize("tag", [0xFFFE0000, 0xFFFF0010, 0x00010010, 0x00070000])
def test_an_element_with_an_illegal_tag_is_told_without_standing_anywhere_again(tag: int) -> None:
    elements = [(0x00080060, element(0x00080060, "CS", b"CT")), (tag, element(tag, "LO", b"ACME"))]
    first = b"".join(octets for number, octets in sorted(elements) if number < 0x0020000D)
    octets = file(identification(extra=first) + (elements[1][1] if tag > 0x0020000D else b""))
    canonical = offer(octets)
    assert "E33" in rules(canonical)
    assert_reversible_and_stable(octets, canonical)
