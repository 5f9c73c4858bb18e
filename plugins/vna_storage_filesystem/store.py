"""A folder as a store: every object is a file, whose path below the root is its key."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import Any, Final

from vna_core.domain.errors import (
    ConfigurationError,
    ObjectMissing,
    StorageError,
    StoreUnavailable,
    VnaError,
)
from vna_core.domain.octets import CHUNK, ByteRange
from vna_core.ports.storage import Abilities, Content, Key, NewObject, Store, StoredObject
from vna_storage_filesystem.failures import translated
from vna_storage_filesystem.folders import Folders, flush
from vna_storage_filesystem.writing import PARTIAL, Writer

_READ_AHEAD: Final = 8 << 20
"""Reads longer than this are announced to the kernel."""


class FilesystemStore(Store):
    """Objects as files under `root`; a key is the path below it. The folder is made with the first object.

    Parameters
    ----------
    durable
        What is stored survives a loss of power. False: it survives the process only, and costs no flush; for what can be had again.

    Raises
    ------
    StoreUnavailable
        The path cannot be used as a folder.
    """

    def __init__(self, name: str, root: Path, durable: bool = True) -> None:
        self.name = name
        self._durable = durable
        try:
            self._folders = Folders(name, os.path.realpath(root))
            _refuse_unusable(self._folders.root)
        except OSError as error:
            raise StoreUnavailable(f"The folder of store {name!r} cannot be used: {error.strerror}.", store=name) from error
        self._writer = Writer(name, self._folders, durable)

    @classmethod
    def open(cls, name: str, options: Mapping[str, Any]) -> FilesystemStore:
        """Factory for the configuration. Options: ``path`` (the folder; made when missing), ``durable`` (true)."""
        unknown = set(options) - {"path", "durable"}
        if unknown or not options.get("path"):
            wrong = f"unknown option {min(unknown)!r}" if unknown else "option 'path' is missing"
            raise ConfigurationError(f"Store {name!r} of type filesystem: {wrong}; it takes 'path' and 'durable'.", store=name)
        durable = options.get("durable", True)
        if not isinstance(durable, bool):
            raise ConfigurationError(f"Store {name!r} of type filesystem: 'durable' is true or false.", store=name)
        return cls(name, Path(str(options["path"])), durable)

    @property
    def base_uri(self) -> str:
        """The root as ``file:`` URI."""
        return Path(self._folders.root).as_uri() + "/"

    def abilities(self) -> Abilities:
        """Links are exclusive, reads are local, and everything is flushed, unless it is not to be."""
        return Abilities(conditional_create=True, local=True, durable_create=self._durable)

    # -- writing ----------------------------------------------------------------------------------------------------------

    def create(self, key: Key, content: Content, sha256: str | None = None) -> StoredObject:
        """See `Store.create`."""
        (result,) = self._writer.create((NewObject(key, content, sha256),))
        if isinstance(result, VnaError):
            raise result
        return result

    def create_all(self, objects: Sequence[NewObject]) -> list[StoredObject | VnaError]:
        """See `Store.create_all`."""
        return self._writer.create(objects)

    # -- reading ----------------------------------------------------------------------------------------------------------

    def read(self, key: str, byte_range: ByteRange | None = None) -> bytes:
        """See `Store.read`."""
        descriptor = self._open(key)
        try:
            offset, end = _span(descriptor, byte_range)
            wanted = end - offset
            first = os.pread(descriptor, wanted, offset)
            if len(first) == wanted or not first:
                return first
            pieces, got = [first], len(first)
            while got < wanted and (piece := os.pread(descriptor, wanted - got, offset + got)):
                pieces.append(piece)
                got += len(piece)
            return b"".join(pieces)
        except OSError as error:
            raise self._translated(error, key) from error
        finally:
            os.close(descriptor)

    def chunks(self, key: str, byte_range: ByteRange | None = None) -> Iterator[bytes]:
        """See `Store.chunks`."""
        descriptor = self._open(key)
        try:
            offset, end = _span(descriptor, byte_range)
            if end - offset > _READ_AHEAD:
                os.posix_fadvise(descriptor, offset, end - offset, os.POSIX_FADV_SEQUENTIAL)
            while offset < end:
                piece = os.pread(descriptor, min(CHUNK, end - offset), offset)
                if not piece:
                    return
                offset += len(piece)
                yield piece
        except OSError as error:
            raise self._translated(error, key) from error
        finally:
            os.close(descriptor)

    def stat(self, key: str) -> StoredObject:
        """See `Store.stat`."""
        try:
            path = self._folders.path(key)
            self._folders.refuse_detour(os.path.dirname(path))
            status = os.stat(path, follow_symlinks=False)
        except OSError as error:
            raise self._translated(error, key) from error
        if not S_ISREG(status.st_mode):
            raise ObjectMissing("The object is not in the store.", store=self.name, key=key)
        return StoredObject(key, status.st_size, None, datetime.fromtimestamp(status.st_mtime, UTC))

    def list(self, prefix: str = "", after: str = "") -> Iterator[StoredObject]:
        """See `Store.list`. Folders are read one at a time, so memory does not grow with the store."""
        if not self._folders.begun:
            return
        yield from self._walk(self._folders.root, "", prefix, after)

    def _walk(self, folder: str, base: str, prefix: str, after: str) -> Iterator[StoredObject]:
        try:
            with os.scandir(folder) as found:
                entries = [(entry.name + ("/" if entry.is_dir(follow_symlinks=False) else ""), entry) for entry in found]
        except OSError as error:
            raise self._translated(error) from error
        # a folder sorts as its keys do: with the slash that follows its name
        for name, entry in sorted(entries, key=lambda one: os.fsencode(one[0])):
            key = base + name
            if name == PARTIAL + "/" or not (key.startswith(prefix) or prefix.startswith(key)):
                continue
            if name.endswith("/"):
                if not after or key > after or after.startswith(key):
                    yield from self._walk(entry.path, key, prefix, after)
            elif key > after and key.startswith(prefix) and entry.is_file(follow_symlinks=False):
                status = entry.stat(follow_symlinks=False)
                yield StoredObject(key, status.st_size, None, datetime.fromtimestamp(status.st_mtime, UTC))

    def _open(self, key: str) -> int:
        try:
            path = self._folders.path(key)
            self._folders.refuse_detour(os.path.dirname(path))
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        except OSError as error:
            raise self._translated(error, key) from error
        if not S_ISREG(os.fstat(descriptor).st_mode):  # a folder opens as well, and nothing read of it is no error
            os.close(descriptor)
            raise ObjectMissing("The object is not in the store.", store=self.name, key=key)
        return descriptor

    # -- the rest ---------------------------------------------------------------------------------------------------------

    def delete(self, key: str) -> None:
        """See `Store.delete`."""
        path = self._folders.path(key)
        try:
            self._folders.refuse_detour(os.path.dirname(path))
            os.unlink(path)
            flush(os.path.dirname(path))
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
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

    def _translated(self, error: OSError, key: str = "") -> VnaError:
        if key and error.errno == errno.ENOENT and not self._folders.begun:
            return ObjectMissing("The object is not in the store, which holds none yet.", store=self.name, key=key)
        return translated(error, self.name, self._folders.root, key)


def _refuse_unusable(root: str) -> None:
    """Raise OSError for a path that can be no folder, whether it is there or is to be made."""
    folder = root
    while True:
        try:
            is_folder = S_ISDIR(os.stat(folder).st_mode)
        except FileNotFoundError:
            folder = os.path.dirname(folder)
            continue
        if not is_folder:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        return


def _span(descriptor: int, byte_range: ByteRange | None) -> tuple[int, int]:
    """Begin and end of what a range names in this file."""
    if byte_range is None:
        return 0, os.fstat(descriptor).st_size
    if byte_range.offset >= 0:
        return byte_range.offset, byte_range.end
    size = os.fstat(descriptor).st_size
    begin = max(0, size + byte_range.offset)
    return begin, min(size, begin + byte_range.length)
