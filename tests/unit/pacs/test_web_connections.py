"""A connection to a source serves one request after the other, whatever the length of their answers."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest

from vna_core.dicom.network.web_client import PIECE, WebClient


class Handler(BaseHTTPRequestHandler):
    """Answers with as many octets as the path says, of told length or in chunks."""

    protocol_version = "HTTP/1.1"
    connections: set[tuple[str, int]]

    def do_GET(self) -> None:
        self.connections.add(self.client_address)
        how, _, size = self.path[1:].partition("/")
        self.send_response(200)
        if how == "told":
            self.send_header("Content-Length", size)
            self.end_headers()
            self.wfile.write(bytes(int(size)))
            return
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for at in range(0, int(size), 100_000):
            piece = bytes(min(100_000, int(size) - at))
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@pytest.mark.parametrize("how", ["told", "chunked"])
def test_answers_of_any_length_leave_the_connection_to_the_next(how: str) -> None:
    Handler.connections = set()
    sizes = [0, 1, 40_000, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 3 * PIECE + 7]
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        client = WebClient(urlsplit(f"http://127.0.0.1:{server.server_address[1]}"), {})
        try:
            for size in sizes:
                with client.request(f"/{how}/{size}") as answer:
                    assert sum(map(len, answer.pieces())) == size
        finally:
            client.close()
            server.shutdown()
            serving.join()
    assert len(Handler.connections) == 1
