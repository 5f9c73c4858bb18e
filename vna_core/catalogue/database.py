"""One database, SQLite or PostgreSQL, spoken to through driver connections with SQL compiled once from SQLAlchemy constructs.

Transactions that write are serialized over all processes: BEGIN IMMEDIATE on SQLite, an advisory lock on PostgreSQL. Each
is short, because it carries many instances (`group_commit`).
"""

from __future__ import annotations

import fcntl
import os
import select
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from sqlalchemy import URL, Dialect, Engine, Insert, Table, create_engine, event, make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.sql import ClauseElement

from vna_core.catalogue.compiled_statements import CompiledStatements
from vna_core.configuration import CatalogueSettings
from vna_core.domain.errors import CatalogueError, CatalogueUnavailable, ConfigurationError, OutOfResources, VnaError

FILE: Final = "catalogue.sqlite"
"""Name of the embedded catalogue in the data folder."""
WRITER_LOCK: Final = 0x564E4121
"""Key of PostgreSQL's advisory lock that serializes writing transactions."""

_NOT_DURABLE: Final = "PRAGMA synchronous=NORMAL"
"""A loss of power takes the last commits, and leaves the database whole."""
_READ_ONLY: Final = "PRAGMA query_only=ON"
_PRAGMAS: Final = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA temp_store=MEMORY",
    "PRAGMA cache_size=-16384",
    "PRAGMA mmap_size=1073741824",
    "PRAGMA wal_autocheckpoint=4000",
    "PRAGMA journal_size_limit=67108864",
)


class Prepared:
    """SQL text for the driver, and the names of its parameters in order. Made and compiled when it is first used: no process uses all."""

    __slots__ = ("_dialect", "_make", "names", "sql", "values")
    sql: str
    names: tuple[str, ...]
    values: Mapping[str, Any]

    def __init__(self, make: Callable[[], ClauseElement], dialect: Dialect) -> None:
        self._make, self._dialect = make, dialect

    def __getattr__(self, name: str) -> Any:  # called for what is not there yet
        if name not in ("sql", "names", "values"):
            raise AttributeError(name)
        compiled: Any = self._make().compile(dialect=self._dialect, compile_kwargs={"render_postcompile": True})
        self.values = compiled.construct_params(_check=False)
        self.names = tuple(compiled.positiontup or ())
        self.sql = str(compiled)
        return object.__getattribute__(self, name)

    def arrange(self, values: Mapping[str, Any]) -> list[Any]:
        """Parameters in the order the driver wants them."""
        known = self.values
        return [values[name] if name in values else known[name] for name in self.names]


class Session:
    """One driver connection, in autocommit mode unless a transaction was begun."""

    __slots__ = ("_database", "_driver", "_fairy", "execute", "pid")

    def __init__(self, database: Database) -> None:
        self._database = database
        self._fairy: Any = database.engine.raw_connection()
        driver: Any = self._fairy.driver_connection
        self._driver = driver
        if database.is_postgresql:
            driver.autocommit = True
        self.execute = driver.execute
        self.pid = os.getpid()

    def executemany(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """One statement for many rows."""
        if len(rows) == 1:
            self.execute(sql, rows[0])
        elif rows:
            self._driver.cursor().executemany(sql, rows)

    def run(self, statement: ClauseElement) -> Any:
        """Execute a statement that carries its values; the driver's cursor."""
        return self.execute(*self._database.statements.arranged(statement))

    def run_many(self, statement: ClauseElement, rows: Sequence[Mapping[str, Any]]) -> None:
        """Execute an INSERT, UPDATE or DELETE once for each row of values; all rows have the same names.

        What an INSERT writes are the columns so named; other statements name their values with ``bindparam``.
        """
        if rows:
            names = tuple(rows[0]) if isinstance(statement, Insert) else ()
            sql, order, carried = self._database.statements.named(statement, names)
            self.executemany(sql, [[row[name] if name in row else carried[name] for name in order] for row in rows])

    @property
    def usable(self) -> bool:
        """Whether the connection is this process's own and not broken."""
        if self.pid != os.getpid() or getattr(self._driver, "closed", False):
            return False
        if not self._database.is_postgresql:
            return True
        idle = select.poll()  # a server that went away has said so, or closed the socket: either makes it readable
        idle.register(self._driver.fileno(), select.POLLIN)
        return not idle.poll(0)

    def close(self) -> None:
        """End the connection."""
        self._fairy.invalidate()


class Database:
    """Engine, driver connections and the lock for writing."""

    def __init__(
        self,
        settings: CatalogueSettings,
        data: Path,
        durable: bool = True,
        folder: TemporaryDirectory[str] | None = None,
    ) -> None:
        """With `folder`, in which it lies and which goes with it, it is read only."""
        self._folder = folder
        self.url = _url(settings, data)
        self.is_postgresql = self.url.get_backend_name() == "postgresql"
        if not self.is_postgresql and self.url.get_backend_name() != "sqlite":
            raise ConfigurationError("The catalogue needs an sqlite or postgresql URL.", backend=self.url.get_backend_name())
        self._timeout = settings.busy_timeout
        self.engine = _engine(self.url, settings.busy_timeout, durable, self.is_read_only)
        self.driver: Any = self.engine.dialect.dbapi
        self.statements = CompiledStatements(self.engine.dialect)
        self._prepared: dict[tuple[Any, ...], Prepared] = {}
        self._idle: list[Session] = []
        self._writer = threading.Lock()
        self._lock_path = None if self.is_postgresql else f"{self.url.database}.writer"
        self._lock_file = -1
        self._lock_pid = -1

    @property
    def is_read_only(self) -> bool:
        """Whether every statement that writes fails."""
        return self._folder is not None

    def prepare(self, statement: ClauseElement) -> Prepared:
        """SQL text of a statement for this database's driver, to be kept and executed again and again."""
        return Prepared(lambda: statement, self.engine.dialect)

    def prepared(self, make: Callable[..., ClauseElement], *tables: Table) -> Prepared:
        """The same of the statement that a function makes of tables: one for all who ask for it, made when it is first used."""
        known = self._prepared.get((make, *tables))
        if known is None:
            known = self._prepared.setdefault((make, *tables), Prepared(partial(make, *tables), self.engine.dialect))
        return known

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A connection for reading; each statement sees the last commit before it. Translates the driver's errors."""
        try:
            session = self._take()
        except (self.driver.Error, SQLAlchemyError) as error:
            raise self.translated(error) from error
        try:
            yield session
        except self.driver.Error as error:
            session.close()
            raise self.translated(error) from error
        except BaseException:
            session.close()
            raise
        self._idle.append(session)

    def _take(self) -> Session:
        while self._idle:
            try:
                session = self._idle.pop()
            except IndexError:
                break
            if session.usable:
                return session
        return Session(self)

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """A transaction that writes, alone among all processes; durable when the block is left without an exception."""
        with self._writer, self._file_lock(), self.session() as session:
            if self.is_postgresql:
                session.execute("BEGIN")
                session.execute("SELECT pg_advisory_xact_lock(%s)", (WRITER_LOCK,))
            else:
                session.execute("BEGIN IMMEDIATE")
            try:
                yield session
                session.execute("COMMIT")
            except BaseException as reason:
                self._roll_back(session, reason)
                raise

    def _roll_back(self, session: Session, reason: BaseException) -> None:
        try:
            session.execute("ROLLBACK")
        except self.driver.Error as error:
            reason.add_note(
                f"The transaction could not be rolled back either ({type(error).__name__}); its connection is closed."
            )

    @contextmanager
    def _file_lock(self) -> Iterator[None]:
        """Wait for other writing processes with short sleeps; SQLite's own waiting sleeps up to 100 ms at a time."""
        if self._lock_path is None:
            yield
            return
        if self._lock_pid != os.getpid():
            self._lock_file = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._lock_pid = os.getpid()
        deadline, pause = time.monotonic() + self._timeout, 0.0001
        locked = False
        while not locked:
            try:
                fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                locked = True
            except BlockingIOError:
                if time.monotonic() > deadline:
                    break
                time.sleep(pause)
                pause = min(pause * 1.5, 0.002)
        try:
            yield
        finally:
            if locked:
                fcntl.flock(self._lock_file, fcntl.LOCK_UN)

    def translated(self, error: Exception) -> VnaError:
        """The house's exception for one of the driver."""
        text = str(error)
        if "readonly database" in text:
            return CatalogueUnavailable("The catalogue can only be read: the disk of the data folder is mounted read-only.")
        if "disk is full" in text or type(error).__name__ == "DiskFull":
            return OutOfResources("The catalogue's disk is full.", limit="disk", maximum=0)
        if isinstance(error, self.driver.OperationalError | self.driver.InterfaceError) or getattr(error, "orig", None):
            return CatalogueUnavailable("The catalogue's database does not answer.", error=type(error).__name__)
        return CatalogueError("The catalogue's database refused a statement.", error=type(error).__name__)

    def close(self) -> None:
        """Close idle connections. The database is not used afterwards."""
        while self._idle:
            self._idle.pop().close()
        self.engine.dispose()
        if self._lock_file >= 0 and self._lock_pid == os.getpid():
            os.close(self._lock_file)
            self._lock_file = self._lock_pid = -1
        if self._folder is not None:
            self._folder.cleanup()


def is_made(settings: CatalogueSettings, data: Path) -> bool:
    """Whether there is a catalogue already. What a database server has is not asked: a configured one counts as made."""
    return bool(settings.url) or (data / FILE).exists()


def _url(settings: CatalogueSettings, data: Path) -> URL:
    if not settings.url:
        return URL.create("sqlite", database=str(data / FILE))
    url = make_url(settings.url)
    return url.set(drivername="postgresql+psycopg") if url.drivername in ("postgresql", "postgres") else url


def _engine(url: URL, busy_timeout: float, durable: bool, read_only: bool) -> Engine:
    if url.get_backend_name() == "postgresql":
        arguments: dict[str, Any] = {"connect_timeout": max(2, round(busy_timeout)), "application_name": "vna"}
        return create_engine(url, paramstyle="format", connect_args=arguments, pool_size=1, max_overflow=-1)
    arguments = {"timeout": busy_timeout, "check_same_thread": False, "cached_statements": 512, "isolation_level": None}
    engine = create_engine(url, connect_args=arguments, pool_size=1, max_overflow=-1)

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        for pragma in _PRAGMAS + (() if durable else (_NOT_DURABLE,)) + ((_READ_ONLY,) if read_only else ()):
            connection.execute(pragma).fetchall()

    @event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine
