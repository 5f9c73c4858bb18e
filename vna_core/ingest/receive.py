"""Room `receive`: octets come in, are counted and hashed, and wait in memory or in a spool file.

Comes in: octets from a face of the archive, piece by piece. Guaranteed afterwards: all of them with length and SHA-256,
within the limits. A spool file has no name, so a process that dies here leaves nothing behind; the sender was not answered.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import threading
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from vna_core.configuration import IngestSettings
from vna_core.domain.digest import StreamDigest
from vna_core.domain.errors import LimitExceeded, OutOfResources
from vna_core.domain.octets import Octets, ReceivedInstance, Source

_STEP: Final = 1 << 20
_HASHED_AT_ONCE: Final = 1 << 17
"""Octets in memory that are hashed together: while they are, the sender goes on sending; fewer would not be worth giving the
interpreter lock away."""


class ByteBudget:
    """Octets that receptions may hold in memory at once, over all threads of a process.

    Parameters
    ----------
    maximum
        This process's share of ``ingest.memory_budget``.
    """

    def __init__(self, maximum: int) -> None:
        self.maximum = maximum
        self._taken = 0
        self._lock = threading.Lock()

    def take(self, amount: int, *, leaving: int = 0) -> None:
        """Reserve octets, and leave some free. Raises OutOfResources at once when they are not there."""
        with self._lock:
            if self._taken + amount > self.maximum - leaving:
                raise OutOfResources(
                    "Too much is being received at once (ingest.memory_budget): send again later.",
                    limit="ingest.memory_budget",
                    maximum=self.maximum,
                )
            self._taken += amount

    def take_for_help(self, amount: int) -> None:
        """Reserve octets for what can be done without them: a quarter of the budget is left to what arrives. Raises OutOfResources."""
        self.take(amount, leaving=self.maximum // 4)

    @property
    def free(self) -> int:
        """Octets that nobody has."""
        return self.maximum - self._taken

    def give_back(self, amount: int) -> None:
        """Return reserved octets."""
        with self._lock:
            self._taken -= amount


class Reception:
    """One instance being received. A context manager: left without `finish`, it drops what it has.

    Parameters
    ----------
    digest_later
        The digest of octets in memory is left to whoever stores them.
    """

    def __init__(
        self,
        source: Source,
        settings: IngestSettings,
        spool_folder: Path,
        budget: ByteBudget,
        transfer_syntax_uid: str = "",
        sop_class_uid: str = "",
        sop_instance_uid: str = "",
        *,
        digest_later: bool = False,
    ) -> None:
        self._digest_later = digest_later
        self._source = source if source.issuer or not settings.issuer else replace(source, issuer=settings.issuer)
        self._settings = settings
        self._folder = spool_folder
        self._budget = budget
        self._hints = (transfer_syntax_uid, sop_class_uid, sop_instance_uid)
        self._memory = bytearray()
        self._hash = hashlib.sha256()
        self._hashed = 0
        self._digest: StreamDigest | None = None
        self._descriptor = -1
        self._reserved = 0
        self.size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.abort()

    def write(self, piece: bytes | bytearray | memoryview) -> None:
        """Take the next octets.

        Raises
        ------
        LimitExceeded
            The instance is larger than ``ingest.max_instance``.
        OutOfResources
            The memory budget is taken, or the spool's disk is full.
        """
        size = self.size + len(piece)
        if size > self._settings.max_instance:
            maximum = self._settings.max_instance
            raise LimitExceeded("The instance is too large (ingest.max_instance).", limit="ingest.max_instance", maximum=maximum)
        if self._descriptor < 0 and size > self._settings.spool_threshold:
            self._begin_spool()
        if self._digest is not None:
            self._spool(piece)
            self._digest.update(piece)
        else:
            while size > self._reserved:
                self._budget.take(_STEP)
                self._reserved += _STEP
            self._memory += piece
            if size - self._hashed >= _HASHED_AT_ONCE and not self._digest_later:
                self._hash_rest()
        self.size = size

    def _hash_rest(self) -> None:
        """Hash what is in memory and was not hashed yet."""
        with memoryview(self._memory) as view:
            self._hash.update(view[self._hashed :])
            self._hashed = len(view)

    def finish(self) -> ReceivedInstance:
        """All octets are here. Whoever takes the result closes its octets; the budget is given back with them."""
        if self._digest is not None:
            octets: Octets = Octets(self.size, self._digest.hexdigest(), descriptor=self._descriptor)
            self._descriptor, self._digest = -1, None
        else:
            digest = ""
            if not self._digest_later:
                self._hash_rest()
                digest = self._hash.hexdigest()
            octets = _BudgetedOctets(self.size, digest, memory=self._memory)
            octets.lend(self._budget, self.size)
            self._budget.give_back(self._reserved - self.size)
            self._reserved = 0
            self._memory = bytearray()
        return ReceivedInstance(octets, self._source, datetime.now(UTC), *self._hints)

    def abort(self) -> None:
        """Drop what was received. May be called twice, and after `finish`."""
        if self._digest is not None:
            self._digest.abandon()
            self._digest = None
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        if self._reserved:
            self._budget.give_back(self._reserved)
            self._reserved = 0
        self._memory = bytearray()

    def _begin_spool(self) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._descriptor = _unnamed_file(self._folder)
        except OSError as error:
            raise _no_space(error) from error
        self._digest = StreamDigest()
        self._spool(self._memory)
        self._digest.update(self._memory)
        self._memory = bytearray()
        if self._reserved:
            self._budget.give_back(self._reserved)
            self._reserved = 0

    def _spool(self, piece: bytes | bytearray | memoryview) -> None:
        try:
            with memoryview(piece) as view:
                done = 0
                while done < len(view):
                    done += os.write(self._descriptor, view[done:])
        except OSError as error:
            raise _no_space(error) from error


def brought_to_memory(octets: Octets, budget: ByteBudget) -> Octets:
    """Octets of a file in memory, where the budget has room to spare for them; the file is closed then. Otherwise the octets as they are."""
    try:
        budget.take_for_help(octets.size)
    except OutOfResources:
        return octets
    brought = _BudgetedOctets(octets.size, octets.digest)
    brought.lend(budget, octets.size)
    try:
        brought.memory = b"".join(octets.chunks())
    except BaseException:
        brought.close()
        raise
    octets.close()
    return brought


class _BudgetedOctets(Octets):
    """Octets in memory that give their share of the budget back when closed."""

    __slots__ = ("_amount", "_budget")

    def lend(self, budget: ByteBudget, amount: int) -> None:
        self._budget: ByteBudget = budget
        self._amount: int = amount

    def close(self) -> None:
        Octets.close(self)
        if self._amount:
            self._budget.give_back(self._amount)
            self._amount = 0


def _unnamed_file(folder: Path) -> int:
    try:
        return os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o600)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL):
            raise
    path = folder / secrets.token_hex(16)
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
    path.unlink()
    return descriptor


def _no_space(error: OSError) -> OutOfResources:
    return OutOfResources(
        f"The spool cannot be written ({error.strerror}): free space, then send again.", limit="data", maximum="disk space"
    )
