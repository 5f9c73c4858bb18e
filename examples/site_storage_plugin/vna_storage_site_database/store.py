"""The store: objects as rows of one SQLite file, in pieces, so that no object need fit into memory."""

from __future__ import annotations

import secrets
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from vna_core.domain.errors import ObjectExists, ObjectMissing, OutOfResources, StorageError, StoreUnavailable, VnaError
from vna_core.domain.octets import CHUNK, ByteRange
from vna_core.domain.storage_keys import checked_key
from vna_core.ports.storage import Abilities, Content, Key, NewObject, Store, StoredObject
from vna_core.ports.store_options import StoreOptions, checked_options
from vna_core.ports.upload import Upload, taken_in

_TABLES = """
CREATE TABLE IF NOT EXISTS object (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, size INTEGER NOT NULL, sha256 TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS piece (object INTEGER NOT NULL, number INTEGER NOT NULL, octets BLOB NOT NULL,
                                  PRIMARY KEY (object, number)) WITHOUT ROWID;
"""


class Options(StoreOptions):
    """Options of this backend."""

    path: str


class SiteDatabaseStore(Store):
    """Objects in the file `path`."""

    def __init__(self, name: str, path: str) -> None:
        self.name = name
        self._path = path
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []
        with self._database() as database:
            database.execute("PRAGMA journal_mode=WAL")
            database.executescript(_TABLES)

    @classmethod
    def open(cls, name: str, options: Mapping[str, Any]) -> SiteDatabaseStore:
        """Factory for the configuration."""
        return cls(name, checked_options(Options, name, "site-database", options).path)

    def abilities(self) -> Abilities:
        """Keys are unique, the file is near, and a commit is flushed."""
        return Abilities(conditional_create=True, local=True, durable_create=True)

    def create(self, key: Key, content: Content, sha256: str | None = None) -> StoredObject:
        """See `Store.create`: one transaction; what raises in its middle leaves nothing."""
        (result,) = self.create_all((NewObject(key, content, sha256),))
        if isinstance(result, VnaError):
            raise result
        return result

    def create_all(self, objects: Sequence[NewObject]) -> list[StoredObject | VnaError]:
        """See `Store.create_all`: they share a transaction, and with it the flush."""
        with ExitStack() as closing:
            uploads = [self._taken_in(one, closing) for one in objects]
            try:
                with self._database() as database:
                    database.execute("BEGIN IMMEDIATE")
                    results = [one if isinstance(one, VnaError) else self._insert(database, one) for one in uploads]
                    database.execute("COMMIT")
            except VnaError as error:  # the database itself: none of them is stored
                return [one if isinstance(one, VnaError) else error for one in uploads]
        return results

    def _taken_in(self, wanted: NewObject, closing: ExitStack) -> Upload | VnaError:
        """Content in memory or in a spool file, so that a slow sender holds up nobody; only large content of known digest streams."""
        try:
            taking = taken_in(self.name, wanted.key, wanted.content, wanted.sha256, part_size=CHUNK, digest_first=True)
            return closing.enter_context(taking)
        except VnaError as error:
            return error

    def _insert(self, database: sqlite3.Connection, upload: Upload) -> StoredObject | VnaError:
        database.execute("SAVEPOINT one")
        try:
            added = database.execute("INSERT INTO object (key, size, sha256) VALUES (?, 0, '')", (upload.key,)).lastrowid
            for number, piece in enumerate(upload.parts if upload.small is None else [upload.small]):
                database.execute("INSERT INTO piece VALUES (?, ?, ?)", (added, number, piece))
            size, digest = upload.passed()
            database.execute("UPDATE object SET size = ?, sha256 = ? WHERE id = ?", (size, digest, added))
            return StoredObject(upload.key, size, digest)
        except sqlite3.IntegrityError:
            database.execute("ROLLBACK TO one")
            return ObjectExists("The key exists already; nothing was written.", store=self.name, key=upload.key)
        except VnaError as error:
            database.execute("ROLLBACK TO one")
            return error

    def read(self, key: str, byte_range: ByteRange | None = None) -> bytes:
        """See `Store.read`."""
        return b"".join(self.chunks(key, byte_range))

    def chunks(self, key: str, byte_range: ByteRange | None = None) -> Iterator[bytes]:
        """See `Store.chunks`."""
        number, size, _ = self._row(key)
        wanted = (byte_range or ByteRange(0, size)).within(size)
        position, end = wanted.offset, min(wanted.end, size)
        while position < end:
            with self._database() as database:
                statement = "SELECT octets FROM piece WHERE object = ? AND number = ?"
                row = database.execute(statement, (number, position // CHUNK)).fetchone()
            if row is None:
                raise ObjectMissing("The object was deleted while it was read.", store=self.name, key=key)
            piece = row[0][position % CHUNK :][: end - position]
            position += len(piece)
            yield piece

    def stat(self, key: str) -> StoredObject:
        """See `Store.stat`."""
        _, size, sha256 = self._row(key)
        return StoredObject(key, size, sha256)

    def delete(self, key: str) -> None:
        """See `Store.delete`."""
        checked_key(key, self.name)
        with self._database() as database:
            database.execute("BEGIN IMMEDIATE")
            database.execute("DELETE FROM piece WHERE object = (SELECT id FROM object WHERE key = ?)", (key,))
            database.execute("DELETE FROM object WHERE key = ?", (key,))
            database.execute("COMMIT")

    def list(self, prefix: str = "", after: str = "") -> Iterator[StoredObject]:
        """See `Store.list`, a page at a time."""
        wanted = "key > ? AND key >= ? AND substr(key, 1, ?) = ?"
        statement = f"SELECT key, size, sha256 FROM object WHERE {wanted} ORDER BY key LIMIT 1000"
        while True:
            with self._database() as database:
                page = database.execute(statement, (after, prefix, len(prefix), prefix)).fetchall()
            yield from (StoredObject(key, size, sha256) for key, size, sha256 in page)
            if len(page) < 1000:
                return
            after = page[-1][0]

    def probe(self) -> None:
        """See `Store.probe`."""
        key, content = f"probe/{secrets.token_hex(8)}", secrets.token_bytes(64)
        self.create(key, [content])
        try:
            if self.read(key) != content:
                raise StorageError(f"Store {self.name!r} gives back other octets than were written.", store=self.name)
        finally:
            self.delete(key)

    def close(self) -> None:
        """See `Store.close`."""
        while self._opened:
            self._opened.pop().close()

    def _row(self, key: str) -> tuple[int, int, str]:
        checked_key(key, self.name)
        with self._database() as database:
            row = database.execute("SELECT id, size, sha256 FROM object WHERE key = ?", (key,)).fetchone()
        if row is None:
            raise ObjectMissing("The object is not in the store.", store=self.name, key=key)
        return int(row[0]), int(row[1]), str(row[2])

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        """This thread's connection. A transaction that was not committed is taken back; foreign errors become ours."""
        try:
            database: sqlite3.Connection | None = getattr(self._local, "database", None)
            if database is None:
                database = sqlite3.connect(self._path, timeout=30, isolation_level=None, check_same_thread=False)
                database.execute("PRAGMA synchronous=FULL")  # without it, `durable_create` would be a lie
                self._local.database = database
                self._opened.append(database)
            try:
                yield database
            finally:
                if database.in_transaction:
                    database.execute("ROLLBACK")
        except sqlite3.OperationalError as error:
            if "full" in str(error):
                raise OutOfResources(
                    f"Store {self.name!r} is full: free space, then send again.",
                    limit=f"stores.{self.name}",
                    maximum="disk space",
                    store=self.name,
                ) from error
            raise StoreUnavailable(f"Store {self.name!r} does not answer: {error}.", store=self.name) from error
