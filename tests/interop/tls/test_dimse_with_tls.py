"""DCMTK's tools and pynetdicom as they come, over TLS: who is let in, as whom, and who is not."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from pynetdicom.ae import ApplicationEntity
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from tests.peers.archive import ServedArchive, vna
from tests.peers.certificates import Authority, KeyPair, trusting
from tests.peers.processes import program
from vna_core.testing import phantoms

pytestmark = pytest.mark.xdist_group("tls")


def with_certificate(pair: KeyPair, authority: Authority) -> list[str]:
    return ["+tls", str(pair.key), str(pair.certificate), "+cf", str(authority.certificate)]


def without_certificate(authority: Authority) -> list[str]:
    return ["+tla", "+cf", str(authority.certificate)]


def tool(name: str, port: int, options: Sequence[str], *files: str, title: str = "ANYBODY") -> subprocess.CompletedProcess[str]:
    command = [
        program(name),
        "-v",
        "-to",
        "20",
        "-ta",
        "20",
        "-aec",
        "VNA",
        "-aet",
        title,
        *options,
        "127.0.0.1",
        str(port),
        *files,
    ]
    return subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=60, check=False)


@pytest.fixture(scope="module")
def series(archive: ServedArchive, hospital: Authority, scanner: KeyPair, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A series that the scanner has sent over TLS."""
    folder = tmp_path_factory.mktemp("series")
    paths = []
    for number, octets in enumerate(phantoms.series(4, number=7)):
        paths.append(str(folder / f"{number}.dcm"))
        Path(paths[-1]).write_bytes(octets)
    done = tool("storescu", archive.dimses_port, with_certificate(scanner, hospital), *paths, title="CT1")
    assert done.returncode == 0, done.stderr
    return paths


@pytest.mark.parametrize("profile", ["+py", "+px", "+pz"])
def test_echo_in_every_profile_that_is_not_retired(archive: ServedArchive, hospital: Authority, profile: str) -> None:
    done = tool("echoscu", archive.dimses_port, [*without_certificate(hospital), profile])
    assert done.returncode == 0, done.stderr + done.stdout


def test_what_came_over_tls_is_held_and_found(
    archive: ServedArchive, hospital: Authority, scanner: KeyPair, series: list[str]
) -> None:
    keys = ["-S", "-k", "QueryRetrieveLevel=IMAGE", "-k", f"StudyInstanceUID={phantoms.uid(8)}"]
    found = tool("findscu", archive.dimses_port, [*with_certificate(scanner, hospital), *keys], title="CT1")
    assert (found.stderr + found.stdout).count("(Pending") == len(series)


def test_a_title_is_given_to_its_certificate_alone(
    archive: ServedArchive, hospital: Authority, scanner: KeyPair, workstation: KeyPair
) -> None:
    assert tool("echoscu", archive.dimses_port, with_certificate(scanner, hospital), title="CT1").returncode == 0
    for port, options in (
        (archive.dimses_port, with_certificate(workstation, hospital)),
        (archive.dimses_port, without_certificate(hospital)),
        (archive.dimse_port, []),
    ):
        refused = tool("echoscu", port, options, title="CT1")
        assert refused.returncode != 0
        assert "Calling AE Title Not Recognized" in refused.stderr + refused.stdout
    assert {"user_id": "CT1", "kind": "ae-title", "network_access_point": "127.0.0.1"}.items() <= alert_of(archive, "CT1").items()


def alert_of(archive: ServedArchive, name: str) -> dict[str, Any]:
    """Who could not prove to be of that name, as the audit trail says when it has been written."""
    while True:
        for record in vna("audit", "list", data=archive.data)[1]:
            if record["event"].get("type", [""])[0] == "110126" and record["participants"][0]["user_id"] == name:
                return dict(record["participants"][0])
        time.sleep(0.2)


def test_the_certificate_makes_a_member_of_the_department(
    archive: ServedArchive, hospital: Authority, scanner: KeyPair, workstation: KeyPair, series: list[str]
) -> None:
    keys = ["-S", "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={phantoms.uid(8)}"]
    ours = tool("findscu", archive.dimses_port, [*with_certificate(scanner, hospital), *keys], title="CT1")
    theirs = tool("findscu", archive.dimses_port, [*with_certificate(workstation, hospital), *keys], title="STRANGER")
    assert (ours.stderr + ours.stdout).count("(Pending") == 1
    assert "(Pending" not in theirs.stderr + theirs.stdout


def test_certificates_that_are_not_good_come_no_further_than_the_handshake(
    archive: ServedArchive, hospital: Authority, stranger: Authority
) -> None:
    before = archive.log.count("tls-handshake-failed")
    for pair in (stranger.pair("CT1"), hospital.pair("expired", days=-1, since=-9)):
        assert tool("echoscu", archive.dimses_port, with_certificate(pair, hospital), title="CT1").returncode != 0
    assert archive.log.count("tls-handshake-failed") == before + 2
    assert "certificate is not accepted" in archive.log
    assert alert_of(archive, "anonymous")["network_access_point"] == "127.0.0.1"
    assert tool("echoscu", archive.dimses_port, without_certificate(hospital)).returncode == 0


def test_dcmtk_refuses_us_without_our_authority(archive: ServedArchive, stranger: Authority) -> None:
    assert tool("echoscu", archive.dimses_port, without_certificate(stranger)).returncode != 0


def test_who_mistakes_the_ports_is_told_in_the_log_and_harms_nobody(archive: ServedArchive, hospital: Authority) -> None:
    assert tool("echoscu", archive.dimses_port, []).returncode != 0
    assert "speaks without encryption on a connection with TLS" in archive.log
    assert tool("echoscu", archive.dimse_port, without_certificate(hospital)).returncode != 0
    assert "speaks TLS on a connection without encryption" in archive.log
    assert tool("echoscu", archive.dimse_port, []).returncode == 0


def test_connections_that_never_begin_to_speak_do_not_keep_others_waiting(archive: ServedArchive, hospital: Authority) -> None:
    silent = [socket.create_connection(("127.0.0.1", archive.dimses_port)) for _ in range(40)]
    try:
        for one in silent[::2]:
            one.sendall(b"\x16\x03\x01\x02\x00")
        assert tool("echoscu", archive.dimses_port, without_certificate(hospital)).returncode == 0
        for one in silent:
            one.settimeout(30)
            while one.recv(1000):  # the alert that goes before the end, for those that had begun
                continue
    finally:
        for one in silent:
            one.close()


def test_pynetdicom_speaks_with_us_over_tls(archive: ServedArchive, hospital: Authority, scanner: KeyPair) -> None:
    context = trusting(hospital, scanner)
    entity = ApplicationEntity("CT1")
    entity.add_requested_context(Verification)
    association = entity.associate("127.0.0.1", archive.dimses_port, ae_title="VNA", tls_args=(context, "127.0.0.1"))
    assert association.is_established
    assert association.send_c_echo().Status == 0
    association.release()
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_3
    association = entity.associate("127.0.0.1", archive.dimses_port, ae_title="VNA", tls_args=(context, "127.0.0.1"))
    assert association.is_established
    association.release()


def test_a_renewed_certificate_is_shown_without_a_restart(archive: ServedArchive, hospital: Authority, own: KeyPair) -> None:
    renewal = hospital.pair("renewal")
    with shown_certificate(archive, hospital) as before:
        assert ssl.PEM_cert_to_DER_cert(own.certificate.read_text()) == before
        own.replace_by(renewal)
        with shown_certificate(archive, hospital) as after:
            assert ssl.PEM_cert_to_DER_cert(renewal.certificate.read_text()) == after
    assert tool("echoscu", archive.dimses_port, without_certificate(hospital)).returncode == 0


@contextlib.contextmanager
def shown_certificate(archive: ServedArchive, authority: Authority) -> Iterator[bytes]:
    """The certificate that the archive shows, in DER form; the connection stays open as long as the block runs."""
    context = trusting(authority)
    plain = socket.create_connection(("127.0.0.1", archive.dimses_port))
    with context.wrap_socket(plain, server_hostname="127.0.0.1") as connection:
        yield connection.getpeercert(binary_form=True) or b""
