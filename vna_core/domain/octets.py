"""Octets as received: the exact bytes a sender gave us, in memory or spooled, named by range."""

from __future__ import annotations

import hashlib
import mmap
import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

CHUNK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class ByteRange:
    """`length` octets from `offset` (0-based). A negative offset counts from the end; only stores know where that is."""

    offset: int
    length: int

    @property
    def end(self) -> int:
        """Offset of the first octet after the range."""
        return self.offset + self.length

    def within(self, size: int) -> ByteRange:
        """The same octets of an object of `size`, counted from its beginning."""
        if self.offset >= 0:
            return self
        begin = max(0, size + self.offset)
        return ByteRange(begin, min(self.length, size - begin))


@dataclass(frozen=True, slots=True)
class Source:
    """Where octets came from. Recorded in the provenance of every instance.

    Attributes
    ----------
    kind
        ``dimse``, ``stow``, ``file`` or ``migration``.
    name
        Calling AE title, principal, source archive or folder.
    address
        Peer address, or path and archive member.
    issuer
        Assigning authority for Patient IDs of this source that carry none (empty: unknown).
    """

    kind: str
    name: str = ""
    address: str = ""
    issuer: str = ""


@dataclass(slots=True, eq=False)
class Octets:
    """A received byte string with its length and SHA-256, either in memory or in an unlinked spool file.

    `buffer` gives random access to all of it (an ``mmap`` for a spooled one, so only touched pages are resident);
    `read` and `chunks` use ordinary reads and keep memory flat. Call `close` when done; a closed one cannot be read.

    Attributes
    ----------
    digest
        SHA-256 where it was made while the octets came; empty: `sha256` makes it when somebody wants to know it.
    """

    size: int
    digest: str
    memory: bytes | bytearray | None = None
    descriptor: int = -1
    _mapping: mmap.mmap | None = field(default=None, repr=False)

    @property
    def sha256(self) -> str:
        """SHA-256 in lower-case hexadecimal. Raises ValueError when it is asked for the first time after `close`."""
        if not self.digest:
            made = hashlib.sha256()
            for piece in self._open_chunks():
                made.update(piece)
            self.digest = made.hexdigest()
        return self.digest

    def _open_chunks(self) -> Iterator[bytes | memoryview]:
        if self.memory is None and self.descriptor < 0:
            raise ValueError("the octets are closed")
        return self.chunks()

    @property
    def buffer(self) -> bytes | bytearray | mmap.mmap:
        if self.memory is not None:
            return self.memory
        if self._mapping is None:
            self._mapping = mmap.mmap(self.descriptor, self.size, access=mmap.ACCESS_READ)
        return self._mapping

    @property
    def spooled(self) -> bool:
        """True when the octets are in a file, and so may be larger than memory."""
        return self.memory is None

    def read(self, offset: int, length: int) -> bytes | memoryview:
        """At most `length` octets from `offset`; fewer only at the end."""
        if self.memory is not None:
            return memoryview(self.memory)[offset : offset + length]
        return os.pread(self.descriptor, length, offset)

    def chunks(self, offset: int = 0, length: int | None = None) -> Iterator[bytes | memoryview]:
        """The octets of a range in pieces of at most 1 MiB."""
        end = self.size if length is None else min(self.size, offset + length)
        if self.memory is not None:
            yield memoryview(self.memory)[offset:end]
            return
        while offset < end:
            piece = os.pread(self.descriptor, min(CHUNK, end - offset), offset)
            if not piece:
                raise EOFError("the spool file is shorter than its recorded size")
            offset += len(piece)
            yield piece

    def once_more(self) -> Octets:
        """The same octets, without a copy of them, to be closed on their own."""
        descriptor = os.dup(self.descriptor) if self.descriptor >= 0 else -1
        return Octets(self.size, self.digest, self.memory, descriptor)

    def release_pages(self) -> None:
        """Drop the mapped pages from resident memory; the octets stay readable."""
        if self._mapping is not None:
            self._mapping.madvise(mmap.MADV_DONTNEED)

    def close(self) -> None:
        """Give the memory or the spool file back. May be called twice."""
        if self._mapping is not None:
            try:
                self._mapping.close()
            except BufferError:  # a memoryview over it is still alive; the mapping goes with its last user
                self._mapping = None
        self.memory = None
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def spooled(pieces: Iterable[bytes | memoryview], folder: Path | None = None) -> Octets:
    """Octets in a temporary file without a name, below `folder` or where the system keeps such files; close them when done."""
    digest, size = hashlib.sha256(), 0
    with tempfile.TemporaryFile(dir=folder) as file:
        for piece in pieces:
            digest.update(piece)
            size += file.write(piece)
        file.flush()
        return Octets(size, digest.hexdigest(), descriptor=os.dup(file.fileno()))


@dataclass(frozen=True, slots=True)
class ReceivedInstance:
    """What room `receive` hands to `identify`.

    Attributes
    ----------
    octets
        A Part 10 file, or the bare data set of a C-STORE.
    transfer_syntax_uid
        The transfer syntax the sender named outside the octets (presentation context, STOW part header); a hint, never
        trusted. Empty when none was named.
    sop_class_uid, sop_instance_uid
        The same for the affected SOP class and instance of a C-STORE-RQ. Hints as well.
    addressed_study
        The study to which the sender gave it, by an address that names one: what belongs to another is not archived. Empty: to none.
    """

    octets: Octets
    source: Source
    received_at: datetime
    transfer_syntax_uid: str = ""
    sop_class_uid: str = ""
    sop_instance_uid: str = ""
    addressed_study: str = ""
