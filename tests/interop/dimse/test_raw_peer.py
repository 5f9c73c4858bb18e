"""Octets that no toolkit sends: associations that cannot be meant, and a peer that asks on before it has answered."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.peers.archive import ServedArchive
from vna_core.dicom.network import command as commands
from vna_core.dicom.network import pdu
from vna_core.dicom.network.association import Association, Message
from vna_core.dicom.network.command import Command, Field
from vna_core.dicom.network.identifier import Identifier, decode_identifier, encode_identifier
from vna_core.dicom.network.pdu import Associate, ProposedContext
from vna_core.dicom.network.requestor import request
from vna_core.testing import phantoms
from vna_core.testing.fill import fill

VERIFICATION = "1.2.840.10008.1.1"
COMMITMENT, COMMITMENT_INSTANCE = "1.2.840.10008.1.20.1", "1.2.840.10008.1.20.1.1"
IMPLICIT = "1.2.840.10008.1.2"
TRANSACTION, REFERENCED, FAILED = 0x00081195, 0x00081199, 0x00081198


@pytest.fixture(scope="module", autouse=True)
def stored(archive: ServedArchive) -> None:
    assert fill("127.0.0.1", archive.dimse_port, "VNA", phantoms.series(3)).accepted == 3


def answer_to(archive: ServedArchive, asked: bytes) -> bytes:
    """The PDU with which an association request is answered."""
    with socket.create_connection(("127.0.0.1", archive.dimse_port), timeout=20) as connection:
        connection.sendall(asked)
        stream = connection.makefile("rb")
        header = stream.read(6)
        return bytes(header + stream.read(int.from_bytes(header[2:], "big")))


def asked_for(limit: int = 16384) -> bytes:
    return pdu.encode_associate(Associate("VNA", "RAW", limit, proposed=(ProposedContext(1, VERIFICATION, (IMPLICIT,)),)))


def test_another_application_context_is_rejected(archive: ServedArchive) -> None:
    """PS3.8 table 9-21: permanently, by the service user, application context name not supported."""
    other = asked_for().replace(b"1.2.840.10008.3.1.1.1", b"1.2.840.10008.3.1.1.9")
    assert answer_to(archive, other) == pdu.reject(1, 1, 2)


def test_another_version_of_the_protocol_is_rejected(archive: ServedArchive) -> None:
    """PS3.8 table 9-21: permanently, by the service provider (ACSE), protocol version not supported."""
    whole = asked_for()
    assert answer_to(archive, whole[:6] + struct.pack(">H", 2) + whole[8:]) == pdu.reject(1, 2, 2)
    assert answer_to(archive, whole[:6] + struct.pack(">H", 3) + whole[8:])[0] == pdu.Type.ASSOCIATE_AC


def test_who_takes_pdus_in_which_nothing_fits_is_aborted(archive: ServedArchive) -> None:
    assert answer_to(archive, asked_for(6))[0] == pdu.Type.ABORT
    assert answer_to(archive, asked_for(8))[0] == pdu.Type.ASSOCIATE_AC


@contextmanager
def conversation(archive: ServedArchive, *classes: str, calling: str = "RAW") -> Iterator[Association]:
    contexts = [(one, (IMPLICIT,)) for one in classes]
    association = request("127.0.0.1", archive.dimse_port, called="VNA", calling=calling, contexts=contexts)
    yield association
    association.release()


def commit(association: Association, sops: list[str], transaction: str, **changed: int | str) -> None:
    """Send N-ACTION-RQ."""
    asked: Command = {
        commands.REQUESTED_SOP_CLASS: changed.get("sop_class", COMMITMENT),
        commands.COMMAND_FIELD: Field.ACTION_RQ,
        commands.MESSAGE_ID: 9,
        commands.REQUESTED_SOP_INSTANCE: changed.get("instance", COMMITMENT_INSTANCE),
        commands.ACTION_TYPE: changed.get("action", 1),
    }
    items = {REFERENCED: [Identifier({0x00081150: (phantoms.CT,), 0x00081155: (sop,)}) for sop in sops]}
    association.send(1, asked, [encode_identifier({TRANSACTION: (transaction,)}, IMPLICIT, items)])


def number(message: Message, element: int) -> int:
    return commands.number(message.command, element, -1)


def taken(association: Association, report: Message) -> None:
    """Answer N-EVENT-REPORT-RQ with success."""
    answer: Command = {
        commands.COMMAND_FIELD: Field.EVENT_REPORT_RSP,
        commands.RESPONDED_TO: number(report, commands.MESSAGE_ID),
        commands.STATUS: 0,
    }
    association.send(report.context_id, answer)


def test_whoever_asks_on_before_it_takes_the_report_is_answered(archive: ServedArchive) -> None:
    """The window of operations and that of notifications are two (PS3.7 D.3.3.3): a report on its way keeps no request waiting."""
    held = phantoms.uid(2, 1, 1)
    with conversation(archive, COMMITMENT, VERIFICATION) as association:
        commit(association, [held], "2.25.71")
        assert number(association.receive(), commands.STATUS) == 0
        first = association.receive()
        association.send(3, {commands.COMMAND_FIELD: Field.ECHO_RQ, commands.MESSAGE_ID: 10})
        echoed = association.receive()
        assert (number(echoed, commands.COMMAND_FIELD), number(echoed, commands.STATUS)) == (Field.ECHO_RSP, 0)
        commit(association, [held, "1.2.404"], "2.25.72")
        assert number(association.receive(), commands.STATUS) == 0
        second = association.receive()
        assert {number(one, commands.COMMAND_FIELD) for one in (first, second)} == {Field.EVENT_REPORT_RQ}
        assert number(first, commands.MESSAGE_ID) != number(second, commands.MESSAGE_ID)
        assert (number(first, commands.EVENT_TYPE), number(second, commands.EVENT_TYPE)) == (1, 2)
        taken(association, second)
        taken(association, first)
        association.send(3, {commands.COMMAND_FIELD: Field.ECHO_RQ, commands.MESSAGE_ID: 11})
        assert number(association.receive(), commands.RESPONDED_TO) == 11


def test_a_report_names_no_empty_sequence(archive: ServedArchive) -> None:
    """Referenced SOP Sequence has items or is not there (PS3.4 table J.3-2)."""
    with conversation(archive, COMMITMENT) as association:
        commit(association, ["1.2.404"], "2.25.73")
        assert number(association.receive(), commands.STATUS) == 0
        report = association.receive()
        told = decode_identifier(report.data or b"", IMPLICIT)
        taken(association, report)
    assert set(told.items) == {FAILED}


@pytest.mark.parametrize(
    ("changed", "status"),
    [({"sop_class": VERIFICATION}, 0x0118), ({"instance": "1.2.3"}, 0x0112), ({"action": 2}, 0x0123)],
)
def test_a_commitment_request_that_is_none_is_refused(archive: ServedArchive, changed: dict[str, int | str], status: int) -> None:
    """Statuses of N-ACTION (PS3.7 section 10.1.4.1.10)."""
    with conversation(archive, COMMITMENT) as association:
        commit(association, [phantoms.uid(2, 1, 1)], "2.25.74", **changed)
        assert number(association.receive(), commands.STATUS) == status


def test_a_commitment_request_without_instances_is_refused(archive: ServedArchive) -> None:
    with conversation(archive, COMMITMENT) as association:
        commit(association, [], "2.25.75")
        assert number(association.receive(), commands.STATUS) == 0x0115
