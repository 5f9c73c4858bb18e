"""Numbers that cannot be meant are told and kept, at the top level and in functional groups; so are samples in the other byte order."""

from __future__ import annotations

import io

import numpy as np
import pydicom
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.unit.normalize.handmade import (
    assert_reversible_and_stable,
    description,
    element,
    file,
    identification,
    item,
    noticed,
    offer,
    rules,
    sequence,
)
from vna_core.ingest.normalize import pixel_order
from vna_core.testing import phantoms

SPACING, ORIENTATION, SLOPE = 0x00280030, 0x00200037, 0x00281053


def text(tag: int, value: str, vr: str = "DS") -> bytes:
    return element(tag, vr, value.encode() + b" " * (len(value) & 1))


ODD = [
    ("D10", text(SPACING, "0\\0")),
    ("D10", text(SPACING, "0.5\\")),
    ("D10", text(SPACING, "0.5")),
    ("D10", text(SPACING, "-1\\1")),
    ("D10", text(ORIENTATION, "2\\0\\0\\0\\1\\0")),
    ("D10", text(ORIENTATION, "1\\0\\0\\1\\0\\0")),
    ("D10", text(ORIENTATION, "1\\0\\0\\0\\1")),
    ("D10", text(0x00200035, "1\\0\\0\\0\\1\\0")),
    ("D11", text(0x00281050, "40\\400") + text(0x00281051, "350")),
    ("D11", text(0x00281050, "40") + text(0x00281051, "0")),
    ("D11", text(0x00281050, "40") + text(0x00281051, "0.5")),
    ("D12", text(0x00281052, "0") + text(SLOPE, "0")),
    ("D12", text(0x00281052, "-1024")),
]


@pytest.mark.parametrize(("rule", "odd"), ODD)
def test_what_cannot_be_meant_is_told_and_kept(rule: str, odd: bytes) -> None:
    octets = file(identification() + odd)
    canonical = offer(octets)
    assert noticed(canonical) == [rule]
    assert rules(canonical) == []
    assert_reversible_and_stable(octets, canonical)


@pytest.mark.parametrize(
    "sound",
    [
        text(SPACING, "0.5\\0.75"),
        text(ORIENTATION, "0.70710678\\0.70710678\\0\\-0.70710678\\0.70710678\\0"),
        text(0x00200035, "1\\0\\0\\0\\1\\0") + text(ORIENTATION, "1\\0\\0\\0\\1\\0"),
        text(0x00281050, "0.2") + text(0x00281051, "0.5") + text(0x00281056, "LINEAR_EXACT", "CS"),
        text(0x00281052, "-1024") + text(SLOPE, "1"),
    ],
)
def test_what_can_be_meant_is_not(sound: bytes) -> None:
    assert noticed(offer(file(identification() + sound))) == []


def test_functional_groups_are_looked_at_too() -> None:
    frame = item(sequence(0x00289145, [item(text(0x00281052, "0") + text(SLOPE, "0"))]))
    canonical = offer(file(identification() + sequence(0x52009230, [item(b""), frame])))
    (found,) = [finding for finding in canonical.findings if finding.rule == "D12"]
    assert found.tag == "52009230[1].00289145[0].00281053"


def image(samples: np.ndarray) -> bytes:  # type: ignore[type-arg]
    return file(identification() + description(*samples.shape) + element(0x7FE00010, "OW", samples.tobytes()))


def test_samples_in_the_other_byte_order_are_told_and_never_turned() -> None:
    ramp = (np.add.outer(np.arange(32), np.arange(32)) * 5 + 300).astype("<u2")
    octets = image(ramp.byteswap())
    canonical = offer(octets)
    assert "E23" in noticed(canonical)
    assert rules(canonical) == []
    assert_reversible_and_stable(octets, canonical)


def test_images_noise_and_flat_areas_are_not_taken_for_the_other_byte_order() -> None:
    ramp = (np.add.outer(np.arange(32), np.arange(32)) * 5 + 300).astype("<u2")
    noise = np.random.default_rng(1).integers(0, 65536, (32, 32), "u2").astype("<u2")
    steps = np.where(np.arange(32) % 2, 0xFFFF, 0).astype("<u2") * np.ones((32, 1), "<u2")
    for samples in (ramp, noise, np.full((32, 32), 0x1234, "<u2"), steps):
        assert "E23" not in noticed(offer(image(samples)))


@given(st.binary(min_size=128, max_size=512).map(lambda octets: octets[: len(octets) & ~1]))
@example((np.arange(256) * 255).astype("<u2").tobytes())
@example(np.tile(np.array([-1, 0], "<i2"), 64).tobytes())
def test_samples_that_are_told_to_be_smooth_without_computing_are(octets: bytes) -> None:
    smaller = (np.frombuffer(octets, "<i2") // 32).tobytes()
    for samples in (octets, smaller):
        for kind in ("<u2", "<i2"):
            step = np.abs(np.diff(np.frombuffer(samples, kind).astype(np.int32))).mean()
            assert step < pixel_order._ROUGH or not pixel_order._surely_smooth(samples)


def test_an_ordinary_image_is_told_to_be_smooth_without_computing() -> None:
    image = pydicom.dcmread(io.BytesIO(phantoms.ct(1, 512, 512))).PixelData
    assert pixel_order._surely_smooth(image[:1024])


def test_rows_and_columns_without_pixels_are_told() -> None:
    octets = file(identification() + description(4, 4))
    canonical = offer(octets)
    assert noticed(canonical) == ["P34"]
    assert_reversible_and_stable(octets, canonical)
    assert noticed(offer(file(identification() + description(0, 0)))) == []
    provided = identification() + description(4, 4) + element(0x00287FE0, "UR", b"https://example.org/pixels")
    assert noticed(offer(file(provided))) == []


def test_a_spectrum_has_rows_and_columns_and_no_pixels() -> None:
    """MR Spectroscopy Storage: what its Rows and Columns lay out is Spectroscopy Data (PS3.3 C.8.14.1)."""
    spectrum = element(0x56000020, "OF", b"\0\0\x80\x3f" * 4)
    assert noticed(offer(file(identification() + description(1, 2) + spectrum))) == []
