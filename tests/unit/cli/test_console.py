"""Values are printed as they are: no name of a patient is markup, and none is obeyed by the terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vna_core.cli.console import Console, Table, shown


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


def uids() -> Table:
    table = Table("number", "study", "instance", "detail")
    table.add_row("17", "1.2.826.0.1.3680043.10.5." + "6" * 39, "1.2.826.0.1.3680043.10.5." + "7" * 39, "word " * 30)
    return table


def test_where_nobody_looks_a_row_is_a_line_with_whole_values(capsys: pytest.CaptureFixture[str]) -> None:
    Console().print(uids())
    (row,) = [line for line in capsys.readouterr().out.splitlines() if "17" in line]
    assert "1.2.826.0.1.3680043.10.5." + "6" * 39 in row and "1.2.826.0.1.3680043.10.5." + "7" * 39 in row


@pytest.mark.parametrize("width", [40, 80, 120])
def test_a_terminal_shows_whole_values_however_narrow_it_is(width: int, capsys: pytest.CaptureFixture[str]) -> None:
    console = Console()
    console.width = width
    console.print(uids())
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= width
    assert (out.count("6"), out.count("7"), "\N{HORIZONTAL ELLIPSIS}" in out) == (39 + 4, 39 + 1, False)
