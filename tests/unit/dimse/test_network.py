"""The upper layer against well-formed, lying and slow peers."""

from __future__ import annotations

import socket
import struct
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import A_ASSOCIATE

from vna_core.dicom.network import command as commands
from vna_core.dicom.network import pdu
from vna_core.dicom.network.association import Association, ConnectionLost, Context, Released
from vna_core.dicom.network.command import Command, Field
from vna_core.dicom.network.pdu import Associate, ContextResult, ProposedContext, ProtocolError, Role
from vna_core.domain.errors import PeerError

VERIFICATION = "1.2.840.10008.1.1"
IMPLICIT = "1.2.840.10008.1.2"


def pair(idle: float = 5.0, network: float = 2.0) -> tuple[Association, socket.socket]:
    listener = socket.create_server(("127.0.0.1", 0))
    other = socket.create_connection(listener.getsockname())
    ours, _ = listener.accept()
    listener.close()
    association = Association(ours, 16384, idle, network)
    association.contexts[1] = Context(1, VERIFICATION, IMPLICIT)
    return association, other


def test_another_implementation_reads_our_request_and_acceptance() -> None:
    asked = Associate(
        "CALLED",
        "CALLING",
        65536,
        proposed=(ProposedContext(1, VERIFICATION, (IMPLICIT, "1.2.840.10008.1.2.1")),),
        roles=(Role("1.2.840.10008.5.1.4.1.1.2", False, True),),
    )
    theirs = A_ASSOCIATE_RQ()
    theirs.decode(pdu.encode_associate(asked))
    primitive = theirs.to_primitive()
    assert isinstance(primitive, A_ASSOCIATE)
    assert (primitive.called_ae_title, primitive.calling_ae_title) == ("CALLED", "CALLING")
    assert [str(s) for s in primitive.presentation_context_definition_list[0].transfer_syntax] == [
        IMPLICIT,
        "1.2.840.10008.1.2.1",
    ]
    accepted = A_ASSOCIATE_AC()
    accepted.decode(pdu.encode_associate(Associate("CALLED", "CALLING", 65536, results=(ContextResult(1, 0, IMPLICIT),))))
    assert accepted.presentation_context[0].result == 0


def test_what_we_write_we_read() -> None:
    asked = Associate("A", "B", 1 << 18, proposed=(ProposedContext(3, "1.2", ("1.3", "1.4")),), extended={"1.2": b"\x01\x00"})
    again = pdu.decode_associate(memoryview(pdu.encode_associate(asked))[6:])
    assert (again.called, again.calling, again.max_length, again.proposed, again.extended) == (
        "A", "B", 1 << 18, asked.proposed, asked.extended,
    )  # fmt: skip


@given(st.binary(max_size=600))
@settings(max_examples=300, deadline=None)
def test_garbage_is_a_protocol_error_and_nothing_else(octets: bytes) -> None:
    for decode in (lambda: pdu.decode_associate(memoryview(octets)), lambda: commands.decode(octets)):
        try:
            decode()
        except ProtocolError:
            continue


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_a_damaged_request_is_read_or_refused(data: st.DataObject) -> None:
    whole = bytearray(pdu.encode_associate(Associate("A", "B", proposed=(ProposedContext(1, "1.2.3", ("1.2",)),)))[6:])
    for _ in range(data.draw(st.integers(1, 6))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        pdu.decode_associate(memoryview(bytes(whole)))
    except ProtocolError:
        return


@given(
    st.dictionaries(
        st.sampled_from(
            [commands.MESSAGE_ID, commands.STATUS, commands.AFFECTED_SOP_CLASS, commands.ERROR_COMMENT, commands.FAILED]
        ),
        st.none(),
    ),
    st.integers(0, 0xFFFF),
)
def test_command_sets_come_back(elements: dict[int, None], number: int) -> None:
    command: Command = {commands.COMMAND_FIELD: Field.ECHO_RQ}
    for element in elements:
        command[element] = "1.2.3" if element in (commands.AFFECTED_SOP_CLASS, commands.ERROR_COMMENT) else number
    assert commands.decode(commands.encode(command)) == command


def test_a_message_cut_into_single_octets_arrives_whole() -> None:
    association, other = pair()
    octets = commands.encode({commands.COMMAND_FIELD: Field.ECHO_RQ, commands.MESSAGE_ID: 7, commands.DATA_SET_TYPE: 0x0101})
    whole = b"".join(
        struct.pack(">BBIIBB", 4, 0, 7, 3, 1, 3 if at == len(octets) - 1 else 1) + octets[at : at + 1]
        for at in range(len(octets))
    )

    def drip() -> None:
        for at in range(0, len(whole), 3):
            other.sendall(whole[at : at + 3])

    threading.Thread(target=drip).start()
    assert commands.number(association.receive().command, commands.MESSAGE_ID) == 7


@pytest.mark.parametrize(
    "octets",
    [
        struct.pack(">BBI", 9, 0, 4) + bytes(4),
        struct.pack(">BBI", 4, 0, 0xFFFFFFF0),
        struct.pack(">BBI", 4, 0, 4) + bytes(4),
        struct.pack(">BBIIBB", 4, 0, 8, 4, 1, 2) + b"ab",
        struct.pack(">BBIIBB", 4, 0, 8, 400, 1, 3) + b"ab",
        struct.pack(">BBIIBB", 4, 0, 8, 4, 77, 3) + b"ab",
        struct.pack(">BBIIBB", 4, 0, 8, 4, 1, 3) + b"ab",
        struct.pack(">BBI", 1, 0, 68) + bytes(68),
    ],
    ids=[
        "unknown type",
        "huge",
        "short value",
        "data before command",
        "long value",
        "unknown context",
        "no command",
        "second request",
    ],
)
def test_lies_end_the_association(octets: bytes) -> None:
    association, other = pair()
    other.sendall(octets)
    with pytest.raises(PeerError):
        association.receive()


@pytest.mark.parametrize("limit", [1, 6, 7])
def test_who_takes_pdus_in_which_nothing_fits_is_no_peer(limit: int) -> None:
    """A fragment has six octets before its own: with a limit like this a message would never come to its end."""
    asked = pdu.encode_associate(Associate("A", "B", limit, proposed=(ProposedContext(1, VERIFICATION, (IMPLICIT,)),)))
    with pytest.raises(ProtocolError, match="nothing can be sent"):
        pdu.decode_associate(memoryview(asked)[6:])


@pytest.mark.parametrize("limit", [0, 8, 9, 16383, 16384])
@pytest.mark.parametrize("cut", [(3, 5), (1, 1), (0, 70_001), (70_001, 70_000)])
def test_fragments_are_within_the_limit_and_even_up_to_the_last(limit: int, cut: tuple[int, int]) -> None:
    """DCMTK ends the association over a fragment of odd length."""
    association, other = pair()
    association.peer_limit = limit
    whole = bytes(range(256)) * 300
    pieces = [whole[: cut[0]], whole[cut[0] : sum(cut)], whole[sum(cut) :]]
    sender = threading.Thread(target=association.send, args=(1, {commands.COMMAND_FIELD: Field.STORE_RQ}, pieces))
    sender.start()
    fragments, longest, last, stream = list[bytes](), 0, False, other.makefile("rb")
    while not last:
        kind, _, length = struct.unpack(">BBI", stream.read(6))
        size, _context, control = struct.unpack(">IBB", stream.read(6))
        content = stream.read(size - 2)
        assert (kind, length) == (4, size + 4)
        longest = max(longest, length)
        last = control == 2
        fragments += [] if control & 1 else [content]
    sender.join()
    assert b"".join(fragments) == whole
    assert all(len(fragment) % 2 == 0 for fragment in fragments[:-1])
    assert not limit or longest <= limit


def test_an_empty_number_is_as_good_as_none() -> None:
    asked = commands.encode({commands.COMMAND_FIELD: Field.STORE_RQ, commands.MESSAGE_ID: 3})
    asked += struct.pack("<HHI", 0, commands.MOVE_ORIGINATOR_MESSAGE, 0)
    assert commands.decode(asked) == {commands.COMMAND_FIELD: Field.STORE_RQ, commands.MESSAGE_ID: 3}


def test_a_silent_peer_is_given_up() -> None:
    association, _other = pair(idle=0.3)
    begin = time.monotonic()
    with pytest.raises(ConnectionLost):
        association.receive()
    assert time.monotonic() - begin < 60


def test_whoever_waits_for_an_answer_looks_round_until_the_peer_is_given_up() -> None:
    association, other = pair()
    begun, looks = time.monotonic(), list[float]()
    with pytest.raises(ConnectionLost):
        association.response(3.0, lambda: looks.append(time.monotonic()))
    assert time.monotonic() - max(looks) < 2.5, "nothing is waited for behind the last look, but for the time until the next"
    assert looks[0] - begun < 2.5
    other.close()


def test_whoever_waits_looks_round_behind_what_stands_aside_as_well() -> None:
    association, other = pair()
    cancel = commands.encode({commands.COMMAND_FIELD: Field.CANCEL_RQ, commands.RESPONDED_TO: 7, commands.DATA_SET_TYPE: 0x0101})
    [buffers] = pdu.data_pdus(1, True, [memoryview(cancel)], True, 16384)
    other.sendall(b"".join(buffers))

    def look() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        association.response(60.0, look)
    assert association.is_cancelled(7)
    other.close()


def test_a_peer_that_stops_inside_a_message_is_given_up() -> None:
    association, other = pair(idle=30.0, network=1.0)
    other.sendall(struct.pack(">BBI", 4, 0, 100) + b"abc")
    with pytest.raises(ConnectionLost):
        association.receive()


def exchanged(rounds: int) -> list[int]:
    """TCP_QUICKACK after each request of a conversation, as the kernel tells it."""
    association, other = pair()
    octets = commands.encode({commands.COMMAND_FIELD: Field.ECHO_RQ, commands.MESSAGE_ID: 7, commands.DATA_SET_TYPE: 0x0101})
    quick = []
    for _ in range(rounds):
        other.sendall(struct.pack(">BBIIBB", 4, 0, len(octets) + 6, len(octets) + 2, 1, 3) + octets)
        association.receive()
        quick.append(association.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK))
        association.send(1, {commands.COMMAND_FIELD: Field.ECHO_RSP, commands.STATUS: 0})
        assert other.recv(4096)
    assert association.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    return quick


def test_what_arrives_is_acknowledged_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sender with Nagle's algorithm waits up to 40 ms for a delayed acknowledgement, before the last segment of each message."""
    assert exchanged(8) == [1] * 8
    monkeypatch.setattr("vna_core.dicom.network.association._QUICKACK", None)
    assert 0 in exchanged(8)  # left to itself, the kernel delays acknowledgements in a conversation


def test_a_release_is_answered() -> None:
    association, other = pair()
    other.sendall(pdu.RELEASE_RQ)
    with pytest.raises(Released):
        association.receive()
    assert other.recv(10) == pdu.RELEASE_RP


def test_a_data_set_larger_than_every_buffer_goes_through_a_sink() -> None:
    association, other = pair()
    sender = Association(other, 16384, 5.0, 5.0)
    sender.contexts[1] = Context(1, "1.2", IMPLICIT)
    sender.peer_limit = 16384
    payload = bytes(range(256)) * 9000
    got = bytearray()

    class Collector:
        def write(self, piece: memoryview) -> None:
            got.extend(piece)

    command: Command = {commands.COMMAND_FIELD: Field.STORE_RQ, commands.MESSAGE_ID: 1}
    thread = threading.Thread(target=sender.send, args=(1, command, [payload[:100_001], payload[100_001:]]))
    thread.start()
    message = association.receive(lambda _context, _command: Collector())
    thread.join()
    assert message.data is None and bytes(got) == payload
