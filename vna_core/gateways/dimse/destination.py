"""Where a C-MOVE sends to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import structlog

from vna_core.access.egress.profiles import EgressProfile
from vna_core.configuration import PeerSettings
from vna_core.dicom.network.association import Association
from vna_core.dicom.network.command import Command
from vna_core.domain.errors import ConfigurationError, PeerError, VnaError
from vna_core.domain.instance import HeldInstance
from vna_core.gateways.dimse.arriving import Progress
from vna_core.gateways.dimse.proposals import MOST_CONTEXTS, Proposal

_MOST_BROKEN: Final = 3
"""Associations that may fail one after the other without an answer to an instance between."""

_log = structlog.get_logger(__name__)


class Sender(Protocol):
    """What a destination needs of the service that sends to it."""

    def connected(self, title: str, peer: PeerSettings, contexts: Sequence[Proposal]) -> Association:
        """An association. Raises PeerError, ConfigurationError where there is none to be had."""

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
    """Where a C-MOVE sends to: one association at a time, opened again when it breaks, or when an instance needs other contexts.

    Where one after the other breaks, or cannot be had, the destination is given up: whatever else was to go there fails at once.
    """

    def __init__(self, service: Sender, title: str, peer: PeerSettings, profile: EgressProfile | None) -> None:
        self.profile = profile
        self._service, self._title, self._peer = service, title, peer
        self._association: Association | None = None
        self._contexts: dict[Proposal, None] = {}
        self._unreachable = False
        self._broken = 0
        self._why = ""
        self._number = 0

    def open(self, contexts: Sequence[Proposal]) -> None:
        """Have an association in which these contexts were proposed; those of before are proposed again as far as there is room."""
        if self._association is not None and self._contexts.keys() >= set(contexts):
            return
        self.release()
        both = dict.fromkeys([*contexts, *self._contexts])
        self._contexts = both if len(both) <= MOST_CONTEXTS else dict.fromkeys(contexts)
        self._unreachable = self._broken >= _MOST_BROKEN
        self._connect()

    def store(self, held: HeldInstance, originator: Command, progress: Progress) -> int | None:
        """Send one instance; the status of the destination, None where it could not be sent: then the comment says why."""
        self._connect()
        if self._association is None:
            progress.comment = self._why
            return None
        self._number += 1
        try:
            status = self._service.store(self._association, held, self._number & 0xFFFF, originator, self.profile, progress)
        except VnaError as error:
            _log.warning("sub-operation-failed", sop_instance_uid=held.sop_instance_uid, code=error.code)
            self._association.abort(0)
            self._association = None
            progress.comment = error.message
            if isinstance(
                error, PeerError
            ):  # else what is to be sent could not be read to its end: that says nothing of the next
                self._why = error.message
                self._broke()
            return None
        self._broken = 0
        return status

    def _connect(self) -> None:
        if self._association is not None or self._unreachable:
            return
        try:
            self._association = self._service.connected(self._title, self._peer, list(self._contexts))
        except (PeerError, ConfigurationError) as error:
            _log.warning("move-destination-unreachable", destination=self._title, code=error.code, message=error.message)
            self._unreachable, self._why = True, error.message
            self._broke()

    def _broke(self) -> None:
        self._broken += 1
        if self._broken >= _MOST_BROKEN:
            _log.warning("move-destination-given-up", destination=self._title)
            self._unreachable = True

    def abort(self) -> None:
        """End the association in the midst of an instance."""
        if self._association is not None:
            self._association.abort(0)
            self._association = None

    def release(self) -> None:
        """End the association."""
        if self._association is not None:
            self._association.release()
            self._association = None
