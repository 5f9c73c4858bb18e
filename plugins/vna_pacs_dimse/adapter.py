"""The adapter: one source archive that speaks DIMSE."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from vna_core.dicom.json_header import encode_attributes
from vna_core.dicom.network import command as commands
from vna_core.dicom.network.association import Association, Message, SinkFor
from vna_core.dicom.network.command import Command, Field
from vna_core.dicom.network.identifier import Identifier, decode_identifier, encode_identifier
from vna_core.dicom.network.pdu import ProtocolError, Role
from vna_core.dicom.network.requestor import request
from vna_core.domain.deadline import Deadline
from vna_core.domain.errors import ConfigurationError, PeerError, PeerUnavailable
from vna_core.domain.octets import Source
from vna_core.domain.query import Between, Equals, Level, Query
from vna_core.ports.pacs import Deliver, DicomJson, FetchReport, InventoriedInstance, PacsAbilities, PacsAdapter
from vna_pacs_dimse.move_listener import MoveListener
from vna_pacs_dimse.presentation_plans import Context, known_plans, unknown_plans
from vna_pacs_dimse.spool import Spool
from vna_pacs_dimse.transfer_syntaxes import IDENTIFIERS

VERIFICATION: Final = "1.2.840.10008.1.1"
STUDY_FIND: Final = "1.2.840.10008.5.1.4.1.2.2.1"
STUDY_MOVE: Final = "1.2.840.10008.5.1.4.1.2.2.2"
STUDY_GET: Final = "1.2.840.10008.5.1.4.1.2.2.3"
_LEVEL, _STUDY, _SERIES, _SOP, _CLASS = 0x00080052, 0x0020000D, 0x0020000E, 0x00080018, 0x00080016
_MODALITY: Final = 0x00080060
_RETURN: Final = {
    Level.STUDY: (
        0x00080020,
        0x00080030,
        0x00080050,
        0x00080061,
        0x00081030,
        0x00100010,
        0x00100020,
        _STUDY,
        0x00201206,
        0x00201208,
    ),
    Level.SERIES: (0x00080060, 0x00200011, _STUDY, _SERIES, 0x00201209),
    Level.IMAGE: (_CLASS, _SOP, 0x00200013, _STUDY, _SERIES),
}
_PENDING: Final = (0xFF00, 0xFF01)
_REMEMBERED: Final = 64
_UIDS_AT_ONCE: Final = 200
SILENCE: Final = 300.0
"""Seconds that a source may think before it says something."""


class DimseAdapter(PacsAdapter):
    """Find, inventory and fetch over DIMSE.

    Parameters
    ----------
    called, calling
        Application entity titles of the source and of this archive.
    concurrency
        Retrievals at once.
    move
        Address and port on which we listen as `calling` when the source has to C-MOVE to us (None: C-GET only).
    """

    def __init__(
        self,
        name: str,
        host: str,
        port: int,
        called: str,
        calling: str,
        concurrency: int,
        move: tuple[str, int] | None,
        issuer: str,
    ) -> None:
        self.name = name
        self._host, self._port, self._called, self._calling = host, port, called, calling
        self._concurrency, self._move_address, self._issuer = concurrency, move, issuer
        self._abilities: PacsAbilities | None = None
        self._listener: MoveListener | None = None
        self._lock = threading.Lock()
        self._inventories: OrderedDict[str, list[InventoriedInstance]] = OrderedDict()
        self._modalities: dict[str, tuple[str, ...]] = {}

    @classmethod
    def open(cls, name: str, url: str, options: Mapping[str, Any]) -> DimseAdapter:
        """Factory for ``dimse://CALLED@HOST:PORT?calling=VNA&concurrency=4&move_port=11113&move_host=10.0.0.5&issuer=HOSPITAL``.

        Raises ConfigurationError.
        """
        try:
            parts = urlsplit(url)
            host, port, called = parts.hostname or "", parts.port or 104, parts.username or ""
        except ValueError as error:
            raise ConfigurationError(f"{url!r} is not a source: {error}.", source=name) from error
        settings = {
            "calling": "VNA",
            "concurrency": "4",
            "move_port": "",
            "move_host": "127.0.0.1",
            "issuer": "",
            **dict(parse_qsl(parts.query)),
            **options,
        }
        unknown = set(settings) - {"calling", "concurrency", "move_port", "move_host", "issuer"}
        if unknown or not host or not called:
            why = f"unknown option {sorted(unknown)[0]!r}" if unknown else "expected dimse://CALLED@HOST:PORT"
            raise ConfigurationError(f"{url!r} is not a source: {why}.", source=name)
        numbers = {key: str(settings[key]) for key in ("concurrency", "move_port")}
        if any(text and not text.isdigit() for text in numbers.values()):
            raise ConfigurationError(f"{url!r}: concurrency and move_port are numbers.", source=name)
        return cls(
            name,
            host,
            port,
            called,
            str(settings["calling"]),
            max(1, int(numbers["concurrency"] or 1)),
            (str(settings["move_host"]), int(numbers["move_port"])) if numbers["move_port"] else None,
            str(settings["issuer"]),
        )

    # -- asking -----------------------------------------------------------------------------------------------------------

    def probe(self, thorough: bool = False) -> PacsAbilities:
        """See `PacsAdapter.probe`. C-GET is preferred where the source accepts it."""
        offered = [(uid, IDENTIFIERS) for uid in (VERIFICATION, STUDY_FIND, STUDY_GET, STUDY_MOVE)]
        association = self._associate(offered, extended={STUDY_FIND: b"\x01"})
        accepted = {context.abstract_syntax for context in association.contexts.values()}
        association.release()
        if STUDY_FIND not in accepted:
            raise PeerError(f"{self._called} does not answer queries of the Study Root model.")
        if STUDY_GET not in accepted and (STUDY_MOVE not in accepted or self._move_address is None):
            raise PeerError(
                f"{self._called} does not offer C-GET. Give it our title and a port for C-MOVE (option move_port), and try again."
            )
        self._abilities = PacsAbilities("get" if STUDY_GET in accepted else "move", False, self._concurrency)
        return self._abilities

    def find(self, query: Query, *, attributes: tuple[int, ...] = (), deadline: Deadline | None = None) -> Iterator[DicomJson]:
        """See `PacsAdapter.find`."""
        keys: dict[int, tuple[str, ...]] = dict.fromkeys((*_RETURN.get(query.level, _RETURN[Level.STUDY]), *attributes), ())
        for one in query.conditions:
            if isinstance(one, Equals):
                keys[one.tag] = one.values
            elif isinstance(one, Between):
                keys[one.tag] = (f"{one.low}-{one.high}",)
            else:
                keys[one.tag] = (one.pattern,)
        for answered in self._found(query.level, keys, deadline):
            yield encode_attributes(answered.values)

    def inventory(self, study_instance_uid: str, *, deadline: Deadline | None = None) -> Iterator[InventoriedInstance]:
        """See `PacsAdapter.inventory`: series first, then the instances of each, as the hierarchical model wants it."""
        instances: list[InventoriedInstance] = []
        association = self._associate([(STUDY_FIND, IDENTIFIERS)])
        try:
            series_keys = {**dict.fromkeys(_RETURN[Level.SERIES], ()), _STUDY: (study_instance_uid,)}
            series = {
                one.first(_SERIES): one.first(_MODALITY) for one in self._ask(association, Level.SERIES, series_keys, deadline)
            }
            for uid in series:
                image_keys = {**dict.fromkeys(_RETURN[Level.IMAGE], ()), _STUDY: (study_instance_uid,), _SERIES: (uid,)}
                for one in self._ask(association, Level.IMAGE, image_keys, deadline):
                    instances.append(InventoriedInstance(study_instance_uid, uid, one.first(_SOP), one.first(_CLASS)))
        finally:
            association.release()
        with self._lock:
            self._inventories[study_instance_uid] = instances
            self._modalities[study_instance_uid] = tuple(dict.fromkeys(series.values()))
            while len(self._inventories) > _REMEMBERED:
                self._modalities.pop(self._inventories.popitem(last=False)[0], None)
        yield from instances

    def _found(self, level: Level, keys: Mapping[int, tuple[str, ...]], deadline: Deadline | None) -> Iterator[Identifier]:
        association = self._associate([(STUDY_FIND, IDENTIFIERS)])
        try:
            yield from self._ask(association, level, keys, deadline)
        finally:
            association.release()

    def _ask(
        self, association: Association, level: Level, keys: Mapping[int, tuple[str, ...]], deadline: Deadline | None
    ) -> Iterator[Identifier]:
        context = self._context(association, STUDY_FIND)
        asked: Command = {
            commands.AFFECTED_SOP_CLASS: STUDY_FIND,
            commands.COMMAND_FIELD: Field.FIND_RQ,
            commands.MESSAGE_ID: 1,
            commands.PRIORITY: 0,
        }
        syntax = association.contexts[context].transfer_syntax
        association.send(context, asked, [encode_identifier({**keys, _LEVEL: (level.value,)}, syntax)])
        while True:
            answer = _received(association, deadline)
            status = commands.number(answer.command, commands.STATUS, 0xC000)
            if status not in _PENDING:
                if status:
                    raise PeerError(self._said("C-FIND", answer), status=f"{status:04X}")
                return
            yield decode_identifier(answer.data or b"", syntax)

    # -- fetching ---------------------------------------------------------------------------------------------------------

    def fetch(
        self,
        study_instance_uid: str,
        deliver: Deliver,
        series_instance_uid: str | None = None,
        sop_instance_uids: tuple[str, ...] = (),
        *,
        deadline: Deadline | None = None,
    ) -> FetchReport:
        """See `PacsAdapter.fetch`."""
        abilities = self._abilities or self.probe()
        keys: dict[int, tuple[str, ...]] = {_LEVEL: (Level.STUDY.value,), _STUDY: (study_instance_uid,)}
        if series_instance_uid is not None:
            keys |= {_LEVEL: (Level.SERIES.value,), _SERIES: (series_instance_uid,)}
        if abilities.retrieve == "move":
            return self._move(self._batches(keys, sop_instance_uids), deliver, deadline)
        return self._get(study_instance_uid, keys, sop_instance_uids, series_instance_uid, deliver, deadline)

    @staticmethod
    def _batches(keys: dict[int, tuple[str, ...]], sops: Sequence[str]) -> list[dict[int, tuple[str, ...]]]:
        """Identifiers of one retrieval: one for all, or one for some hundred instances each."""
        if not sops:
            return [keys]
        pieces = [tuple(sops[at : at + _UIDS_AT_ONCE]) for at in range(0, len(sops), _UIDS_AT_ONCE)]
        return [{**keys, _LEVEL: (Level.IMAGE.value,), _SOP: piece} for piece in pieces]

    def _get(
        self,
        study: str,
        keys: dict[int, tuple[str, ...]],
        sops: Sequence[str],
        series: str | None,
        deliver: Deliver,
        deadline: Deadline | None,
    ) -> FetchReport:
        """Retrieve with one plan of presentation contexts after the other until everything wanted was delivered."""
        wanted = {
            one.sop_instance_uid: one
            for one in self._known_inventory(study)
            if (series is None or one.series_instance_uid == series) and (not sops or one.sop_instance_uid in sops)
        }
        classes = list(dict.fromkeys(one.sop_class_uid for one in wanted.values()))
        plans = iter(known_plans(classes)) if all(classes) else unknown_plans(self._modalities.get(study, ()))
        delivered: set[str] = set()
        report = FetchReport(0, 0)
        parts = self._batches(keys, sops)
        for plan in plans:
            report = self._get_with(plan, parts, deliver, delivered, deadline)
            missing = [one for uid, one in wanted.items() if uid not in delivered]
            if not missing:
                return FetchReport(len(delivered), 0, report.warnings, report.message)
            parts = self._by_series(missing)
        return FetchReport(len(delivered), len(wanted) - len(delivered & wanted.keys()), report.warnings, report.message)

    def _known_inventory(self, study: str) -> list[InventoriedInstance]:
        with self._lock:
            instances = self._inventories.get(study)
        return instances if instances is not None else list(self.inventory(study))

    def _get_with(
        self,
        plan: Sequence[Context],
        parts: Sequence[dict[int, tuple[str, ...]]],
        deliver: Deliver,
        delivered: set[str],
        deadline: Deadline | None,
    ) -> FetchReport:
        classes = dict.fromkeys(uid for uid, _ in plan)
        association = self._associate([(STUDY_GET, IDENTIFIERS), *plan], roles=[Role(uid, False, True) for uid in classes])
        total = FetchReport(0, 0)
        try:
            for keys in parts:
                total = _sum(total, self._get_once(association, keys, deliver, delivered, deadline))
        except Exception:
            association.abort(0)
            raise
        association.release()
        return total

    def _by_series(self, instances: Sequence[InventoriedInstance]) -> list[dict[int, tuple[str, ...]]]:
        parts: list[dict[int, tuple[str, ...]]] = []
        for study, series in dict.fromkeys((one.study_instance_uid, one.series_instance_uid) for one in instances):
            uids = [one.sop_instance_uid for one in instances if one.series_instance_uid == series]
            parts += self._batches({_STUDY: (study,), _SERIES: (series,)}, uids)
        return parts

    def _get_once(
        self,
        association: Association,
        keys: Mapping[int, tuple[str, ...]],
        deliver: Deliver,
        delivered: set[str],
        deadline: Deadline | None,
    ) -> FetchReport:
        context = self._context(association, STUDY_GET)
        asked: Command = {
            commands.AFFECTED_SOP_CLASS: STUDY_GET,
            commands.COMMAND_FIELD: Field.GET_RQ,
            commands.MESSAGE_ID: 1,
            commands.PRIORITY: 0,
        }
        association.send(context, asked, [encode_identifier(keys, association.contexts[context].transfer_syntax)])
        taken = 0
        while True:
            message = _received(association, deadline, lambda context_id, command: self._sink(association, context_id, command))
            field = commands.number(message.command, commands.COMMAND_FIELD)
            if field == Field.STORE_RQ:
                if self._take(association, message, deliver):
                    taken += 1
                    delivered.add(commands.text(message.command, commands.AFFECTED_SOP_INSTANCE))
            elif field == Field.GET_RSP:
                status = commands.number(message.command, commands.STATUS, 0xC000)
                if status not in _PENDING:
                    return self._report(message, status, taken, "C-GET")
            else:
                raise ProtocolError("Something else than a C-STORE arrived during C-GET.")

    def _sink(self, association: Association, context_id: int, command: Command) -> Spool | None:
        if commands.number(command, commands.COMMAND_FIELD) != Field.STORE_RQ:
            return None
        return self.spool(association.contexts[context_id].transfer_syntax, command)

    def spool(self, transfer_syntax_uid: str, command: Command) -> Spool:
        """A sink for the data set of a C-STORE from this source."""
        source = Source("migration", self.name, f"{self._called}@{self._host}:{self._port}", self._issuer)
        uids = (commands.text(command, commands.AFFECTED_SOP_CLASS), commands.text(command, commands.AFFECTED_SOP_INSTANCE))
        return Spool(source, transfer_syntax_uid, *uids)

    @staticmethod
    def _take(association: Association, message: Message, deliver: Deliver) -> int:
        """Hand one instance over and answer; 1 when it was taken."""
        spool = message.sink
        status = 0xA700
        if isinstance(spool, Spool) and spool.failure is None:
            deliver(spool.finish())
            status = 0x0000
        answered: Command = {
            commands.AFFECTED_SOP_CLASS: commands.text(message.command, commands.AFFECTED_SOP_CLASS),
            commands.COMMAND_FIELD: Field.STORE_RSP,
            commands.RESPONDED_TO: commands.number(message.command, commands.MESSAGE_ID),
            commands.AFFECTED_SOP_INSTANCE: commands.text(message.command, commands.AFFECTED_SOP_INSTANCE),
            commands.STATUS: status,
        }
        association.send(message.context_id, answered)
        return 1 if status == 0 else 0

    def _move(self, batches: list[dict[int, tuple[str, ...]]], deliver: Deliver, deadline: Deadline | None) -> FetchReport:
        """C-MOVE to our own listener; one retrieval at a time, because arriving instances do not say which asked for them."""
        total = FetchReport(0, 0)
        with self._lock:
            if self._listener is None:
                if self._move_address is None:
                    raise PeerError("C-MOVE needs a port of ours that the source knows (option move_port).")
                self._listener = MoveListener(self._move_address, self.spool)
            listener = self._listener
            association = self._associate([(STUDY_MOVE, IDENTIFIERS)])
            try:
                with listener.delivering(deliver) as count:
                    for keys in batches:
                        total = _sum(total, self._move_once(association, keys, count, deadline))
            finally:
                association.release()
        return total

    def _move_once(
        self, association: Association, keys: Mapping[int, tuple[str, ...]], count: MoveListener.Count, deadline: Deadline | None
    ) -> FetchReport:
        context = self._context(association, STUDY_MOVE)
        asked: Command = {
            commands.AFFECTED_SOP_CLASS: STUDY_MOVE,
            commands.COMMAND_FIELD: Field.MOVE_RQ,
            commands.MESSAGE_ID: 1,
            commands.PRIORITY: 0,
            commands.MOVE_DESTINATION: self._calling,
        }
        before = count.taken
        association.send(context, asked, [encode_identifier(keys, association.contexts[context].transfer_syntax)])
        while True:
            answer = _received(association, deadline)
            status = commands.number(answer.command, commands.STATUS, 0xC000)
            if status not in _PENDING:
                count.settle()
                return self._report(answer, status, count.taken - before, "C-MOVE")

    # -- the rest ---------------------------------------------------------------------------------------------------------

    def _associate(
        self,
        contexts: Sequence[tuple[str, tuple[str, ...]]],
        roles: Sequence[Role] = (),
        extended: dict[str, bytes] | None = None,
    ) -> Association:
        return request(
            self._host,
            self._port,
            called=self._called,
            calling=self._calling,
            contexts=contexts,
            roles=roles,
            extended=extended,
            idle_timeout=SILENCE,
        )

    def _context(self, association: Association, abstract_syntax: str) -> int:
        for context in association.contexts.values():
            if context.abstract_syntax == abstract_syntax:
                return context.id
        association.release()
        raise PeerUnavailable(f"{self._called} does not offer the service any more.")

    def _report(self, message: Message, status: int, delivered: int, what: str) -> FetchReport:
        failed = commands.number(message.command, commands.FAILED)
        warnings = commands.number(message.command, commands.WARNING)
        return FetchReport(delivered, failed, warnings, "" if status == 0 else self._said(what, message))

    def _said(self, what: str, message: Message) -> str:
        status = commands.number(message.command, commands.STATUS)
        comment = commands.text(message.command, commands.ERROR_COMMENT)
        return f"{self._called} ended {what} with status {status:04X}" + (f" ({comment})" if comment else "")

    def close(self) -> None:
        """Close the listener."""
        if self._listener is not None:
            self._listener.close()


def _received(association: Association, deadline: Deadline | None, sink_for: SinkFor | None = None) -> Message:
    """The next message, if it comes before the deadline. Raises PeerUnavailable."""
    if deadline is None:
        return association.receive(sink_for)
    deadline.check()
    with deadline.waking(association.interrupt):
        return association.receive(sink_for, max(0.001, deadline.remaining(SILENCE)))


def _sum(a: FetchReport, b: FetchReport) -> FetchReport:
    return FetchReport(a.delivered + b.delivered, a.failed + b.failed, a.warnings + b.warnings, b.message or a.message)
