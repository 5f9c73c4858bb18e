"""The web face over HTTPS, as curl and httpx see it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread
from types import SimpleNamespace

import httpx2
import pytest
from starlette.types import Receive, Scope, Send

from tests.peers.archive import ServedArchive
from tests.peers.certificates import Authority, KeyPair, trusting
from tests.peers.processes import program
from vna_core.cli.listening import listen
from vna_core.configuration import HttpSettings
from vna_core.configuration.tls import TlsSettings
from vna_core.gateways.web.server import serve
from vna_core.testing import phantoms

pytestmark = pytest.mark.xdist_group("tls")


def curl(*options: str) -> subprocess.CompletedProcess[str]:
    command = [program("curl", "curl"), "-sS", "--max-time", "20", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def token(name: str) -> dict[str, str]:
    """A principal's token is its name: see the configuration of the archive."""
    return {"Authorization": f"Bearer {name}"}


def test_what_is_stored_over_https_is_found_and_told_with_urls_of_its_scheme(archive: ServedArchive, hospital: Authority) -> None:
    base = f"https://127.0.0.1:{archive.https_port}"
    part = b"--b\r\nContent-Type: application/dicom\r\n\r\n" + phantoms.ct(42, 32, 32) + b"\r\n--b--\r\n"
    stow = {"Content-Type": 'multipart/related; type="application/dicom"; boundary=b', "Accept": "application/dicom+json"}
    with httpx2.Client(base_url=base, verify=trusting(hospital), headers=token("viewer"), timeout=30) as client:
        stored = client.post("/dicom-web/studies", content=part, headers=stow)
        assert stored.status_code == 200, stored.text
        assert stored.json()["00081199"]["Value"][0]["00081190"]["Value"][0].startswith(f"{base}/dicom-web/studies/")
        assert client.get("/dicom-web/instances").json()


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_curl_is_answered(archive: ServedArchive, hospital: Authority, version: str) -> None:
    url = f"https://localhost:{archive.https_port}/healthz"
    done = curl("--cacert", str(hospital.certificate), f"--tlsv{version}", "--tls-max", version, url)
    assert done.stdout == '{"status":"ok"}', done.stderr


def test_curl_does_not_believe_us_without_our_authority(archive: ServedArchive, stranger: Authority) -> None:
    done = curl("--cacert", str(stranger.certificate), f"https://127.0.0.1:{archive.https_port}/healthz")
    assert (done.returncode, done.stdout) == (60, "")


def test_old_versions_and_plain_requests_get_no_answer(archive: ServedArchive, hospital: Authority) -> None:
    old = curl("--cacert", str(hospital.certificate), "--tls-max", "1.1", f"https://127.0.0.1:{archive.https_port}/healthz")
    plain = curl(f"http://127.0.0.1:{archive.https_port}/healthz")
    assert "ok" not in old.stdout + plain.stdout
    assert old.returncode and plain.returncode


def test_connections_that_fall_silent_in_the_handshake_keep_nobody_waiting(archive: ServedArchive, hospital: Authority) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(50):
            one = stack.enter_context(socket.create_connection(("127.0.0.1", archive.https_port)))
            one.sendall(b"\x16\x03\x01\x02\x00")
        with httpx2.Client(verify=trusting(hospital), timeout=20) as client:
            assert client.get(f"https://127.0.0.1:{archive.https_port}/healthz").status_code == 200


def test_the_metrics_tell_the_days_that_are_left(archive: ServedArchive, hospital: Authority, own: KeyPair) -> None:
    url = f"https://127.0.0.1:{archive.https_port}/metrics"
    text = httpx2.get(url, headers=token("monitor"), verify=trusting(hospital)).text
    [days] = [line for line in text.splitlines() if line.startswith("vna_tls_certificate_days{")]
    assert str(own.certificate) in days
    assert 28 < float(days.split()[-1]) <= 30


# -- the server alone -----------------------------------------------------------------------------------------------------


BOTH = pytest.mark.parametrize("principals", [False, True], ids=["known-by-token", "known-by-certificate"])
"""Whether the server reads whose certificate was shown, or only lets OpenSSL judge it."""


class Slow:
    """An application whose answer goes on until it is told to end."""

    def __init__(self) -> None:
        self.go_on = Event()
        self.closed = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["scheme"].encode(), "more_body": True})
        if scope["path"] == "/slow":
            await asyncio.to_thread(self.go_on.wait, 30)
        await send({"type": "http.response.body", "body": b" whole"})

    def close(self) -> None:
        self.closed = True


@contextlib.contextmanager
def served(authority: Authority, pair: KeyPair, asks: str, *revoked: Path, principals: bool = False) -> Iterator[SimpleNamespace]:
    """The web server with TLS in this process."""
    files = {"certificate_file": str(pair.certificate), "key_file": str(pair.key), "ca_file": str(authority.certificate)}
    tls = TlsSettings.model_validate(
        {**files, "crl_files": [str(one) for one in revoked], "http": {"port": 0, "client_certificates": asks}}
    )
    settings = HttpSettings(certificates={"somebody": ("CN=somebody",)} if principals else {})
    app, stop = Slow(), Event()
    with listen("127.0.0.1", 0, "https") as listener:
        thread = Thread(target=serve, args=(app, None, settings, stop, listener, tls))
        thread.start()
        try:
            yield SimpleNamespace(app=app, base=f"https://127.0.0.1:{listener.getsockname()[1]}")
        finally:
            app.go_on.set()
            stop.set()
            thread.join(20)
    assert app.closed


@BOTH
@pytest.mark.parametrize(("asks", "without"), [("optional", True), ("required", False)])
def test_client_certificates_are_asked_for_as_configured(
    hospital: Authority, stranger: Authority, asks: str, without: bool, principals: bool
) -> None:
    client, theirs = hospital.pair("viewer"), stranger.pair("viewer")
    with served(hospital, hospital.pair("web"), asks, principals=principals) as server:
        assert answers(server.base, trusting(hospital, client))
        assert answers(server.base, trusting(hospital)) is without
        assert not answers(server.base, trusting(hospital, theirs))


@BOTH
def test_a_revoked_certificate_is_refused_over_https_too(hospital: Authority, principals: bool) -> None:
    good, revoked = hospital.pair("good-viewer"), hospital.pair("lost-viewer")
    with served(hospital, hospital.pair("web"), "required", hospital.revoking(revoked), principals=principals) as server:
        assert answers(server.base, trusting(hospital, good))
        assert not answers(server.base, trusting(hospital, revoked))


def answers(base: str, context: ssl.SSLContext) -> bool:
    try:
        return httpx2.get(f"{base}/", verify=context, timeout=20).text == "https whole"
    except httpx2.TransportError:
        return False


@BOTH
def test_an_answer_under_way_ends_whole_while_new_connections_see_the_new_certificate(
    hospital: Authority, principals: bool
) -> None:
    pair, renewal = hospital.pair("web"), hospital.pair("web-renewal")
    with (
        served(hospital, pair, "none", principals=principals) as server,
        httpx2.stream("GET", f"{server.base}/slow", verify=trusting(hospital), timeout=60) as answer,
    ):
        pieces = answer.iter_raw()
        begin = next(pieces)
        pair.replace_by(renewal)
        wait_for_certificate(server.base, renewal, hospital)
        server.app.go_on.set()
        assert begin + b"".join(pieces) == b"https whole"


def wait_for_certificate(base: str, pair: KeyPair, authority: Authority) -> None:
    port = int(base.rsplit(":", 1)[1])
    wanted = ssl.PEM_cert_to_DER_cert(pair.certificate.read_text())
    for _ in range(600):
        with (
            socket.create_connection(("127.0.0.1", port)) as plain,
            trusting(authority).wrap_socket(plain, server_hostname="127.0.0.1") as connection,
        ):
            if connection.getpeercert(binary_form=True) == wanted:
                return
        time.sleep(0.05)
    raise AssertionError("the new certificate was not taken")
