"""Associations to one source, and messages that wait no longer than somebody waits for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vna_core.dicom.network import command as commands
from vna_core.dicom.network.association import Association, Message, SinkFor
from vna_core.dicom.network.command import Command, Field
from vna_core.dicom.network.pdu import Role
from vna_core.dicom.network.requestor import request
from vna_core.dicom.network.tls import ClientTls
from vna_core.domain.deadline import Deadline, seconds_left
from vna_core.domain.errors import PeerUnavailable

PENDING = (0xFF00, 0xFF01)


@dataclass(frozen=True, slots=True)
class Peer:
    """One source.

    Attributes
    ----------
    called, calling
        Application entity titles of the source and of this archive.
    silence
        Seconds that it may think before it says something.
    tls
        How it is recognized; None: connections are not encrypted.
    via
        Implementation version name that is sent instead of ours.
    """

    host: str
    port: int
    called: str
    calling: str
    silence: float
    tls: ClientTls | None = None
    via: str = ""

    @property
    def address(self) -> str:
        """Title and place, for provenance."""
        return f"{self.called}@{self.host}:{self.port}"

    def associate(
        self,
        contexts: Sequence[tuple[str, tuple[str, ...]]],
        roles: Sequence[Role] = (),
        extended: dict[str, bytes] | None = None,
        deadline: Deadline | None = None,
    ) -> Association:
        """Open an association. Raises PeerUnavailable, Rejected."""
        if deadline is not None:
            deadline.check()
        return request(
            self.host,
            self.port,
            called=self.called,
            calling=self.calling,
            contexts=contexts,
            roles=roles,
            extended=extended,
            version=self.via,
            connect_timeout=max(0.001, seconds_left(deadline, 10.0)),
            idle_timeout=self.silence,
            tls=self.tls,
        )

    def context_of(self, association: Association, abstract_syntax: str) -> int:
        """Id of the accepted context for a service. Raises PeerUnavailable."""
        for context in association.contexts.values():
            if context.abstract_syntax == abstract_syntax:
                return context.id
        association.release()
        raise PeerUnavailable(f"{self.called} does not offer the service any more.")

    def received(self, association: Association, deadline: Deadline | None, sink_for: SinkFor | None = None) -> Message:
        """The next message, if it comes before the deadline. Raises PeerUnavailable."""
        if deadline is None:
            return association.receive(sink_for, self.silence)
        deadline.check()
        with deadline.waking(association.interrupt):
            return association.receive(sink_for, max(0.001, deadline.remaining(self.silence)))

    def said(self, what: str, message: Message) -> str:
        """One sentence about a final status that is not success."""
        status = commands.number(message.command, commands.STATUS)
        comment = commands.text(message.command, commands.ERROR_COMMENT)
        return f"{self.called} ended {what} with status {status:04X}" + (f" ({comment})" if comment else "")


def stored(asked: Command, status: int) -> Command:
    """The answer to a C-STORE request."""
    return {
        commands.AFFECTED_SOP_CLASS: commands.text(asked, commands.AFFECTED_SOP_CLASS),
        commands.COMMAND_FIELD: Field.STORE_RSP,
        commands.RESPONDED_TO: commands.number(asked, commands.MESSAGE_ID),
        commands.AFFECTED_SOP_INSTANCE: commands.text(asked, commands.AFFECTED_SOP_INSTANCE),
        commands.STATUS: status,
    }
