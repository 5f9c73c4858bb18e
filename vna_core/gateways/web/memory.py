"""How the C library keeps memory in a process that makes and drops pieces of half a megabyte all day."""

from __future__ import annotations

import ctypes
import gc
from typing import Final

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -2, -3, -8  # malloc.h of the GNU C library
_SETTINGS: Final = ((_ARENA_MAX, 1), (_MMAP_THRESHOLD, 4 << 20), (_TRIM_THRESHOLD, 64 << 20), (_TOP_PAD, 8 << 20))


def keep_pieces() -> bool:
    """Have pieces of up to 4 MiB come from memory that is kept, at most 64 MiB of it, instead of mapping fresh pages for each.

    A fresh page is a fault and a clearing; for a study of 26 MB they were half of the time spent in the kernel. Larger blocks
    are mapped and given back as before. Returns False on C libraries without this dial.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    return all(mallopt(name, value) == 1 for name, value in _SETTINGS)


def leave_in_peace() -> None:
    """Have the collector of cycles pass over everything made so far: modules, classes and routes stay until the end."""
    gc.collect()
    gc.freeze()
