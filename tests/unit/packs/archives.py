"""Archives whose series are packed, and what must stay true of them whatever happens."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable

import pydicom

from tests.unit.stewardship.held_archive import Place, originals, rebuilt_fingerprint
from vna_core.archival_storage.keys import is_pack
from vna_core.archival_storage.store_identity import IDENTITY
from vna_core.bootstrap import Archive
from vna_core.configuration.packs import PackSettings
from vna_core.stewardship.sealing import PackingReport, PackKeeper

AT_ONCE = PackSettings(quiet=0, removal_delay=0)


def keeper(
    archive: Archive, settings: PackSettings = AT_ONCE, after_step: Callable[[str], object] = lambda _: None
) -> PackKeeper:
    return PackKeeper(archive.stores, archive.landing, archive.catalogue, settings, after_step)


def seal_all(archive: Archive, settings: PackSettings = AT_ONCE) -> list[PackingReport]:
    work = keeper(archive, settings)
    return [work.seal(place) for place in work.settled(2e9)]


def compact_all(archive: Archive, settings: PackSettings = AT_ONCE) -> list[PackingReport]:
    work = keeper(archive, settings)
    return [work.compact(place) for place in archive.catalogue.packs.series()]


def keys(archive: Archive) -> list[str]:
    """Keys of objects and packs in the landing store."""
    beside = ("/zarr.json", IDENTITY)
    return [one.key for one in archive.landing.list() if not one.key.endswith(beside)]


def pack_keys(archive: Archive) -> list[str]:
    return [key for key in keys(archive) if is_pack(key)]


def prove(archive: Archive, offered: set[bytes]) -> None:
    """Every octet comes back, whole, in parts and as received, and what is served is DICOM."""
    assert originals(archive) == offered
    for held in archive.catalogue.instances(all_versions=True):
        served = b"".join(archive.retriever.part10(held))
        data_set = pydicom.dcmread(io.BytesIO(served))
        assert data_set.SOPInstanceUID == held.sop_instance_uid
        for location in held.locations:
            octets = archive.stores[location.store].read(location.key)[location.offset : location.offset + location.length]
            assert hashlib.sha256(octets).hexdigest() == held.sha256
        if held.number_of_frames == 1:
            [frame] = archive.retriever.frames(held, [1])
            assert frame == data_set.PixelData[: len(frame)]


def prove_rebuilt(archive: Archive, place: Place, *tables: str) -> None:
    """A catalogue made from the stores alone is the same, in all tables or in these."""
    found, wanted = rebuilt_fingerprint(archive, place), archive.catalogue.fingerprint()
    for table in tables or wanted:
        assert found[table] == wanted[table], table
