"""Series as arrays: every pixel where it belongs, read where it lies, compared with what pydicom and numpy make of the same files."""

from __future__ import annotations

import asyncio
import io
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pydicom.data
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import RLELossless
from zarr.storage import MemoryStore

from tests.unit.arrays.array_samples import SERIES, STUDY, bits, enhanced, image, slice_of, slide
from tests.unit.ingest.small_archive import SmallArchive, small_archive
from vna_core.access.arrays import SeriesArrays, open_instance, open_series
from vna_core.access.arrays.whole_volumes import FramePipeline
from vna_core.access.arrays.zarr_store import ArchiveZarrStore
from vna_core.domain.errors import DecodeError, DigestMismatch, InvalidRequest, NotFound
from vna_core.domain.identifiers import PatientKey


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[SmallArchive]:
    with small_archive(tmp_path) as opened:
        yield opened


def offered(archive: SmallArchive, files: list[bytes]) -> zarr.Group:
    for octets in files:
        assert archive.offer(octets).outcome.acknowledged
    return open_series(archive.catalogue, archive.retriever, STUDY, SERIES)


def array(group: zarr.Group, path: str = "0/0") -> Any:
    found = group[path]
    assert isinstance(found, zarr.Array)
    return found


def dicom(of: zarr.Array) -> dict[str, Any]:
    return of.attrs["dicom"]  # type: ignore[return-value]


def test_slices_become_a_volume_in_the_order_of_their_places(archive: SmallArchive) -> None:
    heights = {1: 12.0, 2: 3.0, 3: 0.0, 4: 9.0, 5: 6.0}
    files = [slice_of(number, height) for number, height in heights.items()]
    volume = array(offered(archive, files))
    assert (volume.shape, volume.chunks, volume.dtype) == ((5, 6, 5), (1, 6, 5), np.dtype("<i2"))
    ordered = sorted(heights, key=heights.__getitem__)
    expected = np.stack([np.arange(30).reshape(6, 5) + 1000 * number for number in ordered])
    assert np.array_equal(volume[:], expected)
    assert np.array_equal(volume[1:4, 2, ::2], expected[1:4, 2, ::2])
    said = dicom(volume)
    assert said["spacing"] == {"z": 3.0, "y": 2.0, "x": 1.0}
    assert (said["rescale_slope"], said["rescale_intercept"], said["uniform"]) == (1.0, -1024.0, True)
    assert said["affine"] == [[0, 0, 1, 10], [0, 2, 0, 20], [3, 0, 0, 0], [0, 0, 0, 1]]
    assert volume.metadata.dimension_names == ("z", "y", "x")


def test_nothing_is_stored_for_arrays_and_nobody_is_named(archive: SmallArchive) -> None:
    files = [slice_of(number, float(number)) for number in (1, 2)]
    group = offered(archive, files)
    before = archive.files()
    array(group)[:]
    assert archive.files() == before
    documents = SeriesArrays.of_series(archive.catalogue, archive.retriever, STUDY, SERIES).documents()
    assert b"SECRET" not in b"".join(documents.values()) and b"P1" not in b"".join(documents.values())


def test_what_does_not_fit_is_a_picture_of_its_own(archive: SmallArchive) -> None:
    scout = slice_of(9, 0.0, ImageOrientationPatient=[0, 1, 0, 0, 0, -1])
    tall = image(8, np.full((9, 4), 7, "<u2"))
    group = offered(archive, [scout, slice_of(1, 0.0), slice_of(2, 5.0), tall])
    assert [array(group, f"{number}/0").shape for number in range(3)] == [(2, 6, 5), (1, 6, 5), (1, 9, 4)]
    assert "3" not in group
    assert {array(group, f"{number}/0").metadata.dimension_names for number in (1, 2)} == {("z", "y", "x"), ("t", "y", "x")}


def test_a_volume_seen_several_times_has_an_axis_of_time(archive: SmallArchive) -> None:
    files = [
        slice_of(1 + 3 * moment + place, 4.0 * place, AcquisitionTime=f"12000{moment}") for moment in (0, 1) for place in range(3)
    ]
    random.Random(3).shuffle(files)
    volume = array(offered(archive, files))
    assert (volume.shape, volume.metadata.dimension_names) == ((2, 3, 6, 5), ("t", "z", "y", "x"))
    assert (volume[:, :, 0, 0] // 1000).tolist() == [[1, 2, 3], [4, 5, 6]]


def test_frames_of_one_instance_lie_where_their_functional_groups_say(archive: SmallArchive) -> None:
    samples = np.arange(4 * 3 * 2, dtype="<u2").reshape(4, 3, 2)
    group = offered(archive, [enhanced([30.0, 10.0, 20.0, 0.0], samples), slice_of(1, 0.0)])
    volume = array(group)
    along = [0, 2, 1, 3]  # the normal of this orientation points against x: no place differs along it
    assert volume.shape[-2:] == (3, 2)
    assert dicom(volume)["image_orientation_patient"] == [0, 1, 0, 0, 0, -1]
    assert sorted(volume[...].reshape(4, -1)[:, 0].tolist()) == sorted(samples[along, 0, 0].tolist())
    assert dicom(volume)["units"] == "HU"
    alone = open_instance(archive.catalogue, archive.retriever, STUDY, SERIES, "1.2.826.0.1.3680043.10.7.3.50")
    assert np.array_equal(array(alone)[...], volume[...])


def test_each_plane_keeps_its_own_rescale(archive: SmallArchive) -> None:
    files = [slice_of(number, float(number), RescaleSlope=number) for number in (1, 2, 3)]
    said = dicom(array(offered(archive, files)))
    assert (said["rescale_slope"], said["rescale_intercept"]) == ([1.0, 2.0, 3.0], [-1024.0] * 3)


def test_frames_of_single_bits_begin_anywhere_in_an_octet(archive: SmallArchive) -> None:
    frames = np.random.default_rng(5).integers(0, 2, (7, 5, 5))
    volume = array(offered(archive, [bits(frames)]))
    assert volume.dtype == np.uint8
    assert np.array_equal(volume[...], frames)


@pytest.mark.parametrize("planar", [0, 1])
def test_colours_are_an_axis_before_the_plane_however_they_are_stored(archive: SmallArchive, planar: int) -> None:
    samples = np.random.default_rng(1).integers(0, 256, (3, 4, 6, 3), np.uint8)
    stored = samples if planar == 0 else samples.transpose(0, 3, 1, 2).copy().reshape(3, 4, 6, 3)
    octets = image(1, stored, SamplesPerPixel=3, PlanarConfiguration=planar)
    volume = array(offered(archive, [octets]))
    assert (volume.shape, volume.metadata.dimension_names) == ((3, 3, 4, 6), ("t", "c", "y", "x"))
    assert np.array_equal(volume[...], samples.transpose(0, 3, 1, 2))


def test_native_frames_need_no_plugin_of_ours(archive: SmallArchive) -> None:
    offered(archive, [slice_of(number, float(number)) for number in (1, 2)])
    arrays = SeriesArrays.of_series(archive.catalogue, archive.retriever, STUDY, SERIES)
    metadata = json.loads(arrays.documents()["0/0/zarr.json"])
    assert {codec["name"] for codec in metadata["codecs"]} == {"bytes"}
    keys = [*arrays.documents(), "0/0/c/0/0/0", "0/0/c/1/0/0"]
    copied = MemoryStore({key: zarr.core.buffer.cpu.Buffer.from_bytes(arrays.read(key) or b"") for key in keys})
    volume = zarr.open_array(copied, path="0/0", mode="r")
    assert (volume[:, 0, 0] // 1000).tolist() == [1, 2]  # type: ignore[operator, union-attr]


@pytest.mark.parametrize(
    "name",
    [
        "JPEG2000.dcm",
        "MR_small_RLE.dcm",
        "MR_small_jpeg_ls_lossless.dcm",
        "JPEG-LL.dcm",
        "examples_ybr_color.dcm",
        "SC_rgb_rle_2frame.dcm",
    ],
)
def test_compressed_frames_are_decoded_by_the_codec(archive: SmallArchive, name: str) -> None:
    path = pydicom.data.get_testdata_file(name, download=False)
    if path is None:
        pytest.skip(f"{name} is not among the files that came with pydicom")
    result = archive.offer(Path(str(path)).read_bytes())
    held = archive.catalogue.versions(result.sop_instance_uid)[-1]
    group = open_instance(
        archive.catalogue, archive.retriever, held.study_instance_uid, held.series_instance_uid, held.sop_instance_uid
    )
    volume = array(group)
    assert "vna.dicom_frame" in str(volume.metadata.to_dict()["codecs"])
    expected = pydicom.dcmread(str(path)).pixel_array
    found = (
        np.moveaxis(volume[...], volume.metadata.dimension_names.index("c"), -1)
        if "c" in volume.metadata.dimension_names
        else volume[...]
    )
    assert np.abs(found.reshape(expected.shape).astype(int) - expected.astype(int)).max() <= (1 if "ybr" in name else 0)


def test_levels_of_a_slide_are_planes_of_tiles(archive: SmallArchive) -> None:
    large = np.random.default_rng(2).integers(0, 256, (50, 70, 3), np.uint8)
    small = large[::2, ::2]
    label = np.full((8, 8, 3), 200, np.uint8)
    kinds = ["ORIGINAL", "PRIMARY", "LABEL", "NONE"]
    group = offered(archive, [slide(2, small, 16), slide(1, large, 16), slide(3, label, 8, ImageType=kinds)])
    assert [array(group, path).shape for path in ("0/0", "0/1", "1/0")] == [(3, 50, 70), (3, 25, 35), (3, 8, 8)]
    assert np.array_equal(array(group)[...], large.transpose(2, 0, 1))
    assert np.array_equal(array(group, "0/1")[:, 20:, 30:], small.transpose(2, 0, 1)[:, 20:, 30:])
    scales = [one["coordinateTransformations"][0]["scale"] for one in group["0"].attrs["ome"]["multiscales"][0]["datasets"]]  # type: ignore[index, call-overload]
    assert scales == [[1.0, 1.0, 1.0], [1.0, 2.0, 2.0]]


def test_sparse_tiles_lie_where_they_say_and_the_rest_is_empty(archive: SmallArchive) -> None:
    plane = np.random.default_rng(4).integers(1, 256, (32, 32, 3), np.uint8)
    groups = []
    for row, column in ((17, 1), (1, 17)):
        place, group = Dataset(), Dataset()
        place.RowPositionInTotalImagePixelMatrix, place.ColumnPositionInTotalImagePixelMatrix = row, column
        group.PlanePositionSlideSequence = Sequence([place])
        groups.append(group)
    kept = np.concatenate([plane[16:, :16], plane[:16, 16:]])
    sparse = {"DimensionOrganizationType": "TILED_SPARSE", "PerFrameFunctionalGroupsSequence": Sequence(groups)}
    octets = slide(1, kept, 16, **sparse, TotalPixelMatrixRows=32, TotalPixelMatrixColumns=32)
    found = array(offered(archive, [octets]))[...].transpose(1, 2, 0)
    expected = np.zeros_like(plane)
    expected[16:, :16], expected[:16, 16:] = plane[16:, :16], plane[:16, 16:]
    assert np.array_equal(found, expected)


def _part(length: int) -> st.SearchStrategy[Any]:
    ends = st.integers(-length, length)
    return st.integers(-length, length - 1) | st.builds(slice, ends, ends, st.integers(1, 3))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.tuples(_part(5), _part(6), _part(5)), st.lists(st.integers(0, 4), min_size=1, max_size=6))
def test_many_frames_at_once_are_what_zarr_reads_one_by_one(archive: SmallArchive, wanted: Any, planes: list[int]) -> None:
    if not archive.files():
        offered(archive, [slice_of(number, float(number)) for number in range(1, 6)])
    arrays = SeriesArrays.of_series(archive.catalogue, archive.retriever, STUDY, SERIES)
    one_by_one = array(zarr.open_group(ArchiveZarrStore(arrays), mode="r"))
    together = array(open_series(archive.catalogue, archive.retriever, STUDY, SERIES))
    assert type(together.async_array.codec_pipeline) is FramePipeline is not type(one_by_one.async_array.codec_pipeline)
    assert np.array_equal(together[wanted], one_by_one[wanted])
    assert np.array_equal(together.oindex[planes, 1:4, [4, 0]], one_by_one.oindex[planes, 1:4, [4, 0]])
    assert np.array_equal(together.vindex[planes, planes, planes], one_by_one.vindex[planes, planes, planes])


def test_a_damaged_frame_of_many_is_an_error(archive: SmallArchive) -> None:
    volume = array(offered(archive, [slice_of(number, float(number)) for number in range(1, 6)]))
    place = archive.catalogue.instances()[2].locations[0]
    octets = bytearray(archive.store.read(place.key))
    octets[len(octets) // 2] ^= 1
    archive.store.delete(place.key)
    archive.store.create(place.key, [bytes(octets)])
    with pytest.raises(DigestMismatch):
        volume[...]


def test_a_frame_that_nobody_can_decode_is_an_error_and_the_rest_is_left_alone(archive: SmallArchive) -> None:
    frames = np.arange(60 * 30, dtype="<u2").reshape(60, 6, 5)
    packed = pydicom.dcmread(io.BytesIO(image(1, frames)))
    packed.compress(RLELossless, generate_instance_uid=False)
    streams = list(pydicom.encaps.generate_frames(packed.PixelData, number_of_frames=60))
    packed.PixelData = pydicom.encaps.encapsulate([b"\xff" * 64 if number == 2 else one for number, one in enumerate(streams)])
    buffer = io.BytesIO()
    packed.save_as(buffer)
    volume = array(offered(archive, [buffer.getvalue()]))
    with pytest.raises(DecodeError):
        volume[...]
    assert not asyncio.all_tasks(zarr.core.sync._get_loop())
    assert np.array_equal(volume[3:9], frames[3:9])


def test_series_of_two_patients_under_the_same_uids_are_told_apart(archive: SmallArchive) -> None:
    one, other = np.full((4, 4), 1, "<u2"), np.full((4, 4), 2, "<u2")
    for octets in (image(1, one), image(1, other, PatientID="P2")):
        assert archive.offer(octets).outcome.acknowledged
    with pytest.raises(InvalidRequest, match="patients"):
        open_series(archive.catalogue, archive.retriever, STUDY, SERIES)
    for patient_id, expected in (("P1", one), ("P2", other)):
        [patient] = {held.patient for held in archive.catalogue.instances() if held.patient.patient_id == patient_id}
        volume = array(open_series(archive.catalogue, archive.retriever, STUDY, SERIES, patient))
        assert np.array_equal(volume[...], expected[np.newaxis])
    with pytest.raises(NotFound):
        open_series(archive.catalogue, archive.retriever, STUDY, SERIES, PatientKey("", "P3"))


def test_dask_computes_on_what_it_needs(archive: SmallArchive) -> None:
    import dask.array

    volume = array(offered(archive, [slice_of(number, float(number)) for number in range(1, 6)]))
    lazy = dask.array.from_zarr(volume)
    assert lazy.chunks[0] == (1,) * 5
    assert lazy[2].mean().compute(scheduler="threads") == 3000 + 14.5


def test_keys_of_the_store_are_what_can_be_read_and_nothing_can_be_written(archive: SmallArchive) -> None:
    group = offered(archive, [slice_of(number, float(number)) for number in (1, 2)])
    assert sorted(group.keys()) == ["0"]
    assert group.store.supports_listing and group.read_only
    with pytest.raises((PermissionError, ValueError)):
        array(group)[0] = 0
    arrays = SeriesArrays.of_series(archive.catalogue, archive.retriever, STUDY, SERIES)
    for key in (
        "",
        "0",
        "0/0/c",
        "0/0/c/2/0/0",
        "0/0/c/0/0",
        "0/0/c/0/0/0/0",
        "9/0/zarr.json",
        "0/0/c/-1/0/0",
        "0/0/c/../0/0",
        "0/0/c/٣/0/0",
    ):
        assert arrays.read(key) is None and arrays.size(key) is None, key


def test_a_series_without_pixels_has_no_arrays(archive: SmallArchive) -> None:
    with pytest.raises(NotFound):
        open_series(archive.catalogue, archive.retriever, STUDY, SERIES)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(-80, 80), st.none() | st.integers(0, 80), st.sampled_from(["zarr.json", "0/0/c/0/0/0", "0/0/c/1/0/0"]))
def test_any_part_of_an_object_is_that_part_of_the_whole(
    archive: SmallArchive, offset: int, length: int | None, key: str
) -> None:
    if not archive.files():
        offered(archive, [slice_of(number, float(number)) for number in (1, 2)])
    arrays = SeriesArrays.of_series(archive.catalogue, archive.retriever, STUDY, SERIES)
    whole = arrays.read(key)
    assert whole is not None and len(whole) == arrays.size(key)
    start = max(0, len(whole) + offset) if offset < 0 else offset
    assert arrays.read(key, offset, length) == whole[start : None if length is None else start + length]
