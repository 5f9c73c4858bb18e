"""Audit events as records with the content of PS3.15 section A.5, in JSON."""

from __future__ import annotations

import base64
from typing import Any, Final

from vna_core.domain.access import PrincipalKind
from vna_core.domain.audit import AuditEvent, AuditEventId, StudyObject

_SOURCE_ROLE: Final = ("110153", "DCM", "Source Role ID")
_DESTINATION_ROLE: Final = ("110152", "DCM", "Destination Role ID")
_STUDY_ID: Final = ("110180", "DCM", "Study Instance UID")
_PATIENT_ID: Final = ("2", "RFC-3881", "Patient Number")
_QUERY_ID: Final = ("110181", "DCM", "SOP Class UID")
_ADDRESS: Final = 2
"""Network Access Point Type Code: an IP address."""


def record_of(event: AuditEvent, site: str, system: str) -> dict[str, Any]:
    """The record of an event. `system` names this archive and process."""
    principal = event.principal
    asker: dict[str, Any] = {
        "user_id": principal.name,
        "kind": principal.kind.value,
        "requestor": True,
        "role": _SOURCE_ROLE if event.event is AuditEventId.RECEIVED else _DESTINATION_ROLE,
    }
    if principal.kind is not PrincipalKind.LOCAL and principal.address:
        asker |= {"network_access_point": principal.address, "network_access_point_type": _ADDRESS}
    participants = [asker, {"user_id": system, "requestor": False, "role": _SOURCE_ROLE}]
    if event.event is AuditEventId.RECEIVED:
        participants[1]["role"] = _DESTINATION_ROLE
    if event.destination:
        participants.append({"user_id": event.destination, "requestor": False, "role": _DESTINATION_ROLE})
    identification: dict[str, Any] = {
        "id": (event.event.code, "DCM", event.event.meaning),
        "action": event.event.action,
        "time": event.at.isoformat(timespec="microseconds"),
        "outcome": int(event.outcome),
    }
    if event.type_code[0]:
        identification["type"] = (event.type_code[0], "DCM", event.type_code[1])
    if event.description:
        identification["description"] = event.description
    if event.emergency:
        identification["emergency"] = True
    if event.count != 1:
        identification["count"] = event.count
    return {
        "event": identification,
        "participants": participants,
        "source": {"id": system, "site": site, "type": "4"},
        "objects": [*(one for study in event.studies for one in _objects(study)), *_query(event)],
    }


def _objects(study: StudyObject) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if study.study_instance_uid:
        found.append({"id": study.study_instance_uid, "id_type": _STUDY_ID, "type": 2, "role": 3})
        if study.instances:
            found[0]["sop_classes"] = [{"uid": uid, "instances": number} for uid, number in study.instances]
    if study.patient_id or study.issuer:
        qualified = f"{study.patient_id}^^^{study.issuer}" if study.issuer else study.patient_id
        found.append({"id": qualified, "id_type": _PATIENT_ID, "type": 1, "role": 1})
    return found


def _query(event: AuditEvent) -> list[dict[str, Any]]:
    if not event.query:
        return []
    content = base64.b64encode(event.query.encode("utf-8", "surrogatepass")).decode()
    return [{"id": "query", "id_type": _QUERY_ID, "type": 2, "role": 24, "query": content}]
