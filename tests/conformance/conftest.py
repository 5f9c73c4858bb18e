"""The services that stores are tested against: each is started once, when the first test asks for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.peers.azurite import Azurite, azurite
from tests.peers.fake_gcs import FakeGcs, fake_gcs
from tests.peers.moto import moto
from tests.peers.rclone import rclone
from tests.peers.s3_service import S3Service
from tests.peers.seaweedfs import seaweedfs


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Service]:
    """SeaweedFS."""
    with seaweedfs(tmp_path_factory.mktemp("seaweedfs")) as service:
        yield service


@pytest.fixture(scope="session")
def moto_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Service]:
    """Moto."""
    with moto(tmp_path_factory.mktemp("moto")) as service:
        yield service


@pytest.fixture(scope="session")
def rclone_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Service]:
    """rclone serve s3."""
    with rclone(tmp_path_factory.mktemp("rclone")) as service:
        yield service


@pytest.fixture(scope="session")
def azure_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    """Azurite."""
    with azurite(tmp_path_factory.mktemp("azurite")) as service:
        yield service


@pytest.fixture(scope="session")
def gcs_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeGcs]:
    """Fake Google Cloud Storage."""
    with fake_gcs(tmp_path_factory.mktemp("gcs")) as service:
        yield service
