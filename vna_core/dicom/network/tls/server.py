"""TLS as a listener speaks it."""

from __future__ import annotations

import socket
import ssl
from functools import partial
from typing import Self

from vna_core.configuration.tls import ClientCertificates, TlsSettings, Version
from vna_core.dicom.network.tls.client import ClientTls
from vna_core.dicom.network.tls.contexts import FollowedContext, TlsFiles, server_context
from vna_core.dicom.network.tls.stream import TlsStream


class ServerTls:
    """Makes accepted connections encrypted ones, always with the certificate that lies in the files now.

    Raises ConfigurationError where certificate, key or authorities cannot be used.
    """

    def __init__(self, files: TlsFiles, client_certificates: ClientCertificates, minimum: Version, seconds: float) -> None:
        self.seconds = seconds
        """That a handshake may take."""
        self._context = FollowedContext(files, partial(server_context, files, client_certificates, minimum))

    @classmethod
    def of(cls, settings: TlsSettings, face: str) -> Self | None:
        """That of a face of the section ``tls``, by its name; None: it speaks none."""
        own = settings.faces.get(face)
        if own is None:
            return None
        return cls(TlsFiles.of(settings), own.client_certificates, settings.minimum_version, settings.handshake_timeout)

    @classmethod
    def of_client(cls, client: ClientTls) -> Self:
        """For connections that a server opens to us in its turn (C-MOVE): it must show a certificate of the same authorities.

        Where `ClientTls.files` names none, there are none, and it is not asked for one. Raises ConfigurationError.
        """
        asked: ClientCertificates = "required" if client.files.authorities else "none"
        return cls(client.files, asked, client.minimum_version, client.handshake_timeout)

    def context(self) -> ssl.SSLContext:
        """For a new connection."""
        return self._context.current()

    def secured(self, connection: socket.socket) -> TlsStream:
        """The connection with TLS, after the handshake, which blocks: call it in the connection's own thread. Raises HandshakeFailed."""
        stream = TlsStream(connection, self.context(), as_server=True)
        stream.handshake(self.seconds)
        return stream
