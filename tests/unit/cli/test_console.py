"""Values are printed as they are: no name of a patient is markup, and none is obeyed by the terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table

from vna_core.cli.console import Console, shown


@pytest.mark.parametrize("value", ["DOE[/b]^JANE", "refused [under-hold]", "[red]1[/red]", ":smile:", "a\\[b]"])
def test_values_are_printed_as_they_are_alone_and_in_tables(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("name")
    table.add_row(value)
    Console().print(table)
    Console().print(value)
    assert capsys.readouterr().out.count(value) == 2


def test_a_terminal_obeys_no_value(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("name")
    table.add_row("A\x1b]0;owned\x07\x9bB\ud800")
    Console().print(table)
    out = capsys.readouterr().out
    assert "A\ufffd]0;owned\ufffd\ufffdB\ufffd" in out and "\x1b" not in out


@given(st.text())
def test_what_is_shown_has_nothing_that_a_terminal_obeys(text: str) -> None:
    assert all(one.isprintable() or one in "\n\t" for one in shown(text))
    assert len(shown(text)) == len(text)
