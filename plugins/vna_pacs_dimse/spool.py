"""Keeps the octets of one incoming data set: in memory, or in an unnamed file when they are many."""

from __future__ import annotations

import hashlib
import os
import tempfile
from datetime import UTC, datetime
from typing import IO, Final

from vna_core.domain.octets import Octets, ReceivedInstance, Source

IN_MEMORY: Final = 4 << 20


class Spool:
    """A sink for one data set. Failures are remembered in `failure`; the rest of the data set is let pass."""

    def __init__(self, source: Source, transfer_syntax_uid: str, sop_class_uid: str, sop_instance_uid: str) -> None:
        self._source = source
        self._hints = (transfer_syntax_uid, sop_class_uid, sop_instance_uid)
        self._digest = hashlib.sha256()
        self._memory = bytearray()
        self._file: IO[bytes] | None = None
        self._size = 0
        self.failure: OSError | None = None

    def write(self, piece: memoryview) -> None:
        """Take the next octets."""
        if self.failure is not None:
            return
        self._digest.update(piece)
        self._size += len(piece)
        try:
            if self._file is None and self._size > IN_MEMORY:
                self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by finish
                self._file.write(self._memory)
                self._memory = bytearray()
            if self._file is not None:
                self._file.write(piece)
            else:
                self._memory += piece
        except OSError as error:
            self.failure = error

    def finish(self) -> ReceivedInstance:
        """The instance; whoever takes it closes its octets."""
        if self._file is not None:
            self._file.flush()
            octets = Octets(self._size, self._digest.hexdigest(), descriptor=os.dup(self._file.fileno()))
            self._file.close()
        else:
            octets = Octets(self._size, self._digest.hexdigest(), memory=self._memory)
        return ReceivedInstance(octets, self._source, datetime.now(UTC), *self._hints)
