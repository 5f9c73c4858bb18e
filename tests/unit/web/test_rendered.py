"""Rendered studies, series and frames: a picture for each frame that there is one of, and nothing that is missing goes untold."""

from __future__ import annotations

import email
import email.message
import email.policy
import io
import json
import socket
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx2
import numpy as np
import pydicom
import pytest
from PIL import Image

from tests.unit.web.web_samples import Web, sample, store
from vna_core.access.render import Renderer
from vna_core.access.render_request import Rendering
from vna_core.configuration import DecodeSettings
from vna_core.domain.errors import OutOfResources
from vna_core.gateways.dicomweb import rendered
from vna_core.testing import phantoms

MIXED, BROKEN, DOCUMENTS, ONE, PLACES = "1.2.77.1", "1.2.77.2", "1.2.77.3", "1.2.77.4", "1.2.77.5"


def filed(octets: bytes, study: str, series: str, sop: str) -> bytes:
    """A sample as an instance of a study."""
    made = pydicom.dcmread(io.BytesIO(octets))
    made.StudyInstanceUID, made.SeriesInstanceUID, made.SOPInstanceUID = study, f"{study}.{series}", f"{study}.{series}.{sop}"
    made.PatientID = "4711"
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    out = io.BytesIO()
    made.save_as(out)
    return out.getvalue()


def broken(study: str, series: str, sop: str) -> bytes:
    """An image whose JPEG codestream ends after its first octets."""
    made = pydicom.dcmread(io.BytesIO(filed(sample("SC_rgb_jpeg_dcmtk.dcm"), study, series, sop)))
    whole = made.PixelData
    made.PixelData = pydicom.encaps.encapsulate([next(pydicom.encaps.generate_frames(whole, number_of_frames=1))[:200]])
    out = io.BytesIO()
    made.save_as(out)
    return out.getvalue()


def without_frames(octets: bytes) -> bytes:
    made = pydicom.dcmread(io.BytesIO(octets))
    made.PixelData = b""
    out = io.BytesIO()
    made.save_as(out)
    return out.getvalue()


@pytest.fixture(scope="module", autouse=True)
def stored(web: Web) -> None:
    files = [
        filed(sample("test-SR.dcm"), MIXED, "1", "1"),
        *(filed(phantoms.ct(number, 32, 48), MIXED, "2", str(number)) for number in (1, 2, 3)),
        filed(sample("SC_rgb_rle_2frame.dcm"), MIXED, "3", "1"),
        without_frames(filed(phantoms.ct(9, 32, 32), MIXED, "4", "1")),
        filed(phantoms.ct(1, 32, 32), BROKEN, "1", "1"),
        broken(BROKEN, "1", "2"),
        filed(phantoms.ct(3, 32, 32), BROKEN, "1", "3"),
        broken(BROKEN, "2", "1"),
        filed(sample("test-SR.dcm"), DOCUMENTS, "1", "1"),
        filed(sample("rtplan.dcm"), DOCUMENTS, "2", "1"),
        filed(phantoms.ct(1, 32, 48), ONE, "1", "1"),
    ]
    with web.client() as client:
        for octets in files:
            assert store(client, [octets]).status_code == 200


@dataclass(frozen=True)
class Shown:
    """One part of an answer."""

    place: str
    kind: str
    octets: bytes

    @property
    def picture(self) -> Image.Image:
        return Image.open(io.BytesIO(self.octets))


def parts(answer: httpx2.Response) -> list[Shown]:
    assert answer.status_code == 200, answer.text
    head = f"Content-Type: {answer.headers['content-type']}\r\n\r\n".encode()
    message = email.message_from_bytes(head + answer.content, policy=email.policy.HTTP)
    return [
        Shown(urlsplit(str(one["Content-Location"])).path, one.get_content_type(), one.get_payload(decode=True))  # type: ignore[attr-defined, arg-type]
        for one in message.iter_parts()  # type: ignore[attr-defined]
    ]


def study(uid: str) -> str:
    return f"/dicom-web/studies/{uid}"


@pytest.mark.parametrize("packed", [False, True], ids=["native", "RLE"])
def test_samples_anywhere_in_their_cells_make_the_same_picture(client: httpx2.Client, packed: bool) -> None:
    """PS3.3 C.7.6.3.1: of 16 bits 12 are the sample, the lowest or the highest; the others hold an overlay, or nothing."""
    samples = np.random.default_rng(7).integers(-2000, 2000, (32, 48)).astype(np.int64)
    bits = {"in the lowest": (11, samples & 0xFFF), "beside an overlay": (11, samples & 0xFFF | 0x5000)}
    bits["in the highest"] = (15, (samples & 0xFFF) << 4 | 0x9)
    pictures = set()
    for number, (high, cells) in enumerate(bits.values(), 1):
        made = pydicom.dcmread(io.BytesIO(filed(phantoms.ct(number, 32, 48), f"{PLACES}.{int(packed)}", "1", str(number))))
        made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 12, high, 1
        made.PixelData = cells.astype("<u2").tobytes()
        if packed:
            made.compress(pydicom.uid.RLELossless, generate_instance_uid=False)
        out = io.BytesIO()
        made.save_as(out)
        assert store(client, [out.getvalue()]).status_code == 200
        answer = client.get(
            f"{study(f'{PLACES}.{int(packed)}')}/series/{made.SeriesInstanceUID}/instances/{made.SOPInstanceUID}/rendered",
            headers={"Accept": "image/png"},
        )
        assert answer.status_code == 200, answer.text
        pictures.add(Image.open(io.BytesIO(answer.content)).tobytes())
    assert len(pictures) == 1


@pytest.mark.parametrize("media_type", ["image/jpeg", "image/png"])
def test_a_study_is_a_part_for_each_frame_and_each_is_what_it_is_alone(client: httpx2.Client, media_type: str) -> None:
    answer = client.get(study(MIXED) + "/rendered", headers={"Accept": f'multipart/related; type="{media_type}"'})
    assert f'type="{media_type}"' in answer.headers["content-type"]
    shown = parts(answer)
    assert [one.place.removeprefix(study(MIXED)) for one in shown] == [
        *(f"/series/{MIXED}.2/instances/{MIXED}.2.{number}/rendered" for number in (1, 2, 3)),
        *(f"/series/{MIXED}.3/instances/{MIXED}.3.1/frames/{number}/rendered" for number in (1, 2)),
    ]
    for one in shown:
        assert (one.kind, one.picture.format) == (media_type, media_type[6:].upper())
        assert client.get(one.place, headers={"Accept": media_type}).content == one.octets


def test_what_is_left_out_is_told(client: httpx2.Client) -> None:
    said = client.get(study(MIXED) + "/rendered").headers["warning"]
    assert said.startswith('299 vna "2 of 6 instances are no images that can be rendered, and are left out: ')
    assert "1 Comprehensive SR Storage" in said and "1 CT Image Storage" in said
    assert "warning" not in client.get(f"{study(MIXED)}/series/{MIXED}.2/rendered").headers


def test_a_series_is_shown_by_itself_and_follows_window_and_viewport(client: httpx2.Client) -> None:
    url = f"{study(MIXED)}/series/{MIXED}.2/rendered"
    accept = {"Accept": 'multipart/related; type="image/png"'}
    small = parts(client.get(url, params={"viewport": "12,12", "window": "99999,1"}, headers=accept))
    assert [one.picture.size for one in small] == [(12, 8)] * 3
    assert {one.picture.getextrema() for one in small} == {(0, 0)}
    assert client.get(url, params={"window": "1"}, headers=accept).status_code == 400
    coarse, fine = (client.get(url, params={"quality": quality}).content for quality in ("10", "100"))
    assert len(coarse) < len(fine)


@pytest.mark.parametrize(
    "viewport",
    [
        "100,100,48,0",
        "100,100,1e9,0,5,5",
        "100,100,0,0,1e-9,5",
        "100,100,1e-9,0,1e-9,-1e-300",
        "100,100,0,32,5,5",
        "9,9,-1,0",
        "9,9,0,-0.5,9,9",
        "9,9,1e400,0",
    ],
)
def test_a_region_that_holds_no_pixel_is_a_bad_request(client: httpx2.Client, viewport: str) -> None:
    """PS3.18 8.3.5.1: a parameter that is ill-defined is answered with 400."""
    for step in (f"/series/{ONE}.1/instances/{ONE}.1.1/rendered", "/rendered", f"/series/{ONE}.1/thumbnail"):
        answer = client.get(study(ONE) + step, params={"viewport": viewport})
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid-request"), step


def test_a_region_that_one_of_several_images_does_not_have_costs_its_own_picture(client: httpx2.Client, web: Web) -> None:
    with web.client() as sender:
        for number, columns in enumerate((48, 16, 48), 1):
            assert store(sender, [filed(phantoms.ct(number, 32, columns), "1.2.77.12", "1", str(number))]).status_code == 200
    shown = parts(client.get(study("1.2.77.12") + "/rendered", params={"viewport": "9,9,20,0,9,9"}))
    assert [one.kind for one in shown] == ["image/jpeg", "application/json", "image/jpeg"]
    assert json.loads(shown[1].octets)["code"] == "invalid-request"


def test_the_smallest_windows_are_steps(client: httpx2.Client) -> None:
    """PS3.3 C.11.2.1.2.1: of a width of 1 nothing is grey, and `linear` has none below."""
    url = f"{study(ONE)}/series/{ONE}.1/instances/{ONE}.1.1"
    held = pydicom.dcmread(io.BytesIO(client.get(url, headers={"Accept": "application/dicom"}).content))
    values = held.pixel_array * float(held.RescaleSlope) + float(held.RescaleIntercept)
    centre = float(np.median(values))
    for window in (f"{centre},1", f"{centre - 0.5},1e-6,linear-exact", f"{centre - 0.5},1e-6,sigmoid"):
        answer = client.get(url + "/rendered", params={"window": window}, headers={"Accept": "image/png"})
        picture = np.asarray(Image.open(io.BytesIO(answer.content)))
        assert np.array_equal(picture, np.where(values > centre - 0.5, 255, 0)), window
    assert client.get(url + "/rendered", params={"window": f"{centre},0.5,linear"}).status_code == 400


@pytest.mark.parametrize("step", [f"/series/{ONE}.1/instances/{ONE}.1.1/rendered", "/rendered", "/thumbnail"])
def test_nothing_is_decoded_for_a_client_that_has_left(start_web: Callable[..., Web], step: str) -> None:
    web = start_web()
    pool = web.app._archive.renderer.pool
    with web.client() as client:
        assert store(client, [filed(phantoms.ct(1, 32, 48), ONE, "1", "1")]).status_code == 200
        only = pool._idle.get()
        assert only is None, "no subprocess was started so far"
        with socket.create_connection(web.address) as leaving:
            leaving.sendall(f"GET {study(ONE)}{step} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            assert client.get("/healthz").status_code == 200, "the request before has begun"
            leaving.shutdown(socket.SHUT_WR)
            assert leaving.recv(1) == b"", "the connection is closed on the other side, too"
        assert client.get("/healthz").status_code == 200, "what waited for that has run"
        pool._idle.put(only)
        while f'/{step.rpartition("/")[2]}"' not in client.get("/metrics").text:
            time.sleep(0.01)  # until the request has ended, and is counted
        assert not pool._running
        assert client.get(study(ONE) + step).status_code == 200
        assert pool._running


def test_what_is_ignored_is_told(client: httpx2.Client) -> None:
    url = f"{study(MIXED)}/series/{MIXED}.2/rendered"
    assert client.get(url, params={"annotation": "patient"}).headers["warning"] == '299 vna "Ignored: annotation."'


@pytest.mark.parametrize(
    ("accept", "answered"),
    [
        (None, 'multipart/related; type="image/jpeg"'),
        ("*/*", 'multipart/related; type="image/jpeg"'),
        ("multipart/related", 'multipart/related; type="image/jpeg"'),
        ('multipart/related; type="image/*"', 'multipart/related; type="image/jpeg"'),
        ('multipart/related; type="image/png"; q=0.9, multipart/related; type="image/jpeg"; q=0.1', "image/png"),
        ('image/jpeg, multipart/related; type="image/png"; q=0.5', 'multipart/related; type="image/png"'),
        ('multipart/related; type="image/gif", image/*', None),
        ("image/jpeg", None),
        ("image/gif", None),
        ("application/dicom", None),
        ('multipart/related; type="application/dicom"', None),
    ],
)
def test_the_form_of_several_pictures_is_negotiated(client: httpx2.Client, accept: str | None, answered: str | None) -> None:
    answer = client.get(f"{study(MIXED)}/series/{MIXED}.2/rendered", headers={} if accept is None else {"Accept": accept})
    if answered is None:
        assert answer.status_code == 406
        assert 'multipart/related; type="image/png"' in answer.json()["offered"]
    else:
        assert answered in answer.headers["content-type"]


def test_the_accept_parameter_goes_before_the_field(client: httpx2.Client) -> None:
    answer = client.get(
        study(ONE) + "/rendered", params={"accept": 'multipart/related; type="image/png"'}, headers={"Accept": "image/jpeg"}
    )
    assert [one.picture.format for one in parts(answer)] == ["PNG"]


def test_one_picture_can_be_had_by_itself_at_every_level(client: httpx2.Client) -> None:
    for level in (
        "",
        f"/series/{ONE}.1",
        f"/series/{ONE}.1/instances/{ONE}.1.1",
        f"/series/{ONE}.1/instances/{ONE}.1.1/frames/1",
    ):
        answer = client.get(f"{study(ONE)}{level}/rendered", headers={"Accept": "image/png"})
        assert answer.headers["content-type"] == "image/png"
        assert Image.open(io.BytesIO(answer.content)).size == (48, 32)
        together = client.get(f"{study(ONE)}{level}/rendered", headers={"Accept": 'multipart/related; type="image/png"'})
        assert [one.octets for one in parts(together)] == [answer.content]


def test_frames_of_an_instance_are_shown_together(client: httpx2.Client) -> None:
    url = f"{study(MIXED)}/series/{MIXED}.3/instances/{MIXED}.3.1"
    whole = {"Accept": 'multipart/related; type="image/png"'}
    places = [one.place for one in parts(client.get(url + "/rendered", headers=whole))]
    assert places == [f"{url}/frames/{number}/rendered" for number in (1, 2)]
    assert [one.place for one in parts(client.get(url + "/frames/2,1/rendered"))] == places[::-1]
    assert client.get(url + "/rendered").headers["content-type"] == "image/jpeg", "the first frame by itself"
    assert client.get(url + "/frames/1,2/rendered", headers={"Accept": "image/png"}).status_code == 406
    assert client.get(url + "/frames/1,3/rendered", headers=whole).status_code == 404
    assert client.get(url + "/frames/1,2/thumbnail").status_code == 406


def test_a_broken_image_costs_its_own_picture_and_says_so_in_its_place(client: httpx2.Client) -> None:
    shown = parts(client.get(f"{study(BROKEN)}/series/{BROKEN}.1/rendered"))
    assert [one.kind for one in shown] == ["image/jpeg", "application/json", "image/jpeg"]
    assert json.loads(shown[1].octets)["code"] == "decode"
    assert shown[1].place.endswith(f"/instances/{BROKEN}.1.2/rendered")


def test_a_broken_image_has_no_form_but_the_stored_one(client: httpx2.Client) -> None:
    url = f"{study(BROKEN)}/series/{BROKEN}.2/instances/{BROKEN}.2.1"
    native = "application/dicom; transfer-syntax=1.2.840.10008.1.2.1"
    asked = {"": native, "/frames/1": "application/octet-stream", "/bulkdata/7FE00010": "application/octet-stream"}
    for step, accept in [*asked.items(), ("/rendered", "image/png"), ("/thumbnail", "image/png")]:
        answer = client.get(url + step, headers={"Accept": accept})
        assert (answer.status_code, answer.json()["code"]) == (406, "decode"), step
    assert client.get(url, headers={"Accept": "application/dicom; transfer-syntax=*"}).status_code == 200
    assert client.get(url + "/frames/1", headers={"Accept": "image/jpeg"}).status_code == 200


def test_a_broken_image_does_not_keep_the_others_of_its_study_from_whoever_asks(client: httpx2.Client) -> None:
    native, stored = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.50"
    answer = client.get(study(BROKEN), headers={"Accept": 'multipart/related; type="application/dicom"'})
    expected = {f"{BROKEN}.1.1": native, f"{BROKEN}.1.2": stored, f"{BROKEN}.1.3": native, f"{BROKEN}.2.1": stored}
    files = [pydicom.dcmread(io.BytesIO(one.octets)) for one in parts(answer)]
    assert {str(one.SOPInstanceUID): one.file_meta.TransferSyntaxUID for one in files} == expected
    assert answer.content.count(f"Content-Type: application/dicom; transfer-syntax={stored}\r\n".encode()) == 2
    whole = io.BytesIO(client.get(study(BROKEN), headers={"Accept": "application/zip"}).content)
    with zipfile.ZipFile(whole) as archive:
        members = [pydicom.dcmread(archive.open(name)) for name in archive.namelist()]
    assert {str(one.SOPInstanceUID): one.file_meta.TransferSyntaxUID for one in members} == expected


def test_a_broken_image_before_the_first_picture_is_told_in_the_head(client: httpx2.Client, web: Web) -> None:
    with web.client() as sender:
        for number, octets in enumerate((broken("1.2.77.9", "1", "1"), filed(phantoms.ct(1, 32, 32), "1.2.77.9", "1", "2"))):
            assert store(sender, [octets]).status_code == 200, number
    answer = client.get(study("1.2.77.9") + "/rendered")
    assert "An image could not be rendered and is left out" in answer.headers["warning"]
    assert [one.kind for one in parts(answer)] == ["image/jpeg"]


def test_a_series_of_broken_images_is_given_up_after_some_in_a_row(client: httpx2.Client, web: Web) -> None:
    with web.client() as sender:
        assert store(sender, [filed(phantoms.ct(1, 32, 32), "1.2.77.10", "1", "1")]).status_code == 200
        for number in range(1, 21):
            assert store(sender, [broken("1.2.77.10", "2", str(number))]).status_code == 200, number
    assert client.get(f"{study('1.2.77.10')}/series/1.2.77.10.2/rendered").status_code == 406
    shown = parts(client.get(f"{study('1.2.77.10')}/rendered"))
    assert [one.kind for one in shown] == ["image/jpeg", *["application/json"] * 16]
    assert ["ended" in json.loads(one.octets) for one in shown[1:]] == [False] * 15 + [True]


def test_broken_images_between_good_ones_hold_decoders_for_so_long_and_no_longer(
    client: httpx2.Client, web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    with web.client() as sender:
        for number in range(1, 7):
            octets = broken("1.2.77.11", "1", str(number)) if number % 2 == 0 else phantoms.ct(number, 32, 32)
            assert store(sender, [filed(octets, "1.2.77.11", "1", str(number))]).status_code == 200
    kinds = [one.kind for one in parts(client.get(f"{study('1.2.77.11')}/rendered"))]
    assert kinds == ["image/jpeg", "application/json"] * 3
    monkeypatch.setattr(rendered, "_LOST", 0.0)
    shown = parts(client.get(f"{study('1.2.77.11')}/rendered"))
    assert [one.kind for one in shown] == kinds[:2]
    assert "ended" in json.loads(shown[1].octets)


def test_where_nothing_can_be_shown_the_answer_is_an_error(client: httpx2.Client) -> None:
    for step in ("/rendered", "/thumbnail", f"/series/{DOCUMENTS}.1/rendered"):
        answer = client.get(study(DOCUMENTS) + step)
        assert (answer.status_code, answer.json()["code"]) == (406, "unsupported-media-type")
    assert client.get(f"{study(BROKEN)}/series/{BROKEN}.2/rendered").json()["code"] == "decode"
    for absent in ("/dicom-web/studies/1.2.3.4/rendered", f"{study(MIXED)}/series/1.2/rendered"):
        assert client.get(absent).status_code == 404


@pytest.mark.parametrize("step", ["", f"/series/{MIXED}.2"])
def test_a_thumbnail_is_of_an_image_whatever_else_is_there(client: httpx2.Client, step: str) -> None:
    answer = client.get(f"{study(MIXED)}{step}/thumbnail", headers={"Accept": "image/png"})
    assert max(Image.open(io.BytesIO(answer.content)).size) == 128
    assert (
        client.get(f"{study(MIXED)}{step}/thumbnail", headers={"Accept": 'multipart/related; type="image/png"'}).status_code
        == 406
    )


def test_a_head_asks_for_the_form_alone(client: httpx2.Client) -> None:
    answer = client.head(study(MIXED) + "/rendered")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"].startswith('multipart/related; type="image/jpeg"')


def test_answers_of_many_pictures_are_bounded_and_each_gives_its_place_back(web: Web) -> None:
    renderer = Renderer(DecodeSettings(processes=1))
    held = web.catalogue.instances(study=ONE)

    def pictures() -> Iterator[bytes]:
        return (one.octets for one in renderer.pictures([(one, [1]) for one in held], web.retriever, Rendering(1)))

    try:
        begun = [renderer.pictures([(one, [1, 1]) for one in held], web.retriever, Rendering(1)) for _ in range(2)]
        with closing(begun[0]), closing(begun[1]):
            assert [next(one).error for one in begun] == [None, None]
            with pytest.raises(OutOfResources):
                next(pictures())
        assert all(pictures())
    finally:
        renderer.pool.close()
