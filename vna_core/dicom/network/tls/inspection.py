"""What an administrator must know about the certificates of a configuration: before they are used, and while they grow old."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from vna_core.configuration import Settings
from vna_core.dicom.network.tls.certificates import Certificate, next_list_of
from vna_core.dicom.network.tls.contexts import TlsFiles, client_context, is_open_to_all, server_context
from vna_core.domain.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong, or will be.

    Attributes
    ----------
    event
        Its kind: ``certificate-expired``, ``certificate-not-yet-good``, ``certificate-expires``, ``key-readable-by-all``,
        ``certificate-unusable``, ``revocation-list-over``, ``certificate-not-asked-for`` or ``verification-is-off``.
    is_error
        It does harm now.
    """

    event: str
    message: str
    file: str
    is_error: bool = False


def own_certificates(settings: Settings) -> list[str]:
    """Files of every certificate of ours that the configuration names, each once."""
    return list(dict.fromkeys(one.certificate for one in _pairs(settings)))


def check(settings: Settings) -> None:
    """See that the section ``tls`` can be used. Raises ConfigurationError, which says what is wrong with which file."""
    tls = settings.tls
    if not tls.certificate_file and not tls.ca_file:
        return
    for face in tls.faces.values():
        server_context(TlsFiles.of(tls), face.client_certificates, tls.minimum_version)
    client_context(TlsFiles.of(tls), tls.minimum_version)
    if tls.certificate_file:
        Certificate.of_file(tls.certificate_file)  # whoever shows one to us could not be known without what reads it


def findings(settings: Settings) -> Iterator[Finding]:
    """What is to be said of certificates and keys as they are now."""
    for pair in _pairs(settings):
        if pair.key and is_open_to_all(pair.key):
            message = f"Everybody on this machine may read the key in {pair.key}: take that right away (chmod o-r)."
            yield Finding("key-readable-by-all", message, pair.key)
        try:
            certificate = Certificate.of_file(pair.certificate)
        except ConfigurationError as error:
            yield Finding("certificate-unusable", error.message, pair.certificate, is_error=True)
            continue
        yield from _age(certificate, pair.certificate, settings.tls.warn_days)
    for path in settings.tls.crl_files:
        yield from _over(path)
    if settings.tls.dimse.client_certificates == "none" and (
        named := [t for t, one in settings.dimse.peers.items() if one.certificates]
    ):
        message = f"{named[0]} is let in with a certificate alone, and tls.dimse.client_certificates asks for none."
        yield Finding("certificate-not-asked-for", message, "")
    if settings.tls.http.client_certificates == "none" and settings.http.certificates:
        message = (
            f"{next(iter(settings.http.certificates))} is known by a certificate, and tls.http.client_certificates asks for none."
        )
        yield Finding("certificate-not-asked-for", message, "")
    for title, peer in settings.dimse.peers.items():
        if peer.tls_insecure_no_verification:
            yield Finding("verification-is-off", f"The peer {title} is believed to be whoever answers at its address.", "")


def _age(certificate: Certificate, path: str, warn_days: int) -> Iterator[Finding]:
    left, end = certificate.days_left(), f"{certificate.ends:%Y-%m-%d %H:%M} UTC"
    if left < 0:
        yield Finding("certificate-expired", f"The certificate in {path} ended on {end}: renew it.", path, is_error=True)
    elif left <= warn_days:
        yield Finding("certificate-expires", f"The certificate in {path} ends on {end}: renew it.", path)
    if certificate.begins > datetime.now(UTC):
        begin = f"{certificate.begins:%Y-%m-%d %H:%M} UTC"
        yield Finding("certificate-not-yet-good", f"The certificate in {path} is good from {begin} on.", path, is_error=True)


def _over(path: str) -> Iterator[Finding]:
    """That a list of revoked certificates is over."""
    try:
        end = next_list_of(path)
    except ConfigurationError as error:
        yield Finding("certificate-unusable", error.message, path, is_error=True)
        return
    if end is not None and end < datetime.now(UTC):
        message = (
            f"The list of revoked certificates in {path} is over since {end:%Y-%m-%d %H:%M} UTC: nobody is accepted. Renew it."
        )
        yield Finding("revocation-list-over", message, path, is_error=True)


def _pairs(settings: Settings) -> Iterator[TlsFiles]:
    """Each certificate of ours with its key."""
    if settings.tls.certificate_file:
        yield TlsFiles(settings.tls.certificate_file, settings.tls.key_file)
    for options in (
        *(one.options for one in settings.sources.values()),
        *(one.options for one in settings.federation.members.values()),
    ):
        if options.get("certificate_file"):
            yield TlsFiles(str(options["certificate_file"]), str(options.get("key_file", "")))
