"""Commands by their names, each loaded when it is called: whoever calls one does not wait for the imports of all others."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator, Mapping, MutableMapping
from contextvars import ContextVar
from copy import copy
from importlib import import_module
from typing import Any, Final, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_group

CALLED: Final[ContextVar[str]] = ContextVar("called", default="vna")
"""The words that name the command that runs, such as ``vna migrate run``."""


class Place(NamedTuple):
    """A command before it is loaded.

    Attributes
    ----------
    where
        A group that is at hand, or ``module:attribute`` in this package: a `typer.Typer`, which becomes a group of the command's name, or a
        function that adds the command to one.
    summary
        What the list of commands says about it: the first paragraph of its own help.
    panel
        Heading of the list under which it stands.
    """

    where: str | typer.Typer
    summary: str
    panel: str = "Commands"


@contextlib.contextmanager
def importing() -> Iterator[None]:
    """Modules are loaded here. They stay, so nobody looks for garbage among them: not meanwhile, which takes a sixth of the time, nor later."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


class _Group(TyperGroup):
    """A group that notes which of its commands is called."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """See the base class."""
        name, command, rest = super().resolve_command(ctx, args)
        CALLED.set(f"{ctx.command_path} {name}")
        return name, command, rest


def loaded_when_called(places: Mapping[str, Place]) -> type[TyperGroup]:
    """The class of a group whose commands are in these places, in this order."""

    class LoadedGroup(_Group):
        """A group that knows what its commands are before it has loaded them."""

        def __init__(self, **settings: Any) -> None:
            super().__init__(**settings)
            self.commands = _Commands(places)

        def format_help(self, ctx: Any, formatter: Any) -> None:
            """See the base class. Commands are listed without being loaded."""
            listed = copy(self)
            listed.commands = {
                name: TyperCommand(name, help=place.summary, rich_help_panel=place.panel) for name, place in places.items()
            }
            super(LoadedGroup, listed).format_help(ctx, formatter)

    return LoadedGroup


class _Commands(MutableMapping[str, Any]):
    """Name to command. Asking for the names loads nothing."""

    def __init__(self, places: Mapping[str, Place]) -> None:
        self._places = dict(places)
        self._loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._loaded:
            self._loaded[name] = _load(name, self._places[name].where)
        return self._loaded[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._places.setdefault(name, Place("", ""))
        self._loaded[name] = command

    def __delitem__(self, name: str) -> None:
        del self._places[name]
        self._loaded.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, name: object) -> bool:
        return name in self._places


def _load(name: str, place: str | typer.Typer) -> Any:
    above = typer.Typer(rich_markup_mode="markdown")
    if isinstance(place, str):
        module, _, attribute = place.partition(":")
        with importing():
            found = getattr(import_module(f"{__package__}.{module}"), attribute)
        if isinstance(found, typer.Typer):
            above.add_typer(found, name=name, cls=_Group)
        else:
            found(above)
    else:
        above.add_typer(place, name=name)
    return get_group(above).commands[name]
