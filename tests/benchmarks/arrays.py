"""Slices through the arrays of a series against raw range reads of the same frames: ``python -m tests.benchmarks.arrays``.

Both read from the same archive in one run, alternating; the ratio is the speed of the array by that of the raw reads: single files in a local store first, then one
pack in a bucket. What the arrays store in addition is counted.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import zarr

from tests.peers.seaweedfs import seaweedfs
from vna_core.access.arrays import open_series
from vna_core.access.retrieve import Retriever
from vna_core.archival_storage.copying import copy_object
from vna_core.bootstrap import Archive, open_archive
from vna_core.configuration import Settings, StoreSettings
from vna_core.configuration.packs import PackSettings
from vna_core.domain.octets import ByteRange, Source
from vna_core.stewardship.sealing import PackKeeper
from vna_core.testing import phantoms

SLICES = 140
ROUNDS = 9
FAR_ROUNDS = 3


def fill(archive: Archive) -> tuple[str, str]:
    """A series of 0.5 MB slices; its study and series UID."""
    for octets in phantoms.series(SLICES, rows=512, columns=512):
        with archive.pipeline.reception(Source("file", "benchmark", "")) as reception:
            reception.write(octets)
            archive.pipeline.offer(reception.finish())
    held = archive.catalogue.instances()[0]
    return held.study_instance_uid, held.series_instance_uid


def timed(work: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def far(archive: Archive, study: str, series: str) -> dict[str, Callable[[], Any]]:
    """The series as a pack in a bucket: raw range reads one after the other, a slice at a time, and the whole volume."""
    keeper = PackKeeper(archive.stores, archive.landing, archive.catalogue, PackSettings(quiet=0, removal_delay=0))
    cloud = archive.stores["cloud"]
    for place in archive.catalogue.packs.series():
        for key in keeper.seal(place).packs:
            copy_object(archive.landing, cloud, key)
            archive.catalogue.packs.record_copy(key, cloud.name)
    retriever = Retriever({cloud.name: cloud}, archive.catalogue)
    volume = open_series(archive.catalogue, retriever, study, series)["0/0"]
    held = archive.catalogue.instances(series=series)
    assert isinstance(volume, zarr.Array)

    def raw() -> None:
        for one in held:
            assert one.pixel_data is not None
            where = one.locations[0]
            cloud.read(where.key, ByteRange(where.offset + one.pixel_data.offset, one.pixel_data.length))

    def slices() -> None:
        for number in range(SLICES):
            volume[number]

    return {"raw": raw, "slices": slices, "zarr": lambda: volume[...]}


def medians(ways: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Seconds of each way, in turns."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            times[name].append(timed(way))
    return {name: statistics.median(taken) for name, taken in times.items()}


def main() -> None:
    """Measure and print one JSON line."""
    with tempfile.TemporaryDirectory() as temporary, seaweedfs(Path(temporary) / "seaweedfs") as service:
        folder = Path(temporary)
        options = service.options(service.make_bucket("arrays"))
        stores = {
            "cloud": StoreSettings(type="s3", options=options),
            "landing": StoreSettings(options={"path": str(folder / "s")}),
        }
        with open_archive(Settings(data=folder / "data", stores=stores)) as archive:
            measure(archive)


def measure(archive: Archive) -> None:
    """All ways on one archive."""
    study, series = fill(archive)
    stored = sum(one.size for one in archive.landing.list())
    held = archive.catalogue.instances(series=series)
    volume = open_series(archive.catalogue, archive.retriever, study, series)["0/0"]
    assert isinstance(volume, zarr.Array) and volume.shape[0] == SLICES

    def raw() -> None:
        for one in held:
            assert one.pixel_data is not None
            archive.landing.read(one.locations[0].key, one.pixel_data)

    def frames() -> None:
        for one in held:
            list(archive.retriever.frames(one, [1]))

    near = medians({"raw": raw, "frames": frames, "zarr": lambda: volume[...]}, ROUNDS)
    extra = sum(one.size for one in archive.landing.list()) - stored
    distant = medians(far(archive, study, series), FAR_ROUNDS)
    print(
        json.dumps(
            {
                "slices": SLICES,
                "zarr_to_raw_speed": round(near["raw"] / near["zarr"], 2),
                "zarr_to_verified_frames_speed": round(near["frames"] / near["zarr"], 2),
                "bucket_slice_to_raw_speed": round(distant["raw"] / distant["slices"], 2),
                "bucket_volume_to_raw_speed": round(distant["raw"] / distant["zarr"], 2),
                "extra_bytes_stored": extra,
            }
        )
    )


if __name__ == "__main__":
    main()
