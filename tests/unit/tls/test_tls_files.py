"""What is wrong with certificates and keys is said in words, before it does harm; what is renewed is taken without a restart."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives import serialization
from structlog.testing import capture_logs

from tests.peers.certificates import Authority, KeyPair, replace
from vna_core.cli.certificate_watch import AGAIN, EVERY, CertificateWatch
from vna_core.configuration import Settings, load_settings
from vna_core.dicom.network.tls.contexts import FollowedContext, TlsFiles, server_context
from vna_core.dicom.network.tls.inspection import check, findings, own_certificates
from vna_core.domain.errors import ConfigurationError


def configured(pair: KeyPair, authority: Authority, **more: Any) -> Settings:
    files = {"certificate_file": str(pair.certificate), "key_file": str(pair.key), "ca_file": str(authority.certificate)}
    return Settings.model_validate({"tls": {**files, "dimse": {"port": 0}, **more}})


# -- the section ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"dimse": {"port": 2762}}, "needs certificate_file and key_file"),
        ({"certificate_file": "c.pem"}, "belong together"),
        ({"certificate_file": "c", "key_file": "k", "dimse": {"only": True}}, "without a port there is no TLS"),
        ({"certificate_file": "c", "key_file": "k", "http": {"port": 1, "client_certificates": "required"}}, "needs ca_file"),
        ({"crl_files": "r.pem"}, "crl_files needs ca_file"),
        ({"certificate_file": "c", "key_file": "k", "minimum_version": "1.1"}, "1.2"),
        ({"certificat_file": "c"}, "Did you mean 'certificate_file'"),
    ],
)
def test_what_does_not_fit_together_is_named_with_its_line(tmp_path: Path, section: dict[str, Any], said: str) -> None:
    path = tmp_path / "vna.yaml"
    path.write_text(yaml.safe_dump({"tls": section}))
    with pytest.raises(ConfigurationError, match=said) as failed:
        load_settings(path, environment={})
    assert f"{path}:" in failed.value.message


def test_fingerprints_are_one_whatever_way_they_are_written() -> None:
    colons = ":".join(["AB"] * 32)
    peer = {"host": "ct1", "port": 104, "certificates": [colons, "CN=CT1,O=Hospital"]}
    [read] = Settings.model_validate({"dimse": {"peers": {"CT1": peer}}}).dimse.peers.values()
    assert read.certificates == ("ab" * 32, "CN=CT1,O=Hospital")
    with pytest.raises(ValueError, match="expected the SHA-256 fingerprint"):
        Settings.model_validate({"dimse": {"peers": {"CT1": {**peer, "certificates": "ab" * 20}}}})


# -- files ----------------------------------------------------------------------------------------------------------------


def test_good_files_are_used(hospital: Authority) -> None:
    check(configured(hospital.pair("good"), hospital))


def test_nothing_is_demanded_where_there_is_no_tls() -> None:
    check(Settings())
    assert list(findings(Settings())) == []


def _encrypted(pair: KeyPair) -> None:
    key = serialization.load_pem_private_key(pair.key.read_bytes(), None)
    form = serialization.PrivateFormat.PKCS8
    pair.key.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.BestAvailableEncryption(b"secret")))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda pair: pair.key.unlink(), r"\.key cannot be read: No such file"),
        (lambda pair: pair.certificate.unlink(), r"\.pem cannot be read: No such file"),
        (lambda pair: pair.key.write_bytes(pair.certificate.read_bytes()), "no certificate and key in PEM form"),
        (lambda pair: pair.certificate.write_bytes(b"\x30\x82"), "no certificate and key in PEM form"),
        (_encrypted, "is encrypted: take the password off"),
    ],
)
def test_what_cannot_be_used_is_said(hospital: Authority, spoil: Callable[[KeyPair], object], said: str) -> None:
    pair = hospital.pair("spoilt")
    spoil(pair)
    with pytest.raises(ConfigurationError, match=said):
        check(configured(pair, hospital))


def test_a_key_of_another_certificate_is_said(hospital: Authority) -> None:
    mixed = KeyPair(hospital.pair("one").certificate, hospital.pair("two").key)
    with pytest.raises(ConfigurationError, match=r"two\.key does not belong to the certificate in .*one\.pem"):
        check(configured(mixed, hospital))


def test_an_authority_that_is_none_is_said(hospital: Authority, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("not a certificate")
    with pytest.raises(ConfigurationError, match="ca.pem holds no certificates"):
        check(configured(hospital.pair("good"), hospital, ca_file=str(tmp_path / "ca.pem")))


@pytest.mark.parametrize(
    ("days", "since", "event", "is_error"),
    [
        (-1, -9, "certificate-expired", True),
        (10, -1, "certificate-expires", False),
        (90, 2, "certificate-not-yet-good", True),
    ],
)
def test_the_age_of_a_certificate_is_told(hospital: Authority, days: float, since: float, event: str, is_error: bool) -> None:
    [found] = findings(configured(hospital.pair("aged", days=days, since=since), hospital))
    assert (found.event, found.is_error) == (event, is_error)


@pytest.mark.parametrize(("days", "events"), [(1, []), (-1, ["revocation-list-over"])])
def test_a_list_of_revoked_certificates_that_is_over_is_told(hospital: Authority, days: float, events: list[str]) -> None:
    listed = hospital.revoking(hospital.pair("gone", days=90), days=days)
    found = findings(configured(hospital.pair("listing", days=90), hospital, crl_files=str(listed)))
    assert [one.event for one in found] == events


def test_a_list_of_revoked_certificates_that_is_none_is_said(hospital: Authority) -> None:
    pair = hospital.pair("listing", days=90)
    settings = configured(pair, hospital, dimse={"port": 0, "client_certificates": "required"}, crl_files=str(pair.key))
    with pytest.raises(ConfigurationError, match="no list of revoked certificates"):
        check(settings)


def test_a_key_that_everybody_may_read_is_told(hospital: Authority) -> None:
    pair = hospital.pair("open", days=90)
    assert list(findings(configured(pair, hospital))) == []
    pair.key.chmod(0o644)
    assert [one.event for one in findings(configured(pair, hospital))] == ["key-readable-by-all"]


def test_certificates_for_sources_and_members_are_looked_at_too(hospital: Authority) -> None:
    mine, pacs, member = (hospital.pair(name, days=90) for name in ("mine", "pacs", "member"))
    options = {name: {"certificate_file": str(one.certificate)} for name, one in (("pacs", pacs), ("member", member))}
    tree = configured(mine, hospital).model_dump()
    tree["sources"] = {"old": {"url": "dimses://OLD@pacs:2762", "options": options["pacs"]}}
    tree["federation"]["members"] = {"eye": {"url": "dicomweb+https://eye", "options": options["member"]}}
    assert own_certificates(Settings.model_validate(tree)) == [str(one.certificate) for one in (mine, pacs, member)]


def test_a_peer_that_can_never_show_its_certificate_is_told(hospital: Authority) -> None:
    tree = configured(hospital.pair("ours", days=90), hospital).model_dump()
    tree["dimse"]["peers"] = {"CT1": {"host": "ct1", "port": 104, "certificates": "CN=CT1", "tls_insecure_no_verification": True}}
    told = [one.event for one in findings(Settings.model_validate(tree))]
    assert told == ["certificate-not-asked-for", "verification-is-off"]


def test_the_same_is_said_once_a_day(hospital: Authority) -> None:
    now = 0.0
    watch = CertificateWatch(configured(hospital.pair("ending", days=3), hospital), lambda: now)
    said = []
    for now in (0.0, 1.0, EVERY, AGAIN - 1, AGAIN + EVERY):  # noqa: B007 - the watch looks at it
        with capture_logs() as logs:
            watch.look()
        said.append([one["event"] for one in logs])
    assert said == [["certificate-expires"], [], [], [], ["certificate-expires"]]


# -- renewal --------------------------------------------------------------------------------------------------------------


def followed(pair: KeyPair) -> FollowedContext:
    files = TlsFiles(str(pair.certificate), str(pair.key))
    return FollowedContext(files, lambda: server_context(files, "none", "1.2"))


def test_a_renewed_certificate_is_taken_for_new_connections(hospital: Authority) -> None:
    pair = hospital.pair("renewed")
    context = followed(pair)
    before = context.current()
    assert context.current() is before
    pair.replace_by(hospital.pair("renewal"))
    assert context.current() is not before
    assert context.current() is context.current()


def test_half_a_renewal_leaves_what_was_until_the_other_half_is_there(hospital: Authority) -> None:
    pair, renewal = hospital.pair("halved"), hospital.pair("halves")
    context = followed(pair)
    before = context.current()
    replace(pair.certificate, renewal.certificate)
    with capture_logs() as logs:
        assert context.current() is before
        assert context.current() is before
    assert [one["event"] for one in logs] == ["certificate-not-taken"]
    replace(pair.key, renewal.key)
    assert isinstance(context.current(), ssl.SSLContext)
    assert context.current() is not before


def test_files_that_vanish_leave_what_was(hospital: Authority) -> None:
    pair = hospital.pair("vanishing")
    context = followed(pair)
    before = context.current()
    pair.certificate.unlink()
    assert context.current() is before
