"""Bodies in pieces: an extension of ASGI by which one message carries several pieces of an answer, none of which is joined to another."""

from __future__ import annotations

from typing import Final

Octets = bytes | memoryview
PIECES: Final = "vna.pieces"
"""Extension of a scope whose server takes messages of this type: ``pieces``, a sequence of octets, is a part of the body, and more follows."""
