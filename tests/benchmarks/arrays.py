"""Slices through the arrays of a series against raw range reads of the same frames: ``python -m tests.benchmarks.arrays``.

Both read from the same archive in one run, alternating; the ratio is the speed of the array by that of the raw reads. What the arrays store in addition is counted.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import zarr

from vna_core.access.arrays import open_series
from vna_core.bootstrap import Archive, open_archive
from vna_core.configuration import Settings
from vna_core.domain.octets import Source
from vna_core.testing import phantoms

SLICES = 140
ROUNDS = 9


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


def main() -> None:
    """Measure and print one JSON line."""
    with tempfile.TemporaryDirectory() as folder, open_archive(Settings(data=Path(folder))) as archive:
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

        ways: dict[str, Callable[[], Any]] = {"raw": raw, "frames": frames, "zarr": lambda: volume[...]}
        times: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(ROUNDS):
            for name, way in ways.items():
                times[name].append(timed(way))
        medians = {name: statistics.median(taken) for name, taken in times.items()}
        print(
            json.dumps(
                {
                    "slices": SLICES,
                    "zarr_to_raw_speed": round(medians["raw"] / medians["zarr"], 2),
                    "zarr_to_verified_frames_speed": round(medians["frames"] / medians["zarr"], 2),
                    "extra_bytes_stored": sum(one.size for one in archive.landing.list()) - stored,
                }
            )
        )


if __name__ == "__main__":
    main()
