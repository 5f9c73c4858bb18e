"""The multipart reader against the standard library's email package, on bodies cut into chunks anywhere."""

from __future__ import annotations

import email
import email.policy
import itertools
from collections.abc import Iterable

from hypothesis import given, settings
from hypothesis import strategies as st

from vna_core.dicom.multipart import MultipartReader, PartBegins, PartEnds, PartOctets
from vna_core.domain.errors import VnaError

BOUNDARY = "a-b"
PIECES = st.sampled_from(
    [
        b"\r\n",
        b"\r",
        b"\n",
        b"--",
        b"-",
        b"--a-b",
        b"\r\n--a-",
        b"\r\n--a-bx",
        b"a-b",
        b" ",
        b"x",
        b"\x00\xff",
        b"\r\n\r\n",
        b"A: b",
    ]
)
CONTENT = st.lists(PIECES, max_size=8).map(b"".join)
PADDING = st.sampled_from([b"", b" ", b"\t  "])
HEADERS = st.sampled_from([b"Content-Type: application/dicom\r\n", b"", b"X-Extra: 1\r\nContent-Type: a/b;\r\n  c=d\r\n"])


def read(body: bytes, cuts: Iterable[int]) -> tuple[list[tuple[dict[str, str], bytes, bool]], bool]:
    """Parts as (headers, content, whole), and whether the close delimiter was seen."""
    reader = MultipartReader(BOUNDARY)
    parts: list[tuple[dict[str, str], bytearray, list[bool]]] = []
    edges = [0, *sorted({min(cut, len(body)) for cut in cuts}), len(body)]
    events = [event for low, high in itertools.pairwise(edges) for event in list(reader.feed(body[low:high]))]
    for event in [*events, *reader.close()]:
        match event:
            case PartBegins(headers):
                parts.append((dict(headers), bytearray(), []))
            case PartOctets(octets):
                parts[-1][1].extend(octets)
            case PartEnds():
                parts[-1][2].append(True)
    return [(headers, bytes(content), whole == [True]) for headers, content, whole in parts], reader.finished


@settings(max_examples=400, deadline=None)
@given(
    preamble=st.sampled_from([b"", b"preamble\r\n", b"\r\n", b"--a-bc\r\n"]),
    parts=st.lists(st.tuples(HEADERS, CONTENT, PADDING), min_size=1, max_size=4),
    ending=st.sampled_from([b"", b"\r\n", b" \r\nepilogue --a-b\r\n--a-b\r\n"]),
    cuts=st.lists(st.integers(0, 400), max_size=6),
)
def test_every_part_comes_out_as_it_went_in_wherever_the_chunks_are_cut(
    preamble: bytes, parts: list[tuple[bytes, bytes, bytes]], ending: bytes, cuts: list[int]
) -> None:
    parts = [(headers, content, padding) for headers, content, padding in parts if not _collides(content)]
    body = preamble + b"".join(
        b"--a-b" + padding + b"\r\n" + headers + b"\r\n" + content + b"\r\n" for headers, content, padding in parts
    )
    body += b"--a-b--" + ending
    found, finished = read(body, cuts)
    assert finished
    assert [content for _, content, _ in found] == [content for _, content, _ in parts]
    assert all(whole for _, _, whole in found)
    assert [("content-type" in headers) for headers, _, _ in found] == [b"Content-Type" in headers for headers, _, _ in parts]


@settings(max_examples=200, deadline=None)
@given(
    parts=st.lists(st.tuples(HEADERS, st.text(alphabet="ab-\n:", max_size=12)), min_size=1, max_size=4),
    cuts=st.lists(st.integers(0, 200), max_size=5),
)
def test_reader_agrees_with_the_email_package_on_text(parts: list[tuple[bytes, str]], cuts: list[int]) -> None:
    contents = [content.replace("\n", "\r\n").encode() for _, content in parts]
    if any(_collides(content) for content in contents):
        return
    body = b"".join(
        b"--a-b\r\n" + headers + b"\r\n" + content + b"\r\n" for (headers, _), content in zip(parts, contents, strict=True)
    )
    body += b"--a-b--\r\n"
    message = email.message_from_bytes(
        b'Content-Type: multipart/related; boundary="a-b"\r\n\r\n' + body, policy=email.policy.HTTP
    )
    oracle = [part.get_payload(decode=True) for part in message.iter_parts()]
    assert [content for _, content, _ in read(body, cuts)[0]] == oracle


@settings(max_examples=400, deadline=None)
@given(
    body=st.lists(PIECES | st.just(b"\r\n--a-b\r\n") | st.just(b"\r\n--a-b--"), max_size=30).map(b"".join),
    cuts=st.lists(st.integers(0, 200), max_size=8),
)
def test_any_octets_read_the_same_whole_or_in_chunks(body: bytes, cuts: list[int]) -> None:
    assert read(body, cuts) == read(body, [])


@settings(max_examples=200, deadline=None)
@given(body=st.binary(max_size=400), cut=st.integers(0, 400))
def test_arbitrary_octets_never_break_the_reader(body: bytes, cut: int) -> None:
    try:
        read(b"--a-b\r\n" + body, [cut])
    except VnaError:
        raise AssertionError("no limit is near") from None


@settings(max_examples=100, deadline=None)
@given(cut=st.integers(1, 60))
def test_a_body_cut_short_never_ends_its_last_part(cut: int) -> None:
    body = b"--a-b\r\n\r\nfirst\r\n--a-b\r\n\r\nsecond and longer\r\n--a-b--"
    shortened = body[: max(0, len(body) - cut)]
    found, finished = read(shortened, [])
    assert not finished
    assert [content for _, content, whole in found if whole] in ([], [b"first"], [b"first", b"second and longer"])
    if len(shortened) < len(body) - len(b"\r\n--a-b--"):
        assert [content for _, content, whole in found if whole] in ([], [b"first"])


def _collides(content: bytes) -> bool:
    """Whether the content itself holds a delimiter line (a sender must choose another boundary then)."""
    text = b"\r\n" + content + b"\r\n"
    at = text.find(b"\r\n--a-b")
    while at != -1:
        rest = text[at + 7 :].lstrip(b" \t")
        if rest.startswith((b"\r\n", b"--")) or text[at + 7 :].removeprefix(b"--").lstrip(b" \t").startswith(b"\r\n"):
            return True
        at = text.find(b"\r\n--a-b", at + 1)
    return False
