"""How the source answers QIDO-RS (PS3.18 section 10.6), faults of pages and lists played."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from vna_core.testing.hostile_pacs.faults import FaultPlan
from vna_core.testing.hostile_pacs.injection_log import Injection, InjectionLog
from vna_core.testing.hostile_pacs.matching import CLASS, DATE, PATIENT_ID, SERIES, SOP, STUDY, answers
from vna_core.testing.hostile_pacs.played import Played
from vna_core.testing.hostile_pacs.population import Population

_NAME: Final = 0x00100010
_VRS: Final[Mapping[int, str]] = {
    STUDY: "UI",
    SERIES: "UI",
    SOP: "UI",
    CLASS: "UI",
    DATE: "DA",
    0x00080030: "TM",
    0x00080050: "SH",
    0x00080060: "CS",
    0x00080061: "CS",
    _NAME: "PN",
    PATIENT_ID: "LO",
    0x00200011: "IS",
    0x00200013: "IS",
    0x00201206: "IS",
    0x00201208: "IS",
    0x00201209: "IS",
}
"""What every answer tells, and how it is represented."""

_WARNING: Final = '299 hostile-pacs "The number of results exceeded the maximum supported by the server."'
_SHORT: Final = 3
"""Answers on a page of H4."""


@dataclass(frozen=True, slots=True)
class Found:
    """The answer to one search: a body, where it is cut, and header fields beside the usual ones."""

    body: bytes
    cut: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


class Searching:
    """Answers searches."""

    def __init__(self, population: Population, plan: FaultPlan, log: InjectionLog) -> None:
        self._population, self._plan, self._log = population, plan, log
        self._played = Played()

    def answer(self, level: str, above: Mapping[int, str], parameters: Sequence[tuple[str, str]]) -> Found:
        """One page.

        Parameters
        ----------
        above
            UIDs that the path names.
        parameters
            Those of the query, in their order.
        """
        named = dict(parameters)
        offset, limit = _number(named.get("offset"), 0), _number(named.get("limit"), 1_000_000)
        keys: dict[int, tuple[str, ...]] = dict.fromkeys(_VRS, ())
        keys |= {tag: (uid,) for tag, uid in above.items()}
        for name, value in parameters:
            if len(name) == 8 and name.isalnum() and int(name, 16) in _VRS:
                tag = int(name, 16)
                keys[tag] = tuple(value.split(",")) if _VRS[tag] == "UI" else (value,)
        rows = [_as_json(one) for one in answers(self._population, self._plan, self._log, level, keys)]
        fault = self._of_list(level, above)
        if fault == "H11":
            return Found(b"")
        page, headers = self._page(rows, offset, limit)
        body = b"" if page is None else json.dumps(page).encode()
        return Found(body, len(body) // 2 if fault == "H12" and body else None, headers)

    def _page(self, rows: list[Any], offset: int, limit: int) -> tuple[list[Any] | None, dict[str, str]]:
        """The rows of a page, None for no body at all, and header fields."""
        fault, whole = self._plan.of_source, rows[offset : offset + limit]
        if fault == "H1" and offset:
            self._log.add(Injection("H1", detail=f"the first page again at offset {offset}"))
            return rows[:limit], {}
        if fault == "H2" and rows and offset >= len(rows):
            self._log.add(Injection("H2", detail=f"begun again at offset {offset}"))
            return rows[offset % len(rows) :][:limit], {}
        if fault == "H3":
            self._log.add(Injection("H3", detail=f"{len(rows) + 7} instead of {len(rows)}"))
            return whole, {"X-Total-Count": str(len(rows) + 7)}
        if fault == "H4" and len(whole) > _SHORT:
            self._log.add(Injection("H4", detail=f"{_SHORT} of {len(whole)}"))
            return whole[:_SHORT], {"Warning": _WARNING}
        if fault == "H5" and len(rows) > self._plan.cap:
            self._log.add(Injection("H5", detail=f"stopped after {self._plan.cap} of {len(rows)}"))
            left = rows[: self._plan.cap][offset : offset + limit]
            return left, {"Warning": _WARNING} if left else {}
        if fault == "H6" and offset and whole and self._played.first("H6"):
            self._log.add(Injection("H6", detail=f"no body at offset {offset} of {len(rows)}"))
            return None, {}
        return whole, {"X-Total-Count": str(len(rows))}

    def _of_list(self, level: str, above: Mapping[int, str]) -> str:
        """The fault to play at a list of instances now."""
        study = self._population.studies.get(above.get(STUDY, ""))
        if study is None or level != "IMAGE" or study.fault not in ("H11", "H12") or not study.instances:
            return ""
        if not self._played.first(f"{study.fault}:{study.study_instance_uid}"):
            return ""
        self._log.add(Injection(study.fault, study.study_instance_uid, detail=f"{len(study.instances)} instances not listed"))
        return study.fault


def _number(text: str | None, default: int) -> int:
    return int(text) if text is not None and text.isascii() and text.isdigit() else default


def _as_json(answer: Mapping[int, tuple[str, ...]]) -> dict[str, Any]:
    """An answer in the DICOM JSON model (PS3.18 section F.2)."""
    found: dict[str, Any] = {}
    for tag, texts in answer.items():
        vr = _VRS[tag]
        values = [_value(vr, text) for text in texts if text]
        found[f"{tag:08X}"] = {"vr": vr, "Value": values} if values else {"vr": vr}
    return found


def _value(vr: str, text: str) -> Any:
    if vr == "PN":
        return {"Alphabetic": text}
    return int(text) if vr == "IS" else text
