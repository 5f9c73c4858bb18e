"""Accepts associations and serves each in a thread of its own."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Mapping
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
from vna_core.configuration.tls import TlsSettings
from vna_core.dicom.network.association import Association, Message
from vna_core.dicom.network.command import Field
from vna_core.dicom.network.tls import ServerTls
from vna_core.domain.access import Action
from vna_core.domain.errors import VnaError
from vna_core.domain.query import Level
from vna_core.federation.federation import Federation
from vna_core.gateways.accepting import Listening
from vna_core.gateways.dimse import find as find_service
from vna_core.gateways.dimse.commitment import CommitmentService
from vna_core.gateways.dimse.commitment_policy import PlacementPromises
from vna_core.gateways.dimse.conversation import Conversation, Service
from vna_core.gateways.dimse.federated import FederatedServices
from vna_core.gateways.dimse.peers import Peers
from vna_core.gateways.dimse.retrieve import RetrieveService
from vna_core.gateways.dimse.sop_classes import FIND, GET, MOVE, STORAGE_COMMITMENT
from vna_core.ingest.pipeline import IngestPipeline
from vna_core.metering import Meter
from vna_core.metering.metrics import DIMSE_ASSOCIATIONS, DIMSE_ESTABLISHED
from vna_core.migration.cutover import CutOver

GRACE: Final = 4.0
"""Seconds that messages under way may take to end after the stop."""

_LAST_GRACE: Final = 1.0
"""Seconds for conversations that are broken off then, to keep what has come of an instance."""

UNANSWERED: Final = 4
"""Connections that have not asked for an association yet, as a multiple of the associations allowed."""

_HESITATION: Final = 0.002
_LONGEST_HESITATION: Final = 0.01
"""Seconds before a connection is accepted: for each association served already, and at most."""

_COMMITMENT_ROUND: Final = 5.0

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
        tls: TlsSettings | None = None,
    ) -> None:
        self.settings = settings
        self.pipeline = pipeline
        self.meter = meter or Meter.alone()
        self.gate = gate or Gate(Policy(Settings(dimse=settings)), catalogue)
        self._retriever = retriever
        self._transcoder = transcoder
        self._egress = Egress(egress or EgressSettings(), retriever, transcoder)
        self.profiles = self._egress.profiles
        self._cutover = cutover
        self._availability = availability or Availability(catalogue)
        promises = PlacementPromises(catalogue, self._availability)
        self._peers = Peers(settings, tls)
        self._commitments = CommitmentService(self._peers, catalogue, retriever, self.gate.policy, promises)
        self._services = (
            Service(Field.FIND_RQ, FIND, Action.QUERY, self._find),
            Service(Field.MOVE_RQ, MOVE, Action.RETRIEVE, lambda *asked: self._retrieval(asked[2]).move(*asked[:2])),
            Service(Field.GET_RQ, GET, Action.RETRIEVE, lambda *asked: self._retrieval(asked[2]).get(*asked[:2])),
            Service(Field.ACTION_RQ, (STORAGE_COMMITMENT,), Action.STORE, self._commitments.action),
        )
        self.federated_title = "" if federation is None else federation.settings.aet
        self._federated_services: tuple[Service, ...] = () if federation is None else self._of_federation(federation)
        self._share = max(1, -(-settings.max_associations // settings.processes))
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._serving: dict[Conversation, threading.Thread] = {}
        self._tls = None if tls is None else ServerTls.of(tls, "dimse")
        self.meter.set(DIMSE_ESTABLISHED, 0)

    def _find(self, association: Association, message: Message, permit: Permit) -> None:
        find_service.find(association, message, permit.catalogue, self.settings.aet, self._availability)

    def _retrieval(self, permit: Permit) -> RetrieveService:
        known = (self._peers, permit, self.gate.policy, self._transcoder, self._egress)
        return RetrieveService(*known, permit.principal.name, availability=self._availability, cutover=self._cutover)

    def _of_federation(self, federation: Federation) -> tuple[Service, ...]:
        """The services under the federation's AE title."""
        services = FederatedServices(federation)

        def retrieval(models: Mapping[str, tuple[Level, ...]], *asked: Any) -> RetrieveService:
            association, message, permit = asked

            levels = models[association.contexts[message.context_id].abstract_syntax]
            brought, arriving = services.retrieve(association, message, permit, levels)
            known = (self._peers, brought, self.gate.policy, self._transcoder, federation.egress)
            return RetrieveService(*known, permit.principal.name, self._availability, arriving)

        return (
            Service(Field.FIND_RQ, FIND, Action.QUERY, services.find),
            Service(Field.MOVE_RQ, MOVE, Action.RETRIEVE, lambda *asked: retrieval(MOVE, *asked).move(*asked[:2])),
            Service(Field.GET_RQ, GET, Action.RETRIEVE, lambda *asked: retrieval(GET, *asked).get(*asked[:2])),
            Service(Field.ACTION_RQ, (STORAGE_COMMITMENT,), Action.STORE, self._commitments.action),
        )

    def serve(self, listener: socket.socket | None, secure: socket.socket | None = None) -> None:
        """Accept and serve until `stop`. Blocks.

        Parameters
        ----------
        listener, secure
            Where associations arrive without TLS, and with it; at least one.
        """
        reporter = threading.Thread(target=self._report_commitments, name="commitments", daemon=True)
        reporter.start()
        listening = Listening(listener, secure, self._tls)
        while not self._stop.is_set():
            arrived = listening.wait(500)
            if not arrived:
                continue
            self._let_idler_processes_go_first()
            for descriptor in arrived:
                self._accept(listening, descriptor)
        reporter.join(1.0)

    def _accept(self, listening: Listening, descriptor: int) -> None:
        try:
            accepted = listening.accept(descriptor)
        except OSError as error:
            if not self._stop.is_set():
                _log.warning("accept-failed", error=error.strerror)
                time.sleep(0.1)
            return
        if accepted is not None:
            self._begin(*accepted)

    def _let_idler_processes_go_first(self) -> None:
        """Wait the longer, the more associations this process serves: a new one wakes all processes, and the first takes it."""
        self._stop.wait(min(len(self._serving) * _HESITATION, _LONGEST_HESITATION))

    def stop(self) -> None:
        """Take nothing new, let messages under way end, then break off. Returns within seconds."""
        self._stop.set()
        for grace, end in ((GRACE, Conversation.finish_soon), (_LAST_GRACE, Conversation.break_off)):
            deadline = time.monotonic() + grace
            with self._lock:
                serving = dict(self._serving)
            for conversation in serving:
                end(conversation)
            for thread in serving.values():
                thread.join(max(0.0, deadline - time.monotonic()))

    @property
    def associations(self) -> int:
        """How many associations are established in this process."""
        with self._lock:
            return self._established()

    def _established(self) -> int:
        return sum(1 for conversation in self._serving if conversation.established)

    def _begin(self, connection: socket.socket, address: str, tls: ServerTls | None) -> None:
        with self._lock:
            if len(self._serving) >= self._share * (1 + UNANSWERED) and not self._makes_room(address):
                _log.warning("connection-refused", address=address, limit="dimse.max_associations")
                connection.close()
                return
            conversation = Conversation(self, connection, address, tls)
            thread = threading.Thread(target=conversation.run, name=f"dimse-{address}", daemon=True)
            self._serving[conversation] = thread
        thread.start()

    def _makes_room(self, address: str) -> bool:
        """Have a connection without an association ended whose address has most of them, so that one stranger shuts nobody out; whether there is room."""
        waiting = [one for one in self._serving if not one.established]
        number = Counter(one.address for one in waiting)
        if not number:
            return False
        crowd, most = number.most_common(1)[0]
        if number[address] + 1 >= most:
            return False
        ended = next(one for one in waiting if one.address == crowd)
        del self._serving[ended]
        ended.give_up()
        return True

    def ended(self, conversation: Conversation) -> None:
        """A conversation is over."""
        with self._lock:
            self._serving.pop(conversation, None)
            self.meter.set(DIMSE_ESTABLISHED, self._established())

    def began(self, conversation: Conversation) -> None:
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

    def services_of(self, title: str) -> tuple[Service, ...]:
        """The services under an AE title: the federation's, or the archive's own."""
        return self._federated_services if title and title == self.federated_title else self._services

    def is_full(self) -> bool:
        """Whether this process has its share of associations."""
        return self.associations >= self._share
