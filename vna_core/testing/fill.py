"""Sends instances to a PACS over DIMSE, as they are."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from vna_core.configuration import IngestSettings
from vna_core.dicom.network import command as commands
from vna_core.dicom.network.association import Association
from vna_core.dicom.network.command import Command, Field
from vna_core.dicom.network.requestor import request
from vna_core.domain.errors import VnaError
from vna_core.domain.octets import Octets, ReceivedInstance, Source
from vna_core.ingest.identify import identify


@dataclass(frozen=True, slots=True)
class Filled:
    """How many files were offered to the PACS, how many it answered with success, and how many SOP Instance UIDs those have."""

    offered: int
    accepted: int
    instances: int


@dataclass(frozen=True, slots=True)
class _Sendable:
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    data_set: bytes


def fill(host: str, port: int, called: str, files: Iterable[bytes], calling: str = "MODALITY") -> Filled:
    """Send Part 10 files, an association for each class and transfer syntax. Files that no sender could send are left out."""
    groups: dict[tuple[str, str], list[_Sendable]] = defaultdict(list)
    for octets in files:
        one = _sendable(octets)
        if one is not None:
            groups[one.sop_class_uid, one.transfer_syntax_uid].append(one)
    offered, accepted = 0, list[str]()
    for (sop_class, syntax), group in groups.items():
        offered += len(group)
        association = request(host, port, called=called, calling=calling, contexts=[(sop_class, (syntax,))], max_pdu=131_072)
        if association.contexts:
            accepted += [one.sop_instance_uid for number, one in enumerate(group, 1) if _store(association, one, number)]
        association.release()
    return Filled(offered, len(accepted), len(set(accepted)))


def _sendable(octets: bytes) -> _Sendable | None:
    received = ReceivedInstance(
        Octets(len(octets), hashlib.sha256(octets).hexdigest(), memory=octets), Source("file"), datetime.now(UTC)
    )
    try:
        parsed = identify(received, IngestSettings())
    except VnaError:
        return None
    sop_class, sop = parsed.file_meta.get(0x00020002, ""), parsed.file_meta.get(0x00020003, "")
    agrees = parsed.declared_transfer_syntax_uid == parsed.transfer_syntax_uid
    if not (sop_class and sop and agrees and not parsed.unfolded and octets[128:132] == b"DICM"):
        return None
    return _Sendable(sop_class, sop, parsed.transfer_syntax_uid, octets[parsed.data_set_offset :])


def _store(association: Association, one: _Sendable, number: int) -> bool:
    context = next(iter(association.contexts))
    asked: Command = {
        commands.AFFECTED_SOP_CLASS: one.sop_class_uid,
        commands.COMMAND_FIELD: Field.STORE_RQ,
        commands.MESSAGE_ID: number & 0xFFFF,
        commands.PRIORITY: 0,
        commands.AFFECTED_SOP_INSTANCE: one.sop_instance_uid,
    }
    association.send(context, asked, [one.data_set])
    return commands.number(association.receive().command, commands.STATUS, 0xC000) in (0, 0xB000, 0xB006, 0xB007)
