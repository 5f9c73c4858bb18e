"""Contexts of OpenSSL by the BCP 195 RFC 8996, 9325 profile (PS3.15 annex B.12), and how they follow their files."""

from __future__ import annotations

import os
import ssl
import stat
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Self

import structlog

from vna_core.configuration.tls import ClientCertificates, TlsSettings, Version
from vna_core.dicom.network.tls.certificates import unreadable
from vna_core.domain.errors import ConfigurationError

CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL:!PSK:!SRP"
"""Suites of TLS 1.2 with forward secrecy and authenticated encryption (RFC 9325 section 4.2); those of TLS 1.3 are all good."""
_VERSIONS: Final[dict[Version, ssl.TLSVersion]] = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_ASKED: Final[dict[ClientCertificates, ssl.VerifyMode]] = {
    "none": ssl.CERT_NONE,
    "optional": ssl.CERT_OPTIONAL,
    "required": ssl.CERT_REQUIRED,
}

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """The files of a context, all PEM; empty: none.

    Attributes
    ----------
    certificate, key
        Our own, with what stands between it and its authority.
    authorities
        Whom we trust.
    revoked
        Lists of what they have revoked, one in each.
    """

    certificate: str = ""
    key: str = ""
    authorities: str = ""
    revoked: tuple[str, ...] = ()

    @classmethod
    def of(cls, tls: TlsSettings) -> Self:
        """Those of the section ``tls``."""
        return cls(tls.certificate_file, tls.key_file, tls.ca_file, tls.crl_files)

    @property
    def all(self) -> tuple[str, ...]:
        """Every one that there is."""
        return tuple(one for one in (self.certificate, self.key, self.authorities, *self.revoked) if one)


def server_context(files: TlsFiles, client_certificates: ClientCertificates, minimum: Version) -> ssl.SSLContext:
    """What a listener speaks. Raises ConfigurationError."""
    context = _context(ssl.PROTOCOL_TLS_SERVER, minimum)
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.num_tickets = 0  # a peer that closes without having read them resets the connection, and with it what it sent last
    _load_own(context, files)
    context.verify_mode = _ASKED[client_certificates]
    if client_certificates != "none":
        _load_authorities(context, files)
    return context


def client_context(files: TlsFiles, minimum: Version, check_name: bool = True, verify: bool = True) -> ssl.SSLContext:
    """What we speak to others; they are verified unless `verify` is False. Raises ConfigurationError."""
    context = _context(ssl.PROTOCOL_TLS_CLIENT, minimum)
    context.check_hostname = check_name and verify
    context.verify_mode = ssl.CERT_REQUIRED if verify else ssl.CERT_NONE
    if files.authorities:
        _load_authorities(context, files)
    else:
        context.load_default_certs()
    if files.certificate or files.key:
        _load_own(context, files)
    return context


def _context(protocol: int, minimum: Version) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = _VERSIONS[minimum]
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION
    return context


def _load_own(context: ssl.SSLContext, files: TlsFiles) -> None:
    """Raises ConfigurationError."""
    certificate, key = files.certificate, files.key
    for path in (certificate, key):
        _readable(path)

    def no_password() -> str:
        raise ConfigurationError(f"The key in {key} is encrypted: take the password off (openssl pkey).", file=key)

    try:
        context.load_cert_chain(certificate, key, password=no_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            message = f"The key in {key} does not belong to the certificate in {certificate}."
        else:
            message = f"{certificate} and {key} are no certificate and key in PEM form ({error.reason or error})."
        raise ConfigurationError(message, file=certificate) from error


def _load_authorities(context: ssl.SSLContext, files: TlsFiles) -> None:
    """Raises ConfigurationError."""
    for path, what in ((files.authorities, "certificates"), *((one, "list of revoked certificates") for one in files.revoked)):
        _readable(path)
        try:
            context.load_verify_locations(path)
        except ssl.SSLError as error:
            raise ConfigurationError(f"{path} holds no {what} in PEM form ({error.reason or error}).", file=path) from error
    if files.revoked:
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF


def _readable(path: str) -> None:
    try:
        with open(path, "rb") as file:
            file.read(1)
    except OSError as error:
        raise unreadable(path, error) from error


def is_open_to_all(path: str) -> bool:
    """Whether everybody on this machine may read a file."""
    try:
        return bool(os.stat(path).st_mode & stat.S_IROTH)
    except OSError:
        return False


class FollowedContext:
    """A context that is made again when one of its files has changed.

    What cannot be used (a certificate whose key has not been written yet) leaves the context that was; it is tried again at the
    next change. Safe to use from several threads.

    Raises
    ------
    ConfigurationError
        The first context cannot be made.
    """

    def __init__(self, files: TlsFiles, make: Callable[[], ssl.SSLContext]) -> None:
        self._files = files.all
        self._make = make
        self._lock = threading.Lock()
        self._state = self.state()
        self._context = make()

    def state(self) -> tuple[tuple[int, ...], ...]:
        """What tells that a file has changed."""
        return tuple(_states(self._files))

    def current(self) -> ssl.SSLContext:
        """The context for a new connection."""
        if (state := self.state()) != self._state:
            with self._lock:
                self._follow(state)
        return self._context

    def _follow(self, state: tuple[tuple[int, ...], ...]) -> None:
        if state == self._state:
            return  # another thread was here
        try:
            self._context = self._make()
        except ConfigurationError as error:
            _log.error("certificate-not-taken", message=error.message)
        else:
            _log.info("certificate-taken", files=list(self._files))
        self._state = state


def _states(files: tuple[str, ...]) -> Iterator[tuple[int, ...]]:
    for path in files:
        try:
            found = os.stat(path)
        except OSError:
            yield ()
        else:
            yield (found.st_mtime_ns, found.st_size, found.st_ino)
