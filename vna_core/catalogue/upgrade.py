"""The database brought to this version's schema: made at once when new, migrated by Alembic when older."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import Column, Connection, MetaData, PrimaryKeyConstraint, String, Table, insert, inspect, select, text
from sqlalchemy.exc import SQLAlchemyError

from vna_core.catalogue.database import WRITER_LOCK, Database
from vna_core.catalogue.schema import totals
from vna_core.catalogue.tables import metadata
from vna_core.domain.errors import CatalogueError

if TYPE_CHECKING:
    from alembic.config import Config

HEAD: Final = "0012"
"""The revision of `schema`; a test compares the two."""

_revision: Final = Table(
    "alembic_version",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)
"""Alembic's own table. It is read and made here, so that only a database to migrate costs the import of Alembic."""


def upgrade(database: Database) -> None:
    """Make or migrate the tables. Several processes may call this at once. Raises CatalogueUnavailable, CatalogueError."""
    try:
        with database.engine.connect() as connection, connection.begin():
            if database.is_postgresql:
                connection.execute(text(f"SELECT pg_advisory_xact_lock({WRITER_LOCK})"))
            found = inspect(connection)
            if not found.has_table("instances"):
                metadata.create_all(connection, checkfirst=False)
                connection.execute(insert(totals).values(pk=1, last_pk=0))
                _revision.create(connection)
                connection.execute(insert(_revision).values(version_num=HEAD))
            elif not found.has_table(_revision.name) or connection.scalars(select(_revision.c.version_num)).all() != [HEAD]:
                _migrate(connection)
    except SQLAlchemyError as error:
        raise database.translated(error) from error


def _migrate(connection: Connection) -> None:
    from alembic import command
    from alembic.util import CommandError

    try:
        command.upgrade(alembic_config(connection), "head")
    except CommandError as error:
        raise CatalogueError(f"The catalogue was made by another version: {error}") from error


def alembic_config(connection: Connection) -> Config:
    """Alembic's configuration for the migrations shipped in this package, on an open connection."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    config.attributes["connection"] = connection
    return config
