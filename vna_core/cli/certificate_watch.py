"""The supervisor's look at certificates: at the start, and once a day as long as something is to be said of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import structlog

from vna_core.configuration import Settings
from vna_core.dicom.network.tls.inspection import check, findings

EVERY: Final = 3600.0
"""Seconds between looks."""
AGAIN: Final = 86400.0
"""Seconds until the same is said again."""

_log = structlog.get_logger(__name__)


class CertificateWatch:
    """Logs what is to be said of the certificates of a configuration."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._next = float("-inf")
        self._said: dict[str, float] = {}

    def check(self) -> None:
        """Raises ConfigurationError where certificate, key or authorities cannot be used."""
        check(self._settings)

    def look(self) -> None:
        """Log what was not said today; costs nothing between the looks."""
        now = self._clock()
        if now < self._next:
            return
        self._next = now + EVERY
        for one in findings(self._settings):
            if now - self._said.get(one.message, float("-inf")) >= AGAIN:
                self._said[one.message] = now
                (_log.error if one.is_error else _log.warning)(one.event, message=one.message)
