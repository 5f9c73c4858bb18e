"""The store itself: content is complete before any of it is sent, and looked for before it is written.

fsspec promises neither exclusive creation nor durability, so this store does not either, except where a file system is known to create
on a condition that its service checks. Such a store is for further copies, not for landing.
"""

from __future__ import annotations

import contextlib
import secrets
import tempfile
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

import fsspec
import structlog

from vna_core.domain.errors import (
    ConfigurationError,
    InvalidRequest,
    ObjectExists,
    ObjectMissing,
    StorageError,
    StoreRefused,
    StoreUnavailable,
    VnaError,
)
from vna_core.domain.octets import CHUNK, ByteRange
from vna_core.domain.storage_keys import checked_key
from vna_core.ports.storage import Abilities, Content, Key, Store, StoredObject
from vna_core.ports.upload import Upload, taken_in
from vna_storage_fsspec.options import FsspecOptions

_SMALL: Final = 8 << 20
_LOCKS: Final = 64
_PARTIAL: Final = ".partial"
"""Folder for objects being written, where a name cannot appear with all its content at once; never listed."""
_CONDITIONAL: Final = frozenset(("gs", "gcs"))
"""File systems whose ``create`` mode is a condition that the service checks, and whose objects appear whole."""

_log = structlog.get_logger(__name__)


class FsspecStore(Store):
    """Objects below a URL.

    Raises
    ------
    ImportError
        The library of the scheme is not installed.
    ConfigurationError
        The scheme is unknown.
    StoreRefused
        The place refuses us, or is not there.
    StoreUnavailable
        It does not answer.
    """

    def __init__(self, name: str, options: FsspecOptions) -> None:
        self.name, self._options = name, options
        scheme = options.url.split("://", 1)[0]
        self._conditional = scheme in _CONDITIONAL
        try:
            parameters = {"use_listings_cache": False, "skip_instance_cache": True, **options.parameters}
            self._files, self._root = fsspec.core.url_to_fs(options.url, **parameters)
        except (ValueError, TypeError) as error:
            raise ConfigurationError(f"Store {name!r} of type fsspec: {error}", store=name) from error
        except OSError as error:
            raise self._translated(error) from error
        self._root = self._root.rstrip("/")
        self._locks = tuple(threading.Lock() for _ in range(_LOCKS))
        self._conditional = self._conditional and self._refuses_second()
        if not self._conditional:
            _log.warning(
                "store-overwrites", store=name, consequence="two writers at once may overwrite each other; unfit for landing"
            )

    def abilities(self) -> Abilities:
        """Little is promised: see the module."""
        return Abilities(conditional_create=self._conditional, local=False, durable_create=self._conditional)

    # -- writing ----------------------------------------------------------------------------------------------------------

    def create(self, key: Key, content: Content, sha256: str | None = None) -> StoredObject:
        """See `Store.create`."""
        folder = self._options.spool
        with taken_in(self.name, key, content, sha256, part_size=_SMALL, digest_first=True, folder=folder) as upload:
            path = self._path(upload.key)
            with self._locks[hash(path) % _LOCKS], tempfile.NamedTemporaryFile(dir=folder) as file:
                for part in upload.parts:
                    file.write(part)
                file.flush()
                size, digest = upload.passed()
                self._send(file.name, path, upload)
        return StoredObject(upload.key, size, digest)

    def _send(self, file: str, path: str, upload: Upload) -> None:
        with self._errors(upload.key):
            if self._files.exists(path):
                raise ObjectExists("The key exists already; nothing was written.", store=self.name, key=upload.key)
            if self._conditional:
                self._files.put_file(file, path, mode="create")
                return
            partial = f"{self._root}/{_PARTIAL}/{secrets.token_hex(16)}"
            self._files.makedirs(f"{self._root}/{_PARTIAL}", exist_ok=True)
            try:
                self._files.put_file(file, partial)
                self._files.makedirs(path.rpartition("/")[0], exist_ok=True)
                self._files.mv(partial, path)
            except BaseException:
                with contextlib.suppress(OSError):
                    self._files.rm_file(partial)
                raise

    def delete(self, key: str) -> None:
        """See `Store.delete`."""
        with contextlib.suppress(ObjectMissing), self._errors(key):
            path = self._path(checked_key(key, self.name))
            if self._files.isfile(path):
                self._files.rm_file(path)

    # -- reading ----------------------------------------------------------------------------------------------------------

    def read(self, key: str, byte_range: ByteRange | None = None) -> bytes:
        """See `Store.read`."""
        size = self.stat(key).size
        begin, end = _span(size, byte_range)
        if begin >= end:
            return b""
        with self._errors(key):
            return bytes(self._files.cat_file(self._path(key), start=begin, end=end))

    def chunks(self, key: str, byte_range: ByteRange | None = None) -> Iterator[bytes]:
        """See `Store.chunks`."""
        begin, end = _span(self.stat(key).size, byte_range)
        while begin < end:
            with self._errors(key):
                octets = bytes(self._files.cat_file(self._path(key), start=begin, end=min(end, begin + _SMALL)))
            if not octets:
                return
            yield from (octets[at : at + CHUNK] for at in range(0, len(octets), CHUNK))
            begin += len(octets)

    def stat(self, key: str) -> StoredObject:
        """See `Store.stat`."""
        with self._errors(key):
            found = self._files.info(self._path(checked_key(key, self.name)))
        if found.get("type") != "file":
            raise ObjectMissing("The object is not in the store.", store=self.name, key=key)
        return StoredObject(key, int(found["size"]), None, _modified(found))

    def list(self, prefix: str = "", after: str = "") -> Iterator[StoredObject]:
        """See `Store.list`. Folders are read one at a time, so memory does not grow with the store."""
        yield from self._walk("", prefix, after)

    def _walk(self, base: str, prefix: str, after: str) -> Iterator[StoredObject]:
        try:
            with self._errors(base or "."):
                listed = self._files.ls(f"{self._root}/{base}".rstrip("/"), detail=True)
        except ObjectMissing:
            return
        # a folder sorts as its keys do: with the slash that follows its name
        named = {one["name"].rstrip("/").rpartition("/")[2] + ("/" if one["type"] == "directory" else ""): one for one in listed}
        for name, found in sorted(named.items()):
            key = base + name
            if name == _PARTIAL + "/" or name == "/" or not (key.startswith(prefix) or prefix.startswith(key)):
                continue
            if name.endswith("/"):
                if not after or key > after or after.startswith(key):
                    yield from self._walk(key, prefix, after)
            elif key > after and key.startswith(prefix):
                yield StoredObject(key, int(found["size"]), None, _modified(found))

    # -- the rest ---------------------------------------------------------------------------------------------------------

    def probe(self) -> None:
        """See `Store.probe`."""
        key, content = f"probe/{secrets.token_hex(8)}", secrets.token_bytes(64)
        self.create(key, [content])
        try:
            if self.read(key) != content:
                raise StorageError(f"Store {self.name!r} gives back other octets than were written.", store=self.name)
        finally:
            self.delete(key)

    def _refuses_second(self) -> bool:
        key = f"probe/{secrets.token_hex(8)}"
        path = self._path(key)
        try:
            with self._errors(key):
                self._files.pipe_file(path, b"probe", mode="create")
            try:
                with self._errors(key):
                    self._files.pipe_file(path, b"second", mode="create")
            except ObjectExists:
                return True
            return False
        except ObjectMissing as error:
            raise StoreRefused(f"Store {self.name!r}: {self._options.url} does not exist.", store=self.name) from error
        finally:
            with contextlib.suppress(VnaError):
                self.delete(key)

    def _path(self, key: str) -> str:
        return f"{self._root}/{key}"

    @contextlib.contextmanager
    def _errors(self, key: str) -> Iterator[None]:
        try:
            yield
        except VnaError:
            raise
        except Exception as error:  # every implementation has its own classes; none may escape
            raise self._translated(error, key) from error

    def _translated(self, error: Exception, key: str = "") -> VnaError:
        if isinstance(error, (FileNotFoundError, NotADirectoryError, IsADirectoryError)) and key:
            return ObjectMissing("The object is not in the store.", store=self.name, key=key)
        if isinstance(error, FileExistsError):
            return ObjectExists("The key exists already; nothing was written.", store=self.name, key=key)
        if isinstance(error, PermissionError):
            return StoreRefused(
                f"Store {self.name!r}: {self._options.url} refuses: check credentials and rights.", store=self.name
            )
        if isinstance(error, (ValueError, TypeError, NotImplementedError)):
            return InvalidRequest(f"Store {self.name!r} cannot do this ({type(error).__name__}).", store=self.name)
        return StoreUnavailable(f"Store {self.name!r} does not answer ({type(error).__name__}).", store=self.name)


def _span(size: int, byte_range: ByteRange | None) -> tuple[int, int]:
    """Begin and end of what a range names in an object."""
    if byte_range is None:
        return 0, size
    begin = byte_range.offset if byte_range.offset >= 0 else max(0, size + byte_range.offset)
    return begin, min(size, begin + byte_range.length)


def _modified(found: dict[str, Any]) -> datetime | None:
    moment = next((found[name] for name in ("mtime", "updated", "modified", "created") if found.get(name)), None)
    if isinstance(moment, datetime):
        return moment.astimezone(UTC)
    return datetime.fromtimestamp(moment, UTC) if isinstance(moment, (int, float)) else None
