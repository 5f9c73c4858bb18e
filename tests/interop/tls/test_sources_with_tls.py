"""A real Orthanc behind TLS as a source over DIMSE, DICOMweb and its own interface; and who is not believed to be it.

Orthanc speaks DIMSE with TLS itself; its web services stand behind a terminator, for Debian's build ends at the first HTTPS request.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.peers.certificates import Authority
from tests.peers.orthanc import orthanc
from tests.peers.processes import free_port
from tests.peers.terminator import tls_in_front_of
from vna_core.bootstrap import open_source
from vna_core.configuration import Settings
from vna_core.dicom.network.tls import HandshakeFailed
from vna_core.dicom.network.tls.contexts import TlsFiles, server_context
from vna_core.domain.errors import ConfigurationError, VnaError
from vna_core.domain.query import Level, Query
from vna_core.plugin_manager import Plugins
from vna_core.ports.pacs import PacsAdapter
from vna_core.testing import phantoms

pytestmark = pytest.mark.xdist_group("tls-sources")
STUDY = phantoms.uid(2)


@dataclass(frozen=True)
class Source:
    """The Orthanc, and what a client needs to be let in."""

    dimse_port: int
    http_port: int
    move_port: int
    options: Mapping[str, str]

    @property
    def urls(self) -> dict[str, str]:
        return {
            "dimse": f"dimses://ORTHANC@127.0.0.1:{self.dimse_port}",
            "dicomweb": f"dicomweb+https://127.0.0.1:{self.http_port}/dicom-web",
            "orthanc": f"orthanc+https://127.0.0.1:{self.http_port}",
        }


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, hospital: Authority) -> Iterator[Source]:
    pacs, ours = hospital.pair("PACS"), hospital.pair("VNA")
    move_port = free_port()
    more = {
        "DicomTlsEnabled": True,
        "DicomTlsCertificate": str(pacs.certificate),
        "DicomTlsPrivateKey": str(pacs.key),
        "DicomTlsTrustedCertificates": str(hospital.certificate),
        "DicomTlsRemoteCertificateRequired": True,
        "DicomModalities": {"vna": {"AET": "VNA", "Host": "127.0.0.1", "Port": move_port, "UseDicomTls": True}},
    }
    options = {"ca_file": str(hospital.certificate), "certificate_file": str(ours.certificate), "key_file": str(ours.key)}
    context = server_context(TlsFiles(str(pacs.certificate), str(pacs.key), str(hospital.certificate)), "required", "1.2")
    folder: Path = tmp_path_factory.mktemp("orthanc")
    with orthanc(folder, more=more) as server, tls_in_front_of(server.http_port, context) as https_port:
        for octets in phantoms.series(5):
            assert httpx2.post(f"{server.web}/instances", content=octets, timeout=30).status_code == 200
        yield Source(server.dimse_port, https_port, move_port, options)


@pytest.fixture(scope="module")
def plugins() -> Plugins:
    loaded = Plugins()
    loaded.load()
    return loaded


def opened(plugins: Plugins, url: str, options: Mapping[str, Any]) -> PacsAdapter:
    settings = Settings.model_validate({"sources": {"old": {"url": url, "options": dict(options)}}})
    return open_source(settings, plugins, "old")


def fetched(adapter: PacsAdapter) -> int:
    """How many instances of the study come."""
    sizes: list[int] = []
    adapter.fetch(STUDY, lambda received: sizes.append(received.octets.size))
    assert min(sizes) > 1000
    return len(sizes)


@pytest.mark.parametrize("kind", ["dimse", "dicomweb", "orthanc"])
def test_a_source_is_asked_and_fetched_over_tls(plugins: Plugins, source: Source, kind: str) -> None:
    adapter = opened(plugins, source.urls[kind], source.options)
    try:
        adapter.probe()
        assert len(list(adapter.find(Query(Level.STUDY)))) == 1
        assert len({one.sop_instance_uid for one in adapter.inventory(STUDY)}) == 5
        assert fetched(adapter) == 5
    finally:
        adapter.close()


def test_what_a_source_moves_to_us_comes_over_tls(plugins: Plugins, source: Source) -> None:
    options = {**source.options, "retrieve": "move", "move_port": source.move_port}
    adapter = opened(plugins, source.urls["dimse"], options)
    try:
        assert fetched(adapter) == 5
    finally:
        adapter.close()


@pytest.mark.parametrize("kind", ["dimse", "dicomweb", "orthanc"])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"ca_file": ""}, "certificate is not accepted"),
        ({"tls_name": "elsewhere.hospital"}, "mismatch"),
        ({"tls_certificates": ["00" * 32]}, "not the one that is configured"),
    ],
)
def test_who_cannot_prove_to_be_the_source_is_not_asked(
    plugins: Plugins, source: Source, kind: str, change: Mapping[str, Any], said: str
) -> None:
    adapter = opened(plugins, source.urls[kind], {**source.options, **change})
    try:
        with pytest.raises(HandshakeFailed, match=said):
            adapter.probe()
    finally:
        adapter.close()


@pytest.mark.parametrize("kind", ["dimse", "dicomweb", "orthanc"])
def test_a_source_that_asks_for_a_certificate_gets_one_or_does_not_answer(plugins: Plugins, source: Source, kind: str) -> None:
    adapter = opened(plugins, source.urls[kind], {"ca_file": source.options["ca_file"]})
    try:
        with pytest.raises(VnaError):
            adapter.probe()
    finally:
        adapter.close()


@pytest.mark.parametrize("kind", ["dimse", "dicomweb", "orthanc"])
def test_verification_is_off_only_where_an_option_says_so(plugins: Plugins, source: Source, kind: str) -> None:
    off = {**source.options, "ca_file": "", "tls_insecure_no_verification": True}
    adapter = opened(plugins, source.urls[kind], off)
    try:
        adapter.probe()
    finally:
        adapter.close()


def test_a_source_without_tls_is_never_spoken_to_in_the_clear_instead(plugins: Plugins, source: Source) -> None:
    address = f"127.0.0.1:{source.dimse_port}"
    adapter = opened(plugins, f"dimse://ORTHANC@{address}", {})
    with pytest.raises(VnaError):
        adapter.probe()
    adapter.close()


@pytest.mark.parametrize(
    ("url", "options", "said"),
    [
        ("dimse://OLD@pacs", {"ca_file": "x.pem"}, "the URL is of one without"),
        ("orthanc+http://pacs", {"tls_name": "x"}, "the URL is of one without"),
        ("dimses://OLD@pacs", {"certificate_file": "x.pem"}, "belong together"),
        ("dimses://OLD@pacs", {"ca_file": "/nowhere.pem"}, "cannot be read"),
        ("dicomweb+https://pacs", {"ca_file": "/nowhere.pem"}, "cannot be read"),
        ("dimses://OLD@pacs", {"move_port": 11113}, "give certificate_file and key_file"),
        ("dimses://OLD@pacs", {"tls_certificates": "ab"}, "fingerprint"),
    ],
)
def test_options_that_cannot_be_meant_are_said_before_anything_is_connected(
    plugins: Plugins, url: str, options: Mapping[str, Any], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        opened(plugins, url, options)
