"""Durable work: the engine that runs it on one machine."""

from vna_core.jobs.embedded import EmbeddedEngine

__all__ = ["EmbeddedEngine"]
