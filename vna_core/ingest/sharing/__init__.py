"""Processes of one run that have nothing to do take instances from one that has more than it can do."""

from vna_core.ingest.sharing.bench import Bench
from vna_core.ingest.sharing.colleagues import Colleague, Colleagues
from vna_core.ingest.sharing.helping import Helper

__all__ = ["Bench", "Colleague", "Colleagues", "Helper"]
