"""TLS as a listener speaks it."""

from __future__ import annotations

import socket
from functools import partial
from typing import Self

from vna_core.configuration.tls import ClientCertificates, TlsFaceSettings, TlsSettings
from vna_core.dicom.network.tls.client import ClientTls
from vna_core.dicom.network.tls.contexts import FollowedContext, TlsFiles, server_context
from vna_core.dicom.network.tls.stream import TlsStream


class ServerTls:
    """Makes accepted connections encrypted ones, always with the certificate that lies in the files now.

    Raises ConfigurationError where certificate, key or authorities cannot be used.
    """

    def __init__(self, settings: TlsSettings, face: TlsFaceSettings) -> None:
        self._seconds = settings.handshake_timeout
        files = TlsFiles.of(settings)
        make = partial(server_context, files, face.client_certificates, settings.minimum_version)
        self._context = FollowedContext(files, make)

    @classmethod
    def of_client(cls, client: ClientTls) -> Self:
        """For connections that a server opens to us in its turn (C-MOVE): it must show a certificate of the same authorities.

        Where `ClientTls.files` names none, there are none, and it is not asked for one. Raises ConfigurationError.
        """
        files = client.files
        asked: ClientCertificates = "required" if files.authorities else "none"
        section = TlsSettings(
            certificate_file=files.certificate,
            key_file=files.key,
            ca_file=files.authorities,
            crl_files=files.revoked,
            minimum_version=client.minimum_version,
            handshake_timeout=client.handshake_timeout,
        )
        return cls(section, TlsFaceSettings(port=0, client_certificates=asked))

    def secured(self, connection: socket.socket) -> TlsStream:
        """The connection with TLS, after the handshake, which blocks: call it in the connection's own thread. Raises HandshakeFailed."""
        stream = TlsStream(connection, self._context.current(), as_server=True)
        stream.handshake(self._seconds)
        return stream
