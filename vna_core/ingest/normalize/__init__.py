"""Room `normalize`: the canonical object, and what was changed to get there.

Comes in: an instance that was read to its end. Guaranteed afterwards: a canonical object as a list of segments; every change
is named by a rule; the octets as received were rebuilt from the canonical object and compared. Nothing is written, so a
process that dies here loses nothing: the sender was not answered yet.
"""

from __future__ import annotations

from vna_core.ingest.normalize.engine import normalize
from vna_core.ingest.normalize.rules import RULE_SET

__all__ = ["RULE_SET", "normalize"]
