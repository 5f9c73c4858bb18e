"""Options of sources that are spoken to with TLS."""

from __future__ import annotations

from vna_core.configuration.tls import Certificates
from vna_core.dicom.network.tls.client import ClientTls
from vna_core.dicom.network.tls.contexts import TlsFiles
from vna_core.domain.errors import ConfigurationError
from vna_core.ports.pacs_options import PacsOptions


class TlsOptions(PacsOptions):
    """Options that say how a source is recognized, and how we show it who we are."""

    ca_file: str = ""
    """Certificates to trust instead of the system's."""
    certificate_file: str = ""
    key_file: str = ""
    """Our certificate and its key, for a source that asks for one."""
    tls_name: str = ""
    """Name in the source's certificate where that is not the host of the URL."""
    tls_certificates: Certificates = ()
    """The source's certificate must be one of these (SHA-256 fingerprint, or subject), whatever name it is for."""
    tls_insecure_no_verification: bool = False
    """Believe whoever answers; for a source whose certificate nothing can be done about."""

    def tls(self, source: str, encrypted: bool) -> ClientTls | None:
        """How the source is connected to; None: without encryption.

        Raises
        ------
        ConfigurationError
            The address is one without encryption, and options speak of TLS; or the files cannot be used.
        """
        if not encrypted:
            if spoken := sorted(self.model_fields_set & TlsOptions.model_fields.keys() - PacsOptions.model_fields.keys()):
                raise ConfigurationError(
                    f"Source {source!r}: the option {spoken[0]!r} is for connections with TLS, and the URL is of one without.",
                    source=source,
                )
            return None
        if bool(self.certificate_file) != bool(self.key_file):
            raise ConfigurationError(f"Source {source!r}: certificate_file and key_file belong together.", source=source)
        files = TlsFiles(self.certificate_file, self.key_file, self.ca_file)
        made = ClientTls(files, self.tls_name, self.tls_certificates, self.tls_insecure_no_verification)
        made.check()
        return made
