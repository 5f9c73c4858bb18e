"""Keeps the octets of one instance that arrives from a source: in memory, or in an unnamed file when they are many."""

from __future__ import annotations

import os
import tempfile
from datetime import UTC, datetime
from typing import IO, Final

from vna_core.domain.digest import StreamDigest
from vna_core.domain.errors import LimitExceeded, OutOfResources, VnaError
from vna_core.domain.octets import Octets, ReceivedInstance, Source

IN_MEMORY: Final = 4 << 20
"""Octets after which a file takes them."""
LARGEST: Final = 16 << 30
"""Most octets of one instance."""
_SHORT: Final = 16 << 10
"""Octets of a piece that is joined to its neighbours at once; longer ones are kept as they came, and copied once."""


class Spool:
    """A sink for one instance. A failure is remembered in `failure`, and the octets that follow it are let pass.

    Parameters
    ----------
    transfer_syntax_uid, sop_class_uid, sop_instance_uid
        What the source said outside the octets; hints.
    """

    def __init__(
        self,
        source: Source,
        transfer_syntax_uid: str = "",
        sop_class_uid: str = "",
        sop_instance_uid: str = "",
        maximum: int = LARGEST,
    ) -> None:
        self._source = source
        self._hints = (transfer_syntax_uid, sop_class_uid, sop_instance_uid)
        self._maximum = maximum
        self._digest: StreamDigest | None = None
        self._memory: list[bytes | bytearray | memoryview] = []
        self._file: IO[bytes] | None = None
        self.size = 0
        self.failure: VnaError | None = None

    def write(self, piece: bytes | memoryview) -> None:
        """Take the next octets. Never raises."""
        if self.failure is not None:
            return
        self.size += len(piece)
        if self.size > self._maximum:
            self._fail(LimitExceeded("An instance of the source is too large.", limit="instance", maximum=self._maximum))
            return
        try:
            if self._file is None and self.size > IN_MEMORY:
                self._begin_file()
            if self._file is None or self._digest is None:
                self._hold(piece)
            else:
                self._digest.update(piece)
                self._file.write(piece)
        except OSError as error:
            self._fail(_no_space(error))

    def _hold(self, piece: bytes | memoryview) -> None:
        if len(piece) > _SHORT:
            stays = isinstance(piece, bytes) or piece.readonly  # anything else is a buffer that its owner fills again
            self._memory.append(piece if stays else bytes(piece))
        elif self._memory and isinstance(self._memory[-1], bytearray):
            self._memory[-1] += piece
        else:
            self._memory.append(bytearray(piece))

    def _begin_file(self) -> None:
        """What is in memory goes into a file. Its digest is made while it passes; that of what stays in memory, when it is wanted."""
        self._digest = StreamDigest()
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by finish and discard
        for piece in self._memory:
            self._digest.update(piece)
            self._file.write(piece)
        self._memory = []

    def finish(self) -> ReceivedInstance:
        """The instance; whoever takes it closes its octets. Raises the failure where there was one."""
        if self.failure is not None:
            raise self.failure
        if self._file is None or self._digest is None:
            octets = Octets(self.size, "", memory=b"".join(self._memory))
            self._memory = []
        else:
            try:
                self._file.flush()
                octets = Octets(self.size, self._digest.hexdigest(), descriptor=os.dup(self._file.fileno()))
            except OSError as error:
                raise _no_space(error) from error
            self._file.close()
        return ReceivedInstance(octets, self._source, datetime.now(UTC), *self._hints)

    def discard(self) -> None:
        """Drop everything. May be called twice, and after `finish`."""
        if self._digest is not None:
            self._digest.abandon()
        self._memory = []
        if self._file is not None:
            self._file.close()

    def _fail(self, error: VnaError) -> None:
        self.failure = error
        self.discard()


def _no_space(error: OSError) -> OutOfResources:
    return OutOfResources(
        f"The spool cannot be written ({error.strerror}): free space, then fetch again.", limit="data", maximum="disk space"
    )
