"""Arrays over HTTP: a remote zarr reader without any code of ours, ranges, pinned layouts, and what is not there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx2
import numpy as np
import pytest
import zarr

from tests.unit.arrays.array_samples import SERIES, STUDY, slice_of
from tests.unit.web.conftest import start_web  # noqa: F401 - a fixture
from tests.unit.web.web_samples import Web
from vna_core.domain.octets import Source

ROOT = f"/zarr/studies/{STUDY}/series/{SERIES}"


def store(web: Web, octets: bytes) -> None:
    with web.pipeline.reception(Source("file", "test", "")) as reception:
        reception.write(octets)
        assert web.pipeline.offer(reception.finish()).outcome.acknowledged


@pytest.fixture
def web(start_web) -> Web:  # type: ignore[no-untyped-def]  # noqa: F811
    served: Web = start_web()
    for number in (1, 2, 3):
        store(served, slice_of(number, float(number)))
    return served


@pytest.fixture
def client(web: Web) -> Iterator[httpx2.Client]:
    with web.client() as opened:
        yield opened


def test_a_remote_reader_opens_a_volume_by_its_url(web: Web) -> None:
    host, port = web.address[:2]
    volume = zarr.open_array(f"http://{host}:{port}{ROOT}/0/0", mode="r")
    expected = np.stack([np.arange(30).reshape(6, 5) + 1000 * number for number in (1, 2, 3)])
    assert np.array_equal(volume[...], expected)
    assert np.array_equal(volume[1], expected[1])


def test_remote_values_have_nothing_of_the_unused_bits_in_them(web: Web) -> None:
    store(web, slice_of(9, 9.0, BitsStored=12, HighBit=11))
    host, port = web.address[:2]
    volume = zarr.open_array(f"http://{host}:{port}{ROOT}/1/0", mode="r")
    cells = np.arange(30, dtype="<i2").reshape(6, 5) + 9000
    assert np.array_equal(volume[0], (cells << 4) >> 4)


def test_ranges_and_heads_are_answered(client: httpx2.Client) -> None:
    key = f"{ROOT}/0/0/c/1/0/0"
    whole = client.get(key)
    assert (whole.status_code, len(whole.content)) == (200, 60)
    for field, expected in (
        ("bytes=0-9", whole.content[:10]),
        ("bytes=-4", whole.content[-4:]),
        ("bytes=50-", whole.content[50:]),
    ):
        part = client.get(key, headers={"Range": field})
        assert (part.status_code, part.content) == (206, expected)
        assert part.headers["content-range"].endswith("/60")
    assert client.get(key, headers={"Range": "bytes=60-"}).status_code == 416
    head = client.head(key)
    assert (head.status_code, head.headers["content-length"], head.content) == (200, "60", b"")
    assert client.get(f"{ROOT}/zarr.json").headers["content-type"] == "application/json"


@pytest.mark.parametrize("key", ["0/0/c/9/0/0", "0/1/zarr.json", "nothing", "0/0/c/..%2f..%2f/0", "0/0/.zarray"])
def test_what_is_not_there_is_not_found(client: httpx2.Client, key: str) -> None:
    assert client.get(f"{ROOT}/{key}").status_code == 404
    assert client.get(f"/zarr/studies/{STUDY}/series/1.2.3/zarr.json").status_code == 404


def test_a_pinned_layout_is_not_mixed_with_what_came_later(web: Web, client: httpx2.Client) -> None:
    layout = client.get(f"{ROOT}/zarr.json").json()["attributes"]["dicom"]["layout"]
    pinned = f"{ROOT}@{layout}/0/0"
    before = client.get(f"{pinned}/c/1/0/0").content
    store(web, slice_of(9, 1.5))
    assert client.get(f"{ROOT}/0/0/c/1/0/0").content != before
    answer = client.get(f"{pinned}/c/1/0/0")
    assert (answer.status_code, answer.json()["code"]) == (409, "series-changed")


def test_a_frame_that_cannot_be_read_is_an_error_and_not_an_empty_one(web: Web, client: httpx2.Client) -> None:
    held = web.catalogue.instances(series=SERIES)[0]
    (Path(web.data) / "store" / held.locations[0].key).unlink()
    assert client.get(f"{ROOT}/0/0/c/0/0/0").status_code == 500
    host, port = web.address[:2]
    with pytest.raises(Exception, match="500"):
        zarr.open_array(f"http://{host}:{port}{ROOT}/0/0", mode="r")[...]
