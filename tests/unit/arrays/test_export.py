"""What is exported: OME-Zarr that an independent validator accepts, with the same samples, and a table of everything indexed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
import zarr
from ome_zarr_models.v05.image import Image

from tests.unit.arrays.array_samples import SERIES, STUDY, image, slice_of, slide
from tests.unit.ingest.small_archive import SmallArchive, small_archive
from vna_core.access.arrays import SeriesArrays
from vna_core.access.arrays.export import export_zarr, regions, shard_shape
from vna_core.access.index_export import export_index
from vna_core.domain.errors import InvalidRequest
from vna_core.domain.query import Equals


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[SmallArchive]:
    with small_archive(tmp_path / "data") as opened:
        yield opened


def arrays_of(archive: SmallArchive, files: list[bytes]) -> SeriesArrays:
    for octets in files:
        archive.offer(octets)
    return SeriesArrays.of_series(archive.catalogue, archive.retriever, STUDY, SERIES)


def test_a_volume_is_written_as_ome_zarr(archive: SmallArchive, tmp_path: Path) -> None:
    arrays = arrays_of(archive, [slice_of(number, 2.5 * number) for number in range(1, 8)])
    told: list[int] = []
    assert export_zarr(arrays, tmp_path / "out.zarr", told.append) == 7 * 60 == sum(told) == arrays.octets
    root = zarr.open_group(tmp_path / "out.zarr", mode="r")
    volume = root["0/0"]
    assert isinstance(volume, zarr.Array)
    expected = np.stack([np.arange(30).reshape(6, 5) + 1000 * number for number in range(1, 8)])
    assert np.array_equal(volume[...], expected)
    said = Image.from_zarr(root["0"]).ome_attributes.multiscales[0]  # type: ignore[arg-type]
    assert [(axis.name, axis.type, axis.unit) for axis in said.axes] == [(name, "space", "millimeter") for name in "zyx"]
    assert said.datasets[0].coordinateTransformations[0].scale == [2.5, 2.0, 1.0]
    assert volume.attrs["dicom"]["rescale_intercept"] == -1024.0  # type: ignore[index, call-overload]


def test_colour_slides_keep_their_levels(archive: SmallArchive, tmp_path: Path) -> None:
    plane = np.random.default_rng(2).integers(0, 256, (50, 70, 3), np.uint8)
    arrays = arrays_of(archive, [slide(1, plane, 16), slide(2, plane[::2, ::2], 16)])
    export_zarr(arrays, tmp_path / "out.zarr")
    root = zarr.open_group(tmp_path / "out.zarr", mode="r")
    assert len(Image.from_zarr(root["0"]).ome_attributes.multiscales[0].datasets) == 2  # type: ignore[arg-type]
    assert np.array_equal(root["0/0"][...], plane.transpose(2, 0, 1))  # type: ignore[index]


def test_axes_without_a_word_in_ome_zarr_are_written_without_it(archive: SmallArchive, tmp_path: Path) -> None:
    colours = np.zeros((4, 6, 3), np.uint8)
    arrays = arrays_of(archive, [image(number, colours, SamplesPerPixel=3) for number in (1, 2)])
    export_zarr(arrays, tmp_path / "out.zarr")
    root = zarr.open_group(tmp_path / "out.zarr", mode="r")
    assert root["0/0"].shape == (2, 3, 4, 6) and "ome" not in root["0"].attrs  # type: ignore[union-attr]


def test_nothing_is_written_over(archive: SmallArchive, tmp_path: Path) -> None:
    arrays = arrays_of(archive, [slice_of(1, 0.0)])
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "something").touch()
    with pytest.raises(InvalidRequest):
        export_zarr(arrays, tmp_path / "there")
    assert [path.name for path in (tmp_path / "there").iterdir()] == ["something"]


def test_shards_are_whole_chunks_of_bounded_size_and_cover_everything() -> None:
    for shape, chunk in (
        ((300, 512, 512), (1, 512, 512)),
        ((3, 40000, 30000), (3, 256, 256)),
        ((2, 5000, 5000), (1, 5000, 5000)),
    ):
        shard = shard_shape(shape, chunk, 2)
        assert all(not whole % part for whole, part in zip(shard, chunk, strict=True))
        assert np.prod(shard) * 2 <= max(64 << 20, np.prod(chunk) * 2)
        assert sum(int(np.prod([one.stop - one.start for one in region])) for region in regions(shape, shard)) == np.prod(shape)


def test_the_index_is_a_table_with_or_without_persons(archive: SmallArchive, tmp_path: Path) -> None:
    arrays_of(archive, [slice_of(number, float(number), SeriesDescription="Kopf\\Hals") for number in (1, 2, 3)])
    assert export_index(archive.catalogue, tmp_path / "all.parquet") == 3
    rows = pyarrow.parquet.read_table(tmp_path / "all.parquet").to_pylist()
    assert {row["PatientName"] for row in rows} == {"SECRET^NAME"}
    assert {row["StudyInstanceUID"] for row in rows} == {STUDY}
    assert sorted(row["InstanceNumber"] for row in rows) == ["1", "2", "3"]
    assert {row["AccessionNumber"] for row in rows} == {None}
    number_two = [Equals(0x00200013, ("2",))]
    assert export_index(archive.catalogue, tmp_path / "two.parquet", number_two, persons=False) == 1
    octets = (tmp_path / "two.parquet").read_bytes()
    assert b"SECRET" not in octets and b"PatientID" not in octets
    assert not list(tmp_path.glob("*.partial"))
