"""Paths whose segments hold a slash: an identifier is one segment of an address, whatever characters it has (RFC 3986 section 3.3)."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import unquote

from starlette.types import Scope

_ENCODED: Final = b"%2f"
_SLASH: Final = "\ufdd0"
"""Stands for a slash inside a segment while a route is found: a noncharacter, which Unicode sets aside for such use within a program."""


def keep_segments(scope: Scope) -> None:
    """Have a path matched by its segments as they were sent, where one of them holds an encoded slash."""
    raw = scope.get("raw_path")
    if raw and _ENCODED in raw.lower():
        path = raw.partition(b"?")[0].decode("latin-1")
        scope["path"] = "/".join(unquote(segment).replace("/", _SLASH) for segment in path.split("/"))


def as_sent(parameters: dict[str, Any]) -> dict[str, Any]:
    """Path parameters with their slashes."""
    return {
        name: value.replace(_SLASH, "/") if isinstance(value, str) and _SLASH in value else value
        for name, value in parameters.items()
    }
