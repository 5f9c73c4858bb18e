"""C-MOVE to destinations that warn, refuse, fall silent or break off: its requester hears of each, and is not kept waiting by one."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.peers.archive import ServedArchive
from vna_core.dicom.network import command as commands
from vna_core.dicom.network import pdu
from vna_core.dicom.network.acceptor import accept
from vna_core.dicom.network.association import Association, Message
from vna_core.dicom.network.command import Command, Field
from vna_core.dicom.network.identifier import decode_identifier, encode_identifier
from vna_core.dicom.network.requestor import request
from vna_core.domain.errors import PeerError
from vna_core.testing import phantoms
from vna_core.testing.fill import fill

STUDY_MOVE, IMPLICIT = "1.2.840.10008.5.1.4.1.2.2.2", "1.2.840.10008.1.2"
COUNT = 8
MESSAGE_ID = 5
Answer = Callable[[Association, Message, int], None]
"""What a destination does with a C-STORE request, of which it is told the number on all its associations."""


@pytest.fixture(scope="module", autouse=True)
def stored(archive: ServedArchive) -> None:
    assert fill("127.0.0.1", archive.dimse_port, "VNA", phantoms.series(COUNT)).accepted == COUNT


class Destination:
    """Accepts associations one after the other and answers as it is told."""

    def __init__(self, port: int, answer: Answer) -> None:
        self.listener = socket.create_server(("127.0.0.1", port))
        self.associations = 0
        self.requests = 0
        self._answer = answer
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:  # the listener was closed
                return
            self.associations += 1
            association = Association(connection, 16384, 30.0, 30.0)
            try:
                accept(association, lambda proposed: proposed.transfer_syntaxes[0])
                while True:
                    message = association.receive()
                    self.requests += 1
                    self._answer(association, message, self.requests)
            except Exception as ended:
                if not isinstance(ended, PeerError) and type(ended).__name__ != "Released":
                    raise
            finally:
                association.close()


@contextmanager
def destination(port: int, answer: Answer) -> Iterator[Destination]:
    serving = Destination(port, answer)
    try:
        yield serving
    finally:
        serving.listener.shutdown(socket.SHUT_RDWR)
        serving.listener.close()
        serving.thread.join(40)


def answered(association: Association, message: Message, status: int) -> None:
    response: Command = {
        commands.COMMAND_FIELD: Field.STORE_RSP,
        commands.RESPONDED_TO: commands.number(message.command, commands.MESSAGE_ID),
        commands.STATUS: status,
    }
    association.send(message.context_id, response)


@contextmanager
def moving(archive: ServedArchive) -> Iterator[Association]:
    """An association on which a C-MOVE of the study was asked for."""
    contexts = [(STUDY_MOVE, (IMPLICIT,))]
    association = request("127.0.0.1", archive.dimse_port, called="VNA", calling="MOVER", contexts=contexts)
    asked: Command = {
        commands.AFFECTED_SOP_CLASS: STUDY_MOVE,
        commands.COMMAND_FIELD: Field.MOVE_RQ,
        commands.MESSAGE_ID: MESSAGE_ID,
        commands.PRIORITY: 0,
        commands.MOVE_DESTINATION: "STORESCP",
    }
    identifier = encode_identifier({0x00080052: ("STUDY",), 0x0020000D: (phantoms.uid(2),)}, IMPLICIT)
    association.send(1, asked, [identifier])
    yield association
    association.release()


def final(association: Association) -> tuple[Message, list[str]]:
    """The final response, and the instances it says have failed."""
    while True:
        message = association.receive()
        if commands.number(message.command, commands.STATUS) != 0xFF00:
            failed = decode_identifier(message.data or b"", IMPLICIT).values.get(0x00080058, ())
            return message, list(failed)


def counts(message: Message) -> tuple[int, int, int, int, int]:
    """Status, and remaining (-1: not told), completed, failed and warning sub-operations."""
    named = (commands.STATUS, commands.REMAINING, commands.COMPLETED, commands.FAILED, commands.WARNING)
    status, *rest = (commands.number(message.command, one, -1) for one in named)
    return status, rest[0], rest[1], rest[2], rest[3]


@pytest.mark.parametrize("warning", [0x0001, 0x0107, 0x0116, 0xB000, 0xB007])
def test_an_instance_that_was_stored_with_a_warning_has_not_failed(archive: ServedArchive, store_port: int, warning: int) -> None:
    with destination(store_port, lambda association, message, _: answered(association, message, warning)), moving(archive) as one:
        message, failed = final(one)
    assert counts(message) == (0xB000, -1, 0, 0, COUNT)
    assert failed == []


def test_what_failed_before_a_cancel_is_named(archive: ServedArchive, store_port: int) -> None:
    """PS3.4 C.4.2.1.4.2. The third instance is never answered: the cancel is heard all the same, and pending responses before it."""
    reached = threading.Event()

    def answer(association: Association, message: Message, number: int) -> None:
        if number < 3:
            answered(association, message, (0x0000, 0xA900)[number - 1])
        else:
            reached.set()
            association.receive()

    with destination(store_port, answer), moving(archive) as one:
        assert reached.wait(30)
        one.send(1, {commands.COMMAND_FIELD: Field.CANCEL_RQ, commands.RESPONDED_TO: MESSAGE_ID})
        message, failed = final(one)
    assert counts(message) == (0xFE00, COUNT - 3, 1, 2, 0)
    assert failed == [phantoms.uid(2, 1, 2), phantoms.uid(2, 1, 3)]


def test_a_destination_is_left_when_nobody_asks_any_more(archive: ServedArchive, store_port: int) -> None:
    reached, left = threading.Event(), threading.Event()

    def answer(association: Association, message: Message, number: int) -> None:
        reached.set()
        try:
            association.receive()
        except PeerError:
            left.set()
            raise

    with destination(store_port, answer) as there:
        with moving(archive) as one:
            assert reached.wait(30)
            one.abort(0)
        assert left.wait(20)
    assert there.requests == 1


def test_a_destination_that_breaks_off_again_and_again_is_given_up(archive: ServedArchive, store_port: int) -> None:
    def answer(association: Association, message: Message, number: int) -> None:
        association.send_octets([pdu.abort(0)])

    with destination(store_port, answer) as there, moving(archive) as one:
        message, failed = final(one)
    assert counts(message) == (0xA702, -1, 0, COUNT, 0)
    assert len(failed) == COUNT
    assert (there.associations, there.requests) == (3, 3)
    assert commands.text(message.command, commands.ERROR_COMMENT) == "The peer aborted the association."


def test_one_instance_over_which_a_destination_breaks_off_leaves_the_others(archive: ServedArchive, store_port: int) -> None:
    def answer(association: Association, message: Message, number: int) -> None:
        if number % 2:
            association.send_octets([pdu.abort(0)])
        else:
            answered(association, message, 0)

    with destination(store_port, answer), moving(archive) as one:
        message, failed = final(one)
    assert counts(message) == (0xB000, -1, COUNT // 2, COUNT // 2, 0)
    assert failed == [phantoms.uid(2, 1, number) for number in range(1, COUNT, 2)]


def test_a_destination_that_is_not_there_is_told(archive: ServedArchive) -> None:
    with moving(archive) as one:
        message, failed = final(one)
    assert counts(message) == (0xA702, -1, 0, COUNT, 0)
    assert commands.text(message.command, commands.ERROR_COMMENT).startswith("No connection to STORESCP")
    assert len(failed) == COUNT
