"""What a member says when it refuses is told in one line, whatever it is."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vna_core.dicom.network.refusal import READ, one_line, said
from vna_core.dicom.network.web_client import WebClient
from vna_core.domain.errors import NotFound, NotOffered, PeerError, PeerUnavailable, UnderHold, VnaError
from vna_core.federation.telling import _acknowledgement


@pytest.mark.parametrize(
    ("media_type", "octets", "told"),
    [
        ("application/json", json.dumps(UnderHold("Under hold 7.", hold=7).as_dict()).encode(), "Under hold 7. [under-hold]"),
        ("application/json; charset=utf-8", b'{"HttpStatus": 409, "Message": "Conflict", "Details": "is protected"}', "is protected"),
        ("application/problem+json", b'{"title": "No", "detail": "Not on\\r\\nSundays"}', "Not on Sundays"),
        ("application/dicom+json", b'{"00081198":{"vr":"SQ","Value":[{"00081197":{"vr":"US","Value":[49442]}}]}}', "failure reason C122"),
        ("application/dicom+json", b'[{"00081198":{"vr":"SQ","Value":[null,{"00081197":[]}]}}]', '[{"00081198":{"vr":"SQ","Value":[null,{"00081197":[]}]}}]'),
        ("application/json", b"[" * 4096, "[" * 297 + "..."),
        ("text/html", b"<html><body><h1>409</h1>\n<p>Study is <b>locked</b></p>", "409 Study is locked"),
        ("text/plain", "caf\u00e9 \x1b[31mred\x07".encode(), "caf\u00e9 [31mred"),
        ("text/plain", b"\xff\xfe no", "\ufffd\ufffd no"),
        ("application/octet-stream", b"secret", ""),
        ("", b"text", ""),
        ("text/plain", b"", ""),
    ],
)  # fmt: skip
def test_a_reason_is_read_of_what_archives_answer(media_type: str, octets: bytes, told: str) -> None:
    assert said(media_type, octets) == told


@given(st.sampled_from(["application/json", "text/html", "text/plain", "application/dicom+json"]), st.binary(max_size=5000))
def test_no_answer_breaks_a_line_or_is_long(media_type: str, octets: bytes) -> None:
    told = said(media_type, octets)
    assert len(told) <= 300 and told.isprintable() and told == told.strip()


@given(st.text(max_size=1000))
def test_a_line_is_one(text: str) -> None:
    line = one_line(text)
    assert len(line) <= 300 and (line.isprintable() or not line)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"\x0bMSH|^~\\&|A\rMSA|AA|7\r\x1c\r", ("AA", "")),
        (b"\x0bMSH|^~\\&|A\rMSA|AR|7|PID-3 has no issuer\r\x1c\r", ("AR", "PID-3 has no issuer")),
        (b"\x0bMSH|^~\\&|A\nMSA|AE|7\nERR|||207^x|E||||locked by \x1b[1m Dr. X\n\x1c\r", ("AE", "locked by [1m Dr. X")),
        (b"\x0bMSH#^~\\&#A\rMSA#CR#7#no\r\x1c\r", ("CR", "no")),
        (b"nonsense", ("", "")),
    ],
)
def test_a_reason_is_read_of_an_acknowledgement(answer: bytes, told: tuple[str, str]) -> None:
    assert _acknowledgement(answer) == told


class Refusing(BaseHTTPRequestHandler):
    """Refuses with the status of the path, at a length nobody reads to its end."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(int(self.path[1:]))
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(1 << 30))
        self.end_headers()
        try:
            self.wfile.write(b"because ")
            while True:
                self.wfile.write(b"so " * 100_000)
        except OSError:
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@pytest.mark.parametrize(
    ("status", "kind"), [(404, NotFound), (405, NotOffered), (403, PeerError), (409, PeerError), (503, PeerUnavailable)]
)
def test_a_refusal_is_read_by_whoever_asks_why_and_no_further_than_it_is_needed(status: int, kind: type[VnaError]) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        address = urlsplit(f"http://127.0.0.1:{server.server_address[1]}")
        try:
            for asks_why in (True, False):
                client = WebClient(address, {}, asks_why=asks_why)
                with pytest.raises(kind) as caught:
                    client.document(f"/{status}")
                client.close()
                assert "because" not in caught.value.message
                told = str(caught.value.fields.get("said", ""))
                assert told.startswith("because so so") == asks_why and len(told) <= min(READ, 300)
        finally:
            server.shutdown()
            serving.join()
