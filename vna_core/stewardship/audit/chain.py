"""The log: lines in numbered files, each with the digest of itself and everything before it.

A line is ``DIGEST SP BODY LF``: DIGEST is the SHA-256 (hex) of the digest before, followed by BODY; BODY is a JSON object whose ``n``
counts from 1 on. The digest before the first line is that of the chain's name. All processes of a data folder append to one
chain, one at a time, under a lock of the operating system; a batch costs one write and one flush.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

NAME: Final = "chain"
"""File with the chain's name."""
_SUFFIX: Final = ".log"
_ENCODER: Final = json.JSONEncoder(ensure_ascii=True, check_circular=False, separators=(",", ":"))
_TAIL: Final = 1 << 20
"""Longest line, and what is read at the end of a file to begin with; of a longer record a part is written."""
_SHORTENED: Final = (1000, 300, 100, 30)
"""Characters of texts and members of lists that are left of a record that is too long."""


@dataclass(frozen=True, slots=True)
class Head:
    """The last line of a chain: its number and digest."""

    number: int
    digest: str


def link(before: str, body: bytes) -> str:
    """The digest of a line."""
    return hashlib.sha256(before.encode("utf-8") + body).hexdigest()


def first_digest(name: str) -> str:
    """The digest before the first line."""
    return hashlib.sha256(name.encode("ascii")).hexdigest()


def segments(folder: Path) -> list[Path]:
    """The files of a chain, oldest first."""
    return sorted(path for path in folder.glob(f"*{_SUFFIX}") if path.stem.isdigit())


class Chain:
    """Appends to the chain of a folder. Several processes may have it open; one object is used by one thread.

    Parameters
    ----------
    sealed
        Called with each file that is full, after the next one was begun.
    """

    def __init__(self, folder: Path, segment_size: int, sealed: Callable[[Path], object] = lambda path: None) -> None:
        self.folder = folder
        self._segment_size = segment_size
        self._sealed = sealed
        self._name = ""
        self._lock = -1

    @property
    def name(self) -> str:
        """The chain's name, made when the first line is appended."""
        return self._name

    def append(self, bodies: Sequence[dict[str, Any]]) -> Head:
        """Append records durably; the new head. Raises OSError: then none of them counts as written."""
        with self._locked():
            path = self._current()
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                head, dropped = self._head(descriptor, path)
                if dropped:
                    bodies = [{"torn": dropped}, *bodies]
                lines = bytearray()
                for body in bodies:
                    content = _content(head.number + 1, body)
                    head = Head(head.number + 1, link(head.digest, content))
                    lines += head.digest.encode("ascii") + b" " + content + b"\n"
                self._write(descriptor, lines)
                full = os.fstat(descriptor).st_size >= self._segment_size
            finally:
                os.close(descriptor)
            if full:
                self._begin(int(path.stem) + 1, head)
        if full:
            self._sealed(path)
        return head

    def close(self) -> None:
        """Give the lock file back. May be called twice."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    @staticmethod
    def _write(descriptor: int, lines: bytearray) -> None:
        size = os.fstat(descriptor).st_size
        try:
            done = 0
            while done < len(lines):
                done += os.write(descriptor, memoryview(lines)[done:])
            os.fdatasync(descriptor)
        except OSError:
            os.ftruncate(descriptor, size)
            raise

    @contextmanager
    def _locked(self) -> Iterator[None]:
        if self._lock < 0:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)

    def _current(self) -> Path:
        """The file to append to; the chain gets its name with the first."""
        named = self.folder / NAME
        if not self._name:
            if not named.exists():
                _durable(named, secrets.token_hex(16).encode("ascii"))
            self._name = named.read_text("ascii").strip()
        found = segments(self.folder)
        return found[-1] if found else self.folder / f"{1:08d}{_SUFFIX}"

    def _head(self, descriptor: int, path: Path) -> tuple[Head, int]:
        """The last line, and how many octets of a torn one behind it were dropped (a power loss cut them; nobody relied on them).

        A whole line that cannot be read was put there by nobody of us, or damaged. It stays, counts as one, and is not continued: verification finds it.
        """
        size, reach = os.fstat(descriptor).st_size, _TAIL
        while True:
            tail = os.pread(descriptor, reach, max(0, size - reach))
            begins = 0 if size <= reach else tail.find(b"\n") + 1 or len(tail)  # of the line before, only the end was read
            whole = max(begins, tail.rfind(b"\n") + 1)
            head, unreadable = _last_of(tail[begins:whole])
            if head is not None or size <= reach:
                break
            reach *= 8
        dropped = len(tail) - whole
        if dropped:
            os.ftruncate(descriptor, size - dropped)
        head = head or self._before(path)
        return Head(head.number + unreadable, head.digest), dropped

    def _before(self, path: Path) -> Head:
        """The head before the first line of a file: it is named in the file's companion."""
        companion = path.with_suffix(".begin")
        if not companion.exists():
            return Head(0, first_digest(self._name))
        said = json.loads(companion.read_bytes())
        return Head(said["n"], said["digest"])

    def _begin(self, number: int, head: Head) -> None:
        """Begin a file: what it continues is flushed before anything is written to it."""
        path = self.folder / f"{number:08d}{_SUFFIX}"
        _durable(path.with_suffix(".begin"), json.dumps({"n": head.number, "digest": head.digest}).encode("ascii"))
        _durable(path, b"")


def _content(number: int, body: dict[str, Any]) -> bytes:
    """The JSON of a line; of a record that is too long its beginning, with how long it was."""
    content = _ENCODER.encode({"n": number, **body}).encode("ascii")
    size = len(content)
    for most in _SHORTENED:
        if len(content) <= _TAIL - 100:
            break
        content = _ENCODER.encode({"n": number, "shortened": size, **_shortened(body, most)}).encode("ascii")
    return content


def _shortened(value: Any, most: int) -> Any:
    """The same with so many characters of each text and members of each list."""
    if isinstance(value, str):
        return value[:most]
    if isinstance(value, dict):
        return {name: _shortened(one, most) for name, one in value.items()}
    return [_shortened(one, most) for one in value[:most]] if isinstance(value, (list, tuple)) else value


def _last_of(lines: bytes) -> tuple[Head | None, int]:
    """The last of some whole lines that can be read, and how many behind it cannot."""
    unreadable, end = 0, len(lines) - 1
    while end >= 0:
        begin = lines.rfind(b"\n", 0, end) + 1
        head = _head_of(lines[begin:end])
        if head is not None:
            return head, unreadable
        unreadable, end = unreadable + 1, begin - 1
    return None, unreadable


def _head_of(line: bytes) -> Head | None:
    """Number and digest of a line; None where it cannot be read."""
    try:
        number = json.loads(line[65:])["n"]
        return Head(number, line[:64].decode("ascii")) if type(number) is int and line[64:65] == b" " else None
    except (ValueError, TypeError, KeyError):
        return None


def _durable(path: Path, content: bytes) -> None:
    """A file, flushed with its folder."""
    with path.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
