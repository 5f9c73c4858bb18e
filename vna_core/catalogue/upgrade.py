"""The database brought to this version's schema: made at once when new, migrated by Alembic when older."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError
from sqlalchemy import Connection, insert, inspect, text
from sqlalchemy.exc import SQLAlchemyError

from vna_core.catalogue.database import WRITER_LOCK, Database
from vna_core.catalogue.schema import totals
from vna_core.catalogue.tables import metadata
from vna_core.domain.errors import CatalogueError

HEAD: Final = "0011"
"""The revision of `schema`; a test compares the two."""


def upgrade(database: Database) -> None:
    """Make or migrate the tables. Several processes may call this at once. Raises CatalogueUnavailable, CatalogueError."""
    try:
        with database.engine.connect() as connection, connection.begin():
            if database.is_postgresql:
                connection.execute(text(f"SELECT pg_advisory_xact_lock({WRITER_LOCK})"))
            revision = MigrationContext.configure(connection).get_current_revision()
            if revision == HEAD:
                return
            if revision is None and not inspect(connection).has_table("instances"):
                metadata.create_all(connection, checkfirst=False)
                connection.execute(insert(totals).values(pk=1, last_pk=0))
                command.stamp(alembic_config(connection), "head")
            else:
                command.upgrade(alembic_config(connection), "head")
    except SQLAlchemyError as error:
        raise database.translated(error) from error
    except CommandError as error:
        raise CatalogueError(f"The catalogue was made by another version: {error}") from error


def alembic_config(connection: Connection) -> Config:
    """Alembic's configuration for the migrations shipped in this package, on an open connection."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    config.attributes["connection"] = connection
    return config
