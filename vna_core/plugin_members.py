"""Whether what a plugin registered has the members that its port asks for, found out before an image depends on it.

Comes in: what a registration hook returned, and later what a factory made. Guaranteed afterwards: every member is there, what is asked as a value is of
the kind its port says, and what is called can be called. What such a call does is the plugin's; whoever calls it catches what it raises.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Final

from vna_core.domain.errors import PluginError
from vna_core.ports.dialect import Dialect, Markers
from vna_core.ports.jobs import JobEngine
from vna_core.ports.keys import KeyProvider
from vna_core.ports.pacs import PacsAdapter
from vna_core.ports.storage import Store

MADE: Final[Mapping[str, type]] = {
    "register_storage_backends": Store,
    "register_key_providers": KeyProvider,
    "register_pacs_adapters": PacsAdapter,
    "register_job_engines": JobEngine,
}
"""Registration hooks of factories, and the port of what these make."""

REGISTRATIONS: Final = (*MADE, "register_dialects")


def checked_registration(hook: str, registered: object) -> Mapping[str, Any]:
    """What a hook returned, with factories that check what they make. Raises PluginError, which names what is wrong."""
    if not isinstance(registered, Mapping):
        raise PluginError(f"{hook} returns {_kind(registered)}, not a mapping of names.")
    for name, one in registered.items():
        if not isinstance(name, str) or not name:
            raise PluginError(f"{hook} names what it registers by {_kind(name)}, not by a text.")
        if hook == "register_dialects":
            _check_dialect(name, one)
        elif not callable(one):
            raise PluginError(f"{hook}: what is registered as {name!r} is {_kind(one)}, which cannot be called as a factory.")
    port = MADE.get(hook)
    return registered if port is None else {name: _checking(one, port, name) for name, one in registered.items()}


def missing_members(made: object, port: type) -> list[str]:
    """Public members of a port that an object has not, or that are values where the port has a method."""
    members = {name: member for one in reversed(port.__mro__[:-1]) for name, member in vars(one).items()}
    annotated = {name for one in port.__mro__[:-1] for name in one.__dict__.get("__annotations__", {})}
    missing = []
    for name in sorted({*members, *annotated}):
        if name.startswith("_"):
            continue
        if callable(members.get(name)):
            present = callable(getattr(made, name, None))
        else:  # a property of the class is there, whatever it answers now
            present = isinstance(getattr(type(made), name, None), property) or hasattr(made, name)
        if not present:
            missing.append(name)
    return missing


def _checking(factory: Callable[..., Any], port: type, name: str) -> Callable[..., Any]:
    def checked(*arguments: Any) -> Any:
        made = factory(*arguments)
        if missing := missing_members(made, port):
            raise PluginError(
                f"The plugin of {name!r} made {_kind(made)}, which is no {port.__name__}: it has no {', '.join(missing)}. Ask its author.",
                name=name,
            )
        return made

    return checked


def _check_dialect(name: str, dialect: Any) -> None:
    if missing := missing_members(dialect, Dialect):
        raise PluginError(f"Dialect {name!r} ({_kind(dialect)}) has no {', '.join(missing)}.", name=name)
    for member in ("name", "vendor_page"):
        if not isinstance(getattr(dialect, member), str):
            raise PluginError(f"Dialect {name!r} ({_kind(dialect)}): its {member} is no text.", name=name)
    markers = dialect.markers
    if not isinstance(markers, Markers):
        raise PluginError(f"Dialect {name!r}: its markers are {_kind(markers)}, not Markers.", name=name)
    for field in dataclasses.fields(Markers):
        wanted, values = (int if field.name == "tags" else str), getattr(markers, field.name)
        if not isinstance(values, tuple) or not all(isinstance(one, wanted) for one in values):
            raise PluginError(f"Dialect {name!r}: {field.name} of its markers is no tuple of {wanted.__name__}.", name=name)
    try:
        hash(dialect)
    except TypeError as error:
        raise PluginError(
            f"Dialect {name!r} ({_kind(dialect)}) cannot be hashed: it must not have a state.", name=name
        ) from error


def _kind(one: object) -> str:
    return f"{type(one).__module__}.{type(one).__qualname__}"
