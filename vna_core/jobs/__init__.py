"""Durable work: what takes it from the ledger, and the engine that runs it on one machine."""

from vna_core.jobs.embedded import EmbeddedEngine
from vna_core.jobs.work import LedgerWork

__all__ = ["EmbeddedEngine", "LedgerWork"]
