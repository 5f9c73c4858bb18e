"""Over HTTPS a client's certificate stands for a token: it says who asks, and what they may see."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
import yaml

from tests.peers.archive import ServedArchive, served_archive, vna
from tests.peers.certificates import Authority, KeyPair, trusting
from vna_core.testing import phantoms

pytestmark = pytest.mark.xdist_group("tls-principals")
STOW = {"Content-Type": 'multipart/related; type="application/dicom"; boundary=b', "Accept": "application/dicom+json"}


@pytest.fixture(scope="module")
def viewer(hospital: Authority) -> KeyPair:
    """Whose certificate is that of a principal."""
    return hospital.pair("VIEWER", "viewer.hospital")


@pytest.fixture(scope="module")
def known(
    tmp_path_factory: pytest.TempPathFactory, hospital: Authority, stranger: Authority, viewer: KeyPair
) -> Iterator[ServedArchive]:
    """An archive that knows one principal by certificate, and one by token."""
    folder: Path = tmp_path_factory.mktemp("known")
    own = hospital.pair("web-archive")
    configuration = {
        "tls": {
            "certificate_file": str(own.certificate),
            "key_file": str(own.key),
            "ca_file": str(hospital.certificate),
            "handshake_timeout": 2.0,
            "http": {"port": 0, "client_certificates": "optional"},
        },
        "http": {
            "workers": 1,
            "certificates": {"viewer": viewer.facts.subject},
            "tokens": {"eye-viewer": hashlib.sha256(b"eye").hexdigest()},
        },
        "departments": {"radiology": {"principals": ["viewer"]}, "ophthalmology": {"principals": ["eye-viewer"]}},
    }
    path = folder / "vna.yaml"
    path.write_text(yaml.safe_dump(configuration))
    with served_archive(folder / "data", "--config", str(path)) as served:
        yield served


def client(archive: ServedArchive, authority: Authority, pair: KeyPair | None = None, token: str = "") -> httpx2.Client:
    context = trusting(authority, pair)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx2.Client(base_url=f"https://127.0.0.1:{archive.https_port}", verify=context, headers=headers, timeout=60)


def parts(octets: list[bytes]) -> bytes:
    """A body of STOW-RS."""
    return b"".join(b"--b\r\nContent-Type: application/dicom\r\n\r\n" + one + b"\r\n" for one in octets) + b"--b--\r\n"


def test_a_certificate_stands_for_a_token(known: ServedArchive, hospital: Authority, viewer: KeyPair) -> None:
    series = list(phantoms.series(20))
    with client(known, hospital, viewer) as radiology, client(known, hospital, token="eye") as ophthalmology:
        stored = radiology.post("/dicom-web/studies", content=parts(series), headers=STOW)
        assert stored.status_code == 200, stored.text
        [study] = radiology.get("/dicom-web/studies").json()
        url = study["00081190"]["Value"][0]
        assert url.startswith(f"https://127.0.0.1:{known.https_port}/")
        whole = radiology.get(url, headers={"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'})
        assert whole.content.count(b"Content-Type: application/dicom") == len(series)
        assert len(whole.content) > sum(map(len, series)) * 0.9
        assert ophthalmology.get("/dicom-web/studies").status_code in (200, 204)
        assert not ophthalmology.get("/dicom-web/studies").text.strip("[]\n ")


def test_a_token_that_is_sent_counts_before_the_certificate(known: ServedArchive, hospital: Authority, viewer: KeyPair) -> None:
    with client(known, hospital, viewer, token="eye") as both, client(known, hospital, viewer, token="wrong") as wrong:
        assert not both.get("/dicom-web/studies").text.strip("[]\n ")
        assert wrong.get("/dicom-web/studies").status_code == 401


def test_who_is_not_known_is_not_let_in(known: ServedArchive, hospital: Authority, viewer: KeyPair) -> None:
    other = hospital.pair("OTHER", "viewer.hospital")
    with client(known, hospital) as nobody, client(known, hospital, other) as somebody:
        assert nobody.get("/healthz").status_code == 200
        assert nobody.get("/dicom-web/studies").status_code == 401
        assert somebody.get("/dicom-web/studies").status_code == 401
    assert httpx2.get(f"{known.web}/dicom-web/studies").status_code == 401


def test_failed_handshakes_are_logged_and_impostors_audited(
    known: ServedArchive, hospital: Authority, stranger: Authority
) -> None:
    with pytest.raises(httpx2.TransportError), client(known, hospital, stranger.pair("VIEWER")) as impostor:
        impostor.get("/dicom-web/studies")
    with pytest.raises(httpx2.TransportError):
        httpx2.get(f"http://127.0.0.1:{known.https_port}/healthz")
    with socket.create_connection(("127.0.0.1", known.https_port), 30) as silent:
        assert silent.recv(100) == b"", "the handshake has a deadline"
    assert "certificate is not accepted" in known.log
    assert "took too long for the TLS handshake" in known.log
    assert known.log.count("tls-handshake-failed") >= 3
    while not any("110126" in str(one) for one in vna("audit", "list", data=known.data)[1]):
        continue


def test_connections_that_are_cut_harm_nobody(known: ServedArchive, hospital: Authority, viewer: KeyPair) -> None:
    context = trusting(hospital)
    for octets in (
        b"",
        b"GET /dicom-web/stu",
        b"POST /dicom-web/studies HTTP/1.1\r\nHost: x\r\nContent-Length: 999999\r\n\r\nabc",
    ):
        plain = socket.create_connection(("127.0.0.1", known.https_port))
        with context.wrap_socket(plain, server_hostname="127.0.0.1") as connection:
            connection.sendall(octets or b"\r\n")
    with client(known, hospital, viewer) as radiology:
        assert radiology.get("/dicom-web/studies").status_code == 200
