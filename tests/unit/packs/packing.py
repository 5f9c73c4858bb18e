"""Packs made of objects as the archive stores them, without the archive around."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from tests.unit.ingest.small_archive import SmallArchive, small_archive
from vna_core.archival_storage.keys import array_key, pack_key
from vna_core.archival_storage.packs import PackInput, PackWriter, member_name, volume_of, volume_order
from vna_core.dicom.codestream import NATIVE
from vna_core.domain.instance import HeldInstance

STUDY, SERIES = "1.2.3", "1.2.3.4"


def stored(folder: Path, offered: Sequence[bytes]) -> list[tuple[HeldInstance, bytes, dict[str, object]]]:
    """What the archive makes of octets: the version, its object, and its header."""
    with small_archive(folder) as archive:
        return [_stored(archive, octets) for octets in offered]


def _stored(archive: SmallArchive, octets: bytes) -> tuple[HeldInstance, bytes, dict[str, object]]:
    held = archive.held(octets)
    [(_, header)] = archive.catalogue.headers(study=held.study_instance_uid, sop=held.sop_instance_uid)
    return held, archive.store.read(held.locations[0].key), json.loads(header)


def packed(objects: Sequence[tuple[HeldInstance, bytes, dict[str, object]]]) -> tuple[PackWriter, bytes]:
    """A pack of these objects, in the order of their array."""
    ordered = [objects[at] for at in volume_order([header for _, _, header in objects])]
    native = all(held.transfer_syntax_uid in NATIVE for held, _, _ in ordered)
    frames = [held.number_of_frames for held, _, _ in ordered]
    volume = volume_of([header for _, _, header in ordered], frames) if native else None
    inputs = [
        PackInput(member_name(held.sop_instance_uid, held.sha256), held.sha256, held.size, held.number_of_frames, 1_700_000_000,
                  lambda content=content: iter((content[:100], content[100:])))
        for held, content, _ in ordered
    ]  # fmt: skip
    writer = PackWriter(STUDY, SERIES, inputs, volume=volume)
    return writer, b"".join(writer.chunks())


def kept(folder: Path, writer: PackWriter, pack: bytes, array: bytes | None) -> Path:
    """A pack in a folder, as a store keeps it; its path."""
    key = pack_key(STUDY, SERIES, hashlib.sha256(pack).hexdigest(), writer.dimensions)
    path = folder / key
    path.parent.mkdir(parents=True)
    path.write_bytes(pack)
    if array is not None:
        (folder / array_key(key)).write_bytes(array)
    return path
