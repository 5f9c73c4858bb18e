"""Blocks of objects on a local disk: bounded, the least recently used given up first, shared by processes.

A block is a file ``<2 hex>/<SHA-256 of the object's key>/<number>``: its SHA-256 over key, number and octets, then the octets. It
is written under another name and renamed, so another process sees all of it or nothing; nothing is flushed, since what a power
loss tore no longer fits its digest and is dropped. All of it may be removed at any time.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import structlog

from vna_core.domain.errors import ConfigurationError, StoreUnavailable

_DIGEST: Final = 32
_SLACK: Final = 16
"""Room is made when a process has added one part in so many of the size since it last looked."""
_FRESH: Final = 60.0
"""Seconds for which a use is not noted again."""
_TRASH: Final = "trash"

_log = structlog.get_logger(__name__)


class BlockCache:
    """The cache in one folder.

    Parameters
    ----------
    size
        Octets it may hold. Each process that writes may exceed it by a sixteenth until it makes room.

    Raises
    ------
    ConfigurationError
        The folder cannot be made.
    """

    def __init__(self, root: Path, size: int) -> None:
        self._root, self._size = root, size
        self._lock, self._added = threading.Lock(), size  # what was there before is counted by the first addition
        try:
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            (root / _TRASH).mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(f"The cache folder {root} cannot be made: {error.strerror}.") from error

    def get(self, key: str, number: int) -> bytes | None:
        """A block, or None. A damaged one is dropped."""
        path = self._folder(key) / str(number)
        try:
            with path.open("rb") as file:
                octets, status = file.read(), os.fstat(file.fileno())
        except OSError:
            return None
        content = octets[_DIGEST:]
        if _digest(key, number, content) != octets[:_DIGEST]:
            _log.warning("cached-block-damaged", number=number, size=len(octets))
            _remove(path)
            return None
        if time.time() - status.st_mtime > _FRESH:
            with contextlib.suppress(OSError):  # given up by another process since
                os.utime(path)
        return content

    @contextlib.contextmanager
    def place(self, key: str) -> Iterator[int]:
        """The folder for blocks of an object, as a descriptor, to be opened before they are fetched; -1 where there is none.

        A folder that was dropped meanwhile takes no more blocks, so what was fetched before a deletion is not kept after it.
        """
        try:
            folder = self._folder(key)
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            _log.warning("cache-not-written", error=error.strerror)
            descriptor = -1
        try:
            yield descriptor
        finally:
            if descriptor >= 0:
                os.close(descriptor)

    def put(self, folder: int, key: str, number: int, content: bytes | memoryview) -> None:
        """Keep a block. Where the disk does not take it, it is not kept: the cache is never needed."""
        if folder < 0:
            return
        temporary = secrets.token_hex(8) + ".partial"
        try:
            descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600, dir_fd=folder)
            with os.fdopen(descriptor, "wb") as file:
                file.write(_digest(key, number, content))
                file.write(content)
            os.rename(temporary, str(number), src_dir_fd=folder, dst_dir_fd=folder)
        except OSError as error:
            _log.warning("cache-not-written", error=error.strerror)
            with contextlib.suppress(OSError):
                os.unlink(temporary, dir_fd=folder)
            return
        with self._lock:
            self._added += _on_disk(len(content) + _DIGEST)
            full = self._added > self._size // _SLACK
            self._added = 0 if full else self._added
        if full:
            try:
                self.make_room()
            except OSError as error:
                _log.warning("cache-not-bounded", error=error.strerror)

    def drop(self, key: str) -> None:
        """Forget an object. Raises StoreUnavailable when its blocks cannot be taken away: call again."""
        trash = self._root / _TRASH / secrets.token_hex(8)
        try:
            self._folder(key).rename(trash)
        except FileNotFoundError:
            return
        except OSError as error:
            raise StoreUnavailable(f"The cache {self._root} cannot be changed: {error.strerror}.") from error
        shutil.rmtree(trash, ignore_errors=True)

    def make_room(self) -> None:
        """Remove what was used least recently until the cache is within its size; one process at a time."""
        with (self._root / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            entries = sorted(self._entries())
            total = sum(size for _, size, _ in entries)
            for _, size, path in entries:
                if total <= self._size - self._size // _SLACK:
                    break
                if _remove(path):
                    total -= size
                with contextlib.suppress(OSError):  # other blocks are left in it
                    path.parent.rmdir()

    def _entries(self) -> Iterator[tuple[float, int, Path]]:
        """When it was last used, size and path of every file."""
        for folder, _, names in os.walk(self._root):
            for name in names:
                path = Path(folder, name)
                with contextlib.suppress(FileNotFoundError):
                    status = path.stat()
                    if path.parent != self._root:
                        yield status.st_mtime, _on_disk(status.st_size), path

    def _folder(self, key: str) -> Path:
        name = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
        return self._root / name[:2] / name


def _on_disk(size: int) -> int:
    """What a file takes: whole pages of 4 KiB."""
    return -(-size // 4096) * 4096


def _digest(key: str, number: int, content: bytes | memoryview) -> bytes:
    digest = hashlib.sha256(f"{number} {len(key)} {key}".encode("utf-8", "surrogatepass"))
    digest.update(content)
    return digest.digest()


def _remove(path: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
        return True
    return False
