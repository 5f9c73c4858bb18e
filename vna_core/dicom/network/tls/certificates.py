"""What a certificate says: whose it is, and until when it is good."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from vna_core.domain.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Certificate:
    """One X.509 certificate.

    Attributes
    ----------
    fingerprint
        SHA-256 of its DER form, in 64 lower-case hexadecimal digits.
    subject, issuer
        Names in the form of RFC 4514.
    begins, ends
        When it is good, in UTC.
    """

    fingerprint: str
    subject: str
    issuer: str
    begins: datetime
    ends: datetime

    @classmethod
    def of_der(cls, der: bytes) -> Self:
        """From its octets. Raises ValueError, ConfigurationError where `cryptography` is not installed."""
        return cls._of(_x509().load_der_x509_certificate(der), der)

    @classmethod
    def of_file(cls, path: str) -> Self:
        """The first certificate of a PEM file. Raises ConfigurationError."""
        x509 = _x509()
        try:
            octets = Path(path).read_bytes()
        except OSError as error:
            raise unreadable(path, error) from error
        try:
            found = x509.load_pem_x509_certificate(octets)
            return cls._of(found, found.public_bytes(_der()))
        except ValueError as error:
            raise ConfigurationError(f"{path} holds no certificate in PEM form.", file=path) from error

    @classmethod
    def _of(cls, found: Any, der: bytes) -> Self:
        return cls(
            hashlib.sha256(der).hexdigest(),
            found.subject.rfc4514_string(),
            found.issuer.rfc4514_string(),
            found.not_valid_before_utc,
            found.not_valid_after_utc,
        )

    def days_left(self, now: datetime | None = None) -> float:
        """Days until its end; negative behind it."""
        return (self.ends - (now or datetime.now(UTC))).total_seconds() / 86400

    def is_one_of(self, proofs: Collection[str]) -> bool:
        """Whether its fingerprint or its subject is among those listed."""
        return self.fingerprint in proofs or self.subject in proofs


def next_list_of(path: str) -> datetime | None:
    """When the list of revoked certificates in a PEM file is to be replaced by the next, in UTC. Raises ConfigurationError."""
    x509 = _x509()
    try:
        found: datetime | None = x509.load_pem_x509_crl(Path(path).read_bytes()).next_update_utc
    except OSError as error:
        raise unreadable(path, error) from error
    except ValueError as error:
        raise ConfigurationError(f"{path} holds no list of revoked certificates in PEM form.", file=path) from error
    return found


def unreadable(path: str, error: OSError) -> ConfigurationError:
    """That a file of the section ``tls`` cannot be read, and why."""
    return ConfigurationError(f"{path} cannot be read: {error.strerror or error}.", file=path)


def _x509() -> Any:
    try:  # it comes with the extra only, and archives without TLS do without
        from cryptography import x509
    except ImportError as error:
        raise ConfigurationError("Certificates need the extra: pip install 'vna-core[tls]'.") from error
    return x509


def _der() -> Any:
    from cryptography.hazmat.primitives.serialization import Encoding  # here: as above

    return Encoding.DER
