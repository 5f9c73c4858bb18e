"""What commands print: every value as it is, whoever wrote it (promise 8)."""

from __future__ import annotations

import sys
from typing import Any, Final

from rich.console import Console as RichConsole
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

    A name like ``DOE[/b]`` would end a command as wrong markup otherwise, and ``[under-hold]`` would not be seen. Values are shown whole: what
    is too long for a terminal goes on in the next line, and what is no terminal has lines of any length.
    """

    def __init__(self, *, stderr: bool = False, highlight: bool = True) -> None:
        width = None if (sys.stderr if stderr else sys.stdout).isatty() else UNBOUNDED
        super().__init__(stderr=stderr, highlight=highlight, markup=False, emoji=False, width=width)

    def render_str(self, text: str, **options: Any) -> Text:
        """See `rich.console.Console.render_str`."""
        rendered = super().render_str(shown(text), **options)
        rendered.overflow = "fold"  # a table would cut its cells otherwise, and half a UID names nothing
        return rendered
