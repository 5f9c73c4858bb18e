"""What arrives from a source is kept as it came, however it is cut into pieces and whoever owns their memory."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from vna_core.domain.octets import Octets, Source
from vna_core.domain.spool import IN_MEMORY, Spool

SOURCE = Source("migration", "old")


def content(octets: Octets) -> bytes:
    return b"".join(octets.chunks())


@given(
    st.lists(
        st.tuples(st.sampled_from((0, 1, 100, 16_384, 16_385, 70_000)), st.sampled_from(("bytes", "view", "reused"))), max_size=12
    )
)
def test_pieces_of_every_kind_come_back_in_order_and_digested(pieces: list[tuple[int, str]]) -> None:
    spool, expected, buffer = Spool(SOURCE), b"", bytearray(70_000)
    for number, (size, kind) in enumerate(pieces):
        piece = bytes([number + 1]) * size
        expected += piece
        if kind == "reused":  # as an association does that reads every PDU into the same buffer
            buffer[:size] = piece
            spool.write(memoryview(buffer)[:size])
            buffer[:size] = bytes(size)
        else:
            spool.write(piece if kind == "bytes" else memoryview(b"-" + piece)[1:])
    octets = spool.finish().octets
    assert (octets.size, content(octets), octets.sha256) == (len(expected), expected, hashlib.sha256(expected).hexdigest())
    octets.close()


def test_what_does_not_fit_into_memory_goes_into_a_file_with_what_came_before() -> None:
    spool = Spool(SOURCE)
    expected = b"".join(bytes([number]) * 300_000 for number in range(20))
    assert len(expected) > IN_MEMORY
    for begin in range(0, len(expected), 300_000):
        spool.write(memoryview(expected)[begin : begin + 300_000])
    octets = spool.finish().octets
    assert octets.spooled and content(octets) == expected and octets.sha256 == hashlib.sha256(expected).hexdigest()
    octets.close()
