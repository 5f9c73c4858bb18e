"""Where planes lie: the way from indices to the patient for tilted, shifted, doubled and slightly turned planes, in any order of frames."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.arrays.array_samples import SERIES, STUDY, slice_of
from tests.unit.ingest.small_archive import SmallArchive, small_archive
from vna_core.access.arrays import open_series
from vna_core.access.arrays.stacking import alike

TILT = [1, 0, 0, 0, 0.965926, -0.258819]


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[SmallArchive]:
    with small_archive(tmp_path) as opened:
        yield opened


def pictures(archive: SmallArchive, files: list[bytes]) -> list[zarr.Array[Any]]:
    for octets in files:
        assert archive.offer(octets).outcome.acknowledged
    group = open_series(archive.catalogue, archive.retriever, STUDY, SERIES)
    return [group[f"{number}/0"] for number in range(group.attrs["dicom"]["pictures"])]  # type: ignore[index, call-overload, misc]


def said(volume: zarr.Array[Any]) -> dict[str, Any]:
    return volume.attrs["dicom"]  # type: ignore[return-value]


def numbers(volume: zarr.Array[Any]) -> list[Any]:
    """Which slices lie where, by what their samples tell."""
    return (np.asarray(volume[..., 0, 0]) // 1000).tolist()  # type: ignore[no-any-return]


def names(volume: zarr.Array[Any]) -> tuple[Any, ...]:
    return tuple(volume.metadata.dimension_names or ())


def origins(volume: zarr.Array[Any]) -> np.ndarray[Any, Any]:
    """Where the affine says that the first pixel of each plane is, in mm."""
    indices = np.array([[z, 0, 0, 1] for z in range(volume.shape[-3])])
    return np.asarray((np.array(said(volume)["affine"]) @ indices.T).T[:, :3])


def test_planes_of_a_tilted_gantry_lie_where_they_say(archive: SmallArchive) -> None:
    places = [[-100, -100, 50 + 5 * number] for number in range(6)]
    files = [
        slice_of(number + 1, 0.0, ImageOrientationPatient=TILT, ImagePositionPatient=place) for number, place in enumerate(places)
    ]
    [volume] = pictures(archive, files)
    order = [number - 1 for number in numbers(volume)]
    assert np.allclose(origins(volume), np.array(places)[order], atol=1e-3)
    assert said(volume)["uniform"] is True
    assert said(volume)["positions"] == np.array(places)[order].tolist()
    assert said(volume)["spacing"]["z"] == pytest.approx(5 * 0.965926)


def test_a_plane_beside_the_others_is_told(archive: SmallArchive) -> None:
    places = [[0, 0, 0], [0, 0, 5], [4, 0, 10], [0, 0, 15]]
    [volume] = pictures(archive, [slice_of(number, 0.0, ImagePositionPatient=place) for number, place in enumerate(places, 1)])
    assert (names(volume), numbers(volume)) == (("z", "y", "x"), [1, 2, 3, 4])
    assert said(volume)["uniform"] is False
    assert said(volume)["positions"] == places


def test_planes_beside_one_another_are_no_repetition(archive: SmallArchive) -> None:
    places = [[-100, 0, 0], [100, 0, 0]]
    [listed] = pictures(archive, [slice_of(number, 0.0, ImagePositionPatient=place) for number, place in enumerate(places, 1)])
    assert (names(listed), listed.shape[0]) == (("n", "y", "x"), 2)
    assert said(listed)["positions"] == places and "affine" not in said(listed)


def test_stacks_beside_one_another_are_volumes_of_their_own(archive: SmallArchive) -> None:
    places = [[side, 0, height] for height in (0, 4, 8) for side in (-100, 100)]
    volumes = pictures(archive, [slice_of(number, 0.0, ImagePositionPatient=place) for number, place in enumerate(places, 1)])
    assert [numbers(volume) for volume in volumes] == [[1, 3, 5], [2, 4, 6]]
    for side, volume in zip((-100, 100), volumes, strict=True):
        assert origins(volume).tolist() == [[side, 0, height] for height in (0, 4, 8)]


def test_one_slice_twice_leaves_the_volume_its_geometry(archive: SmallArchive) -> None:
    heights = [0.0, 1.0, 2.0, 2.0, 3.0, 4.0]
    volume, surplus = pictures(archive, [slice_of(number, height) for number, height in enumerate(heights, 1)])
    assert (names(volume), numbers(volume)) == (("z", "y", "x"), [1, 2, 3, 5, 6])
    assert said(volume)["uniform"] is True and origins(volume)[:, 2].tolist() == [0, 1, 2, 3, 4]
    assert (names(surplus), numbers(surplus), said(surplus)["positions"]) == (("z", "y", "x"), [4], [[10, 20, 2]])


@pytest.mark.parametrize("turned", [(0.000149, 0.000151), (0.00005, 0.000049), (0.0, 0.0001)])
def test_digits_of_the_orientation_split_nothing(archive: SmallArchive, turned: tuple[float, float]) -> None:
    one, other = turned
    files = [
        slice_of(number, float(number), ImageOrientationPatient=[1, 0, other if number % 2 else one, 0, 1, 0])
        for number in range(1, 5)
    ]
    random.Random(1).shuffle(files)
    [volume] = pictures(archive, files)
    assert (volume.shape[0], numbers(volume), said(volume)["uniform"]) == (4, [1, 2, 3, 4], True)


def test_spacings_that_differ_by_their_last_digit_split_nothing(archive: SmallArchive) -> None:
    files = [slice_of(number, float(number), PixelSpacing=[0.4882814, 0.488281]) for number in (1, 2)]
    files += [slice_of(number, float(number), PixelSpacing=[0.4882816, 0.488281]) for number in (3, 4)]
    [volume] = pictures(archive, files)
    assert numbers(volume) == [1, 2, 3, 4]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(*[st.integers(-30, 30).map(lambda whole: whole / 10)] * 2), min_size=1, max_size=8), st.randoms())
def test_what_is_alike_does_not_depend_on_the_order(vectors: list[tuple[float, ...]], chance: random.Random) -> None:
    shuffled = list(vectors)
    chance.shuffle(shuffled)

    def found(of: list[tuple[float, ...]]) -> list[list[tuple[float, ...]]]:
        return [sorted(of[number] for number in group) for group in alike(of, 0.25)]

    assert found(vectors) == found(shuffled)
    for group in found(vectors):
        assert all(
            abs(a - b) <= 0.25 + 1e-9 for one, two in itertools.combinations(group, 2) for a, b in zip(one, two, strict=True)
        )
