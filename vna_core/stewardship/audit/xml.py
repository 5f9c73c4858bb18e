"""Audit records as XML messages of PS3.15 section A.5.1."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from typing import Any, Final
from xml.etree.ElementTree import Element, SubElement, tostring

_ILLEGAL: Final = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What no XML 1.0 document may hold."""


def audit_message(record: dict[str, Any]) -> bytes:
    """One ``AuditMessage`` in UTF-8, without declaration."""
    message = Element("AuditMessage")
    event = record["event"]
    identification = SubElement(
        message,
        "EventIdentification",
        EventActionCode=event["action"],
        EventDateTime=event["time"],
        EventOutcomeIndicator=str(event["outcome"]),
    )
    _code(identification, "EventID", event["id"])
    if "type" in event:
        _code(identification, "EventTypeCode", event["type"])
    if "description" in event:
        SubElement(identification, "EventOutcomeDescription").text = _legal(event["description"])
    for participant in record["participants"]:
        attributes = {"UserID": _legal(participant["user_id"]), "UserIsRequestor": str(participant["requestor"]).lower()}
        if "network_access_point" in participant:
            attributes["NetworkAccessPointID"] = _legal(participant["network_access_point"])
            attributes["NetworkAccessPointTypeCode"] = str(participant["network_access_point_type"])
        _code(SubElement(message, "ActiveParticipant", attributes), "RoleIDCode", participant["role"])
    source = record["source"]
    named = {"AuditSourceID": _legal(source["id"])} | (
        {"AuditEnterpriseSiteID": _legal(source["site"])} if source["site"] else {}
    )
    SubElement(SubElement(message, "AuditSourceIdentification", named), "AuditSourceTypeCode", {"csd-code": source["type"]})
    for one in record["objects"]:
        _object(message, one, event)
    content: bytes = tostring(message, encoding="utf-8")
    return content


def _object(message: Element, one: dict[str, Any], event: dict[str, Any]) -> None:
    element = SubElement(
        message,
        "ParticipantObjectIdentification",
        ParticipantObjectID=_legal(one["id"]),
        ParticipantObjectTypeCode=str(one["type"]),
        ParticipantObjectTypeCodeRole=str(one["role"]),
    )
    _code(element, "ParticipantObjectIDTypeCode", one["id_type"])
    if "query" in one:
        SubElement(element, "ParticipantObjectQuery").text = one["query"]
    for name in ("emergency", "count"):
        if name in event:
            value = base64.b64encode(str(event[name]).lower().encode()).decode()
            SubElement(element, "ParticipantObjectDetail", type=name, value=value)
    if "sop_classes" in one:
        described = SubElement(element, "ParticipantObjectDescription")
        for sop_class in one["sop_classes"]:
            SubElement(described, "SOPClass", UID=_legal(sop_class["uid"]), NumberOfInstances=str(sop_class["instances"]))


def _code(parent: Element, name: str, code: Sequence[str]) -> None:
    SubElement(parent, name, {"csd-code": code[0], "codeSystemName": code[1], "originalText": code[2]})


def _legal(text: str) -> str:
    """Text that an XML document can hold; other characters are written as ``\\uXXXX``."""
    return _ILLEGAL.sub(lambda match: f"\\u{ord(match.group()):04x}", text)
