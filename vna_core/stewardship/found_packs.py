"""Packs found in a store, without what other packs took over."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
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


def packs_of(store: Store, damaged: list[str], distrusted: Collection[str] = frozenset()) -> Iterator[FoundPack]:
    """Packs of a store by key, but those that another one took over: what they hold is there, or was deleted.

    Parameters
    ----------
    damaged
        Gets the names of packs that cannot be read.
    distrusted
        SHA-256 of packs that were found damaged, also while they are given out: what they took over comes at the end.
    """
    replaced: dict[str, set[str]] = {}
    readable: list[str] = []
    for stored in store.list(PACKS):
        if not digest_of_pack(stored.key):
            continue
        found = _opened(store, stored.key, stored.size, damaged)
        if found is not None:
            readable.append(stored.key)
            for digest in found.replaces:
                replaced.setdefault(digest, set()).add(digest_of_pack(stored.key))
    yield from _again(store, (key for key in readable if digest_of_pack(key) not in replaced), damaged)
    taken_over = [key for key in readable if digest_of_pack(key) in replaced]
    yield from _again(store, (key for key in taken_over if replaced[digest_of_pack(key)] & set(distrusted)), damaged)


def replaced_packs(store: Store) -> set[str]:
    """SHA-256 of packs that packs of a store have taken over, whether or not they lie there."""
    found = (_opened(store, one.key, one.size, []) for one in store.list(PACKS) if digest_of_pack(one.key))
    return {digest for pack in found if pack is not None for digest in pack.replaces}


def _again(store: Store, keys: Iterable[str], damaged: list[str]) -> Iterator[FoundPack]:
    for key in keys:
        found = _opened(store, key, store.stat(key).size, damaged)
        if found is not None:
            yield FoundPack(store, key, found)


def _opened(store: Store, key: str, size: int, damaged: list[str]) -> Pack | None:
    try:
        return read_pack(lambda offset, length: store.read(key, ByteRange(offset, length)), size)
    except (DigestMismatch, Malformed) as error:
        _log.error("pack-damaged", store=store.name, key=key, code=error.code)
        damaged.append(f"{store.name}:{key}")
        return None
