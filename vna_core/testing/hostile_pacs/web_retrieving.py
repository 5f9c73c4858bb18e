"""How the source answers WADO-RS (PS3.18 section 10.4), faults played."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass
from typing import Final

from vna_core.testing.hostile_pacs.alteration import altered
from vna_core.testing.hostile_pacs.faults import IN_FILES, FaultPlan
from vna_core.testing.hostile_pacs.injection_log import Injection, InjectionLog
from vna_core.testing.hostile_pacs.played import Played
from vna_core.testing.hostile_pacs.population import HostileInstance, HostileStudy, Population, as_file

BOUNDARY: Final = "hostile-part"
_CLOSE: Final = b"--%b--\r\n" % BOUNDARY.encode()


@dataclass(frozen=True, slots=True)
class Retrieved:
    """The answer to one retrieval.

    Attributes
    ----------
    cut
        Octets after which the connection is broken off; None sends all.
    hangs
        Nothing is answered at all.
    """

    status: int = 200
    body: bytes = b""
    cut: int | None = None
    hangs: bool = False


class WebRetrieving:
    """Answers retrievals of a study, a series or an instance."""

    def __init__(self, population: Population, plan: FaultPlan, log: InjectionLog) -> None:
        self._population, self._log = population, log
        self._dice = random.Random(f"{plan.seed}:web-retrieving")
        self._played = Played()
        self._lock = threading.Lock()
        self._other = next(
            (study for study in population.studies.values() if not study.fault and not any(one.fault for one in study.instances)),
            None,
        )

    def answer(self, study_uid: str, series: str, sop: str) -> Retrieved:
        """Answer one request; a series or instance that is empty is not restricted."""
        study = self._population.studies.get(study_uid)
        found = [] if study is None else [one for one in study.instances if _is_asked(one, series, sop)]
        if study is None or not found:
            return Retrieved(404)
        fault, half = self._played.now(study.fault, study_uid), len(found) // 2
        if fault == "W6":
            return self._told(fault, study, "not answered", Retrieved(hangs=True))
        if fault == "W17":
            return self._told(fault, study, "HTTP 503", Retrieved(503))
        if fault == "H10":
            return self._told(fault, study, f"nothing of {len(found)}", Retrieved())
        parts = [part for one in found[: half if fault == "W4" else len(found)] for part in self._parts(study, one)]
        body = b"".join(parts)
        if fault == "W4":
            return self._told(fault, study, f"{half} of {len(found)}", Retrieved(body=body + _CLOSE))
        if fault == "W7":
            return self._told(fault, study, "connection broken off", Retrieved(body=body + _CLOSE, cut=len(body) // 2))
        if fault == "H9":
            return self._told(fault, study, "no closing boundary", Retrieved(body=body[: len(body) - len(parts[-1]) // 2]))
        return Retrieved(body=body + _CLOSE)

    def _told(self, fault: str, study: HostileStudy, detail: str, answer: Retrieved) -> Retrieved:
        self._log.add(Injection(fault, study.study_instance_uid, detail=detail))
        return answer

    def _parts(self, study: HostileStudy, one: HostileInstance) -> list[bytes]:
        """The part of one instance; twice where that is the fault."""
        fault = self._played.now(one.fault, one.sop_instance_uid)
        if fault == "H7" and self._other is not None and self._other is not study:
            other = self._other.instances[0]
            octets, said, detail = self._other.data_set(other), other.sop_instance_uid, f"instead: {other.sop_instance_uid}"
        else:
            with self._lock:
                dice = random.Random(self._dice.random())
            octets, said, detail = altered(study, one, fault, dice)
        if fault or study.fault in IN_FILES or study.fault == "H8":
            named = fault or study.fault
            self._log.add(Injection(named, study.study_instance_uid, one.sop_instance_uid, detail or str(dict(study.filed))))
        part = b"--%b\r\nContent-Type: application/dicom\r\n\r\n" % BOUNDARY.encode()
        part += as_file(one.sop_class_uid, said, octets) + b"\r\n"
        return [part, part] if study.fault == "H8" else [part]


def _is_asked(one: HostileInstance, series: str, sop: str) -> bool:
    return (not series or one.series_instance_uid == series) and (not sop or one.sop_instance_uid == sop)
