"""How the source answers C-GET and C-MOVE, faults played."""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from vna_core.dicom.network import command as commands
from vna_core.dicom.network.association import Association
from vna_core.dicom.network.command import Command, Field
from vna_core.dicom.network.requestor import request
from vna_core.domain.errors import PeerError
from vna_core.testing.hostile_pacs.alteration import altered
from vna_core.testing.hostile_pacs.faults import IN_FILES, FaultPlan
from vna_core.testing.hostile_pacs.injection_log import Injection, InjectionLog
from vna_core.testing.hostile_pacs.matching import SERIES, SOP, STUDY
from vna_core.testing.hostile_pacs.played import Played
from vna_core.testing.hostile_pacs.population import HostileInstance, HostileStudy, Population

EXPLICIT: Final = "1.2.840.10008.1.2.1"
_NO_SUCH_DESTINATION: Final = 0xA801
_OUT_OF_RESOURCES: Final = 0xA702


@dataclass(frozen=True, slots=True)
class Retrieval:
    """One request."""

    association: Association
    context_id: int
    command: Command
    keys: Mapping[int, tuple[str, ...]]
    calling: str

    @property
    def moves(self) -> bool:
        """C-MOVE; else C-GET."""
        return commands.number(self.command, commands.COMMAND_FIELD) == Field.MOVE_RQ

    def respond(self, status: int, counts: tuple[int, int, int] | None) -> None:
        """Answer with numbers of remaining, completed and failed sub-operations, or without any."""
        answer: Command = {
            commands.AFFECTED_SOP_CLASS: commands.text(self.command, commands.AFFECTED_SOP_CLASS),
            commands.COMMAND_FIELD: Field.MOVE_RSP if self.moves else Field.GET_RSP,
            commands.RESPONDED_TO: commands.number(self.command, commands.MESSAGE_ID),
            commands.STATUS: status,
        }
        if counts is not None:
            named = (commands.REMAINING, commands.COMPLETED, commands.FAILED, commands.WARNING)
            answer |= dict(zip(named, (*counts, 0), strict=True))
            if status != 0xFF00:
                del answer[commands.REMAINING]
        self.association.send(self.context_id, answer)


class Retrieving:
    """Answers retrievals.

    Attributes
    ----------
    stop
        Set when the source is being stopped; what hangs then ends.
    """

    def __init__(
        self,
        population: Population,
        plan: FaultPlan,
        log: InjectionLog,
        destinations: Mapping[str, tuple[str, int]],
        aet: str,
        hang: float,
    ) -> None:
        self._population, self._log, self._destinations, self._aet, self._hang = population, log, destinations, aet, hang
        self._dice = random.Random(f"{plan.seed}:retrieving")
        self._played = Played()
        self._lock = threading.Lock()
        self.stop = threading.Event()

    def answer(self, one: Retrieval) -> None:
        """Answer one request."""
        found = self._wanted(one.keys)
        study = found[0][0] if found else None
        fault = self._played.now(study.fault, study.study_instance_uid) if study is not None else ""
        uid = study.study_instance_uid if study is not None else ""
        if fault == "W6":
            self._log.add(Injection("W6", uid, detail="not answered"))
            self.stop.wait(self._hang)
            one.association.abort(0)
            raise PeerError("The association was given up.")
        if fault == "W17":
            self._log.add(Injection("W17", uid, detail="A702"))
            one.respond(_OUT_OF_RESOURCES, (0, 0, len(found)))
            return
        if one.moves:
            self._move(one, found, fault)
        else:
            self._send_all(one, one.association, found, fault)

    def _wanted(self, keys: Mapping[int, tuple[str, ...]]) -> list[tuple[HostileStudy, HostileInstance]]:
        study = self._population.studies.get(next(iter(keys.get(STUDY, ())), ""))
        if study is None:
            return []
        series, sops = set(keys.get(SERIES, ())) - {""}, set(keys.get(SOP, ())) - {""}
        return [
            (study, one)
            for one in study.instances
            if (not series or one.series_instance_uid in series) and (not sops or one.sop_instance_uid in sops)
        ]

    def _move(self, one: Retrieval, found: list[tuple[HostileStudy, HostileInstance]], fault: str) -> None:
        title = commands.text(one.command, commands.MOVE_DESTINATION)
        address = self._destinations.get(title)
        if address is None:
            one.respond(_NO_SUCH_DESTINATION, None)
            return
        classes = sorted({instance.sop_class_uid for _, instance in found}) or ["1.2.840.10008.1.1"]
        contexts = [(sop_class, (EXPLICIT,)) for sop_class in classes]
        association = request(*address, called=title, calling=self._aet, contexts=contexts)
        try:
            self._send_all(one, association, found, fault)
        finally:
            association.release()

    def _send_all(
        self, one: Retrieval, association: Association, found: list[tuple[HostileStudy, HostileInstance]], fault: str
    ) -> None:
        completed = failed = 0
        early = len(found) // 2 if fault == "W4" else -1
        for number, (study, instance) in enumerate(found):
            if number == early:
                self._log.add(Injection("W4", study.study_instance_uid, detail=f"success after {number} of {len(found)}"))
                one.respond(0, (0, len(found), 0))
                if not one.moves:
                    return
            if fault == "W7" and number == len(found) // 2:
                self._log.add(Injection("W7", study.study_instance_uid, detail=f"aborted after {number} of {len(found)}"))
                one.association.abort(0)
                raise PeerError("The association was aborted on purpose.")
            sent = self._send(association, study, instance)
            completed, failed = completed + (sent == 1), failed + (sent == 0)
            if early < 0 and number + 1 < len(found):
                one.respond(0xFF00, None if fault == "W5" else (len(found) - number - 1, completed, failed))
        if early >= 0:
            return
        if fault == "W5":
            self._log.add(Injection("W5", found[0][0].study_instance_uid, detail="no counts"))
        one.respond(0xB000 if failed else 0, None if fault == "W5" else (0, completed, failed))

    def _send(self, association: Association, study: HostileStudy, one: HostileInstance) -> int:
        """1 when it was taken, 0 when it was refused, -1 when it was left out without a word."""
        context = next((c for c in association.contexts.values() if c.abstract_syntax == one.sop_class_uid), None)
        if context is None:
            if one.fault == "W16":
                self._log.add(Injection("W16", study.study_instance_uid, one.sop_instance_uid, "left out: not negotiated"))
                return -1
            return 0
        fault = self._played.now(one.fault, one.sop_instance_uid)
        with self._lock:
            dice = random.Random(self._dice.random())
        octets, said, detail = altered(study, one, fault, dice)
        if fault and fault not in ("W16", "W19") or study.fault in IN_FILES:
            named = fault or study.fault
            self._log.add(Injection(named, study.study_instance_uid, one.sop_instance_uid, detail or str(dict(study.filed))))
        elif fault:
            self._log.add(Injection(fault, study.study_instance_uid, one.sop_instance_uid, "sent"))
        asked: Command = {
            commands.AFFECTED_SOP_CLASS: one.sop_class_uid,
            commands.COMMAND_FIELD: Field.STORE_RQ,
            commands.MESSAGE_ID: 7,
            commands.PRIORITY: 0,
            commands.AFFECTED_SOP_INSTANCE: said,
        }
        association.send(context.id, asked, [octets])
        answer = association.receive()
        return 1 if commands.number(answer.command, commands.STATUS, 0xC000) in (0, 0xB000, 0xB006, 0xB007) else 0
