"""The time as the catalogue keeps it."""

from __future__ import annotations

import time


def now() -> int:
    """Microseconds since 1970 in UTC."""
    return time.time_ns() // 1000
