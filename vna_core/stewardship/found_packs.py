"""Packs found in a store, without what other packs took over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import structlog

from vna_core.archival_storage.keys import PACKS, digest_of_pack
from vna_core.archival_storage.packs import Pack, read_pack
from vna_core.domain.errors import DigestMismatch, Malformed
from vna_core.domain.octets import ByteRange
from vna_core.domain.packs import NewPack, PackedObject
from vna_core.ports.storage import Store

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class FoundPack:
    """A pack in a store, and what it tells about itself."""

    store: Store
    key: str
    contents: Pack

    def listed(self, members: Sequence[PackedObject]) -> NewPack:
        """As the catalogue lists it."""
        found = self.contents
        return NewPack(
            self.key,
            digest_of_pack(self.key),
            found.size,
            found.study_instance_uid,
            found.series_instance_uid,
            len(found.frames),
            tuple(members),
        )


def packs_of(store: Store, damaged: list[str]) -> Iterator[FoundPack]:
    """Packs of a store by key, but those that another one took over: what they hold is there, or was deleted.

    Parameters
    ----------
    damaged
        Gets the names of packs that cannot be read.
    """
    replaced: set[str] = set()
    readable: list[str] = []
    for stored in store.list(PACKS):
        if not digest_of_pack(stored.key):
            continue
        found = _opened(store, stored.key, stored.size, damaged)
        if found is not None:
            replaced |= set(found.replaces)
            readable.append(stored.key)
    for key in readable:
        if digest_of_pack(key) not in replaced:
            again = _opened(store, key, store.stat(key).size, damaged)
            if again is not None:
                yield FoundPack(store, key, again)


def _opened(store: Store, key: str, size: int, damaged: list[str]) -> Pack | None:
    try:
        return read_pack(lambda offset, length: store.read(key, ByteRange(offset, length)), size)
    except (DigestMismatch, Malformed) as error:
        _log.error("pack-damaged", store=store.name, key=key, code=error.code)
        damaged.append(f"{store.name}:{key}")
        return None
