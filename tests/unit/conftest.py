"""Every test that asks for `catalogue` or `new_catalogue` runs on SQLite and on PostgreSQL."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.peers.postgresql import PostgresqlServer, postgresql
from vna_core.catalogue import Catalogue
from vna_core.configuration import CatalogueSettings

NewCatalogue = Callable[..., tuple[CatalogueSettings, Path]]
TEMPLATE = "catalogue-without-contents"


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgresqlServer]:
    """One server for the whole run of this process, and in it a catalogue without contents to copy."""
    with postgresql() as server:
        url = server.new_database(TEMPLATE)
        with tempfile.TemporaryDirectory() as folder:
            Catalogue.open(CatalogueSettings(url=url), Path(folder)).close()
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def new_catalogue(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[NewCatalogue]:
    """Makes settings and folder of an empty catalogue of the given name; `bare`, of a database without any table."""
    made: list[str] = []

    def make(name: str = "archive", bare: bool = False) -> tuple[CatalogueSettings, Path]:
        if request.param == "sqlite":
            return CatalogueSettings(), tmp_path / name
        made.append(f"{name}-{uuid.uuid4().hex}")
        url = request.getfixturevalue("postgresql_server").new_database(made[-1], None if bare else TEMPLATE)
        return CatalogueSettings(url=url), tmp_path / name

    yield make
    for database in made:
        request.getfixturevalue("postgresql_server").drop_database(database)


@pytest.fixture
def catalogue(new_catalogue: NewCatalogue) -> Iterator[Catalogue]:
    """An empty catalogue."""
    with Catalogue.open(*new_catalogue()) as opened:
        yield opened
