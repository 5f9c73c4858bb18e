"""What members are not asked, and what their rows hide: what one tells that stands for all of it, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from vna_core.domain.query import Condition, Empty, Equals, InSequence, Level, Query, Wildcard
from vna_core.federation.left_out import LeftOut

PROCEDURE, REQUEST, VIEW, OTHER_IDS = 0x00081032, 0x00400275, 0x00540220, 0x00101002
CODE, STEP, PROTOCOL, ACCESSION, NUMBER_OF_SERIES = 0x00080100, 0x00400009, 0x00400008, 0x00080050, 0x00201206
STEP_1 = InSequence(REQUEST, (Equals(STEP, ("S1",)),))
CODE_A = InSequence(PROCEDURE, (Equals(CODE, ("A",)),))


def items(tag: int, *told: dict[int, Any]) -> dict[str, Any]:
    """A row that tells a sequence."""
    return {f"{tag:08X}": {"vr": "SQ", "Value": [{f"{one:08X}": element for one, element in item.items()} for item in told]}}


def is_(value: object) -> dict[str, Any]:
    return {"vr": "SH", "Value": [value]}


def judged(level: Level, condition: Condition, row: dict[str, Any]) -> tuple[bool, bool]:
    """Whether the row is shown, and whether it is known that it matches."""
    left_out = LeftOut.of(Query(level, (condition,)))
    return left_out.lets(row), not left_out.unmatched


MATCHES, IS_HIDDEN, MAY_MATCH = (True, True), (False, True), (True, False)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (items(REQUEST, {STEP: is_("S1")}), MATCHES),
        (items(REQUEST, {STEP: is_("S2")}), IS_HIDDEN),
        (items(REQUEST, {STEP: {"vr": "SH"}}), IS_HIDDEN),
        (items(REQUEST, {STEP: is_("S2")}, {STEP: is_("S1")}), MATCHES),
        (items(REQUEST, {0x00401001: is_("R1")}), MAY_MATCH),
        (items(REQUEST, {STEP: is_("S2")}, {0x00401001: is_("R1")}), MAY_MATCH),
        (items(REQUEST, {}), MAY_MATCH),
        (items(REQUEST), MAY_MATCH),
        ({"00400275": {"vr": "SQ"}}, MAY_MATCH),
        ({"00400275": {"vr": "SQ", "Value": "S2"}}, MAY_MATCH),
        ({"00400275": {"vr": "SQ", "Value": ["S2", None]}}, MAY_MATCH),
        ({"00400275": {"vr": "SQ", "Value": [{"00400009": is_("S2")}, None]}}, MAY_MATCH),
        ({"00400275": []}, MAY_MATCH),
        ({}, MAY_MATCH),
    ],
)
def test_a_series_is_hidden_by_what_all_its_items_tell(row: dict[str, Any], expected: tuple[bool, bool]) -> None:
    assert judged(Level.SERIES, STEP_1, row) == expected


def test_an_item_that_tells_one_key_only_hides_by_that_one() -> None:
    both = InSequence(REQUEST, (Equals(STEP, ("S1",)), Equals(0x00401001, ("R1",))))
    rows = [items(REQUEST, {STEP: is_(value)}) for value in ("S1", "S2")]
    assert [judged(Level.SERIES, both, row) for row in rows] == [MAY_MATCH, IS_HIDDEN]


def test_what_is_asked_deeper_is_judged_by_the_same_rule() -> None:
    deep = InSequence(REQUEST, (InSequence(PROTOCOL, (Wildcard(CODE, "A*"),)),))
    told = [items(PROTOCOL, {CODE: is_("A1")}), items(PROTOCOL, {CODE: is_("B1")}), items(PROTOCOL, {}), {}]
    rows = [{"00400275": {"vr": "SQ", "Value": [one]}} for one in told]
    assert [judged(Level.SERIES, deep, row) for row in rows] == [MATCHES, IS_HIDDEN, MAY_MATCH, MAY_MATCH]


@pytest.mark.parametrize(
    ("level", "tag", "expected"),
    [
        (Level.STUDY, OTHER_IDS, MAY_MATCH),  # another study of the patient may tell more of them
        (Level.SERIES, PROCEDURE, MAY_MATCH),  # another series of the study
        (Level.IMAGE, PROCEDURE, MAY_MATCH),
        (Level.IMAGE, REQUEST, MAY_MATCH),
        (Level.SERIES, REQUEST, IS_HIDDEN),
        (Level.IMAGE, VIEW, IS_HIDDEN),
        (Level.STUDY, REQUEST, MAY_MATCH),  # below the level: not matched at all
    ],
)
def test_a_row_hides_by_sequences_of_its_own_level(level: Level, tag: int, expected: tuple[bool, bool]) -> None:
    condition = InSequence(tag, (Equals(CODE, ("A",)),))
    row = items(tag, {CODE: is_("B")}) | {f"{NUMBER_OF_SERIES:08X}": {"vr": "IS", "Value": [1]}}
    assert judged(level, condition, row) == expected


@pytest.mark.parametrize(("series", "expected"), [(1, IS_HIDDEN), ("1", IS_HIDDEN), (2, MAY_MATCH), (None, MAY_MATCH)])
def test_a_study_is_hidden_by_its_only_series(series: object, expected: tuple[bool, bool]) -> None:
    row = items(PROCEDURE, {CODE: is_("B")})
    if series is not None:
        row |= {f"{NUMBER_OF_SERIES:08X}": {"vr": "IS", "Value": [series]}}
    assert judged(Level.STUDY, CODE_A, row) == expected


def test_names_are_judged_by_all_their_groups() -> None:
    condition = InSequence(REQUEST, (Wildcard(0x00321032, "山田*"),))
    told = ({"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎"}, {"Ideographic": "山本^太郎"})
    rows = [items(REQUEST, {0x00321032: {"vr": "PN", "Value": [name]}}) for name in told]
    assert [judged(Level.SERIES, condition, row) for row in rows] == [MATCHES, IS_HIDDEN]


def test_what_everything_fulfils_is_no_condition() -> None:
    assert LeftOut.of(Query(Level.SERIES, (InSequence(REQUEST, (Wildcard(STEP, "*"),)),))).conditions == ()


def test_members_are_asked_to_tell_what_decides() -> None:
    left_out = LeftOut.of(Query(Level.STUDY, (Equals(0x00100020, ("P1",)), Empty(ACCESSION), CODE_A)))
    assert left_out.asked == Query(Level.STUDY, (Equals(0x00100020, ("P1",)),))
    assert left_out.attributes == (ACCESSION, PROCEDURE, NUMBER_OF_SERIES)
    assert LeftOut.of(Query(Level.SERIES, (STEP_1,))).attributes == (REQUEST,)
    assert LeftOut.of(Query(Level.STUDY, (Empty(ACCESSION),))).attributes == (ACCESSION,)


def test_an_empty_value_is_one_that_is_told_empty() -> None:
    rows: list[dict[str, Any]] = [{"00080050": {"vr": "SH"}}, {"00080050": is_("A1")}, {}]
    assert [judged(Level.STUDY, Empty(ACCESSION), row) for row in rows] == [MATCHES, IS_HIDDEN, MAY_MATCH]
