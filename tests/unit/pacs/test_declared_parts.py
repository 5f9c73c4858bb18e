"""Parts that tell their length come as they do where it is not told, whatever they tell."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.pacs.test_hostile_web import answer, dicomweb, speaking
from vna_core.domain.errors import PeerError, PeerUnavailable, VnaError
from vna_core.domain.octets import ReceivedInstance
from vna_core.domain.spool import IN_MEMORY

KIND = 'multipart/related; type="application/dicom"; boundary=b'
DELIMITER = b"\r\n--b"

pieces = [b"DICM", DELIMITER, DELIMITER + b"\r\n", DELIMITER + b"--", b"\r\n", b"\r\n--", b"x" * 5000]
contents = st.lists(st.sampled_from(pieces), max_size=5).map(b"".join)
plain = contents.filter(lambda content: DELIMITER not in content)
lengths = st.sampled_from(["right", "none", "0", "1", "5000", "99999999", "-4", "٤", "9" * 40, "four"])
fields = st.sampled_from([b"", b"Content-Location: /x\r\n", b"X: y\r\n z\r\n", b"odd\n"])
bodies = st.tuples(
    st.sampled_from([b"", b"a preamble", b"\r\n"]),
    st.lists(st.tuples(plain, lengths, fields), max_size=4),
    st.sampled_from([0, 1, 4, 300]),
)


def body(preamble: bytes, listed: list[tuple[bytes, str, bytes]], cut: int) -> bytes:
    """A multipart body; `cut` octets at its end are missing."""
    written = preamble
    for number, (content, told, more) in enumerate(listed):
        written += DELIMITER if written or number else DELIMITER[2:]
        written += b"\r\nContent-Type: application/dicom; transfer-syntax=1.2.840.10008.1.2.1\r\n" + more
        if told != "none":
            size = str(len(content)) if told == "right" else told
            written += f"Content-Length: {size}\r\n".encode()
        written += b"\r\n" + content
    written += DELIMITER + b"--\r\n"
    return written[: len(written) - cut]


def delivered(octets: bytes) -> tuple[list[tuple[bytes, str]], type[VnaError] | None]:
    """What an answer gives, and how it fails."""
    got: list[tuple[bytes, str]] = []

    def deliver(received: ReceivedInstance) -> None:
        got.append((b"".join(received.octets.chunks()), received.transfer_syntax_uid))
        received.octets.close()

    with speaking(lambda _: octets) as port:
        try:
            dicomweb(port).fetch("1.2.3", deliver)
        except (PeerError, PeerUnavailable) as error:
            return got, type(error)
    return got, None


@given(bodies)
def test_a_body_of_known_length_gives_what_its_parts_give(written: tuple[bytes, list[tuple[bytes, str, bytes]], int]) -> None:
    whole = body(*written)
    unknown = f"HTTP/1.1 200 OK\r\nContent-Type: {KIND}\r\n\r\n".encode() + whole
    assert delivered(answer(whole, KIND)) == delivered(unknown)


@given(st.lists(contents.filter(bool), min_size=1, max_size=4))
def test_a_right_length_tells_that_what_looks_like_a_delimiter_is_none(listed: list[bytes]) -> None:
    got, error = delivered(answer(body(b"", [(content, "right", b"") for content in listed], 0), KIND))
    assert ([content for content, _ in got], error) == (listed, None)


@pytest.mark.parametrize("lacking", [1, 100, 5003])
def test_a_part_that_is_cut_is_not_delivered(lacking: int) -> None:
    whole = body(b"", [(b"first", "right", b""), (b"x" * 5000, "right", b"")], 0)
    kept = whole[: len(whole) - len(DELIMITER + b"--\r\n") - lacking]
    got, error = delivered(answer(kept, KIND, length=len(whole)))
    assert ([content for content, _ in got], error) == ([b"first"], PeerUnavailable)


def test_what_is_too_long_for_memory_goes_to_a_file() -> None:
    large = bytes(IN_MEMORY + 1)
    spooled = []

    def deliver(received: ReceivedInstance) -> None:
        spooled.append((received.octets.spooled, received.octets.size))
        received.octets.close()

    listed = [(b"DICM", "right", b""), (large, "right", b""), (b"DICM", "right", b"")]
    with speaking(lambda _: answer(body(b"", listed, 0), KIND)) as port:
        assert dicomweb(port).fetch("1.2.3", deliver).delivered == 3
    assert spooled == [(False, 4), (True, len(large)), (False, 4)]
