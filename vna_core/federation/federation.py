"""A federation put together: what the faces of the archive use of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from vna_core.access.egress.outgoing import Egress
from vna_core.access.retrieve import Retriever
from vna_core.configuration.federation import FederationSettings
from vna_core.federation.bringing import Bringing
from vna_core.federation.members import Members
from vna_core.federation.memory import Memory
from vna_core.federation.query import FederatedQuery

WEB_ROOT: Final = "/federated/dicom-web"
"""Path of the federation's Studies Service; plain ``/dicom-web`` stays this archive's own."""


@dataclass(frozen=True, slots=True)
class Federation:
    """Everything needed to ask and to serve. `retriever` and `egress` read what is held here and what was brought; `url` is the root of the
    federation's Studies Service as clients reach it, empty where nobody has said that.
    """

    settings: FederationSettings
    members: Members
    query: FederatedQuery
    bringing: Bringing
    retriever: Retriever
    egress: Egress
    memory: Memory | None
    url: str = ""

    def close(self) -> None:
        """Give connections back."""
        self.members.close()
        if self.memory is not None:
            self.memory.close()
