"""TLS as we speak it to others."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass, field
from functools import lru_cache, partial

import structlog

from vna_core.configuration.tls import Version
from vna_core.dicom.network.tls.contexts import FollowedContext, client_context
from vna_core.dicom.network.tls.stream import HandshakeFailed, TlsStream

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ClientTls:
    """How a peer is connected to and recognized.

    Attributes
    ----------
    ca_file
        Authorities that are trusted; empty: those of the system.
    certificate_file, key_file
        Our own certificate, for peers that ask for one; empty: none.
    name
        Name that the peer's certificate must be for; empty: the host that is connected to.
    certificates
        Where given, the peer's certificate must be one of these (fingerprint or subject), whatever name it is for.
    insecure_no_verification
        Whoever answers is believed to be the peer.
    """

    ca_file: str = ""
    certificate_file: str = ""
    key_file: str = ""
    name: str = ""
    certificates: tuple[str, ...] = ()
    insecure_no_verification: bool = False
    minimum_version: Version = "1.2"
    handshake_timeout: float = field(default=10.0)

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
            The peer speaks no TLS, or is not accepted, or does not accept us; the connection is closed.
        ConfigurationError
            The files cannot be used.
        """
        stream = TlsStream(connection, self.context(), self.name or host)
        try:
            stream.handshake(seconds or self.handshake_timeout)
            self.accept(stream)
        except HandshakeFailed:
            stream.close()
            raise
        return stream

    def accept(self, stream: TlsStream) -> None:
        """Raises HandshakeFailed where the peer's certificate is none of those that are listed."""
        shown = stream.certificate if self.certificates else None
        if self.certificates and (shown is None or not shown.is_one_of(self.certificates)):
            raise HandshakeFailed("The peer's certificate is not the one that is configured for it.")


@lru_cache(maxsize=256)
def _followed(tls: ClientTls) -> FollowedContext:
    """One context for all connections that are made in the same way."""
    if tls.insecure_no_verification:
        _log.warning("tls-not-verified", setting="insecure_no_verification", peer=tls.name)
    files = (tls.ca_file, tls.certificate_file, tls.key_file)
    verify = not tls.insecure_no_verification
    make = partial(client_context, *files, tls.minimum_version, check_name=not tls.certificates, verify=verify)
    return FollowedContext(files, make)
