"""What commands print: every value as it is, whoever wrote it (promise 8)."""

from __future__ import annotations

import sys
from typing import Any, Final

from rich.console import Console as RichConsole
from rich.table import Table as RichTable
from rich.text import Text

UNBOUNDED: Final = 10_000
"""Characters in a line where nobody looks at a terminal."""


def shown(text: str) -> str:
    """A text with a mark in place of whatever a terminal would obey; line ends and tabulators stay."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one in "\n\t" else "\N{REPLACEMENT CHARACTER}" for one in text)


class Console(RichConsole):
    """A console for which square brackets and colons are characters like all others, also in the cells of tables.

    A name like ``DOE[/b]`` would end a command as wrong markup otherwise, and ``[under-hold]`` would not be seen. What
    goes to no terminal has lines of any length, so that a row is found with its UIDs.
    """

    def __init__(self, *, stderr: bool = False, highlight: bool = True) -> None:
        width = None if (sys.stderr if stderr else sys.stdout).isatty() else UNBOUNDED
        super().__init__(stderr=stderr, highlight=highlight, markup=False, emoji=False, width=width)

    def render_str(self, text: str, **options: Any) -> Text:
        """See `rich.console.Console.render_str`."""
        return super().render_str(shown(text), **options)


class Table(RichTable):
    """A table whose cells are broken into lines where they are too long, and never shortened: UIDs and keys are copied from it."""

    def add_column(self, *arguments: Any, **options: Any) -> None:
        """See `rich.table.Table.add_column`."""
        super().add_column(*arguments, **{"overflow": "fold", **options})
