"""Fixtures of the tests of sharing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.conftest import NewCatalogue
from tests.unit.sharing.shared_archive import Shared, opened
from vna_core.configuration import Settings


@pytest.fixture
def shared(new_catalogue: NewCatalogue) -> Iterator[Shared]:
    """On SQLite and on PostgreSQL."""
    catalogue, folder = new_catalogue()
    yield from opened(Settings(data=folder, catalogue=catalogue))


@pytest.fixture
def shared_embedded(tmp_path: Path) -> Iterator[Shared]:
    """On SQLite."""
    yield from opened(Settings(data=tmp_path / "archive"))
