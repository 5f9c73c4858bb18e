"""A source in memory that answers as told: with a silent or a spoken cap, with odd dates, and with what was done to it since."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator
from dataclasses import dataclass, field

from vna_core.domain.deadline import Deadline
from vna_core.domain.errors import AnswerCapped
from vna_core.domain.query import Between, Query, Wildcard
from vna_core.ports.pacs import Deliver, DicomJson, FetchReport, InventoriedInstance, PacsAbilities, PacsAdapter


@dataclass(frozen=True)
class Study:
    """One study of the source."""

    uid: str
    patient: str = "P"
    date: str = "20200101"
    time: str = "120000"
    instances: tuple[str, ...] = ()
    description: str = ""


@dataclass
class ListedSource(PacsAdapter):
    """Answers at study level; `cap` answers at most, which it says only where `says_so`. `told`: it counts instances."""

    studies: list[Study]
    cap: int | None = None
    says_so: bool = False
    told: bool = True
    name: str = "listed"
    asked: list[str] = field(default_factory=list)

    def probe(self, thorough: bool = False) -> PacsAbilities:
        return PacsAbilities("get", False, 2)

    def find(self, query: Query, *, attributes: tuple[int, ...] = (), deadline: Deadline | None = None) -> Iterator[DicomJson]:
        matching = [one for one in self.studies if self._matches(one, query)]
        for one in matching[: self.cap]:
            answer = {
                "0020000D": one.uid,
                "00100020": one.patient,
                "00080020": one.date,
                "00080030": one.time,
                "00081030": one.description,
            }
            if self.told:
                answer["00201208"] = str(len(one.instances))
            yield {tag: {"vr": "LO", "Value": [value]} for tag, value in answer.items() if value}
        if self.says_so and self.cap is not None and len(matching) > self.cap:
            raise AnswerCapped("There are more.", answers=self.cap)

    @staticmethod
    def _matches(study: Study, query: Query) -> bool:
        for condition in query.conditions:
            if isinstance(condition, Between):
                value = study.date if condition.tag == 0x00080020 else study.time
                if not value or not condition.low <= value <= condition.high:
                    return False
            elif isinstance(condition, Wildcard) and not fnmatch.fnmatchcase(study.patient, condition.pattern):
                return False
        return True

    def inventory(self, study_instance_uid: str, *, deadline: Deadline | None = None) -> Iterator[InventoriedInstance]:
        self.asked.append(study_instance_uid)
        for one in self.studies:
            if one.uid == study_instance_uid:
                yield from (InventoriedInstance(one.uid, f"{one.uid}.1", sop, "class") for sop in one.instances)

    def fetch(
        self,
        study_instance_uid: str,
        deliver: Deliver,
        series_instance_uid: str | None = None,
        sop_instance_uids: tuple[str, ...] = (),
        *,
        deadline: Deadline | None = None,
    ) -> FetchReport:
        raise NotImplementedError
