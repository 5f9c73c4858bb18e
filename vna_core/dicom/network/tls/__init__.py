"""TLS under DIMSE, MLLP and HTTP: the BCP 195 RFC 8996, 9325 profile (PS3.15 annex B.12), in both roles.

Certificates are read again when their files change. Nothing here falls back to an unencrypted connection.
"""

from typing import Final

from vna_core.dicom.network.tls.certificates import Certificate
from vna_core.dicom.network.tls.client import ClientTls
from vna_core.dicom.network.tls.contexts import TlsFiles
from vna_core.dicom.network.tls.server import ServerTls
from vna_core.dicom.network.tls.stream import HandshakeFailed, PeerNotTrusted, Stream, TlsStream

SECURE_PORT: Final = 2762
"""Port of DICOM over TLS (PS3.15 annex B.12, IANA ``dicom-tls``)."""

__all__ = [
    "SECURE_PORT",
    "Certificate",
    "ClientTls",
    "HandshakeFailed",
    "PeerNotTrusted",
    "ServerTls",
    "Stream",
    "TlsFiles",
    "TlsStream",
]
