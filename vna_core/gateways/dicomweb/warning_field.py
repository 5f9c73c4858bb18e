"""The Warning field of an answer (RFC 7234 section 5.5): what whoever asked must know of an answer that is not whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from vna_core.gateways.web.exchange import Exchange

WARNING: Final = "Warning"
_LONGEST: Final = 300
"""Characters of a sentence."""


def warning(sentences: Sequence[str]) -> str:
    """The field with a warning for each sentence."""
    plain = (
        "".join(one if one.isprintable() and one.isascii() and one not in '"\\' else "?" for one in said) for said in sentences
    )
    return ", ".join(f'299 vna "{said[:_LONGEST]}"' for said in plain)


def warn(exchange: Exchange, sentences: Sequence[str]) -> None:
    """Have the answer say something more."""
    if sentences:
        said = exchange.extra_headers.get(WARNING)
        exchange.extra_headers[WARNING] = ", ".join([*([said] if said else []), warning(sentences)])
