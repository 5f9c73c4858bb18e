"""Wild cards on text in memory: every way is tried by an oracle, and no key takes long on any text."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from tests.unit.catalogue.naive_matching import wild
from vna_core.dicom import patterns
from vna_core.dicom.answers import matches
from vna_core.domain.query import InSequence, Wildcard

DESCRIPTION, PERFORMER, STEPS = 0x00400007, 0x00400006, 0x00400275

keys = st.text("ab.[(\\n*?", max_size=8)


@given(keys, st.text("ab.[(\\n", max_size=8))
@example("", "")
@example("a*a", "a")
@example("*?", "")
@example("?*a?*", "aaa")
def test_a_pattern_matches_what_one_of_all_ways_matches(key: str, text: str) -> None:
    assert patterns.parse(key).matches(text) == wild(key, text)


def test_no_key_takes_long() -> None:
    text = "a" * 65_536
    for key in ("*a" * 128 + "b", "*a?" * 85 + "b", "*" + "a?" * 127 + "b*", "*" + "?" * 255 + "b"):
        pattern = patterns.parse(key)
        assert not any(pattern.matches(text) for _ in range(20))
        assert pattern.matches(text + "b")


def step(tag: str, vr: str, value: object) -> dict[str, object]:
    return {f"{STEPS:08X}": {"vr": "SQ", "Value": [{tag: {"vr": vr, "Value": [value]}}]}}


@given(keys.filter(bool), st.text("ab.[(\n", max_size=8))
@example("*?*?a", "a")
def test_answers_of_sources_are_matched_as_what_is_held(key: str, text: str) -> None:
    asked = (InSequence(STEPS, (Wildcard(DESCRIPTION, key),)),)
    assert matches(step("00400007", "LO", text), asked) == (wild(key, text) or not key.strip("*"))


def test_names_in_answers_are_matched_without_case_and_without_delimiters_at_their_end() -> None:
    answer = step("00400006", "PN", {"Alphabetic": "DOE^Jane^^"})
    for key, fits in {"doe*": True, "d?e^*": True, "doe^jan?": True, "*jane^": True, "doe": False, "*?joe": False}.items():
        assert matches(answer, (InSequence(STEPS, (Wildcard(PERFORMER, key),)),)) == fits, key


def test_no_key_takes_long_on_an_answer() -> None:
    answer = step("00400007", "LO", "CT abdomen with contrast, portal venous" * 100)
    for key in ("*?" * 64 + "*!", "*?" * 2048 + "*!", "*n*" * 64 + "!"):
        assert not matches(answer, (InSequence(STEPS, (Wildcard(DESCRIPTION, key),)),))
