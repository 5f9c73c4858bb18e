"""The source's DICOMweb face: QIDO-RS and WADO-RS over HTTP/1.1, one thread a connection."""

from __future__ import annotations

import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from vna_core.testing.hostile_pacs.faults import FaultPlan
from vna_core.testing.hostile_pacs.injection_log import InjectionLog
from vna_core.testing.hostile_pacs.matching import SERIES, STUDY
from vna_core.testing.hostile_pacs.population import Population
from vna_core.testing.hostile_pacs.web_retrieving import BOUNDARY, Retrieved, WebRetrieving
from vna_core.testing.hostile_pacs.web_searching import Found, Searching

ROOT: Final = "/dicom-web"
_LEVELS: Final = {"studies": "STUDY", "series": "SERIES", "instances": "IMAGE"}
_RESOURCE: Final = re.compile(
    ROOT
    + r"(?:/studies/(?P<study>[^/]+))?(?:/series/(?P<series>[^/]+))?(?:/instances/(?P<instance>[^/]+))?"
    + r"(?:/(?P<list>studies|series|instances))?"
)
_MULTIPART: Final = f'multipart/related; type="application/dicom"; boundary="{BOUNDARY}"'


class HostileDicomweb:
    """The source. A context manager that listens on 127.0.0.1; its root is ``/dicom-web``.

    Parameters
    ----------
    hang
        Seconds for which a retrieval that is never answered keeps its connection.
    """

    def __init__(self, population: Population, plan: FaultPlan, log: InjectionLog, *, hang: float = 3600.0) -> None:
        self.population, self.plan, self.log, self.hang = population, plan, log, hang
        self.searching = Searching(population, plan, log)
        self.retrieving = WebRetrieving(population, plan, log)
        self.stopping = threading.Event()
        self._server: _Server | None = None

    def start(self, port: int = 0) -> int:
        """Listen; the port."""
        self._server = _Server(("127.0.0.1", port), self)
        threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True, name="hostile-dicomweb").start()
        return int(self._server.server_address[1])

    def stop(self) -> None:
        """Stop listening; what hangs ends. May be called twice."""
        self.stopping.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def __enter__(self) -> HostileDicomweb:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], source: HostileDicomweb) -> None:
        super().__init__(address, _Conversation)
        self.source = source

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes is nothing to tell."""


class _Conversation(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:  # noqa: N802 - the name that the standard library calls
        """Answer one request."""
        address = urlsplit(self.path)
        resource = _RESOURCE.fullmatch(address.path)
        if resource is None:
            self._send(404, b"", "text/plain")
            return
        study, series, sop = (unquote(resource[name] or "") for name in ("study", "series", "instance"))
        source = self.server.source
        if resource["list"]:
            above = {tag: uid for tag, uid in ((STUDY, study), (SERIES, series)) if uid}
            self._found(source.searching.answer(_LEVELS[resource["list"]], above, parse_qsl(address.query, True)))
        else:
            self._retrieved(source.retrieving.answer(study, series, sop))

    def _found(self, found: Found) -> None:
        self._send(200, found.body, "application/dicom+json", found.cut, dict(found.headers))

    def _retrieved(self, retrieved: Retrieved) -> None:
        if retrieved.hangs:
            self.server.source.stopping.wait(self.server.source.hang)
            self.close_connection = True
            return
        self._send(retrieved.status, retrieved.body, _MULTIPART, retrieved.cut)

    def _send(self, status: int, body: bytes, kind: str, cut: int | None = None, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body if cut is None else body[:cut])
        if cut is not None:
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Requests are not logged: the injection log tells what was done."""
