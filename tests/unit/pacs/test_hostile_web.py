"""Sources that speak HTTP and mean no good: whatever they answer ends in one of our errors, and nothing whole is made of a part."""

from __future__ import annotations

import contextlib
import hashlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from typing import ClassVar

import pytest

from vna_core.domain.errors import AnswerCapped, NotFound, NotOffered, PeerError, PeerUnavailable
from vna_core.domain.octets import ReceivedInstance
from vna_core.domain.query import Equals, Level, Query
from vna_core.testing import phantoms
from vna_pacs_dicomweb.adapter import DicomwebAdapter
from vna_pacs_orthanc.adapter import OrthancAdapter

Script = Callable[[str], bytes]
"""Request line to the octets of the answer; the connection is closed behind them."""


@contextlib.contextmanager
def speaking(script: Script) -> Iterator[int]:
    """A server that answers by a script; its port."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                head = b""
                while b"\r\n\r\n" not in head and (piece := connection.recv(65536)):
                    head += piece
                connection.sendall(script(head.split(b"\r\n", 1)[0].decode("latin-1")))
                connection.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield int(listening.getsockname()[1])
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()


def answer(
    body: bytes, kind: str = "application/json", status: str = "200 OK", more: str = "", length: int | None = None
) -> bytes:
    size = len(body) if length is None else length
    return f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {size}\r\n{more}\r\n".encode() + body


def study(number: int) -> dict[str, object]:
    return {"0020000D": {"vr": "UI", "Value": [f"2.25.{number}"]}}


def dicomweb(port: int) -> DicomwebAdapter:
    return DicomwebAdapter.open("web", f"dicomweb+http://127.0.0.1:{port}/root?page=2", {"token": "SECRET"})


@pytest.mark.parametrize(
    ("octets", "error"),
    [
        (answer(b"[{", length=50), PeerUnavailable),
        (answer(b"<html>"), PeerError),
        (answer(b'{"a": 1}'), PeerError),
        (answer(b"[1, 2]"), PeerError),
        (answer(b"[" * 100_000), PeerError),
        (answer(b"", status="500 No"), PeerError),
        (answer(b"", status="503 Later"), PeerUnavailable),
        (answer(b"", status="401 Who"), PeerError),
        (answer(b"", status="302 There", more="Location: http://127.0.0.1:1/\r\n"), PeerError),
        (answer(b"[]", more="Content-Encoding: gzip\r\n"), PeerError),
        (b"nonsense\r\n\r\n", PeerUnavailable),
        (b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(300)) + b"\r\n", PeerUnavailable),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000 + b"\r\n\r\n", PeerUnavailable),
        (b"", PeerUnavailable),
    ],
)
def test_answers_to_a_search_that_are_none(octets: bytes, error: type[PeerError]) -> None:
    with speaking(lambda _: octets) as port, pytest.raises(error):
        list(dicomweb(port).find(Query(Level.STUDY)))


@pytest.mark.parametrize(
    "octets",
    [
        b'[{"0020000D": {"vr": "UI", "Value": ["2.25.1"]}, "00081030": {"vr": "LO", "Value": ["\\ud800"]}}]',
        b'\xef\xbb\xbf[{"0020000D": {"vr": "UI", "Value": ["2.25.1"]}}]',
        '[{"0020000D": {"vr": "UI", "Value": ["2.25.1"]}}]'.encode("utf-16"),
        b'[{"0020000D": {"vr": "UI", "Value": ["2.25.1"]}, "00281050": {"vr": "DS", "Value": [NaN]}}]',
        b'[{"0020000D": {"vr": "UI", "Value": ["2.25.1"]}, "0020000D": {"vr": "UI", "Value": ["2.25.1"]}}]',
    ],
    ids=["half-a-pair", "mark", "utf-16", "nan", "twice"],
)
def test_json_that_is_written_oddly_is_read_all_the_same(octets: bytes) -> None:
    with speaking(lambda _: answer(octets)) as port:
        (found,) = dicomweb(port).find(Query(Level.STUDY, limit=1))
    assert found["0020000D"]["Value"] == ["2.25.1"]


def test_a_source_that_gives_the_same_page_for_ever_is_told_as_capped() -> None:
    with speaking(lambda _: answer(json.dumps([study(1), study(2)]).encode())) as port, pytest.raises(AnswerCapped):
        list(dicomweb(port).find(Query(Level.STUDY)))


def test_a_source_that_knows_no_pages_and_gives_all_at_once_is_believed() -> None:
    with speaking(lambda _: answer(json.dumps([study(n) for n in range(5)]).encode())) as port:
        assert len(list(dicomweb(port).find(Query(Level.STUDY)))) == 5


def test_identifiers_are_encoded_into_the_address() -> None:
    asked: list[str] = []

    def script(line: str) -> bytes:
        asked.append(line)
        return answer(b"[]")

    with speaking(script) as port:
        list(dicomweb(port).find(Query(Level.SERIES, (Equals(0x0020000D, ("../x?y=1&z #\r\nHost: evil",)),))))
    assert asked[0].startswith("GET /root/studies/..%2Fx%3Fy%3D1%26z%20%23%0D%0AHost%3A%20evil/series?")


def parts(bodies: list[bytes], close: bool = True) -> bytes:
    out = b"".join(b"--b\r\nContent-Type: application/dicom\r\n\r\n" + body + b"\r\n" for body in bodies)
    return out + (b"--b--\r\n" if close else b"")


@pytest.mark.parametrize("cut", [10, 700, 1500])
def test_a_multipart_answer_cut_short_delivers_only_whole_parts(cut: int) -> None:
    whole = [phantoms.ct(number, 16, 16) for number in (1, 2)]
    body = parts(whole)
    taken: list[bytes] = []

    def deliver(received: ReceivedInstance) -> None:
        taken.append(bytes(received.octets.buffer))
        received.octets.close()

    for octets in (
        answer(body[:-cut], 'multipart/related; boundary="b"'),
        answer(body[:-cut], "multipart/related; boundary=b", length=len(body)),
    ):
        taken.clear()
        with speaking(lambda _, octets=octets: octets) as port, pytest.raises(PeerUnavailable):  # type: ignore[misc]
            dicomweb(port).fetch("2.25.1", deliver)
        assert taken == whole[: len(taken)] and len(taken) >= 1


@pytest.mark.parametrize(
    "octets",
    [
        answer(b"x", "text/html"),
        answer(b"x", "multipart/related"),
        answer(b"--b\r\nContent-Type: text/html\r\n\r\nx\r\n--b--", "multipart/related; boundary=b"),
        answer(b"--b\r\n" + b"X: y\r\n" * 10_000, "multipart/related; boundary=b"),
    ],
)
def test_answers_to_a_retrieval_that_are_none(octets: bytes) -> None:
    with speaking(lambda _: octets) as port, pytest.raises(PeerError):
        dicomweb(port).fetch("2.25.1", lambda received: pytest.fail("something was delivered"))


def test_a_source_that_refuses_any_transfer_syntax_is_asked_again_without_it() -> None:
    whole, asked = phantoms.ct(1, 16, 16), 0

    def script(_: str) -> bytes:
        nonlocal asked
        asked += 1
        return answer(b"", status="406 No") if asked == 1 else answer(whole, "application/dicom")

    taken: list[str] = []
    with speaking(script) as port:
        report = dicomweb(port).fetch("2.25.1", lambda received: taken.append(received.octets.sha256))
    assert (report.delivered, taken) == (1, [hashlib.sha256(whole).hexdigest()])


class OrthancScript:
    """An Orthanc with one instance whose file is damaged the first `bad` times; an old one describes no instances together."""

    def __init__(self, bad: int, status: str = "200 OK", tagged: bool = False, old: bool = False) -> None:
        self.old = old
        self.whole, self.bad, self.files, self.status = phantoms.ct(1, 16, 16), bad, 0, status
        self.digest, self.digests = hashlib.md5(self.whole).hexdigest(), 0
        self.tag = f'ETag: "0-{self.digest}"\r\n' if tagged else ""

    instance: ClassVar[dict[str, object]] = {"ID": "aa", "ParentSeries": "bb", "MainDicomTags": {"SOPInstanceUID": "2.25.9"}}

    def __call__(self, line: str) -> bytes:
        if line.startswith("POST /tools/find"):
            self.turn = getattr(self, "turn", 0) + 1
            if self.turn % 2 == 0:
                return answer(b"[]")
            tags = {"SeriesInstanceUID": "2.25.8", "Modality": "CT"}
            series = {"ID": "bb", "MainDicomTags": tags, "Instances": ["aa"]}
            return answer(json.dumps([series if self.turn == 1 else self.instance]).encode())
        if line.startswith("POST /tools/bulk-content"):
            described = {**self.instance, "Metadata": {"SopClassUid": "2.25.6"}}
            return answer(b"", status="404 Unknown") if self.old else answer(json.dumps([described]).encode())
        if line.endswith("/md5 HTTP/1.1"):
            self.digests += 1
            return answer(self.digest.encode(), "text/plain")
        self.files += 1
        octets = self.whole[:-1] + b"!" if self.files <= self.bad else self.whole
        return answer(octets, "application/dicom", self.status, self.tag)


@pytest.mark.parametrize("tagged", [False, True])
@pytest.mark.parametrize(("bad", "delivered"), [(0, 1), (1, 1), (2, 0)])
def test_a_file_that_differs_from_its_md5_is_fetched_once_more_and_never_delivered(
    bad: int, delivered: int, tagged: bool
) -> None:
    script, taken = OrthancScript(bad, tagged=tagged), []
    with speaking(script) as port:
        adapter = OrthancAdapter.open("orthanc", f"orthanc+http://127.0.0.1:{port}", {})
        report = adapter.fetch("2.25.7", lambda received: taken.append(received.octets.sha256))
        adapter.close()
    assert (report.delivered, report.failed) == (delivered, 1 - delivered)
    assert taken == [hashlib.sha256(script.whole).hexdigest()] * delivered
    assert (script.digests == 0) is tagged, "the MD5 comes with the file where Orthanc tells it there"


@pytest.mark.parametrize("old", [False, True])
def test_an_inventory_of_orthanc_has_modality_and_where_orthanc_can_tell_it_the_class(old: bool) -> None:
    with speaking(OrthancScript(0, old=old)) as port:
        adapter = OrthancAdapter.open("orthanc", f"orthanc+http://127.0.0.1:{port}", {})
        [found] = adapter.inventory("2.25.7")
        adapter.close()
    assert (found.series_instance_uid, found.sop_instance_uid, found.modality) == ("2.25.8", "2.25.9", "CT")
    assert found.sop_class_uid == ("" if old else "2.25.6")


@pytest.mark.parametrize("instances", [None, "aa", [None], ["../x"]])
def test_identifiers_of_orthanc_that_are_none_are_not_asked_for(instances: object) -> None:
    def script(line: str) -> bytes:
        series = {"ID": "bb", "MainDicomTags": {"SeriesInstanceUID": "2.25.8"}, "Instances": instances}
        first = line.startswith("POST /tools/find") and not asked
        asked.append(line)
        return answer(json.dumps([series] if first else []).encode())

    asked: list[str] = []
    with speaking(script) as port, pytest.raises(PeerError):
        list(OrthancAdapter.open("orthanc", f"orthanc+http://127.0.0.1:{port}", {}).inventory("2.25.7"))
    assert not any("bulk-content" in line for line in asked)


@pytest.mark.parametrize("status", ["404 Lost", "500 Unreadable"])
def test_a_file_that_orthanc_has_lost_is_reported(status: str) -> None:
    with speaking(OrthancScript(0, status)) as port:
        adapter = OrthancAdapter.open("orthanc", f"orthanc+http://127.0.0.1:{port}", {})
        report = adapter.fetch("2.25.7", lambda received: pytest.fail("something was delivered"))
        adapter.close()
    assert (report.delivered, report.failed) == (0, 1) and report.message


def test_what_is_no_orthanc_is_told() -> None:
    with speaking(lambda _: answer(b"{}")) as port, pytest.raises(PeerError, match="no Orthanc"):
        OrthancAdapter.open("orthanc", f"orthanc+http://127.0.0.1:{port}", {}).probe()


def test_errors_are_of_the_kinds_a_caller_tells_apart() -> None:
    for status, error in (("404 No", NotFound), ("501 No", NotOffered)):
        with speaking(lambda _, status=status: answer(b"", status=status)) as port, pytest.raises(error):  # type: ignore[misc]
            list(dicomweb(port).find(Query(Level.STUDY)))


DEEP = b'{"0040,0275":' * 400 + b"[]" + b"}" * 400


@pytest.mark.parametrize(
    ("header", "told"),
    [
        (b"[]", {}),
        (b'{"0040,0275": "R1", "00400275": [{}]}', {"00400275": {"vr": "SQ"}}),
        (b'{"0040,0275": [null, 7, "x", []]}', {"00400275": {"vr": "SQ", "Value": [{}, {}, {}, {}]}}),
        (b'{"0040,0275": [{"zz": "1", "0040,1001": null, "0040,0008": "R", "0009,1001": "p", "0020,0013": "12"}]}', 12),
        (b'{"0040,0275": [' + DEEP + b"]}", {"00400275": {"vr": "SQ", "Value": [{}]}}),
        (b"", {}),
    ],
)
def test_a_header_of_orthanc_is_believed_as_far_as_it_is_one(header: bytes, told: object) -> None:
    series = {"ID": "bb", "MainDicomTags": {"SeriesInstanceUID": "2.25.8"}, "Instances": ["aa"]}
    turns = iter([json.dumps([series]).encode(), header, b"[]"])
    with speaking(lambda _: answer(next(turns))) as port:
        adapter = OrthancAdapter.open("orthanc", f"orthanc+http://127.0.0.1:{port}", {})
        (row,) = adapter.find(Query(Level.SERIES), attributes=(0x00400275,))
    found = {tag: element for tag, element in row.items() if tag == "00400275"}
    assert found == (told if told != 12 else {"00400275": {"vr": "SQ", "Value": [{"00200013": {"vr": "IS", "Value": [12]}}]}})


@pytest.mark.parametrize("status", ["404 Not Found", "500 Internal Server Error"])
def test_an_answer_of_orthanc_whose_header_is_lost_is_an_answer_all_the_same(status: str) -> None:
    series = {"ID": "bb", "MainDicomTags": {"SeriesInstanceUID": "2.25.8"}, "Instances": ["aa"]}
    turns = iter([answer(json.dumps([series]).encode()), answer(b"", status=status), answer(b"[]")])
    with speaking(lambda _: next(turns)) as port:
        adapter = OrthancAdapter.open("orthanc", f"orthanc+http://127.0.0.1:{port}", {})
        (row,) = adapter.find(Query(Level.SERIES), attributes=(0x00400275,))
    assert "00400275" not in row and row["0020000E"]["Value"] == ["2.25.8"]
