"""Schema and migrations agree, and a failing database is told in the archive's own words."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Select, Table, inspect, select, text

from tests.unit.catalogue.catalogue_entries import entry
from vna_core.catalogue import Catalogue
from vna_core.catalogue.database import Database
from vna_core.catalogue.schema import instances, series
from vna_core.catalogue.tables import metadata
from vna_core.catalogue.upgrade import HEAD, alembic_config, upgrade
from vna_core.configuration import CatalogueSettings
from vna_core.domain.errors import CatalogueError, CatalogueUnavailable, ConfigurationError, OutOfResources

NewCatalogue = Callable[[str], tuple[CatalogueSettings, Path]]


def _tables(connection: Connection) -> dict[str, object]:
    """Columns, keys and indexes of every table as the database sees them."""
    seen = inspect(connection)
    return {
        name: (
            [(column["name"], str(column["type"]), column["nullable"], column["default"]) for column in seen.get_columns(name)],
            seen.get_pk_constraint(name),
            sorted(str(key) for key in seen.get_foreign_keys(name)),
            sorted(str((index["name"], index["column_names"], index["unique"])) for index in seen.get_indexes(name)),
        )
        for name in seen.get_table_names()
    }


def test_migrations_lead_to_the_schema(new_catalogue: NewCatalogue) -> None:
    described = []
    for name in ("migrated", "made"):
        settings, data = new_catalogue(name, bare=True)
        data.mkdir()
        database = Database(settings, data)
        if name == "migrated":
            with database.engine.connect() as connection, connection.begin():
                command.upgrade(alembic_config(connection), "head")
        upgrade(database)
        with database.engine.connect() as connection, connection.begin():
            described.append(_tables(connection))
            assert compare_metadata(MigrationContext.configure(connection), metadata) == []
            assert ScriptDirectory.from_config(alembic_config(connection)).get_current_head() == HEAD
            assert connection.execute(text("SELECT count(*) FROM totals")).scalar_one() == 1
        database.close()
    assert described[0] == described[1]


def test_a_catalogue_of_the_first_schema_is_brought_up_to_date(new_catalogue: NewCatalogue) -> None:
    settings, data = new_catalogue("old", bare=True)
    data.mkdir()
    database = Database(settings, data)
    with database.engine.connect() as connection, connection.begin():
        command.upgrade(alembic_config(connection), "0001")
    database.close()
    with Catalogue.open(settings, data) as catalogue:
        assert catalogue.record(entry()).held.current
        assert catalogue.generations.runs() == []


@pytest.mark.parametrize("has_it", [False, True])
def test_refusals_of_a_source_are_counted_in_a_catalogue_that_had_no_column_for_them(
    new_catalogue: NewCatalogue, has_it: bool
) -> None:
    settings, data = new_catalogue("old", bare=True)
    data.mkdir()
    database = Database(settings, data)
    with database.engine.connect() as connection, connection.begin():
        command.upgrade(alembic_config(connection), "0011")
        if has_it:
            connection.execute(text("ALTER TABLE migration_sources ADD COLUMN refusals BIGINT DEFAULT 0 NOT NULL"))
    database.close()
    with Catalogue.open(settings, data) as catalogue:
        catalogue.throttle.silent("oldpacs", refused=True)
        assert catalogue.throttle.load("oldpacs").refusals == 1


def test_a_catalogue_is_found_again_after_it_was_closed(new_catalogue: NewCatalogue) -> None:
    place = new_catalogue("archive")
    with Catalogue.open(*place) as catalogue:
        catalogue.record(entry())
        before = catalogue.fingerprint()
    with Catalogue.open(*place) as catalogue:
        catalogue.ping()
        assert catalogue.fingerprint() == before
        assert catalogue.record(entry("1.9")).held.pk > 1


def test_acknowledgements_of_sqlite_are_flushed(tmp_path: Path) -> None:
    database = Database(CatalogueSettings(), tmp_path)
    with database.session() as session:
        assert session.execute("PRAGMA synchronous").fetchone() == (2,)
        assert session.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    database.close()


def test_other_accounts_of_the_machine_read_no_names(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with Catalogue.open(CatalogueSettings(), data) as catalogue:
        catalogue.record(entry())
        made = {path.name: path.stat().st_mode & 0o777 for path in (data, *data.iterdir())}
    assert made.pop("data") == 0o750
    assert set(made) >= {"catalogue.sqlite", "catalogue.sqlite-wal", "catalogue.sqlite-shm"}
    assert set(made.values()) == {0o600}


def test_a_full_disk_is_told_and_forgotten_when_there_is_room(tmp_path: Path) -> None:
    with Catalogue.open(CatalogueSettings(), tmp_path) as catalogue:
        catalogue.record(entry("1.0"))
        with catalogue._database.session() as session:
            (pages,) = session.execute("PRAGMA page_count").fetchone()
            session.execute(f"PRAGMA max_page_count={pages + 2}").fetchall()
        acknowledged = ["1.0"]
        with pytest.raises(OutOfResources):
            for number in range(1, 500):
                catalogue.record(entry(f"1.{number}", study=f"1.{number}", patient=f"P{number}"))
                acknowledged.append(f"1.{number}")
        assert len(list(catalogue.instances_by_uid_list(acknowledged))) == len(acknowledged)
        assert catalogue.record(entry("2.1", study="7", patient="P7")).held.current
        assert catalogue.statistics().instances == len(acknowledged) + 1


def test_a_catalogue_of_a_later_version_is_refused(tmp_path: Path) -> None:
    Catalogue.open(CatalogueSettings(), tmp_path).close()
    with sqlite3.connect(tmp_path / "catalogue.sqlite") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(CatalogueError, match="another version"):
        Catalogue.open(CatalogueSettings(), tmp_path)


def test_a_database_that_does_not_answer_is_told(tmp_path: Path) -> None:
    with pytest.raises(CatalogueUnavailable):
        Catalogue.open(CatalogueSettings(url="postgresql://nobody@127.0.0.1:1/none", busy_timeout=2), tmp_path)
    with pytest.raises(ConfigurationError):
        Catalogue.open(CatalogueSettings(url="mysql+pymysql://nobody@127.0.0.1:1/none"), tmp_path)


def test_a_lost_connection_is_replaced(postgresql_server, new_catalogue: NewCatalogue) -> None:  # type: ignore[no-untyped-def]
    settings, data = new_catalogue("lost")
    if not settings.url:
        pytest.skip("SQLite has no connection to lose")
    with Catalogue.open(settings, data) as catalogue, Catalogue.open(settings, data) as other:
        catalogue.record(entry())
        others = "FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()"
        with other._database.session() as session:
            session.execute(f"SELECT pg_terminate_backend(pid) {others}")
            while session.execute(f"SELECT count(*) {others}").fetchone()[0]:  # a backend takes a moment to end
                time.sleep(0.01)
        assert catalogue.statistics().instances == 1
        assert catalogue.record(entry("1.9")).held.pk


def test_a_statement_that_several_ask_for_is_made_once_and_when_it_is_used(tmp_path: Path) -> None:
    made = []

    def counting(table: Table) -> Select[tuple[int]]:
        made.append(table.name)
        return select(table.c.pk)

    database = Database(CatalogueSettings(), tmp_path)
    first, again, other = (database.prepared(counting, table) for table in (instances, instances, series))
    assert first is again and first is not other and not made
    assert (first.sql.split(), again.names, made) == (["SELECT", "instances.pk", "FROM", "instances"], (), ["instances"])
    assert other.sql.split()[-1] == "series"
    database.close()
