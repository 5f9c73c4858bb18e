"""Every test of this folder that asks for `catalogue` runs on SQLite and on PostgreSQL."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from peers.postgresql import PostgresqlServer, postgresql

from vna_core.catalogue import Catalogue
from vna_core.configuration import CatalogueSettings


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgresqlServer]:
    """One server for the whole run of this process."""
    with postgresql() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def new_catalogue(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[str], tuple[CatalogueSettings, Path]]]:
    """Makes settings and folder of an empty catalogue of the given name."""
    made: list[str] = []

    def make(name: str = "archive") -> tuple[CatalogueSettings, Path]:
        if request.param == "sqlite":
            return CatalogueSettings(), tmp_path / name
        made.append(f"{name}-{uuid.uuid4().hex}")
        url = request.getfixturevalue("postgresql_server").new_database(made[-1])
        return CatalogueSettings(url=url), tmp_path / name

    yield make
    for database in made:
        request.getfixturevalue("postgresql_server").drop_database(database)


@pytest.fixture
def catalogue(new_catalogue: Callable[[], tuple[CatalogueSettings, Path]]) -> Iterator[Catalogue]:
    """An empty catalogue."""
    with Catalogue.open(*new_catalogue()) as opened:
        yield opened
