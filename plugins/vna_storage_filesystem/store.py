"""The store itself: unnamed temporary file, flush, link if absent, flush of the directory."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from vna_core.domain.errors import (
    ConfigurationError,
    DigestMismatch,
    InvalidRequest,
    ObjectExists,
    ObjectMissing,
    OutOfResources,
    StorageError,
    StoreUnavailable,
    VnaError,
)
from vna_core.domain.octets import CHUNK, ByteRange
from vna_core.ports.storage import Abilities, Content, Key, Store, StoredObject
from vna_storage_filesystem.directory_flush import DirectoryFlush

_FULL: Final = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
_PARTIAL: Final = ".partial"
"""Folder for temporary files where the file system has no unnamed ones; never listed."""


class FilesystemStore(Store):
    """Objects as files under `root`; a key is the path below it.

    Raises
    ------
    StoreUnavailable
        The folder cannot be made or entered.
    """

    def __init__(self, name: str, root: Path) -> None:
        self.name = name
        try:
            root.mkdir(parents=True, exist_ok=True)
            self._root = os.path.realpath(root)
        except OSError as error:
            raise StoreUnavailable(f"The folder of store {name!r} cannot be used: {error.strerror}.", store=name) from error
        self._directory_flush = DirectoryFlush()
        self._known_directories: set[str] = {self._root}
        self._unnamed = self._has_unnamed_files()

    @classmethod
    def open(cls, name: str, options: Mapping[str, Any]) -> FilesystemStore:
        """Factory for the configuration. Options: ``path`` (the folder; made when missing)."""
        unknown = set(options) - {"path"}
        if unknown or not options.get("path"):
            wrong = f"unknown option {sorted(unknown)[0]!r}" if unknown else "option 'path' is missing"
            raise ConfigurationError(f"Store {name!r} of type filesystem: {wrong}; it takes 'path'.", store=name)
        return cls(name, Path(str(options["path"])))

    def abilities(self) -> Abilities:
        """Links are exclusive, reads are local, and everything is flushed."""
        return Abilities(conditional_create=True, local=True, durable_create=True)

    # -- writing ----------------------------------------------------------------------------------------------------------

    def create(self, key: Key, content: Content, sha256: str | None = None) -> StoredObject:
        """See `Store.create`."""
        try:
            descriptor, temporary = self._open_temporary()
        except OSError as error:
            raise self._translated(error) from error
        try:
            size, digest = self._write(descriptor, content)
            if sha256 is not None and digest != sha256:
                raise DigestMismatch("The content is not what its digest says; nothing was stored.", store=self.name)
            name = key if isinstance(key, str) else key(digest)
            path = self._path(name)
            os.fsync(descriptor)
            self._make_directories(os.path.dirname(path))
            self._link(descriptor, temporary, path, name)
            self._directory_flush.flush(os.path.dirname(path))
            return StoredObject(name, size, digest)
        except OSError as error:
            raise self._translated(error) from error
        finally:
            os.close(descriptor)
            if temporary is not None:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(temporary)

    def _open_temporary(self) -> tuple[int, str | None]:
        if self._unnamed:
            return os.open(self._root, os.O_TMPFILE | os.O_RDWR, 0o640), None
        folder = os.path.join(self._root, _PARTIAL)
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, secrets.token_hex(16))
        return os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o640), path

    def _has_unnamed_files(self) -> bool:
        try:
            os.close(os.open(self._root, os.O_TMPFILE | os.O_RDWR, 0o640))
        except OSError as error:
            if error.errno in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL):
                return False
            raise self._translated(error) from error
        return True

    @staticmethod
    def _write(descriptor: int, content: Content) -> tuple[int, str]:
        digest, size = hashlib.sha256(), 0
        for chunk in content:
            digest.update(chunk)
            view = memoryview(chunk)
            while len(view):
                written = os.write(descriptor, view)
                size += written
                view = view[written:]
        return size, digest.hexdigest()

    def _link(self, descriptor: int, temporary: str | None, path: str, key: str) -> None:
        try:
            if temporary is not None:
                os.link(temporary, path)
            else:  # a folder descriptor makes Python call linkat with AT_SYMLINK_FOLLOW, which open(2) asks for here
                os.link(f"/proc/self/fd/{descriptor}", path, src_dir_fd=descriptor, follow_symlinks=True)
        except FileExistsError as error:
            # Whoever made the name may not have flushed it yet, and the caller will rely on it.
            self._directory_flush.flush(os.path.dirname(path))
            raise ObjectExists("The key exists already; nothing was written.", store=self.name, key=key) from error

    def _make_directories(self, folder: str) -> None:
        """Make a folder and flush every parent that got a new name."""
        if folder in self._known_directories and os.path.isdir(folder):
            return
        missing = []
        current = folder
        while not os.path.isdir(current):
            missing.append(current)
            current = os.path.dirname(current)
        for path in reversed(missing):
            with contextlib.suppress(FileExistsError):
                os.mkdir(path, 0o750)
        for path in reversed(missing):
            self._directory_flush.flush(os.path.dirname(path))
        if not missing:  # made by another process a moment ago: its flush may not have happened yet
            self._directory_flush.flush(os.path.dirname(folder))
        if len(self._known_directories) > 100_000:
            self._known_directories.clear()
        self._known_directories.add(folder)

    # -- reading ----------------------------------------------------------------------------------------------------------

    def read(self, key: str, byte_range: ByteRange | None = None) -> bytes:
        """See `Store.read`."""
        descriptor = self._open(key)
        try:
            offset = byte_range.offset if byte_range is not None else 0
            wanted = byte_range.length if byte_range is not None else os.fstat(descriptor).st_size
            first = os.pread(descriptor, wanted, offset)
            if len(first) == wanted or not first:
                return first
            pieces, got = [first], len(first)
            while got < wanted and (piece := os.pread(descriptor, wanted - got, offset + got)):
                pieces.append(piece)
                got += len(piece)
            return b"".join(pieces)
        except OSError as error:
            raise self._translated(error) from error
        finally:
            os.close(descriptor)

    def chunks(self, key: str, byte_range: ByteRange | None = None) -> Iterator[bytes]:
        """See `Store.chunks`."""
        descriptor = self._open(key)
        try:
            offset = byte_range.offset if byte_range is not None else 0
            end = byte_range.end if byte_range is not None else os.fstat(descriptor).st_size
            while offset < end:
                piece = os.pread(descriptor, min(CHUNK, end - offset), offset)
                if not piece:
                    return
                offset += len(piece)
                yield piece
        except OSError as error:
            raise self._translated(error) from error
        finally:
            os.close(descriptor)

    def stat(self, key: str) -> StoredObject:
        """See `Store.stat`."""
        try:
            status = os.stat(self._path(key), follow_symlinks=False)
        except OSError as error:
            raise self._translated(error, key) from error
        return StoredObject(key, status.st_size, None, datetime.fromtimestamp(status.st_mtime, UTC))

    def list(self, prefix: str = "", after: str = "") -> Iterator[StoredObject]:
        """See `Store.list`. Folders are read one at a time, so memory does not grow with the store."""
        yield from self._walk(self._root, "", prefix, after)

    def _walk(self, folder: str, base: str, prefix: str, after: str) -> Iterator[StoredObject]:
        try:
            with os.scandir(folder) as found:
                entries = [(entry.name + ("/" if entry.is_dir(follow_symlinks=False) else ""), entry) for entry in found]
        except OSError as error:
            raise self._translated(error) from error
        # a folder sorts as its keys do: with the slash that follows its name
        for name, entry in sorted(entries, key=lambda one: os.fsencode(one[0])):
            key = base + name
            if name == _PARTIAL + "/" or not (key.startswith(prefix) or prefix.startswith(key)):
                continue
            if name.endswith("/"):
                if not after or key > after or after.startswith(key):
                    yield from self._walk(entry.path, key, prefix, after)
            elif key > after and key.startswith(prefix) and entry.is_file(follow_symlinks=False):
                status = entry.stat(follow_symlinks=False)
                yield StoredObject(key, status.st_size, None, datetime.fromtimestamp(status.st_mtime, UTC))

    def _open(self, key: str) -> int:
        try:
            return os.open(self._path(key), os.O_RDONLY | os.O_NOFOLLOW)
        except OSError as error:
            raise self._translated(error, key) from error

    # -- the rest ---------------------------------------------------------------------------------------------------------

    def delete(self, key: str) -> None:
        """See `Store.delete`."""
        path = self._path(key)
        try:
            os.unlink(path)
            self._directory_flush.flush(os.path.dirname(path))
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._translated(error, key) from error

    def probe(self) -> None:
        """See `Store.probe`."""
        key, content = f"probe/{secrets.token_hex(8)}", secrets.token_bytes(64)
        self.create(key, [content])
        try:
            if self.read(key) != content:
                raise StorageError(f"Store {self.name!r} gives back other octets than were written.", store=self.name)
        finally:
            self.delete(key)

    def _path(self, key: str) -> str:
        segments = key.split("/")
        if not key.isascii() or "\0" in key or len(key) > 1024 or any(segment in ("", ".", "..") for segment in segments):
            raise InvalidRequest("A storage key is ASCII, at most 1,024 octets, without empty, '.' or '..' segments.", store=self.name)
        return os.path.join(self._root, *segments)

    def _translated(self, error: OSError, key: str = "") -> VnaError:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG) and key:
            return ObjectMissing("The object is not in the store.", store=self.name, key=key)
        if error.errno in _FULL:
            return OutOfResources(
                f"Store {self.name!r} is full: free space, then send again.", limit=f"stores.{self.name}", maximum="disk space"
            )
        return StoreUnavailable(f"Store {self.name!r} fails: {error.strerror or error}.", store=self.name)
