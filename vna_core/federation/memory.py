"""What members delivered and this archive does not keep: a small archive of its own, forgotten as a whole after a while.

Time is cut into spans; each has a folder with a catalogue, a store, and files of what was passed on as it came. What is asked for again within a span is served from there. The folder before
the last one is removed: nobody reads from it any more.

Nothing of it is flushed: members have it. So after a loss of power it cannot be trusted, and a machine that was started anew begins with nothing; that a
process died changes nothing.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from vna_core.catalogue import Catalogue
from vna_core.configuration import CatalogueSettings, IngestSettings
from vna_core.domain.departments import Departments
from vna_core.domain.errors import ObjectMissing, OutOfResources, StorageError, VnaError
from vna_core.domain.instance import HeldInstance, Location
from vna_core.domain.numbers import whole_number
from vna_core.domain.octets import ByteRange
from vna_core.federation.passing import Passed
from vna_core.federation.view import BROUGHT
from vna_core.ingest.pipeline import IngestPipeline
from vna_core.ports.dialect import Dialect
from vna_core.ports.storage import Abilities, Content, Key, Store, StoredObject

FOLDER: Final = "federation"
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Brought:
    """One span's archive."""

    span: int
    store: Store
    catalogue: Catalogue
    pipeline: IngestPipeline
    passed: Passed

    def close(self) -> None:
        """Give it back."""
        self.catalogue.close()
        self.store.close()


class Memory:
    """Opens the archive of the present span.

    Parameters
    ----------
    open_store
        Opens a local store named `BROUGHT` on a folder.
    keep
        Seconds of a span.
    """

    def __init__(
        self,
        data: Path,
        keep: float,
        open_store: Callable[[Path], Store],
        settings: IngestSettings,
        departments: Departments,
        dialects: tuple[Dialect, ...] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._folder = data / FOLDER
        self._keep = keep
        self._open_store = open_store
        self._settings = settings
        self._departments = departments
        self._dialects = dialects
        self._clock = clock
        self._boot = _boot()
        self._lock = threading.Lock()
        self._open: dict[int, Brought] = {}

    def prepare(self) -> None:
        """Open the present span before somebody asks; on a full disk the archive starts without, and tries again when asked."""
        try:
            self.present()
        except VnaError as error:
            _log.warning("federation-memory-unavailable", code=error.code, message=error.message)

    def present(self) -> Brought:
        """The archive of the present span. One of the span before stays open for those who still read from it.

        Raises
        ------
        OutOfResources, CatalogueError, StorageError
            It cannot be made now.
        """
        span = int(self._clock() // self._keep)
        with self._lock:
            known = self._open.get(span)
            if known is None:
                known = self._open[span] = self._opened(span)
                for old in [one for one in self._open if one < span - 1]:
                    self._open.pop(old).close()
                self._forget(span)
            return known

    def opened(self) -> list[Brought]:
        """The archives that may be read from, the present one first."""
        self.prepare()
        with self._lock:
            return [self._open[span] for span in sorted(self._open, reverse=True)]

    def close(self) -> None:
        """Close what is open."""
        with self._lock:
            while self._open:
                self._open.popitem()[1].close()

    def _opened(self, span: int) -> Brought:
        folder = self._folder / f"{self._boot}-{span}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            message = f"What members bring cannot be kept in {folder}: {error.strerror}."
            raise OutOfResources(message, limit="disk", maximum=0) from error
        store = self._open_store(folder / "store")
        catalogue = Catalogue.open(CatalogueSettings(), folder, self._departments, durable=False)
        pipeline = IngestPipeline(store, catalogue, self._settings, folder, stores={BROUGHT: store}, dialects=self._dialects)
        passed = Passed(folder / "passed", self._settings, self._departments)
        return Brought(span, store, catalogue, pipeline, passed)

    def _forget(self, span: int) -> None:
        """Remove folders that nobody reads any more."""
        for folder in self._folder.iterdir():
            boot, _, number = folder.name.rpartition("-")
            told = whole_number(number)
            if told is not None and (boot != self._boot or told < span - 1):
                shutil.rmtree(folder, ignore_errors=True)
                _log.info("federation-forgotten", span=folder.name)


def _boot() -> str:
    """Tells one start of the machine from another."""
    return _BOOT.read_text().strip()[:8] if _BOOT.exists() else "0"


class BroughtStore(Store):
    """All spans that may be read from as one store, for reading alone."""

    name = BROUGHT

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def abilities(self) -> Abilities:
        """Those of the folders behind it; nothing is created through it."""
        return Abilities(conditional_create=True, local=True, durable_create=False)

    def _where(self, key: str) -> Store:
        """The store that has a key. Raises ObjectMissing."""
        for brought in self._memory.opened():
            try:
                brought.store.stat(key)
            except ObjectMissing:
                continue
            return brought.store
        raise ObjectMissing("What a member delivered is not remembered any more: ask for it again.", store=self.name, key=key)

    def read(self, key: str, byte_range: ByteRange | None = None) -> bytes:
        """See `Store.read`."""
        return self._where(key).read(key, byte_range)

    def chunks(self, key: str, byte_range: ByteRange | None = None) -> Iterator[bytes]:
        """See `Store.chunks`."""
        return self._where(key).chunks(key, byte_range)

    def stat(self, key: str) -> StoredObject:
        """See `Store.stat`."""
        return self._where(key).stat(key)

    def list(self, prefix: str = "", after: str = "") -> Iterator[StoredObject]:
        """Of the present span."""
        return self._memory.present().store.list(prefix, after)

    def create(self, key: Key, content: Content, sha256: str | None = None) -> StoredObject:
        """Raises StorageError: what is brought goes through the rooms of the way in."""
        raise StorageError("Nothing is written through this store.", store=self.name)

    def delete(self, key: str) -> None:
        """Raises StorageError."""
        raise StorageError("Nothing is deleted through this store.", store=self.name)

    def probe(self) -> None:
        """See `Store.probe`."""
        self._memory.present().store.probe()


@dataclass(frozen=True, slots=True)
class NotesOfBoth:
    """Takes notes of copies to the catalogue that knows them."""

    here: Catalogue
    memory: Memory

    def set_location_state(self, pk: int, location: Location, state: str) -> None:
        """Mark one copy ``ok`` or ``bad``."""
        if location.store != BROUGHT:
            self.here.set_location_state(pk, location, state)
            return
        for brought in self.memory.opened():
            brought.catalogue.set_location_state(pk, location, state)

    def moved(self, held: HeldInstance) -> HeldInstance:
        """The same object where it is now; what was brought stays where it is until it is forgotten. Raises NotFound."""
        if any(location.store == BROUGHT for location in held.locations):
            return held
        return self.here.moved(held)
