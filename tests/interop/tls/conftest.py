"""One archive whose faces listen without TLS and with it, and whose certificate may be renewed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.peers.archive import ServedArchive, served_archive
from tests.peers.certificates import Authority, KeyPair
from tests.peers.processes import free_port


@pytest.fixture(scope="package")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("hospital"))


@pytest.fixture(scope="package")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("stranger"))


@pytest.fixture(scope="package")
def scanner(hospital: Authority) -> KeyPair:
    """Certificate of the node that alone may call itself CT1."""
    return hospital.pair("CT1")


@pytest.fixture(scope="package")
def workstation(hospital: Authority) -> KeyPair:
    """Another certificate of the hospital."""
    return hospital.pair("WORKSTATION")


@pytest.fixture(scope="package")
def own(hospital: Authority) -> KeyPair:
    """The archive's certificate."""
    return hospital.pair("archive")


@pytest.fixture(scope="package")
def store_port() -> int:
    """Where a storescp with TLS will listen."""
    return free_port()


@pytest.fixture(scope="package")
def archive(
    tmp_path_factory: pytest.TempPathFactory,
    hospital: Authority,
    own: KeyPair,
    scanner: KeyPair,
    workstation: KeyPair,
    store_port: int,
) -> Iterator[ServedArchive]:
    folder: Path = tmp_path_factory.mktemp("tls")
    face = {"port": 0, "client_certificates": "optional"}
    files = {"certificate_file": str(own.certificate), "key_file": str(own.key), "ca_file": str(hospital.certificate)}
    configuration = {
        "tls": {**files, "handshake_timeout": 2.0, "dimse": face, "http": {"port": 0}, "hl7": face},
        "dimse": {
            "processes": 1,
            "peers": {
                "CT1": {"host": "192.0.2.1", "port": 104, "certificates": scanner.facts.subject},
                "STORESCP": {
                    "host": "127.0.0.1",
                    "port": store_port,
                    "tls": True,
                    "certificates": workstation.facts.fingerprint,
                },
            },
        },
        "departments": {"radiology": {"ae_titles": ["CT1", "STORESCP"], "principals": ["viewer"]}},
        "policy": {"unassigned": "radiology", "monitors": ["monitor"]},
        "http": {"tokens": {name: hashlib.sha256(name.encode()).hexdigest() for name in ("viewer", "monitor")}},
    }
    path = folder / "vna.yaml"
    path.write_text(yaml.safe_dump(configuration))
    with served_archive(folder / "data", "--config", str(path)) as served:
        yield served
