"""Folders as stores that can be made to fail, to have an archive tier, and to be the last thing that a process does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from vna_core.domain.errors import ObjectArchived, StorageError, StoreUnavailable, VnaError
from vna_core.domain.octets import ByteRange
from vna_core.ports.hookspecs import StoreFactory, hookimpl
from vna_core.ports.storage import Abilities, Content, Key, NewObject, Store, StoredObject, Terms
from vna_storage_filesystem.store import FilesystemStore

HOT: Final = "HOT"
COLD: Final = "COLD"


class Killed(BaseException):
    """The process ends here."""


@dataclass
class Shelf:
    """What is so about one store, whoever has opened it. `tiers` and `recalled` by key."""

    down: bool = False
    read_only: bool = False
    tiers: dict[str, str] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)
    recalled: set[str] = field(default_factory=set)


@dataclass
class Shelves:
    """A plugin whose stores are of the type ``shelf``; `left` writes and deletions are done before the process ends."""

    shelves: dict[str, Shelf] = field(default_factory=dict)
    left: int | None = None

    @hookimpl
    def register_storage_backends(self) -> Mapping[str, StoreFactory]:
        return {"shelf": self.opened}

    def opened(self, name: str, options: Mapping[str, Any]) -> Store:
        return ShelfStore(name, Path(options["path"]), self, bool(options.get("tiers")))

    def of(self, name: str) -> Shelf:
        return self.shelves.setdefault(name, Shelf())

    def written(self) -> None:
        """Something was written or deleted, or is about to be."""
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise Killed


class ShelfStore(FilesystemStore):
    """See the module. The process may end before and behind whatever is written or deleted."""

    def __init__(self, name: str, root: Path, shelves: Shelves, tiers: bool) -> None:
        super().__init__(name, root, durable=False)  # nothing here is about a loss of power, and flushing takes most of the time
        self._shelves, self._shelf, self._tiers = shelves, shelves.of(name), tiers
        self._answers()

    def _answers(self) -> None:
        if self._shelf.down:
            raise StoreUnavailable("The store does not answer.", store=self.name)

    def _takes(self) -> None:
        self._answers()
        if self._shelf.read_only:
            raise StorageError("The store is read-only.", store=self.name)

    def _gives(self, key: str) -> None:
        self._answers()
        if self._shelf.tiers.get(key) == COLD and key not in self._shelf.recalled:
            self.stat(key)
            raise ObjectArchived("The object is in an archive tier.", store=self.name, key=key)

    def abilities(self) -> Abilities:
        able = replace(super().abilities(), durable_create=True)
        return replace(able, tiers=(HOT, COLD), archive_tiers=(COLD,), recall=True) if self._tiers else able

    def create(self, key: Key, content: Content, sha256: str | None = None) -> StoredObject:
        self._takes()
        self._shelves.written()
        created = super().create(key, content, sha256)
        self._shelf.tiers.pop(created.key, None)
        self._shelves.written()
        return created

    def create_all(self, objects: Sequence[NewObject]) -> list[StoredObject | VnaError]:
        self._takes()
        self._shelves.written()
        created = super().create_all(objects)
        self._shelves.written()
        return created

    def read(self, key: str, byte_range: ByteRange | None = None) -> bytes:
        self._gives(key)
        return super().read(key, byte_range)

    def chunks(self, key: str, byte_range: ByteRange | None = None) -> Iterator[bytes]:
        self._gives(key)
        return super().chunks(key, byte_range)

    def stat(self, key: str) -> StoredObject:
        self._answers()
        found = super().stat(key)
        return replace(found, tier=self._shelf.tiers.get(key, HOT)) if self._tiers else found

    def delete(self, key: str) -> None:
        self._takes()
        self._shelves.written()
        super().delete(key)
        self._shelves.written()
        self._shelf.tiers.pop(key, None)
        self._shelf.recalled.discard(key)

    def adjust(self, key: str, terms: Terms) -> None:
        self._takes()
        if not self._tiers or terms.tier not in (HOT, COLD):
            raise StorageError("The store has no such tier.", store=self.name, key=key)
        self.stat(key)
        self._shelves.written()
        self._shelf.tiers[key] = terms.tier
        self._shelf.recalled.discard(key)
        self._shelf.asked.discard(key)

    def recall(self, key: str, days: int) -> bool:
        self._answers()
        self.stat(key)
        if self._shelf.tiers.get(key) != COLD or key in self._shelf.recalled:
            return True
        if key not in self._shelf.asked:
            self._shelf.asked.add(key)
            return False
        self._shelf.asked.discard(key)
        self._shelf.recalled.add(key)
        return True

    def list(self, prefix: str = "", after: str = "") -> Iterator[StoredObject]:
        self._answers()
        return super().list(prefix, after)

    def probe(self) -> None:
        self._takes()
        super().probe()
