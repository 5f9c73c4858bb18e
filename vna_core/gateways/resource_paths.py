"""Paths of studies, series and instances below the root of the Studies Service (PS3.18 section 10.4.1.1)."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final
from urllib.parse import quote

from vna_core.domain.query import Level

STUDY, SERIES, INSTANCE = 0x0020000D, 0x0020000E, 0x00080018
_STEPS: Final = (("studies", STUDY), ("series", SERIES), ("instances", INSTANCE))
_DEPTH: Final = {Level.STUDY: 1, Level.SERIES: 2, Level.IMAGE: 3}


@lru_cache(1024)
def quoted(uid: str) -> str:
    """A UID as a segment of a URL path."""
    return uid if uid.isascii() and uid.replace(".", "").isdigit() else quote(uid, safe="", errors="surrogatepass")


def resource_path(level: Level, uid_of: Callable[[int], str]) -> str:
    """Where a study, series or instance is; `uid_of` tells the UIDs of the levels down to its own, by their tags."""
    return "".join(f"/{step}/{quoted(uid_of(tag))}" for step, tag in _STEPS[: _DEPTH[level]])
