"""A source archive that misbehaves on purpose, the same way for the same seed, and keeps a log of what it did to whom.

It holds thousands of phantom instances as numbers and makes their octets when they are asked for.
"""

from __future__ import annotations

from vna_core.testing.hostile_pacs.faults import FAULTS, Fault, FaultPlan
from vna_core.testing.hostile_pacs.injection_log import Injection, InjectionLog
from vna_core.testing.hostile_pacs.population import Population
from vna_core.testing.hostile_pacs.server import HostilePacs

__all__ = ["FAULTS", "Fault", "FaultPlan", "HostilePacs", "Injection", "InjectionLog", "Population"]
