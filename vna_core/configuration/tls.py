"""The section ``tls``: how connections are encrypted (PS3.15 annex B), in both directions."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from vna_core.configuration.section import Section

_FINGERPRINT: Final = re.compile(r"(?:[0-9a-f]{2}:?){31}[0-9a-f]{2}", re.IGNORECASE)

ClientCertificates = Literal["none", "optional", "required"]
Version = Literal["1.2", "1.3"]


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _proof(value: str) -> str:
    """A fingerprint as 64 lower-case hexadecimal digits, or the name of a subject as it is."""
    if _FINGERPRINT.fullmatch(value):
        return value.replace(":", "").lower()
    if "=" not in value:
        raise ValueError("expected the SHA-256 fingerprint of a certificate, or its subject as CN=...,O=...")
    return value


Certificates = Annotated[tuple[Annotated[str, AfterValidator(_proof)], ...], BeforeValidator(_listed)]
"""Certificates by which a peer is recognized: SHA-256 fingerprints, or subjects in the form of RFC 4514."""


class TlsFaceSettings(Section):
    """TLS on one face of the archive."""

    port: int | None = Field(None, ge=0, le=65535, description="Port for TLS on the address of the face; absent: no TLS there.")
    only: bool = Field(False, description="The port without encryption is not opened.")
    client_certificates: ClientCertificates = Field(
        "none",
        description="Whether clients are asked for a certificate of `tls.ca_file`: `none`, `optional` (none is accepted, a wrong one is not), `required`.",
    )

    @model_validator(mode="after")
    def _has_port(self) -> Self:
        if self.port is None and (self.only or self.client_certificates != "none"):
            raise ValueError("without a port there is no TLS: give one, for DICOM 2762")
        return self


class TlsSettings(Section):
    """Encrypted connections. The files are PEM, and read again when they change."""

    certificate_file: str = Field("", description="Our certificate, and behind it those between it and the authority's.")
    key_file: str = Field("", description="Its private key, not encrypted, readable by the archive alone.")
    ca_file: str = Field(
        "",
        description="Certificates of the authorities that are trusted: by us as a client instead of the system's, and for certificates of clients.",
    )
    crl_files: Annotated[tuple[str, ...], BeforeValidator(_listed)] = Field(
        (),
        description="Lists of what these authorities have revoked, one in a file: none of it is accepted from a client, nor from whom we connect to. A list that is over refuses everybody.",
    )
    minimum_version: Version = Field("1.2", description="Oldest version of TLS that is spoken.")
    handshake_timeout: float = Field(10.0, gt=0, le=600, description="Seconds that a peer may take for the handshake.")
    warn_days: int = Field(30, ge=0, description="Days before the end of a certificate from which on the log warns once a day.")
    dimse: TlsFaceSettings = TlsFaceSettings()
    http: TlsFaceSettings = TlsFaceSettings()
    hl7: TlsFaceSettings = TlsFaceSettings()

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if bool(self.certificate_file) != bool(self.key_file):
            raise ValueError("certificate_file and key_file belong together: give both")
        if self.crl_files and not self.ca_file:
            raise ValueError("crl_files needs ca_file: whose lists they are")
        for name, face in self.faces.items():
            if not self.certificate_file:
                raise ValueError(f"tls.{name} needs certificate_file and key_file")
            if face.client_certificates != "none" and not self.ca_file:
                raise ValueError(f"tls.{name}.client_certificates needs ca_file: whose certificates are good")
        return self

    @property
    def faces(self) -> dict[str, TlsFaceSettings]:
        """The faces that speak TLS, by name."""
        every = {"dimse": self.dimse, "http": self.http, "hl7": self.hl7}
        return {name: face for name, face in every.items() if face.port is not None}
