"""Requests made to hurt: each ends in a clear answer, and the next client is served."""

from __future__ import annotations

import contextlib
import io
import socket
import threading
from collections.abc import Callable, Iterator

import httpx2
import pydicom
import pytest

from tests.unit.web.web_samples import CONTENT_TYPE, Web, multipart, sample, store
from vna_core.configuration import HttpSettings, IngestSettings
from vna_core.gateways.dicomweb import stow


@pytest.fixture(scope="module")
def strict(start_web: Callable[..., Web]) -> Web:
    """A web face with short patience and small limits."""
    http = HttpSettings(header_timeout=1, body_timeout=1, max_body=4 << 20, max_part=1 << 20, page_limit=3)
    return start_web(http, IngestSettings(memory_budget=8 << 20))


@pytest.fixture
def served(strict: Web) -> Iterator[Web]:
    """The strict web face; afterwards it must still serve."""
    yield strict
    with strict.client() as client:
        assert client.get("/healthz").status_code == 200
        assert client.get("/dicom-web/studies").status_code == 200


def status_of(web: Web, octets: bytes) -> bytes:
    """First line of the answer to octets sent by hand; empty when the connection is closed without one."""
    with socket.create_connection(web.address, timeout=15) as connection:
        connection.sendall(octets)
        with contextlib.suppress(ConnectionResetError):
            return connection.recv(65536).split(b"\r\n")[0]
        return b""


def test_a_head_that_never_ends_is_dropped(served: Web) -> None:
    assert b"200" not in status_of(served, b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ")


def test_many_silent_connections_keep_nobody_waiting(served: Web) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(socket.create_connection(served.address))
        with served.client() as client:
            assert client.get("/dicom-web/studies").status_code == 200


def test_slow_bodies_keep_nobody_waiting_and_are_given_up(served: Web) -> None:
    head = f"POST /dicom-web/studies HTTP/1.1\r\nHost: x\r\nContent-Type: {CONTENT_TYPE}\r\nContent-Length: 100000\r\n\r\n--limit\r\n".encode()
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(socket.create_connection(served.address, timeout=15)) for _ in range(40)]
        for connection in connections:
            connection.sendall(head)
        with served.client() as client:
            assert client.get("/dicom-web/studies").status_code == 200
            assert store(client, [sample("MR_small.dcm")]).status_code == 200
        assert connections[0].recv(65536).startswith(b"HTTP/1.1 408")


def test_clients_that_do_not_read_keep_nobody_waiting(served: Web) -> None:
    with served.client() as client:
        store(client, [sample("MR_small.dcm")])
    with contextlib.ExitStack() as stack:
        for _ in range(30):
            connection = stack.enter_context(socket.create_connection(served.address))
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            connection.sendall(b"GET /dicom-web/studies HTTP/1.1\r\nHost: x\r\n\r\n" * 20)
        with served.client() as client:
            assert client.get("/dicom-web/studies").status_code == 200


def test_sizes_past_the_limits_are_413(served: Web) -> None:
    with served.client() as client:
        large = client.post("/dicom-web/studies", content=bytes(5 << 20), headers={"Content-Type": CONTENT_TYPE})
        assert (large.status_code, large.json()["limit"]) == (413, "http.max_body")

        def pieces() -> Iterator[bytes]:
            for _ in range(80):
                yield bytes(1 << 16)

        chunked = client.post("/dicom-web/studies", content=pieces(), headers={"Content-Type": CONTENT_TYPE})
        assert chunked.status_code == 413


def test_a_part_past_its_limit_fails_alone(served: Web) -> None:
    with served.client() as client:
        answer = store(client, [bytes(2 << 20), sample("CT_small.dcm")])
        assert answer.status_code == 202
        assert len(answer.json()["00081199"]["Value"]) == 1


def test_an_endless_part_header_is_refused(served: Web) -> None:
    with served.client() as client:
        body = b"--limit\r\nX-Long: " + b"a" * 100_000 + b"\r\n\r\n"
        assert client.post("/dicom-web/studies", content=body, headers={"Content-Type": CONTENT_TYPE}).status_code == 413


def test_a_body_of_countless_parts_is_refused(served: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stow, "MOST_PARTS", 50)
    with served.client() as client:
        one = b"--limit\r\nContent-Type: text/plain\r\n\r\n\r\n"
        for number, status in ((50, 415), (51, 413)):
            answer = client.post(
                "/dicom-web/studies", content=one * number + b"--limit--", headers={"Content-Type": CONTENT_TYPE}
            )
            assert answer.status_code == status


@pytest.mark.parametrize("behind", [b"--limit\r\nX-Long: " + b"a" * 40_000, b"--limit\r\n\r\n\r\n" * 8], ids=["head", "parts"])
def test_what_was_whole_before_a_body_is_refused_is_held_and_costs_no_memory(
    served: Web, monkeypatch: pytest.MonkeyPatch, behind: bytes
) -> None:
    monkeypatch.setattr(stow, "MOST_PARTS", 4)
    octets = sample("MR_small.dcm")
    sop = str(pydicom.dcmread(io.BytesIO(octets)).SOPInstanceUID).encode()
    uid = f"1.2.{len(behind)}".encode()
    body = multipart([octets.replace(sop, uid.ljust(len(sop), b"\0"))])[: -len(b"--limit--\r\n")] + behind
    before = served.pipeline.budget.free
    with served.client() as client:
        for _ in range(2):
            assert client.post("/dicom-web/studies", content=body, headers={"Content-Type": CONTENT_TYPE}).status_code == 413
    assert len(served.catalogue.versions(uid.decode())) == 1
    assert served.pipeline.budget.free == before


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
@pytest.mark.parametrize("media_type", [None, "text/plain", "Text/Plain;charset=UTF-8", "multipart/form-data; boundary=a"])
def test_what_a_page_of_another_site_has_sent_by_a_browser_is_refused(served: Web, site: str, media_type: str | None) -> None:
    fields = {"Sec-Fetch-Site": site} | ({} if media_type is None else {"Content-Type": media_type})
    with served.client() as client:
        store(client, [sample("MR_small.dcm")])
        uid = client.get("/dicom-web/studies").json()[0]["0020000D"]["Value"][0]
        path = f"/api/v1/studies/{uid}/reject?title=quality&reason=forged"
        answer = client.post(path, content=b"{}", headers=fields)
        assert (answer.status_code, answer.json()["code"]) == (403, "not-authorized")
        assert uid in client.get("/dicom-web/studies", headers=fields).text, "nothing was done, and what only asks is answered"


def test_a_picture_in_a_page_of_another_site_breaks_no_glass(served: Web) -> None:
    with served.client() as client:
        for name in ("break-glass", "break%2dglass"):
            path = f"/dicom-web/studies?{name}=forged"
            assert client.get(path, headers={"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}).status_code == 403
        for fields in ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, {"Sec-Fetch-Site": "same-origin"}, {}):
            assert client.get(path, headers=fields).status_code == 200


@pytest.mark.parametrize(
    "fields",
    [
        {"Sec-Fetch-Site": "same-origin", "Content-Type": "text/plain"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "cross-site", "Content-Type": "application/json"},
        {"Sec-Fetch-Site": "cross-site", "Authorization": "Bearer x"},
    ],
    ids=["own page", "user", "asked beforehand", "field of its own"],
)
def test_what_a_page_may_not_send_unasked_is_no_forgery(served: Web, fields: dict[str, str]) -> None:
    with served.client() as client:
        assert client.post("/api/v1/corrections", content=b"{}", headers=fields).status_code == 400


def test_thousands_of_parameters_are_refused(served: Web) -> None:
    with served.client() as client:
        assert client.get("/dicom-web/studies?" + "&".join(["PatientID=1"] * 5000)).status_code == 400
    long = b"GET /dicom-web/studies?PatientName=" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n"
    assert status_of(served, long).split(b" ")[1] in (b"400", b"413", b"414")


@pytest.mark.parametrize("number", ["\u00b2", "\u0665", "9" * 5000, "-1", "1e3", "0x1", "1_000"], ids=range(7))
def test_numbers_that_are_none_are_refused(served: Web, number: str) -> None:
    with served.client() as client:
        for path in ("quarantine", "conflicts", "deletions", "corrections", "patient-links/in-doubt"):
            assert client.get(f"/api/v1/{path}", params={"limit": number}).status_code == 400
        for path in ("conflicts", "corrections", "patient-links/in-doubt"):
            assert client.get(f"/api/v1/{path}", params={"after": number}).status_code == 400
        for name in ("limit", "offset"):
            assert client.get("/dicom-web/studies", params={name: number}).status_code == 400
        assert client.get("/api/v1/instances/1.2.3", params={"version": number}).status_code == 400
        assert client.get("/dicom-web/studies/1.2/rendered", params={"quality": number}).status_code in (400, 404)


@pytest.mark.parametrize(
    "path",
    [
        "/dicom-web/studies/../../../etc/passwd",
        "/dicom-web/studies/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/dicom-web/studies/%252e%252e%252fetc/metadata",
        "/dicom-web/studies/..%5c..%5cwindows",
        "/api/v1/instances/..%2f..%2fcatalogue.sqlite/original",
        "/api/v1/quarantine/..%2f..%2f..%2fetc%2fpasswd/original",
        "/dicom-web/studies/1%0d%0aSet-Cookie:%20a=b",
        "/dicom-web/studies/%00/metadata",
        "/dicom-web/studies/%ff%fe",
        "/dicom-web/studies/1'%20OR%20'1'='1/metadata",
    ],
)
def test_paths_that_try_to_leave_find_nothing(served: Web, path: str) -> None:
    answer = status_of(served, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert answer.split(b" ")[1] in (b"400", b"404")


@pytest.mark.parametrize("host", [b'evil"><script>', b"a b", b"x/../y", b"a" * 300, b"[::1"])
def test_a_host_that_is_none_is_not_repeated(served: Web, host: bytes) -> None:
    with served.client() as client:
        store(client, [sample("MR_small.dcm")])
    with socket.create_connection(served.address, timeout=15) as connection:
        connection.sendall(b"GET /dicom-web/studies HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n")
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    assert host not in answer


@pytest.mark.parametrize(
    "octets",
    [
        b"POST /dicom-web/studies HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 7\r\n\r\nabcdefg",
        b"POST /dicom-web/studies HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST /dicom-web/studies HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\0" * 1000 + b"\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Big: " + b"a" * 900_000 + b"\r\n\r\n",
    ],
)
def test_broken_http_is_an_error(served: Web, octets: bytes) -> None:
    assert b" 200 " not in status_of(served, octets)


def test_several_clients_that_vanish_leave_the_archive_as_it_was(served: Web) -> None:
    body = multipart([sample("JPEG2000.dcm")] * 5)
    head = f"POST /dicom-web/studies HTTP/1.1\r\nHost: x\r\nContent-Type: {CONTENT_TYPE}\r\nContent-Length: {len(body) * 2}\r\n\r\n".encode()

    def vanish(cut: int) -> None:
        with socket.create_connection(served.address) as connection:
            connection.sendall(head + body[:cut])

    threads = [threading.Thread(target=vanish, args=(len(body) * number // 10,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with served.client() as client:
        assert client.get("/api/v1/statistics").status_code == 200


def test_pages_end_at_the_limit_and_say_so(served: Web) -> None:
    with served.client() as client:
        for name in ("CT_small.dcm", "MR_small.dcm", "SC_rgb_rle.dcm", "JPEG2000.dcm", "rtplan.dcm"):
            assert store(client, [sample(name)]).status_code in (200, 202, 409)
        answer = client.get("/dicom-web/studies")
        assert len(answer.json()) == 3
        assert "maximum" in answer.headers["warning"]


def test_no_answer_tells_of_the_inside(served: Web) -> None:
    with httpx2.Client(base_url=served.url) as client:
        for path in ("/dicom-web/studies?PatientIdd=Doe", "/dicom-web/studies?limit=Doe", "/api/v1/quarantine?limit=Doe"):
            text = client.get(path).text
            assert "Traceback" not in text
            assert "vna_core" not in text
