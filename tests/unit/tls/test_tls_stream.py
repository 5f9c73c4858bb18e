"""A connection with TLS gives what was sent, ends when it is told to, and lets nobody in who is not accepted."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.peers.certificates import Authority, KeyPair
from vna_core.configuration.tls import ClientCertificates, TlsSettings
from vna_core.dicom.network.tls import ClientTls, HandshakeFailed, PeerNotTrusted, ServerTls, TlsFiles, TlsStream
from vna_core.dicom.network.tls.contexts import client_context
from vna_core.dicom.network.tls.stream import shown
from vna_core.domain.errors import ConfigurationError


def server_of(authority: Authority, own: KeyPair, asks: ClientCertificates = "none", **more: object) -> ServerTls:
    files = {"certificate_file": str(own.certificate), "key_file": str(own.key), "ca_file": str(authority.certificate)}
    face = {"dimse": {"port": 0, "client_certificates": asks}}
    server = ServerTls.of(TlsSettings.model_validate({**files, **face, **more}), "dimse")
    assert server is not None
    return server


@contextlib.contextmanager
def sockets() -> Iterator[tuple[socket.socket, socket.socket]]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        with socket.create_connection(listener.getsockname()) as client, listener.accept()[0] as server:
            yield client, server


@contextlib.contextmanager
def connected(server: ServerTls, client: ClientTls, host: str = "127.0.0.1") -> Iterator[tuple[TlsStream, TlsStream]]:
    """Both ends of a connection, client first."""
    with sockets() as (near, far), ThreadPoolExecutor(1) as pool:
        accepted = pool.submit(server.secured, far)
        try:
            yield client.secured(near, host), accepted.result(10)
        except HandshakeFailed:
            near.close()  # so that the other side does not wait
            with contextlib.suppress(HandshakeFailed):
                accepted.result(10)
            raise


@pytest.fixture(scope="module")
def own(hospital: Authority) -> KeyPair:
    return hospital.pair("archive")


@pytest.fixture(scope="module")
def trusting(hospital: Authority) -> ClientTls:
    return ClientTls(TlsFiles(authorities=str(hospital.certificate)))


@pytest.mark.parametrize("oldest", ["1.2", "1.3"])
def test_large_messages_arrive_whole_both_ways(hospital: Authority, own: KeyPair, trusting: ClientTls, oldest: str) -> None:
    octets = bytes(range(256)) * 20_000
    with connected(server_of(hospital, own, minimum_version=oldest), trusting) as (client, server):
        for sender, receiver in ((client, server), (server, client)):
            sending = threading.Thread(
                target=sender.sendmsg, args=([octets[:7], octets[7:900_000], memoryview(octets)[900_000:]],)
            )
            sending.start()
            assert received(receiver, len(octets)) == octets
            sending.join()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=st.lists(st.binary(min_size=1, max_size=70_000), min_size=1, max_size=8), room=st.integers(1, 200_000))
def test_octets_come_in_order_however_they_are_cut(
    hospital: Authority, own: KeyPair, trusting: ClientTls, pieces: list[bytes], room: int
) -> None:
    with connected(server_of(hospital, own), trusting) as (client, server):
        sending = threading.Thread(target=lambda: [client.sendmsg([one]) for one in pieces])
        sending.start()
        assert received(server, sum(map(len, pieces)), room) == b"".join(pieces)
        sending.join()


def received(stream: TlsStream, size: int, room: int = 1 << 20) -> bytes:
    held = bytearray()
    buffer = memoryview(bytearray(room))
    while len(held) < size:
        got = stream.recv_into(buffer[: min(room, size - len(held))])
        assert got, "the connection ended early"
        held += buffer[:got]
    return bytes(held)


def test_octets_that_were_decrypted_already_are_told_as_pending(hospital: Authority, own: KeyPair, trusting: ClientTls) -> None:
    with connected(server_of(hospital, own), trusting) as (client, server):
        client.sendmsg([b"abcdef"])
        assert received(server, 2) == b"ab"
        assert server.pending()
        assert received(server, 4) == b"cdef"
        assert not server.pending()


@pytest.mark.parametrize("orderly", [True, False])
def test_the_end_of_the_connection_is_seen(hospital: Authority, own: KeyPair, trusting: ClientTls, orderly: bool) -> None:
    with connected(server_of(hospital, own), trusting) as (client, server):
        client.sendmsg([b"last"])
        if orderly:
            client.shutdown(socket.SHUT_WR)
        client.close()
        assert received(server, 4) == b"last"
        assert server.recv_into(memoryview(bytearray(10))) == 0


def test_a_reader_is_woken_by_another_thread(hospital: Authority, own: KeyPair, trusting: ClientTls) -> None:
    with connected(server_of(hospital, own), trusting) as (_, server), ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(server.recv_into, memoryview(bytearray(10)))
        server.shutdown(socket.SHUT_RD)
        assert waiting.result(10) == 0


def test_the_client_certificate_is_known_behind_the_handshake(hospital: Authority, own: KeyPair) -> None:
    scanner = hospital.pair("CT1", "ct1.hospital")
    client = ClientTls(TlsFiles(str(scanner.certificate), str(scanner.key), str(hospital.certificate)))
    with connected(server_of(hospital, own, "required"), client) as (near, far):
        assert near.certificate == own.facts
        assert far.certificate == scanner.facts
        assert scanner.facts.subject.startswith("CN=CT1,")
        assert far.certificate is not None
        assert far.certificate.is_one_of([scanner.facts.fingerprint])
        assert far.certificate.is_one_of([scanner.facts.subject])
        assert not far.certificate.is_one_of(["CN=CT1"])


def refused(server: ServerTls, client: Callable[[socket.socket], object]) -> str:
    """What the server says about a connection that must not come about."""
    with sockets() as (near, far), ThreadPoolExecutor(1) as pool:
        accepted = pool.submit(server.secured, far)
        with contextlib.suppress(HandshakeFailed):
            client(near)
        with pytest.raises(HandshakeFailed) as failed:
            accepted.result(10)
        return failed.value.message


def test_who_shows_no_certificate_is_refused_where_one_is_required(
    hospital: Authority, own: KeyPair, trusting: ClientTls
) -> None:
    said = refused(server_of(hospital, own, "required"), lambda near: trusting.secured(near, "127.0.0.1"))
    assert "certificate" in said


@pytest.mark.parametrize("asks", ["optional", "required"])
def test_a_certificate_of_a_stranger_is_refused(
    hospital: Authority, stranger: Authority, own: KeyPair, asks: ClientCertificates
) -> None:
    theirs = stranger.pair("CT1")
    client = ClientTls(TlsFiles(str(theirs.certificate), str(theirs.key), str(hospital.certificate)))
    said = refused(server_of(hospital, own, asks), lambda near: client.secured(near, "127.0.0.1"))
    assert "certificate is not accepted" in said


def test_an_expired_certificate_is_refused(hospital: Authority, own: KeyPair) -> None:
    old = hospital.pair("old", days=-1, since=-9)
    client = ClientTls(TlsFiles(str(old.certificate), str(old.key), str(hospital.certificate)))
    said = refused(server_of(hospital, own, "optional"), lambda near: client.secured(near, "127.0.0.1"))
    assert "expired" in said


def test_a_peer_without_tls_is_told_apart(hospital: Authority, own: KeyPair) -> None:
    said = refused(server_of(hospital, own), lambda near: near.sendall(b"\x01\x00\x00\x00\x00\xcd\x00\x01"))
    assert "without encryption" in said


def test_old_versions_of_the_protocol_are_not_spoken(hospital: Authority, own: KeyPair) -> None:
    def old(near: socket.socket) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        context.load_verify_locations(hospital.certificate)
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        with warnings.catch_warnings(action="ignore"):
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises(ssl.SSLError):
            context.wrap_socket(near, server_hostname="127.0.0.1")

    assert "handshake failed" in refused(server_of(hospital, own), old)


@pytest.mark.parametrize("first", [b"", b"\x16\x03\x01"])
def test_a_peer_that_falls_silent_has_a_deadline(hospital: Authority, own: KeyPair, first: bytes) -> None:
    said = refused(server_of(hospital, own, handshake_timeout=0.2), lambda near: near.sendall(first))
    assert "too long" in said


def test_a_peer_that_drips_has_the_same_deadline(hospital: Authority, own: KeyPair) -> None:
    stop = threading.Event()

    def drip(near: socket.socket) -> None:
        near.sendall(b"\x16\x03\x01\x3f\xff")

        def go_on() -> None:
            with contextlib.suppress(OSError):
                while not stop.wait(0.02):
                    near.sendall(b"\x00")

        threading.Thread(target=go_on, daemon=True).start()

    try:
        said = refused(server_of(hospital, own, handshake_timeout=0.3), drip)
    finally:
        stop.set()
    assert "too long" in said or "handshake failed" in said


@pytest.mark.parametrize(
    ("days", "names", "stranger_signs", "host", "said"),
    [
        (30, ("127.0.0.1",), True, "127.0.0.1", "certificate is not accepted"),
        (-1, ("127.0.0.1",), False, "127.0.0.1", "expired"),
        (30, ("other.hospital",), False, "127.0.0.1", "mismatch"),
        (30, ("other.hospital",), False, "archive.hospital", "mismatch"),
    ],
)
def test_as_a_client_nobody_is_trusted_who_cannot_be(
    hospital: Authority,
    stranger: Authority,
    trusting: ClientTls,
    days: float,
    names: tuple[str, ...],
    stranger_signs: bool,
    host: str,
    said: str,
) -> None:
    theirs = (stranger if stranger_signs else hospital).pair("peer", *names, days=days, since=-9)
    with pytest.raises(HandshakeFailed, match=said), connected(server_of(hospital, theirs), trusting, host):
        pass


def test_a_name_that_is_told_stands_in_place_of_the_host(hospital: Authority) -> None:
    server = server_of(hospital, hospital.pair("named", "pacs.hospital"))
    told = ClientTls(TlsFiles(authorities=str(hospital.certificate)), name="pacs.hospital")
    with connected(server, told) as (near, _):
        assert near.certificate is not None


def test_a_listed_certificate_is_accepted_under_any_name_and_no_other_is(hospital: Authority) -> None:
    pacs, other = hospital.pair("pacs", "pacs.hospital"), hospital.pair("other", "other.hospital")
    for proof in (pacs.facts.fingerprint, pacs.facts.subject):
        listed = ClientTls(TlsFiles(authorities=str(hospital.certificate)), certificates=(proof,))
        with connected(server_of(hospital, pacs), listed):
            pass
        with pytest.raises(HandshakeFailed, match="not the one"), connected(server_of(hospital, other), listed):
            pass


def test_verification_ends_with_an_option_that_says_so_and_nothing_else(hospital: Authority, stranger: Authority) -> None:
    server = server_of(hospital, stranger.pair("unknown", "elsewhere"))
    with pytest.raises(HandshakeFailed), connected(server, ClientTls()):
        pass
    with connected(server, ClientTls(insecure_no_verification=True)) as (near, _):
        assert near.certificate is not None


def test_every_suite_of_tls_1_2_has_forward_secrecy_and_authenticated_encryption(hospital: Authority) -> None:
    names = [one["name"] for one in client_context(TlsFiles(authorities=str(hospital.certificate)), "1.2").get_ciphers()]
    old = [name for name in names if not name.startswith("TLS_")]
    assert old
    assert all(name.startswith("ECDHE") and ("GCM" in name or "CHACHA20" in name) for name in old), names


def test_files_of_a_client_are_checked_before_anything_is_connected(hospital: Authority, own: KeyPair) -> None:
    with pytest.raises(ConfigurationError, match="does not belong"):
        ClientTls(TlsFiles(str(own.certificate), str(hospital.pair("another").key))).check()


@pytest.mark.parametrize("asks", ["optional", "required"])
def test_a_revoked_certificate_is_refused_by_who_knows_the_list(
    hospital: Authority, own: KeyPair, asks: ClientCertificates
) -> None:
    good, revoked = hospital.pair("good"), hospital.pair("revoked")
    server = server_of(hospital, own, asks, crl_files=[str(hospital.revoking(revoked))])
    files = TlsFiles(str(good.certificate), str(good.key), str(hospital.certificate))
    with connected(server, ClientTls(files)):
        pass
    client = ClientTls(TlsFiles(str(revoked.certificate), str(revoked.key), str(hospital.certificate)))
    assert "revoked" in refused(server, lambda near: client.secured(near, "127.0.0.1"))


def test_a_server_whose_certificate_is_revoked_is_not_believed(hospital: Authority) -> None:
    revoked = hospital.pair("revoked-server")
    knowing = ClientTls(TlsFiles(authorities=str(hospital.certificate), revoked=(str(hospital.revoking(revoked)),)))
    with pytest.raises(HandshakeFailed, match="revoked"), connected(server_of(hospital, revoked), knowing):
        pass


def hello(authority: Authority) -> bytes:
    """What a client sends first."""
    outgoing = ssl.MemoryBIO()
    context = client_context(TlsFiles(authorities=str(authority.certificate)), "1.2")
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="127.0.0.1").do_handshake()
    return outgoing.read()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_beginning_ends_in_an_error_of_ours(hospital: Authority, own: KeyPair, data: st.DataObject) -> None:
    octets = bytearray(hello(hospital))
    for place in data.draw(st.lists(st.integers(0, len(octets) - 1), min_size=1, max_size=8)):
        octets[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(octets)))

    def send(near: socket.socket) -> None:
        near.sendall(bytes(octets[:cut]))
        near.shutdown(socket.SHUT_WR)

    assert refused(server_of(hospital, own, handshake_timeout=5.0), send)


def test_octets_that_are_no_certificate_make_nobody_known() -> None:
    assert shown(None) is None
    with pytest.raises(PeerNotTrusted):
        shown(b"\x30\x03\x02\x01\x01")
