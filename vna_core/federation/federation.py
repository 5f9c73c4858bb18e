"""A federation put together: what the faces of the archive use of it."""

from __future__ import annotations

from dataclasses import dataclass

from vna_core.access.egress.outgoing import Egress
from vna_core.access.retrieve import Retriever
from vna_core.configuration.federation import FederationSettings
from vna_core.federation.bringing import Bringing
from vna_core.federation.members import Members
from vna_core.federation.memory import Memory
from vna_core.federation.query import FederatedQuery


@dataclass(frozen=True, slots=True)
class Federation:
    """Everything needed to ask and to serve. `retriever` and `egress` read what is held here and what was brought."""

    settings: FederationSettings
    members: Members
    query: FederatedQuery
    bringing: Bringing
    retriever: Retriever
    egress: Egress
    memory: Memory | None

    def close(self) -> None:
        """Give connections back."""
        self.members.close()
        if self.memory is not None:
            self.memory.close()
