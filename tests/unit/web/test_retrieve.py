"""WADO-RS and QIDO-RS: what is held comes back in a form that was asked for."""

from __future__ import annotations

import email
import email.policy
import io
import zipfile

import httpx2
import numpy as np
import pydicom
import pytest
from PIL import Image

from tests.unit.web.web_samples import Web, sample, store
from vna_core.testing import phantoms

FILES = ("CT_small.dcm", "MR_small_RLE.dcm", "SC_rgb_rle_2frame.dcm", "MR_small_jp2klossless.dcm", "SC_rgb_jpeg_dcmtk.dcm")
LITTLE = "1.2.840.10008.1.2.1"
EVERY = 'multipart/related; type="application/dicom"; transfer-syntax=*'


def parts_of(answer: httpx2.Response) -> list[tuple[str, bytes]]:
    """Media type and content of each part, as the standard library reads them."""
    head = f"Content-Type: {answer.headers['content-type']}\r\n\r\n".encode()
    message = email.message_from_bytes(head + answer.content, policy=email.policy.HTTP)
    return [(str(part["Content-Type"]).replace('"', ""), part.get_payload(decode=True)) for part in message.iter_parts()]  # type: ignore[misc]


@pytest.fixture(scope="module")
def urls(web: Web) -> dict[str, str]:
    """Each sample's instance URL, all of them stored."""
    with web.client() as client:
        assert store(client, [sample(name) for name in FILES]).status_code == 200
    return {name: url_of(sample(name)) for name in FILES}


def url_of(octets: bytes) -> str:
    data_set = pydicom.dcmread(io.BytesIO(octets), stop_before_pixels=True)
    study, series, sop = data_set.StudyInstanceUID, data_set.SeriesInstanceUID, data_set.SOPInstanceUID
    return f"/dicom-web/studies/{study}/series/{series}/instances/{sop}"


@pytest.mark.parametrize("name", FILES)
def test_an_instance_comes_in_its_stored_transfer_syntax(client: httpx2.Client, urls: dict[str, str], name: str) -> None:
    answer = client.get(urls[name], headers={"Accept": EVERY})
    [(content_type, content)] = parts_of(answer)
    held = pydicom.dcmread(io.BytesIO(content))
    assert held.file_meta.TransferSyntaxUID in content_type
    assert np.array_equal(held.pixel_array, pydicom.dcmread(io.BytesIO(sample(name))).pixel_array)
    assert 0xFFFCFFFC not in held


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    "syntax", [LITTLE, "1.2.840.10008.1.2", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.1.99"]
)
def test_an_instance_is_converted_without_loss(client: httpx2.Client, urls: dict[str, str], name: str, syntax: str) -> None:
    answer = client.get(urls[name], headers={"Accept": f"application/dicom; transfer-syntax={syntax}"})
    assert answer.status_code == 200
    held, original = pydicom.dcmread(io.BytesIO(answer.content)), pydicom.dcmread(io.BytesIO(sample(name)))
    assert held.file_meta.TransferSyntaxUID == syntax
    assert np.array_equal(held.pixel_array, original.pixel_array)
    assert held.PatientName == original.PatientName


def test_without_the_parameter_compressed_pixels_come_native(client: httpx2.Client, urls: dict[str, str]) -> None:
    [(content_type, _)] = parts_of(
        client.get(urls["MR_small_RLE.dcm"], headers={"Accept": 'multipart/related; type="application/dicom"'})
    )
    assert content_type == f"application/dicom; transfer-syntax={LITTLE}"


def test_a_study_comes_as_multipart_and_as_zip(client: httpx2.Client, urls: dict[str, str]) -> None:
    study = urls["CT_small.dcm"].split("/series")[0]
    assert len(parts_of(client.get(study, headers={"Accept": EVERY}))) == 1
    archive = zipfile.ZipFile(io.BytesIO(client.get(study, headers={"Accept": "application/zip"}).content))
    assert archive.testzip() is None
    [name] = archive.namelist()
    assert pydicom.dcmread(io.BytesIO(archive.read(name))).PatientID == "1CT1"


@pytest.mark.parametrize("accept", ["text/html", "application/dicom+xml", 'multipart/related; type="image/gif"', "image/png"])
def test_other_media_types_are_406(client: httpx2.Client, urls: dict[str, str], accept: str) -> None:
    assert client.get(urls["CT_small.dcm"], headers={"Accept": accept}).status_code == 406


def test_a_transfer_syntax_that_cannot_be_made_is_406(client: httpx2.Client, urls: dict[str, str]) -> None:
    accept = "application/dicom; transfer-syntax=1.2.840.10008.1.2.4.50"
    assert client.get(urls["CT_small.dcm"], headers={"Accept": accept}).status_code == 406


def test_metadata_is_dicom_json_with_absolute_bulk_data(web: Web, client: httpx2.Client, urls: dict[str, str]) -> None:
    instance = urls["CT_small.dcm"]
    [by_instance] = client.get(instance + "/metadata").json()
    [by_series] = client.get(instance.split("/instances")[0] + "/metadata").json()
    [by_study] = client.get(instance.split("/series")[0] + "/metadata").json()
    assert by_instance == by_series == by_study
    assert by_instance["00100020"]["Value"] == ["1CT1"]
    uri = by_instance["7FE00010"]["BulkDataURI"]
    assert uri.startswith(web.url)
    assert client.get(uri).content == pydicom.dcmread(io.BytesIO(sample("CT_small.dcm"))).PixelData


def test_bulk_data_comes_in_ranges(client: httpx2.Client, urls: dict[str, str]) -> None:
    uri = urls["CT_small.dcm"] + "/bulkdata/7FE00010"
    whole = client.get(uri).content
    part = client.get(uri, headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, whole[10:20])
    assert part.headers["content-range"] == f"bytes 10-19/{len(whole)}"
    assert client.get(uri, headers={"Range": "bytes=-5"}).content == whole[-5:]
    assert client.get(uri, headers={"Range": f"bytes={len(whole) - 3}-"}).content == whole[-3:]
    beyond = client.get(uri, headers={"Range": f"bytes={len(whole)}-"})
    assert beyond.status_code == 416
    assert client.get(uri, headers={"Range": "lines=1-2"}).status_code == 200
    assert client.get(urls["CT_small.dcm"] + "/bulkdata/00999999").status_code == 404
    assert client.get(urls["CT_small.dcm"] + "/bulkdata/../../x").status_code in (400, 404)


@pytest.mark.parametrize("name", [name for name in FILES if name != "CT_small.dcm"])
def test_compressed_pixels_are_no_bulk_data_that_can_be_taken_for_samples(
    client: httpx2.Client, urls: dict[str, str], name: str
) -> None:
    """PS3.18 8.7.3.3: octets without a transfer syntax are Explicit VR Little Endian; else each frame is a part of its own type."""
    uri, held = f"{urls[name]}/bulkdata/7FE00010", pydicom.dcmread(io.BytesIO(sample(name)))
    samples = held.pixel_array.tobytes()
    listed = ",".join(str(number) for number in range(1, int(held.get("NumberOfFrames", 1)) + 1))
    for accept in ("application/octet-stream", "application/*", "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1"):
        assert client.get(uri, headers={"Accept": accept}).content == samples
    [(kind, octets)] = parts_of(client.get(uri, headers={"Accept": 'multipart/related; type="application/octet-stream"'}))
    assert (kind, octets) == (f"application/octet-stream; transfer-syntax={LITTLE}", samples)
    own = parts_of(client.get(uri))
    assert own == parts_of(client.get(f"{urls[name]}/frames/{listed}"))
    kind, _, syntax = own[0][0].partition("; ")
    named = f'multipart/related; type="{kind}"; {syntax}'
    assert parts_of(client.get(uri, headers={"Accept": named})) == own
    assert client.get(uri, headers={"Accept": "video/mp4"}).status_code == 406
    stored = client.get(uri, headers={"Accept": "application/octet-stream; transfer-syntax=*", "Range": "bytes=0-3"})
    assert (stored.status_code, stored.content) == (206, b"\xfe\xff\x00\xe0")


def test_frames_are_the_stored_codestreams_or_samples(client: httpx2.Client, urls: dict[str, str]) -> None:
    name = "SC_rgb_rle_2frame.dcm"
    expected = pydicom.dcmread(io.BytesIO(sample(name))).pixel_array
    stored = parts_of(client.get(urls[name] + "/frames/2,1", headers={"Accept": 'multipart/related; type="image/dicom-rle"'}))
    assert [content_type for content_type, _ in stored] == ["image/dicom-rle; transfer-syntax=1.2.840.10008.1.2.5"] * 2
    native = parts_of(
        client.get(urls[name] + "/frames/2,1", headers={"Accept": 'multipart/related; type="application/octet-stream"'})
    )
    assert [content for _, content in native] == [expected[1].tobytes(), expected[0].tobytes()]
    assert native[0][0] == f"application/octet-stream; transfer-syntax={LITTLE}"
    single = client.get(urls[name] + "/frames/1", headers={"Accept": "application/octet-stream"})
    assert single.content == expected[0].tobytes()


def test_native_frames_are_served_as_they_are(client: httpx2.Client, urls: dict[str, str]) -> None:
    [(content_type, content)] = parts_of(client.get(urls["CT_small.dcm"] + "/frames/1"))
    assert content == pydicom.dcmread(io.BytesIO(sample("CT_small.dcm"))).PixelData
    assert content_type.startswith("application/octet-stream")
    [(_, jpeg)] = parts_of(
        client.get(urls["CT_small.dcm"] + "/frames/1", headers={"Accept": 'multipart/related; type="image/jp2"'})
    )
    assert jpeg[:4] == b"\xff\x4f\xff\x51"


@pytest.mark.parametrize(
    ("frames", "status"), [("3", 404), ("0", 404), ("1,x", 400), ("", 404), ("1,,2", 400), ("-1", 400), ("9" * 30, 400)]
)
def test_frames_that_are_not_there_are_errors(client: httpx2.Client, urls: dict[str, str], frames: str, status: int) -> None:
    assert client.get(f"{urls['SC_rgb_rle_2frame.dcm']}/frames/{frames}").status_code == status


@pytest.mark.parametrize("step", ["/rendered", "/thumbnail", "/frames/1/rendered", "/frames/1/thumbnail"])
@pytest.mark.parametrize("media_type", ["image/jpeg", "image/png"])
def test_pictures_of_instances_and_frames(client: httpx2.Client, urls: dict[str, str], step: str, media_type: str) -> None:
    answer = client.get(urls["SC_rgb_jpeg_dcmtk.dcm"] + step, headers={"Accept": media_type})
    assert answer.headers["content-type"] == media_type
    assert Image.open(io.BytesIO(answer.content)).format == media_type[6:].upper()


def test_pictures_follow_window_and_viewport(client: httpx2.Client, urls: dict[str, str]) -> None:
    url = urls["CT_small.dcm"] + "/rendered"
    dark = client.get(url, params={"window": "5000,10,linear"}, headers={"Accept": "image/png"}).content
    assert np.asarray(Image.open(io.BytesIO(dark))).max() == 0
    small = client.get(url, params={"viewport": "40,40"}, headers={"Accept": "image/png"}).content
    assert Image.open(io.BytesIO(small)).size == (40, 40)
    for wrong in (
        {"window": "1,0"},
        {"window": "a,b"},
        {"window": "nan,1"},
        {"viewport": "0,0"},
        {"viewport": "99999,1"},
        {"quality": "0"},
    ):
        assert client.get(url, params=wrong).status_code == 400


def test_series_and_studies_have_thumbnails(client: httpx2.Client, urls: dict[str, str]) -> None:
    url = urls["CT_small.dcm"]
    assert client.get(url.split("/instances")[0] + "/thumbnail").status_code == 200
    assert client.get(url.split("/series")[0] + "/thumbnail").status_code == 200


def test_studies_are_found_by_what_is_known_of_them(client: httpx2.Client, urls: dict[str, str]) -> None:
    def names(**parameters: str) -> list[str]:
        found = client.get("/dicom-web/studies", params=parameters).json()
        return sorted(one["00100020"]["Value"][0] for one in found)

    assert names(PatientID="1CT1") == ["1CT1"]
    assert names(PatientName="CompressedSamples^C*") == ["1CT1"]
    assert "1CT1" in names(StudyDate="20040101-20041231")
    assert names(**{"00100020": "1CT1", "ModalitiesInStudy": "CT"}) == ["1CT1"]
    assert names(PatientID="1CT%") == []
    assert names(PatientID="absent") == []


def test_the_hierarchy_is_searched_from_every_level(client: httpx2.Client, urls: dict[str, str]) -> None:
    study = urls["CT_small.dcm"].split("/series")[0]
    series = urls["CT_small.dcm"].split("/instances")[0]
    [found] = client.get(study + "/series").json()
    assert found["00081190"]["Value"][0].endswith(series)
    assert found["00201209"]["Value"] == [1]
    [instance] = client.get(series + "/instances").json()
    assert instance["00081190"]["Value"][0].endswith(urls["CT_small.dcm"])
    assert [one["00080018"] for one in client.get(study + "/instances").json()] == [instance["00080018"]]
    everything = client.get(
        "/dicom-web/instances", params={"includefield": "all", "SOPInstanceUID": instance["00080018"]["Value"][0]}
    ).json()
    assert everything[0]["00180050"]["vr"] == "DS"
    assert series.rsplit("/", 1)[1] in [one["0020000E"]["Value"][0] for one in client.get("/dicom-web/series").json()]


STUDY_ROW = "00080020 00080030 00080050 00080056 00080061 00080090 00081190 00100010 00100020 00100030 00100040 0020000D 00200010 00201206 00201208"
SERIES_ROW = "00080060 00081190 0020000E 00200011 00201209"


def test_rows_have_what_the_standard_requires_whether_it_has_a_value_or_not(client: httpx2.Client) -> None:
    """PS3.18 tables 10.6.3-3 and 10.6.3-4, type R; PS3.4 C.2.2.1.2; in the order of tags: PS3.18 F.2.2."""
    absent = ("AccessionNumber", "ReferringPhysicianName", "PatientSex", "StudyID", "StudyDate", "SeriesNumber", "PatientAge")
    made = pydicom.dcmread(io.BytesIO(phantoms.ct(8800, 16, 16)))
    for keyword in absent:
        if keyword in made:
            delattr(made, keyword)
    made.ProcedureCodeSequence = []
    out = io.BytesIO()
    made.save_as(out)
    assert store(client, [out.getvalue()]).status_code == 200
    root, study = "/dicom-web", f"/dicom-web/studies/{made.StudyInstanceUID}"
    asked = {"StudyInstanceUID": made.StudyInstanceUID}
    [bare] = client.get(f"{root}/studies", params=asked).json()
    [more] = client.get(f"{root}/studies", params=asked | {"includefield": "PatientAge", "PatientSex": ""}).json()
    [below] = client.get(f"{study}/series").json()
    [series] = client.get(f"{root}/series", params=asked).json()
    [instance] = client.get(f"{root}/instances", params=asked | {"includefield": "all"}).json()
    [one] = client.get(f"{study}/instances", params={"includefield": "SliceThickness"}).json()
    for row in (bare, more, below, series, instance, one):
        assert list(row) == sorted(row)
        assert all(element.get("Value", ["some"]) not in ([], [""], [None]) for element in row.values())
    assert set(STUDY_ROW.split()) <= bare.keys() and set(SERIES_ROW.split()) <= below.keys()
    assert set(SERIES_ROW.split()) | set(STUDY_ROW.split()) - {"00201206", "00201208"} <= series.keys()
    assert (bare["00080050"], bare["00080090"], below["00200011"]) == ({"vr": "SH"}, {"vr": "PN"}, {"vr": "IS"})
    assert more["00101010"] == {"vr": "AS"} and "00101010" not in bare
    assert not set(STUDY_ROW.split()) - {"00080056", "00081190", "0020000D"} & below.keys()


def test_pages_partition_the_answer(client: httpx2.Client, urls: dict[str, str]) -> None:
    whole = [one["0020000E"]["Value"][0] for one in client.get("/dicom-web/series").json()]
    paged = [client.get("/dicom-web/series", params={"limit": 2, "offset": offset}).json() for offset in (0, 2, 4, 6)]
    assert [one["0020000E"]["Value"][0] for page in paged for one in page] == whole


def test_parameters_that_are_not_matched_on_are_warned_of(client: httpx2.Client, urls: dict[str, str]) -> None:
    answer = client.get("/dicom-web/studies", params={"SliceThickness": "5"})
    assert answer.headers["warning"].startswith("299 ")
    assert client.get("/dicom-web/studies", params={"PatientIdd": "5"}).status_code == 400


def test_what_is_not_held_is_404_for_metadata_and_retrieval(client: httpx2.Client, urls: dict[str, str]) -> None:
    for path in (
        "/studies/1.2",
        "/studies/1.2/metadata",
        "/studies/1.2/series/3/instances/4",
        "/studies/1.2/series/3/instances/4/rendered",
    ):
        answer = client.get("/dicom-web" + path)
        assert (answer.status_code, answer.json()["code"]) == (404, "not-found")
    assert client.get("/dicom-web/studies/1.2/series").json() == []


def test_head_has_no_body(client: httpx2.Client, urls: dict[str, str]) -> None:
    answer = client.head(urls["CT_small.dcm"])
    assert (answer.status_code, answer.content) == (200, b"")
