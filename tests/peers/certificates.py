"""Certificates for one test run: an authority, and what it signs."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from vna_core.dicom.network.tls import Certificate


@dataclass(frozen=True)
class KeyPair:
    """A certificate and its key, as files."""

    certificate: Path
    key: Path

    @property
    def facts(self) -> Certificate:
        """What the certificate says."""
        return Certificate.of_file(str(self.certificate))

    def replace_by(self, other: KeyPair) -> None:
        """Put another pair into these files, as a renewal does."""
        replace(self.key, other.key)
        replace(self.certificate, other.certificate)


def replace(mine: Path, theirs: Path) -> None:
    """Put the content of one file in the place of another, at once."""
    new = mine.with_suffix(".new")
    new.touch(0o600)
    new.write_bytes(theirs.read_bytes())
    new.replace(mine)


def trusting(authority: Authority, pair: KeyPair | None = None) -> ssl.SSLContext:
    """How a client of ours trusts an authority, and shows a certificate of its own where it is given one."""
    context = ssl.create_default_context(cafile=str(authority.certificate))
    if pair is not None:
        context.load_cert_chain(pair.certificate, pair.key)
    return context


class Authority:
    """A hospital's certificate authority with its folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._authority = trustme.CA()

    @cached_property
    def certificate(self) -> Path:
        """Its own certificate."""
        path = self._folder / "authority.pem"
        self._authority.cert_pem.write_to_path(str(path))
        return path

    def pair(self, name: str, *names: str, days: float = 30, since: float = -1) -> KeyPair:
        """A certificate for these DNS names and addresses (127.0.0.1 by default), good from `since` for so many days from now."""
        now = datetime.now(UTC)
        begins, ends = now + timedelta(since), now + timedelta(days)
        made = self._authority.issue_cert(
            *(names or ("127.0.0.1", "localhost")), common_name=name, not_before=begins, not_after=ends
        )
        pair = KeyPair(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        pair.certificate.write_bytes(b"".join(one.bytes() for one in made.cert_chain_pems))
        pair.key.touch(0o600)
        pair.key.write_bytes(made.private_key_pem.bytes())
        return pair

    def revoking(self, *pairs: KeyPair, days: float = 1) -> Path:
        """A list that revokes these certificates, to be replaced by the next after so many days."""
        authority = x509.load_pem_x509_certificate(self._authority.cert_pem.bytes())
        key = serialization.load_pem_private_key(self._authority.private_key_pem.bytes(), None)
        now = datetime.now(UTC)
        made = x509.CertificateRevocationListBuilder().issuer_name(authority.subject)
        made = made.last_update(now - timedelta(9)).next_update(now + timedelta(days))
        made = made.add_extension(x509.CRLNumber(1), False)
        for pair in pairs:
            number = x509.load_pem_x509_certificate(pair.certificate.read_bytes()).serial_number
            revoked = x509.RevokedCertificateBuilder().serial_number(number).revocation_date(now - timedelta(1))
            made = made.add_revoked_certificate(revoked.build())
        path = self._folder / f"revoked-{pairs[0].certificate.stem}.pem"
        path.write_bytes(made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        return path
