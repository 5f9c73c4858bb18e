"""Where a C-MOVE sends to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import structlog

from vna_core.access.egress.profiles import EgressProfile
from vna_core.configuration import PeerSettings
from vna_core.dicom.network.association import Association
from vna_core.dicom.network.command import Command
from vna_core.domain.errors import VnaError
from vna_core.domain.instance import HeldInstance
from vna_core.gateways.dimse.arriving import Progress
from vna_core.gateways.dimse.proposals import MOST_CONTEXTS, Proposal

_log = structlog.get_logger(__name__)


class Sender(Protocol):
    """What a destination needs of the service that sends to it."""

    def connected(self, title: str, peer: PeerSettings, contexts: Sequence[Proposal]) -> Association | None:
        """An association; None where the destination does not answer."""

    def store(
        self,
        destination: Association,
        held: HeldInstance,
        message_id: int,
        originator: Command,
        profile: EgressProfile | None,
        progress: Progress,
    ) -> int | None:
        """C-STORE one instance. Raises VnaError when the association cannot be used any more."""


class Destination:
    """Where a C-MOVE sends to: one association at a time, opened again when it breaks, or when an instance needs other contexts."""

    def __init__(self, service: Sender, title: str, peer: PeerSettings, profile: EgressProfile | None) -> None:
        self.profile = profile
        self._service, self._title, self._peer = service, title, peer
        self._association: Association | None = None
        self._contexts: dict[Proposal, None] = {}
        self._unreachable = False
        self._number = 0

    def open(self, contexts: Sequence[Proposal]) -> None:
        """Have an association in which these contexts were proposed; those of before are proposed again as far as there is room."""
        if self._association is not None and self._contexts.keys() >= set(contexts):
            return
        self.release()
        both = dict.fromkeys([*contexts, *self._contexts])
        self._contexts = both if len(both) <= MOST_CONTEXTS else dict.fromkeys(contexts)
        self._association = self._service.connected(self._title, self._peer, list(self._contexts))
        self._unreachable = self._association is None

    def store(self, held: HeldInstance, originator: Command, progress: Progress) -> int | None:
        """Send one instance; the status of the destination, None where it could not be sent."""
        if self._association is None and not self._unreachable:
            self._association = self._service.connected(self._title, self._peer, list(self._contexts))
        if self._association is None:
            return None
        self._number += 1
        try:
            return self._service.store(self._association, held, self._number & 0xFFFF, originator, self.profile, progress)
        except VnaError as error:
            _log.warning("sub-operation-failed", sop_instance_uid=held.sop_instance_uid, code=error.code)
            self._association.abort(0)
            self._association = None
            return None

    def release(self) -> None:
        """End the association."""
        if self._association is not None:
            self._association.release()
            self._association = None
