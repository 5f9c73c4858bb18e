"""Accepts associations and serves each in a thread of its own."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from typing import Any, Final

import structlog

from vna_core.access.availability import Availability
from vna_core.access.egress.outgoing import Egress
from vna_core.access.gate import Gate, Permit
from vna_core.access.policy import Policy
from vna_core.access.retrieve import Retriever
from vna_core.access.transcode import Transcoder
from vna_core.catalogue import Catalogue
from vna_core.configuration import DimseSettings, Settings
from vna_core.configuration.egress import EgressSettings
from vna_core.dicom.network import command as commands
from vna_core.dicom.network import pdu
from vna_core.dicom.network.association import Association, ConnectionLost, Message, Released
from vna_core.dicom.network.command import Command, Field
from vna_core.dicom.network.pdu import ProtocolError
from vna_core.domain.access import Action, Principal, PrincipalKind
from vna_core.domain.errors import NotAuthorized, PeerError, VnaError
from vna_core.domain.octets import Source
from vna_core.domain.query import Level
from vna_core.federation.federation import Federation
from vna_core.gateways.dimse import find as find_service
from vna_core.gateways.dimse import store as store_service
from vna_core.gateways.dimse.commitment import CommitmentService, action_response
from vna_core.gateways.dimse.commitment_policy import PlacementPromises
from vna_core.gateways.dimse.counted import CountedAssociation
from vna_core.gateways.dimse.federated import FederatedServices
from vna_core.gateways.dimse.negotiation import Refusal, answer, refusal
from vna_core.gateways.dimse.retrieve import RetrieveService
from vna_core.gateways.dimse.sop_classes import FIND, GET, MOVE, STORAGE_COMMITMENT, VERIFICATION, is_stored
from vna_core.ingest.pipeline import IngestPipeline
from vna_core.metering import Meter
from vna_core.metering.metrics import DIMSE_ASSOCIATIONS, DIMSE_ESTABLISHED
from vna_core.migration.cutover import CutOver

GRACE: Final = 5.0
"""Seconds that messages under way may take to end after the stop."""

UNANSWERED: Final = 4
"""Connections that have not asked for an association yet, as a multiple of the associations allowed."""

_HESITATION: Final = 0.002
_LONGEST_HESITATION: Final = 0.01
"""Seconds before a connection is accepted: for each association served already, and at most."""

_COMMITMENT_ROUND: Final = 5.0
_UNRECOGNIZED_OPERATION: Final = 0x0211
_SOP_CLASS_NOT_SUPPORTED: Final = 0x0122

_log = structlog.get_logger(__name__)


class DimseServer:
    """The DIMSE face of one process. Several processes may serve one listening socket."""

    def __init__(
        self,
        settings: DimseSettings,
        pipeline: IngestPipeline,
        catalogue: Catalogue,
        retriever: Retriever,
        transcoder: Transcoder,
        egress: EgressSettings | None = None,
        gate: Gate | None = None,
        federation: Federation | None = None,
        availability: Availability | None = None,
        cutover: CutOver | None = None,
        meter: Meter | None = None,
    ) -> None:
        self._settings = settings
        self._pipeline = pipeline
        self.meter = meter or Meter.alone()
        self.gate = gate or Gate(Policy(Settings(dimse=settings)), catalogue)
        self._retriever = retriever
        self._transcoder = transcoder
        self._egress = Egress(egress or EgressSettings(), retriever, transcoder)
        self._cutover = cutover
        self._availability = availability or Availability(catalogue)
        promises = PlacementPromises(catalogue, self._availability)
        self._commitments = CommitmentService(settings, catalogue, retriever, self.gate.policy, promises)
        self.services = (
            _Service(Field.FIND_RQ, FIND, Action.QUERY, self._find),
            _Service(Field.MOVE_RQ, MOVE, Action.RETRIEVE, lambda *asked: self._retrieval(asked[2]).move(*asked[:2])),
            _Service(Field.GET_RQ, GET, Action.RETRIEVE, lambda *asked: self._retrieval(asked[2]).get(*asked[:2])),
            _Service(Field.ACTION_RQ, (STORAGE_COMMITMENT,), Action.STORE, self._commitments.action),
        )
        self.federated_title = "" if federation is None else federation.settings.aet
        self.federated_services = () if federation is None else self._of_federation(federation)
        self._share = max(1, -(-settings.max_associations // settings.processes))
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._serving: dict[_Conversation, threading.Thread] = {}
        self._listener: socket.socket | None = None
        self.meter.set(DIMSE_ESTABLISHED, 0)

    def _find(self, association: Association, message: Message, permit: Permit) -> None:
        find_service.find(association, message, permit.catalogue, self._settings.aet, self._availability)

    def _retrieval(self, permit: Permit) -> RetrieveService:
        known = (self._settings, permit, self.gate.policy, self._transcoder, self._egress)
        return RetrieveService(*known, permit.principal.name, availability=self._availability, cutover=self._cutover)

    def _of_federation(self, federation: Federation) -> tuple[_Service, ...]:
        """The services under the federation's AE title."""
        services = FederatedServices(federation)

        def retrieval(models: Mapping[str, tuple[Level, ...]], *asked: Any) -> RetrieveService:
            association, message, permit = asked

            levels = models[association.contexts[message.context_id].abstract_syntax]
            brought, arriving = services.retrieve(association, message, permit, levels)
            known = (self._settings, brought, self.gate.policy, self._transcoder, federation.egress)
            return RetrieveService(*known, permit.principal.name, self._availability, arriving)

        return (
            _Service(Field.FIND_RQ, FIND, Action.QUERY, services.find),
            _Service(Field.MOVE_RQ, MOVE, Action.RETRIEVE, lambda *asked: retrieval(MOVE, *asked).move(*asked[:2])),
            _Service(Field.GET_RQ, GET, Action.RETRIEVE, lambda *asked: retrieval(GET, *asked).get(*asked[:2])),
            _Service(Field.ACTION_RQ, (STORAGE_COMMITMENT,), Action.STORE, self._commitments.action),
        )

    def serve(self, listener: socket.socket) -> None:
        """Accept and serve until `stop`. Blocks."""
        self._listener = listener
        reporter = threading.Thread(target=self._report_commitments, name="commitments", daemon=True)
        reporter.start()
        listener.setblocking(False)  # inherited by several processes: another one may take the connection that woke us
        asked = select.poll()
        asked.register(listener, select.POLLIN)
        while not self._stop.is_set():
            if not asked.poll(500):
                continue
            self._let_idler_processes_go_first()
            try:
                connection, address = listener.accept()
            except BlockingIOError:
                continue
            except OSError as error:
                if self._stop.is_set():
                    break
                _log.warning("accept-failed", error=error.strerror)
                time.sleep(0.1)
                continue
            connection.setblocking(True)
            self._begin(connection, address[0])
        reporter.join(1.0)

    def _let_idler_processes_go_first(self) -> None:
        """Wait the longer, the more associations this process serves: a new one wakes all processes, and the first takes it."""
        self._stop.wait(min(len(self._serving) * _HESITATION, _LONGEST_HESITATION))

    def stop(self) -> None:
        """Take nothing new, let messages under way end, then close. Returns within seconds."""
        self._stop.set()
        deadline = time.monotonic() + GRACE
        with self._lock:
            serving = dict(self._serving)
        for conversation in serving:
            conversation.finish_soon()
        for thread in serving.values():
            thread.join(max(0.0, deadline - time.monotonic()))

    @property
    def associations(self) -> int:
        """How many associations are established in this process."""
        with self._lock:
            return self._established()

    def _established(self) -> int:
        return sum(1 for conversation in self._serving if conversation.established)

    def _begin(self, connection: socket.socket, address: str) -> None:
        with self._lock:
            if len(self._serving) >= self._share * (1 + UNANSWERED):
                _log.warning("connection-refused", address=address, limit="dimse.max_associations")
                connection.close()
                return
            conversation = _Conversation(self, connection, address)
            thread = threading.Thread(target=conversation.run, name=f"dimse-{address}", daemon=True)
            self._serving[conversation] = thread
        thread.start()

    def ended(self, conversation: _Conversation) -> None:
        """A conversation is over."""
        with self._lock:
            self._serving.pop(conversation, None)
            self.meter.set(DIMSE_ESTABLISHED, self._established())

    def began(self, conversation: _Conversation) -> None:
        """The association of a conversation is accepted."""
        with self._lock:
            conversation.established = True
            self.meter.set(DIMSE_ESTABLISHED, self._established())
        self.meter.count(DIMSE_ASSOCIATIONS, "accepted")

    def _report_commitments(self) -> None:
        while not self._stop.wait(_COMMITMENT_ROUND):
            try:
                self._commitments.report_pending(self._stop)
            except VnaError as error:
                _log.warning("commitment-round-failed", code=error.code)

    def is_full(self) -> bool:
        """Whether this process has its share of associations."""
        return self.associations >= self._share


@dataclass(frozen=True, slots=True)
class _Service:
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


class _Conversation:
    """One connection: negotiation, then messages until its end."""

    def __init__(self, server: DimseServer, connection: socket.socket, address: str) -> None:
        self._server = server
        self._settings = server._settings
        self._connection = connection
        self._address = address
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

    def run(self) -> None:
        """Serve the connection; nothing that goes wrong here reaches another."""
        try:
            self._converse()
        except Released:
            pass  # the ordinary end
        except ProtocolError as error:
            _log.warning("protocol-error", address=self._address, message=error.message)
            if self._association is not None:
                self._association.abort(2, 0)
        except PeerError as error:
            _log.info("association-lost", address=self._address, code=error.code)
        except Exception:
            _log.exception("association-failed", address=self._address)
            if self._association is not None:
                self._association.abort(2, 0)
        finally:
            if self._sink is not None:
                self._sink.broken_off()
            with contextlib.suppress(OSError):
                self._connection.close()
            self._server.ended(self)

    def _converse(self) -> None:
        settings = self._settings
        # An association request has one deadline, however slowly its octets drip.
        watchdog = threading.Timer(settings.association_timeout, self._too_slow)
        watchdog.daemon = True
        watchdog.start()
        try:
            association = CountedAssociation(self._connection, settings, self._server.meter)
            self._association = association
            _, content = association.read_pdu("Sta2")
            asked = pdu.decode_associate(content)
        finally:
            watchdog.cancel()
        refused = refusal(asked, self._address, settings, self._server.federated_title)
        if refused is None and (self._server.is_full() or self._ending):
            refused = Refusal(2, 3, 2, "too many associations (dimse.max_associations)")
        if refused is not None:
            _log.warning("association-refused", address=self._address, why=refused.why)
            self._server.meter.count(DIMSE_ASSOCIATIONS, "refused")
            association.send_octets([pdu.reject(refused.result, refused.source, refused.reason)])
            association.close()
            return
        profile = self._server._egress.profiles.of_title(asked.calling)
        preferred = profile.transfer_syntaxes if profile is not None else ()
        accepted, association.contexts = answer(asked, settings.max_pdu, preferred)
        association.peer_limit = asked.max_length
        self._calling, self._called = asked.calling, asked.called
        self._server.began(self)
        association.send_octets([pdu.encode_associate(accepted)])
        _log.debug("association-established", calling=asked.calling, address=self._address)
        while not self._ending:
            self._idle = True
            message = association.receive(self._sink_for)
            self._idle = False
            self._handle(association, message)
        association.abort(0, 0)

    def _too_slow(self) -> None:
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)

    def _sink_for(self, context_id: int, command: Command) -> store_service.StoreSink | None:
        self._idle = False
        if commands.number(command, commands.COMMAND_FIELD) != Field.STORE_RQ or self._association is None:
            return None
        context = self._association.contexts[context_id]
        peer = self._settings.peers.get(self._calling)
        source = Source("dimse", self._calling, self._address, peer.issuer if peer is not None else "")
        refusal: VnaError | None = None
        try:
            self._server.gate.enter(self._principal, Action.STORE)
        except NotAuthorized as error:
            refusal = error
        self._sink = store_service.StoreSink(
            self._server._pipeline, source, context.transfer_syntax, command, self._server.meter, refusal
        )
        return self._sink

    @property
    def _principal(self) -> Principal:
        return Principal(PrincipalKind.AE_TITLE, self._calling, self._address)

    def _handle(self, association: Association, message: Message) -> None:
        field = commands.number(message.command, commands.COMMAND_FIELD)
        abstract = association.contexts[message.context_id].abstract_syntax
        service = self._service(field, abstract)
        if field == Field.STORE_RQ:
            self._stored(association, message)
        elif field == Field.CANCEL_RQ:
            return  # what it cancels is answered already
        elif field == Field.ECHO_RQ and abstract == VERIFICATION:
            association.send(message.context_id, self._generic(message, 0))
        elif service is not None:
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

    def _service(self, field: int, abstract: str) -> _Service | None:
        """The service that a request asks for, and what its requester must be allowed to do."""
        server = self._server
        services = server.federated_services if server.federated_title == self._called else server.services
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
