"""Wild cards on text in memory: every way is tried by an oracle, and no key takes long on any text."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from tests.unit.catalogue.naive_matching import wild
from vna_core.catalogue import patterns

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
