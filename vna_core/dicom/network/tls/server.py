"""TLS as a listener speaks it."""

from __future__ import annotations

import socket
from functools import partial

from vna_core.configuration.tls import TlsFaceSettings, TlsSettings
from vna_core.dicom.network.tls.contexts import FollowedContext, server_context
from vna_core.dicom.network.tls.stream import TlsStream


class ServerTls:
    """Makes accepted connections encrypted ones, always with the certificate that lies in the files now.

    Raises ConfigurationError where certificate, key or authorities cannot be used.
    """

    def __init__(self, settings: TlsSettings, face: TlsFaceSettings) -> None:
        self._seconds = settings.handshake_timeout
        files = (settings.certificate_file, settings.key_file, settings.ca_file)
        self._context = FollowedContext(
            files, partial(server_context, *files, face.client_certificates, settings.minimum_version)
        )

    def secured(self, connection: socket.socket) -> TlsStream:
        """The connection with TLS, after the handshake, which blocks: call it in the connection's own thread. Raises HandshakeFailed."""
        stream = TlsStream(connection, self._context.current(), as_server=True)
        stream.handshake(self._seconds)
        return stream
