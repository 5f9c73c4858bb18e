"""TLS as we speak it to others."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Self

import structlog

from vna_core.configuration import PeerSettings
from vna_core.configuration.tls import TlsSettings, Version
from vna_core.dicom.network.tls.certificates import Certificate
from vna_core.dicom.network.tls.contexts import FollowedContext, TlsFiles, client_context
from vna_core.dicom.network.tls.stream import PeerNotTrusted, TlsStream, complete, shown

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ClientTls:
    """How a peer is connected to and recognized.

    Attributes
    ----------
    files
        Authorities that are trusted, those of the system where none are named; our own certificate, for peers that ask for one.
    name
        Name that the peer's certificate must be for; empty: the host that is connected to.
    certificates
        Where given, the peer's certificate must be one of these (fingerprint or subject), whatever name it is for.
    insecure_no_verification
        Whoever answers is believed to be the peer.
    """

    files: TlsFiles = TlsFiles()
    name: str = ""
    certificates: tuple[str, ...] = ()
    insecure_no_verification: bool = False
    minimum_version: Version = "1.2"
    handshake_timeout: float = 10.0

    @classmethod
    def of(cls, tls: TlsSettings) -> Self:
        """With the certificate and the authorities of the section ``tls``."""
        return cls(TlsFiles.of(tls), minimum_version=tls.minimum_version, handshake_timeout=tls.handshake_timeout)

    @classmethod
    def of_peer(cls, tls: TlsSettings, peer: PeerSettings) -> Self:
        """The same for one of ``dimse.peers``."""
        return replace(
            cls.of(tls),
            name=peer.tls_name,
            certificates=peer.certificates,
            insecure_no_verification=peer.tls_insecure_no_verification,
        )

    def check(self) -> None:
        """See that the files can be used. Raises ConfigurationError."""
        self.context()

    def context(self) -> ssl.SSLContext:
        """For a new connection. Raises ConfigurationError."""
        return _followed(self).current()

    def secured(self, connection: socket.socket, host: str, seconds: float = 0.0) -> TlsStream:
        """A connection with TLS, after the handshake.

        Raises
        ------
        HandshakeFailed
            The peer speaks no TLS, or is not accepted, or does not accept us.
        ConfigurationError
            The files cannot be used.
        """
        stream = TlsStream(connection, self.context(), self.name or host)
        stream.handshake(seconds or self.handshake_timeout)
        if self.certificates:
            self._recognize(stream.certificate)
        return stream

    def secured_socket(self, connection: socket.socket, host: str) -> ssl.SSLSocket:
        """The same as a socket, for what works with sockets only; its time-out is that of the connection. Raises as `secured`."""
        seconds = connection.gettimeout()
        # Many servers end without saying so; what they send ends by a length, a boundary or a bracket, which whoever reads it awaits.
        wrapped = self.context().wrap_socket(
            connection, server_hostname=self.name or host, do_handshake_on_connect=False, suppress_ragged_eofs=True
        )
        try:
            complete(wrapped, self.handshake_timeout if seconds is None else min(seconds, self.handshake_timeout))
            if self.certificates:
                self._recognize(shown(wrapped.getpeercert(binary_form=True)))
        except BaseException:
            wrapped.close()
            raise
        wrapped.settimeout(seconds)
        return wrapped

    def _recognize(self, certificate: Certificate | None) -> None:
        if certificate is None or not certificate.is_one_of(self.certificates):
            raise PeerNotTrusted("The peer's certificate is not the one that is configured for it.")


@lru_cache(maxsize=256)
def _followed(tls: ClientTls) -> FollowedContext:
    """One context for all connections that are made in the same way."""
    if tls.insecure_no_verification:
        _log.warning("tls-not-verified", setting="insecure_no_verification", peer=tls.name)
    verify = not tls.insecure_no_verification
    make = partial(client_context, tls.files, tls.minimum_version, check_name=not tls.certificates, verify=verify)
    return FollowedContext(tls.files, make)
