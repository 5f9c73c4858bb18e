"""Paths whose segments hold a slash: an identifier is one segment of an address, whatever characters it has (RFC 3986 section 3.3)."""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import unquote

from starlette.types import Scope

_ENCODED: Final = b"%2f"
_MARK: Final = "\ufdd0"
"""Begins what stands for a slash inside a segment while a route is found: a noncharacter, which Unicode sets aside for such use within a program."""
_SLASH: Final = _MARK + "\ufdd1"
_ITSELF: Final = _MARK + "\ufdd2"
"""Stands for the mark, which somebody may have sent all the same."""
_STANDS: Final = re.compile(f"{_MARK}([\ufdd1\ufdd2])")


def keep_segments(scope: Scope) -> None:
    """Have a path matched by its segments as they were sent, where one of them holds an encoded slash."""
    raw = scope.get("raw_path")
    if raw and (_ENCODED in raw.lower() or _MARK in scope["path"]):
        path = raw.partition(b"?")[0].decode("latin-1")
        scope["path"] = "/".join(_kept(unquote(segment)) for segment in path.split("/"))


def _kept(segment: str) -> str:
    return segment.replace(_MARK, _ITSELF).replace("/", _SLASH)


def as_sent(parameters: dict[str, Any]) -> dict[str, Any]:
    """Path parameters with their slashes."""
    return {
        name: _STANDS.sub(lambda found: "/" if found[0] == _SLASH else _MARK, value)
        if isinstance(value, str) and _MARK in value
        else value
        for name, value in parameters.items()
    }
