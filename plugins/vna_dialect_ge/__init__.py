"""GE dialect."""

from __future__ import annotations

from collections.abc import Mapping

from vna_core.ports.dialect import Dialect
from vna_core.ports.hookspecs import hookimpl
from vna_dialect_ge.dialect import GeDialect


@hookimpl
def register_dialects() -> Mapping[str, Dialect]:
    """One dialect."""
    return {GeDialect.name: GeDialect()}
