"""Structured logs on standard error. Nothing that identifies a patient is logged at info level or above."""

from __future__ import annotations

import contextlib
import logging
import sys
from typing import Any, Final

import structlog

from vna_core.configuration import LoggingSettings

_LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class LastingLogger(structlog.PrintLogger):
    """Writes lines, and lets one go whose stream is closed, full or has no reader: what is logged about must go on all the same."""

    def msg(self, message: str) -> None:
        """Write one line, if it can be written."""
        with contextlib.suppress(OSError, ValueError):
            super().msg(message)

    log = debug = info = warn = warning = fatal = failure = err = error = critical = exception = msg


def set_up_logging(settings: LoggingSettings, role: str = "") -> None:
    """Configure structlog and the standard library's logging for this process.

    Parameters
    ----------
    role
        Name of the process (``dimse-1``, ``web``), written with every line when given.
    """
    level = _LEVELS[settings.level]
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if settings.format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=28)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: LastingLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )
    # Libraries below warning are noise, and pynetdicom's info level names patients.
    logging.basicConfig(level=max(level, logging.WARNING), stream=sys.stderr, format="%(message)s", force=True)
    if role:
        structlog.contextvars.bind_contextvars(role=role)
