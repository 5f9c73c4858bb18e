"""A UID with a slash is one segment of an address, and never becomes a path of the disk."""

from __future__ import annotations

import io
from urllib.parse import quote, unquote

import httpx2
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.web.web_samples import Web, sample, store
from vna_core.gateways.web.segments import as_sent, keep_segments

HOSTILE = "../../etc/passwd"


@pytest.fixture(scope="module")
def url(web: Web) -> str:
    octets = sample("CT_small.dcm")
    old = str(pydicom.dcmread(io.BytesIO(octets)).SOPInstanceUID).encode()
    with web.client() as client:
        answer = store(client, [octets.replace(old, HOSTILE.encode().ljust(len(old), b"\0"))])
    [held] = answer.json()["00081199"]["Value"]
    assert held["00081155"]["Value"] == [HOSTILE]
    return str(held["00081190"]["Value"][0])


def test_what_is_advertised_is_served(client: httpx2.Client, url: str) -> None:
    assert url.endswith("/instances/..%2F..%2Fetc%2Fpasswd")
    served = client.get(url, headers={"Accept": "application/dicom"})
    assert served.status_code == 200
    assert pydicom.dcmread(io.BytesIO(served.content)).SOPInstanceUID == HOSTILE
    [metadata] = client.get(url + "/metadata").json()
    pixels = client.get(metadata["7FE00010"]["BulkDataURI"])
    assert (pixels.status_code, pixels.content) == (200, pydicom.dcmread(io.BytesIO(sample("CT_small.dcm"))).PixelData)
    assert client.get(url + "/frames/1").status_code == 200
    assert client.get(url.replace("%2F", "%2f") + "/rendered", headers={"Accept": "image/png"}).status_code == 200


def test_the_other_interface_tells_about_it(client: httpx2.Client, url: str) -> None:
    del url
    assert client.get("/api/v1/instances/..%2F..%2Fetc%2Fpasswd").json()["sop_instance_uid"] == HOSTILE
    assert client.get("/api/v1/instances/..%2F..%2Fetc%2Fpasswd/original").content[128:132] == b"DICM"


def test_encoding_twice_is_another_uid_and_slashes_part_no_other_route(client: httpx2.Client, url: str) -> None:
    assert client.get(url.replace("%2F", "%252F")).status_code == 404
    assert client.get("/dicom-web%2Fstudies").status_code == 404
    assert client.get("/healthz%2F..%2Fdicom-web/studies").status_code == 404


@given(
    st.lists(st.text(st.one_of(st.sampled_from("/\ufdd0\ufdd1\ufdd2."), st.characters(codec="utf-8")), min_size=1), min_size=1)
)
def test_every_segment_comes_as_it_was_sent(segments: list[str]) -> None:
    raw = "/".join(["", *(quote(one, safe="") for one in segments)])
    scope = {"path": unquote(raw), "raw_path": raw.encode()}
    keep_segments(scope)
    kept = scope["path"].split("/")[1:]
    assert len(kept) == len(segments)
    assert list(as_sent(dict(enumerate(kept))).values()) == segments  # type: ignore[arg-type]


def test_a_uid_with_a_backslash_is_one_and_not_the_first_of_two(web: Web, client: httpx2.Client) -> None:
    octets = sample("MR_small_RLE.dcm")
    old = str(pydicom.dcmread(io.BytesIO(octets)).SOPInstanceUID).encode()
    for uid in (b"1.2.77", b"1.2.77\\8"):
        assert store(client, [octets.replace(old, uid.ljust(len(old), b"\0"))]).status_code == 200
    series = pydicom.dcmread(io.BytesIO(octets)).SeriesInstanceUID
    rows = client.get("/dicom-web/instances", params={"SeriesInstanceUID": series, "includefield": "EchoTime"}).json()
    served = [client.get(row["00081190"]["Value"][0], headers={"Accept": "application/dicom"}) for row in rows]
    assert [one.status_code for one in served] == [200, 200]
    told = {tuple(row["00080018"]["Value"]) for row in rows}
    assert told == {("1.2.77",), ("1.2.77", "8")}
    assert all("00180081" in row for row in rows)
    for row, answer in zip(rows, served, strict=True):
        held = pydicom.dcmread(io.BytesIO(answer.content)).SOPInstanceUID
        assert row["00080018"]["Value"] == ([held] if isinstance(held, str) else list(held))
