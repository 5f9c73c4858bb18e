"""How many requests arrays and frames cost a store that is far away: one for a frame, one for neighbours that are asked for together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from tests.unit.packs.archives import AT_ONCE, keeper
from vna_core.access.arrays import open_series
from vna_core.access.retrieve import Retriever
from vna_core.archival_storage.wrappers.wrapper import Wrapper
from vna_core.bootstrap import Archive, open_archive
from vna_core.configuration import Settings
from vna_core.domain.octets import ByteRange, Source
from vna_core.ports.storage import Abilities
from vna_core.testing import phantoms

SLICES = 12


class Far(Wrapper):
    """A store that costs a network, and counts what is asked of it."""

    def __init__(self, inner: Any) -> None:
        super().__init__(inner)
        self.reads: list[tuple[str, ByteRange | None]] = []
        self.damaged: set[int] = set()

    def abilities(self) -> Abilities:
        return replace(self.inner.abilities(), local=False)

    def read(self, key: str, byte_range: ByteRange | None = None) -> bytes:
        self.reads.append((key, byte_range))
        return super().read(key, byte_range)


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    with open_archive(Settings(data=tmp_path)) as opened:
        for octets in phantoms.series(SLICES, rows=64, columns=64):
            with opened.pipeline.reception(Source("file", "test", "")) as reception:
                reception.write(octets)
                opened.pipeline.offer(reception.finish())
        yield opened


def far_array(archive: Archive) -> tuple[Far, Retriever, zarr.Array]:
    far = Far(archive.landing)
    retriever = Retriever({"landing": far}, archive.catalogue)
    held = archive.catalogue.instances()[0]
    return far, retriever, open_series(archive.catalogue, retriever, held.study_instance_uid, held.series_instance_uid)["0/0"]


def seal(archive: Archive) -> None:
    for place in archive.catalogue.packs.series():
        assert keeper(archive, AT_ONCE).seal(place).packs


def test_a_volume_in_a_pack_costs_few_requests_and_a_slice_one(archive: Archive) -> None:
    _, _, loose = far_array(archive)
    wanted = loose[...]
    seal(archive)
    far, _, array = far_array(archive)
    assert np.array_equal(array[...], wanted)
    concurrency = zarr.config.get("async.concurrency")
    assert len(far.reads) <= -(-SLICES // concurrency) + 1, "neighbours come together"
    for number in (0, 7, SLICES - 1):
        far.reads.clear()
        assert np.array_equal(array[number], wanted[number])
        assert len(far.reads) == 1


def test_loose_objects_cost_one_request_each(archive: Archive) -> None:
    far, _, array = far_array(archive)
    array[...]
    assert len(far.reads) == SLICES


def test_a_frame_out_of_a_pack_costs_one_request(archive: Archive) -> None:
    seal(archive)
    far, retriever, _ = far_array(archive)
    for held in archive.catalogue.instances():
        far.reads.clear()
        [frame] = retriever.frames(held, [1])
        assert len(frame) == 64 * 64 * 2 and len(far.reads) == 1


def test_a_damaged_neighbour_is_told_and_does_no_harm_to_the_others(archive: Archive) -> None:
    seal(archive)
    far, retriever, array = far_array(archive)
    held = archive.catalogue.instances()
    place = held[3].locations[0]
    path = archive.settings.data / "store" / place.key
    path.chmod(0o600)
    octets = bytearray(path.read_bytes())
    octets[place.offset + place.length // 2] ^= 1
    path.write_bytes(octets)
    with pytest.raises(Exception, match="damaged"):
        array[...]
    [marked] = archive.catalogue.placements.of_instances([held[3].pk])
    assert [copy.state for copy in marked.copies] == ["bad"]
    others = [one for one in archive.catalogue.instances() if one.pk != held[3].pk]
    assert len(retriever.single_frames(others)) == SLICES - 1
