"""One connection of DIMSE: negotiation, then messages until its end."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from vna_core.access.egress.profiles import EgressProfiles
from vna_core.access.gate import Gate, Permit
from vna_core.configuration import DimseSettings
from vna_core.dicom.network import command as commands
from vna_core.dicom.network import pdu
from vna_core.dicom.network.association import Association, ConnectionLost, Message, Released
from vna_core.dicom.network.command import Command, Field
from vna_core.dicom.network.pdu import ProtocolError
from vna_core.dicom.network.tls import Certificate, HandshakeFailed, ServerTls, Stream
from vna_core.domain.access import Action, Principal, PrincipalKind
from vna_core.domain.audit import not_authenticated
from vna_core.domain.errors import NotAuthorized, PeerError, VnaError
from vna_core.domain.octets import Source
from vna_core.gateways.accepting import note_refused
from vna_core.gateways.dimse import store as store_service
from vna_core.gateways.dimse.commitment import action_response
from vna_core.gateways.dimse.counted import CountedAssociation
from vna_core.gateways.dimse.negotiation import Refusal, answer, refusal
from vna_core.gateways.dimse.sop_classes import VERIFICATION, is_stored
from vna_core.ingest.pipeline import IngestPipeline
from vna_core.metering import Meter
from vna_core.metering.metrics import DIMSE_ASSOCIATIONS

_UNRECOGNIZED_OPERATION: Final = 0x0211
_SOP_CLASS_NOT_SUPPORTED: Final = 0x0122

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Service:
    """One request that is answered behind the gate.

    Attributes
    ----------
    needs
        What the requester must be allowed to do.
    answer
        Answers a request with what the permit allows.
    """

    field: Field
    abstract_syntaxes: Container[str]
    needs: Action
    answer: Callable[[Association, Message, Permit], None]


class Host(Protocol):
    """What a conversation needs of the server that accepted its connection."""

    settings: DimseSettings
    pipeline: IngestPipeline
    profiles: EgressProfiles
    gate: Gate
    meter: Meter
    federated_title: str

    def services_of(self, title: str) -> Sequence[Service]:
        """The services under an AE title."""

    def is_full(self) -> bool:
        """Whether no further association may be established."""

    def began(self, conversation: Conversation) -> None:
        """The association of a conversation is accepted."""

    def ended(self, conversation: Conversation) -> None:
        """A conversation is over."""


class Conversation:
    """One connection: negotiation, then messages until its end."""

    def __init__(self, server: Host, connection: socket.socket, address: str, tls: ServerTls | None = None) -> None:
        self._server = server
        self._settings = server.settings
        self._connection = connection
        self.address = address
        self._tls = tls
        self._certificate: Certificate | None = None
        self._association: Association | None = None
        self._sink: store_service.StoreSink | None = None
        self._idle = True
        self._ending = False
        self._calling = ""
        self._called = ""
        self.established = False

    def finish_soon(self) -> None:
        """End after the message under way."""
        self._ending = True
        if self._association is not None and self._idle:
            self._association.interrupt()

    def break_off(self) -> None:
        """End now: what the peer still sends is not heard, as if it had gone."""
        if self._association is not None:
            self._association.interrupt()

    def run(self) -> None:
        """Serve the connection; nothing that goes wrong here reaches another."""
        try:
            self._converse()
        except Released:
            pass  # the ordinary end
        except ProtocolError as error:
            _log.warning("protocol-error", address=self.address, message=error.message)
            if self._association is not None:
                self._association.abort(2, 0)
        except HandshakeFailed as error:
            _log.warning("tls-handshake-failed", address=self.address, message=error.message)
            note_refused("dimse", self.address, error, self._server.meter, self._server.gate.auditor)
        except PeerError as error:
            _log.info("association-lost", address=self.address, code=error.code)
        except Exception:
            _log.exception("association-failed", address=self.address)
            if self._association is not None:
                self._association.abort(2, 0)
        finally:
            try:
                self._wind_up()
            finally:
                self._server.ended(self)

    def _wind_up(self) -> None:
        """Keep what has come of an instance, and let go of the connection."""
        try:
            if self._sink is not None:
                self._sink.broken_off()
        finally:
            with contextlib.suppress(OSError):
                self._connection.close()
            if self._association is not None:
                self._association.end_notifications()

    def _converse(self) -> None:
        settings = self._settings
        connection: Stream = self._connection
        if self._tls is not None:
            secured = self._tls.secured(self._connection)
            connection, self._certificate = secured, secured.certificate
        # An association request has one deadline, however slowly its octets drip.
        watchdog = threading.Timer(settings.association_timeout, self.give_up)
        watchdog.daemon = True
        watchdog.start()
        try:
            association = CountedAssociation(connection, settings, self._server.meter)
            self._association = association
            _, content = association.read_pdu("Sta2")
            asked = pdu.decode_associate(content)
        finally:
            watchdog.cancel()
        refused = refusal(asked, self.address, settings, self._server.federated_title, self._certificate)
        if refused is None and (self._server.is_full() or self._ending):
            refused = Refusal(2, 3, 2, "too many associations (dimse.max_associations)")
        if refused is not None:
            _log.warning("association-refused", address=self.address, why=refused.why)
            self._server.meter.count(DIMSE_ASSOCIATIONS, "refused")
            if refused.is_imposture:
                self._server.gate.auditor.note_access(not_authenticated(asked.calling, self.address, refused.why))
            association.send_octets([pdu.reject(refused.result, refused.source, refused.reason)])
            association.close()
            return
        profile = self._server.profiles.of_title(asked.calling)
        preferred = profile.transfer_syntaxes if profile is not None else ()
        accepted, association.contexts = answer(asked, settings.max_pdu, preferred)
        association.agreed = accepted.extended
        association.peer_limit = asked.max_length
        association.peer_product = asked.implementation_version or asked.implementation_class_uid
        self._calling, self._called = asked.calling, asked.called
        self._server.began(self)
        association.send_octets([pdu.encode_associate(accepted)])
        _log.debug("association-established", calling=asked.calling, address=self.address)
        while not self._ending:
            self._idle = True
            message = association.receive(self._sink_for)
            self._idle = False
            if not association.is_aside(message):
                self._handle(association, message)
        association.abort(0, 0)

    def give_up(self) -> None:
        """End the connection whatever it is at. May be called by any thread, and does not wait."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)

    def _sink_for(self, context_id: int, command: Command) -> store_service.StoreSink | None:
        self._idle = False
        if commands.number(command, commands.COMMAND_FIELD) != Field.STORE_RQ or self._association is None:
            return None
        context = self._association.contexts[context_id]
        peer = self._settings.peers.get(self._calling)
        source = Source("dimse", self._calling, self.address, peer.issuer if peer is not None else "")
        refusal: VnaError | None = None
        try:
            self._server.gate.enter(self._principal, Action.STORE)
        except NotAuthorized as error:
            refusal = error
        self._sink = store_service.StoreSink(
            self._server.pipeline, source, context.transfer_syntax, command, self._server.meter, refusal
        )
        return self._sink

    @property
    def _principal(self) -> Principal:
        return Principal(PrincipalKind.AE_TITLE, self._calling, self.address)

    def _handle(self, association: Association, message: Message) -> None:
        field = commands.number(message.command, commands.COMMAND_FIELD)
        abstract = association.contexts[message.context_id].abstract_syntax
        service = self._service(field, abstract)
        if field == Field.STORE_RQ:
            self._stored(association, message)
        elif field == Field.ECHO_RQ and abstract == VERIFICATION:
            association.send(message.context_id, self._generic(message, 0))
        elif service is not None:
            association.forget_cancels()
            self._answering(association, message, lambda: service.answer(association, message, self._permit(service.needs)))
        elif field & 0x8000:
            raise ProtocolError("A response arrived that nobody waits for.")
        else:
            known = is_stored(abstract) or abstract == VERIFICATION
            association.send(
                message.context_id, self._generic(message, _UNRECOGNIZED_OPERATION if known else _SOP_CLASS_NOT_SUPPORTED)
            )

    def _permit(self, action: Action) -> Permit:
        return self._server.gate.enter(self._principal, action)

    def _service(self, field: int, abstract: str) -> Service | None:
        """The service that a request asks for."""
        services = self._server.services_of(self._called)
        return next((one for one in services if one.field == field and abstract in one.abstract_syntaxes), None)

    def _stored(self, association: Association, message: Message) -> None:
        sink, self._sink = self._sink, None
        status, comment = (
            sink.complete() if sink is not None else (store_service.CANNOT_UNDERSTAND, "The request has no data set.")
        )
        association.send(message.context_id, store_service.store_response(message.command, status, comment))

    def _answering(self, association: Association, message: Message, work: Callable[[], None]) -> None:
        """Do the work of a request; what is wrong with it is its answer."""
        try:
            work()
        except (ConnectionLost, ProtocolError):
            raise
        except VnaError as error:
            _log.info("request-failed", code=error.code, calling=self._calling)
            association.send(message.context_id, self._generic(message, error.dimse_status, error.message))

    @staticmethod
    def _generic(message: Message, status: int, comment: str = "") -> Command:
        """The response that belongs to a request, with a status and nothing else."""
        if commands.number(message.command, commands.COMMAND_FIELD) == Field.ACTION_RQ:
            return action_response(message.command, status, comment)
        answered: Command = {
            commands.AFFECTED_SOP_CLASS: commands.text(message.command, commands.AFFECTED_SOP_CLASS),
            commands.COMMAND_FIELD: commands.number(message.command, commands.COMMAND_FIELD) | 0x8000,
            commands.RESPONDED_TO: commands.number(message.command, commands.MESSAGE_ID),
            commands.STATUS: status,
        }
        if comment:
            answered[commands.ERROR_COMMENT] = commands.comment(comment)
        return answered
