"""One pack made of objects of a series: written, described to Zarr, and read back whole before anything points at it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from vna_core.archival_storage.keeping import keep
from vna_core.archival_storage.keys import digest_of_pack, pack_key
from vna_core.archival_storage.packs import (
    PackInput,
    PackWriter,
    Volume,
    looked_at,
    member_name,
    read_pack,
    volume_of,
    volume_order,
)
from vna_core.dicom.codestream import NATIVE
from vna_core.domain.errors import DigestMismatch, ObjectMissing
from vna_core.domain.octets import ByteRange
from vna_core.domain.packs import NewPack, PackedObject, SeriesPlace, StoredVersion
from vna_core.ports.storage import Store
from vna_core.stewardship.descriptions import stand_beside

_log = structlog.get_logger(__name__)

Headers = dict[int, Mapping[str, Any]]
Step = Callable[[str], object]


class UnreadableMember(DigestMismatch):
    """An object that was to be packed is missing or damaged; ``member`` is it."""

    def __init__(self, member: StoredVersion, error: DigestMismatch | ObjectMissing) -> None:
        super().__init__(error.message, **error.fields)
        self.member = member


@dataclass(frozen=True, slots=True)
class Batch:
    """Objects that go into one pack, in the order in which they will lie there, and the array that they are."""

    objects: tuple[StoredVersion, ...]
    volume: Volume | None

    @property
    def size(self) -> int:
        """Octets of the objects."""
        return sum(one.size for one in self.objects)


def batches(objects: Sequence[StoredVersion], headers: Headers, largest: int) -> list[Batch]:
    """Objects cut into packs of at most `largest` octets: current ones in the order of the volume, then the others."""
    shown = [one for one in objects if one.is_current and one.held.number_of_frames]
    shown = [shown[at] for at in volume_order([headers.get(one.held.pk, {}) for one in shown])]
    others = (one for one in objects if not (one.is_current and one.held.number_of_frames))
    rest = sorted(others, key=lambda one: (one.sop_instance_uid, one.sha256))
    groups: list[list[StoredVersion]] = []
    room = 0
    for one in (*shown, *rest):
        if one.size > room:
            groups.append([])
            room = largest
        groups[-1].append(one)
        room -= one.size
    return [Batch(tuple(group), _volume(group, headers)) for group in groups]


def _volume(group: Sequence[StoredVersion], headers: Headers) -> Volume | None:
    shown = [one for one in group if one.is_current and one.held.number_of_frames]
    if not shown or any(one.held.transfer_syntax_uid not in NATIVE for one in shown):
        return None
    return volume_of([headers.get(one.held.pk, {}) for one in shown], [one.held.number_of_frames for one in shown])


def parsed_headers(packed: dict[int, bytes]) -> Headers:
    """What of the DICOM JSON of versions tells how they lie in a pack."""
    return {pk: looked_at(json.loads(text)) for pk, text in packed.items()}


def make_pack(
    place: SeriesPlace, batch: Batch, store: Store, sources: Mapping[str, Store], replaces: Sequence[str], after_step: Step
) -> NewPack:
    """Write a pack into a store and prove it by reading every octet back. What goes in is read from `sources`, by their names.

    Raises
    ------
    UnreadableMember
        An object cannot be packed; nothing was kept.
    DigestMismatch
        What was read back is not what was written; it was removed.
    OutOfResources, StoreUnavailable
        As `Store.create`.
    """
    inputs = [_input(one, sources[one.location.store]) for one in batch.objects]
    study, series = place.study_instance_uid, place.series_instance_uid
    writer = PackWriter(study, series, inputs, volume=batch.volume, replaces=replaces)
    try:
        made = keep(store, lambda sha256: pack_key(study, series, sha256, writer.dimensions), writer.chunks)
    except DigestMismatch as error:
        damaged = next((one for one in batch.objects if one.sha256 == error.fields.get("sha256")), None)
        if isinstance(error, UnreadableMember) or damaged is None:
            raise
        raise UnreadableMember(damaged, error) from error
    after_step("written")
    proven = proven_pack(store, made.key)
    after_step("verified")
    stand_beside(store, made.key, proven.array)
    after_step("described")
    members = tuple(
        PackedObject(one.held.pk, one.sha256, member.range.offset, member.range.length)
        for one, member in zip(batch.objects, writer.members, strict=True)
    )
    return NewPack(made.key, digest_of_pack(made.key), made.size, study, series, len(proven.frames), members)


@dataclass(frozen=True, slots=True)
class ProvenPack:
    """What is needed of a pack whose every octet was read and found right."""

    array: bytes | None
    frames: Sequence[ByteRange]


def proven_pack(store: Store, key: str) -> ProvenPack:
    """Read a pack whole. Raises DigestMismatch when an octet is wrong: it is removed then, as nothing points at it yet."""
    size = store.stat(key).size
    try:
        pack = read_pack(lambda offset, length: store.read(key, ByteRange(offset, length)), size)
        digest = hashlib.sha256()
        for piece in store.chunks(key):
            digest.update(piece)
        if digest.hexdigest() != digest_of_pack(key):  # each member was proven when it was written into these octets
            raise DigestMismatch("A pack that was just written reads back otherwise; it was removed.", store=store.name, key=key)
    except DigestMismatch:
        _log.error("pack-not-proven", store=store.name, key=key)
        store.delete(key)
        raise
    return ProvenPack(pack.array, pack.frames)


def _input(one: StoredVersion, store: Store) -> PackInput:
    where = ByteRange(one.location.offset, one.location.length)
    frames = one.held.number_of_frames if one.is_current else 0

    def chunks() -> Iterator[bytes]:
        size = 0
        try:
            for piece in store.chunks(one.location.key, where):
                size += len(piece)
                yield piece
        except (ObjectMissing, DigestMismatch) as error:
            raise UnreadableMember(one, error) from error
        if size != one.size:
            raise UnreadableMember(one, DigestMismatch("A stored copy is truncated.", store=store.name, key=one.location.key))

    return PackInput(member_name(one.sop_instance_uid, one.sha256), one.sha256, one.size, frames, one.received_at, chunks)
