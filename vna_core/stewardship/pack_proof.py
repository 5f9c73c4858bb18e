"""Packs read back whole: every copy, every member, and the array metadata beside them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import structlog

from vna_core.archival_storage.keys import array_key
from vna_core.archival_storage.packs import check_pack, read_pack
from vna_core.catalogue import Catalogue
from vna_core.domain.errors import DigestMismatch, Malformed, ObjectMissing, StorageError, StoreUnavailable
from vna_core.domain.instance import Location
from vna_core.domain.octets import ByteRange
from vna_core.domain.packs import ListedPack
from vna_core.ports.storage import Store
from vna_core.stewardship.descriptions import stand_beside

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class PackProof:
    """What reading one copy of a pack found.

    Attributes
    ----------
    damaged
        Names of members that are not what their digest says; their copies are marked, so that other ones are read.
    problem
        What is wrong with the pack as a whole; empty when nothing is.
    """

    key: str
    store: str
    members: int
    damaged: tuple[str, ...] = ()
    problem: str = ""

    @property
    def good(self) -> bool:
        """Whether every octet is right."""
        return not self.damaged and not self.problem


def prove_packs(packs: Iterable[ListedPack], stores: Mapping[str, Store], catalogue: Catalogue) -> Iterator[PackProof]:
    """Read every copy of packs. Members of a damaged copy are marked bad; array metadata that is missing or damaged is put beside it again.

    Raises StoreUnavailable, CatalogueError.
    """
    for pack in packs:
        for name in pack.stores:
            store = stores.get(name)
            if store is None:
                yield PackProof(pack.key, name, pack.members, problem="the store is not configured")
            else:
                yield _prove(pack, store, catalogue)


def _prove(pack: ListedPack, store: Store, catalogue: Catalogue) -> PackProof:
    listed = catalogue.packs.members(pack.pk)
    try:
        found = read_pack(lambda offset, length: store.read(pack.key, ByteRange(offset, length)), store.stat(pack.key).size)
        check = check_pack(found, store.chunks(pack.key))
    except (DigestMismatch, Malformed, ObjectMissing) as error:
        _log.error("pack-damaged", store=store.name, key=pack.key, code=error.code)
        for one in listed:
            if isinstance(error, ObjectMissing) or not _is_intact(store, pack.key, one.offset, one.length, one.sha256):
                _mark(catalogue, one.instance, store.name, pack.key, one.offset, one.length)
        return PackProof(pack.key, store.name, pack.members, problem=error.message)
    by_offset = {one.offset: one for one in listed}
    for member in check.damaged:
        one = by_offset[member.range.offset]
        _mark(catalogue, one.instance, store.name, pack.key, one.offset, one.length)
    problem = "" if check.sha256 == pack.sha256 else "other octets than its digest says"
    if not check.damaged:
        try:
            stand_beside(store, pack.key, found.array)
        except StoreUnavailable:
            raise
        except StorageError as error:
            problem = problem or f"the description beside it cannot be put right: {error.message}"
    _log.debug("pack-read", store=store.name, key=pack.key, beside=array_key(pack.key), good=not problem)
    return PackProof(pack.key, store.name, pack.members, tuple(member.name for member in check.damaged), problem)


def _is_intact(store: Store, key: str, offset: int, length: int, sha256: str) -> bool:
    """One member of a pack whose tables cannot be read."""
    digest = hashlib.sha256()
    for piece in store.chunks(key, ByteRange(offset, length)):
        digest.update(piece)
    return digest.hexdigest() == sha256


def _mark(catalogue: Catalogue, instance: int, store: str, key: str, offset: int, length: int) -> None:
    catalogue.set_location_state(instance, Location(store, key, offset, length), "bad")
