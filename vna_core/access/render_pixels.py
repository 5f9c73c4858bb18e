"""Samples to pictures (PS3.4 annex N, PS3.18 section 8.3.5.1). Runs in a decoding subprocess only."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, convert_color_space

from vna_core.access.decode_codecs import Frame, PixelDescription
from vna_core.access.lookup_tables import LookupTable
from vna_core.access.render_request import Rendering
from vna_core.access.sample_bits import SampleBits
from vna_core.domain.errors import DecodeError, InvalidRequest


def render(
    data_set: Dataset, frame: Frame, description: PixelDescription, rendering: Rendering, high_bit: int | None = None
) -> bytes:
    """One frame as a PNG or JPEG file with 8 bits a sample. `high_bit`: see `SampleBits.of`."""
    frame = _samples(frame, description, high_bit)
    if description.samples == 1 and description.photometric != "PALETTE COLOR":
        picture = _grey(data_set, frame, description, rendering)
    else:
        picture = _colour(data_set, frame, description)
    image = Image.fromarray(np.ascontiguousarray(picture))
    image = _square_pixels(image, data_set)
    if rendering.viewport is not None:
        image = _fit(image, rendering.viewport)
    out = BytesIO()
    if rendering.media_type == "image/png":
        image.save(out, "PNG", compress_level=3)
    else:
        image.save(out, "JPEG", quality=max(1, min(100, rendering.quality)))
    return out.getvalue()


def _frame_scope(data_set: Dataset, frame: int) -> Dataset:
    """Modality and VOI attributes that hold for a frame: from the functional groups where they are (PS3.3 C.7.6.16)."""
    scope = Dataset()
    for tag in (0x00280120, 0x00280121, 0x00280100, 0x00280101, 0x00280103, 0x00281050, 0x00281051, 0x00281052, 0x00281053, 0x00281056,
                0x00283000, 0x00283010):  # fmt: skip
        if tag in data_set:
            scope[tag] = data_set[tag]
    groups = list(data_set.get("SharedFunctionalGroupsSequence") or [])[:1]
    per_frame = data_set.get("PerFrameFunctionalGroupsSequence") or []
    if 0 < frame <= len(per_frame):
        groups.append(per_frame[frame - 1])
    for group in groups:
        for keyword in ("PixelValueTransformationSequence", "FrameVOILUTSequence"):
            for item in list(group.get(keyword) or [])[:1]:
                for element in item:
                    scope[element.tag] = element
    return scope


def _grey(data_set: Dataset, frame: Frame, description: PixelDescription, rendering: Rendering) -> Frame:
    if description.bits_allocated == 1:
        picture = frame.astype(np.uint8) * 255
        return 255 - picture if description.photometric == "MONOCHROME1" else picture
    scope = _frame_scope(data_set, rendering.frame)
    padding = frame == scope_padding(data_set, frame)
    values = _modality_values(frame, scope)
    if rendering.window is not None:
        values, low, high = _window(values, *rendering.window)
    else:
        values, low, high = _own_window(values, scope, padding)
    shape = str(data_set.get("PresentationLUTShape") or "")
    if high > low:
        picture = np.clip((values - low) * (255.0 / (high - low)) + 0.5, 0, 255)
    else:
        picture = np.where(values > low, 255.0, 0.0)
    picture = np.nan_to_num(picture).astype(np.uint8)
    return 255 - picture if description.photometric == "MONOCHROME1" or shape == "INVERSE" else picture


def _modality_values(frame: Frame, scope: Dataset) -> Frame:
    """Samples through the Modality LUT, or rescaled (PS3.3 C.11.1.1)."""
    table = LookupTable.first_of(scope.get("ModalityLUTSequence"))
    if table is not None:
        return table.of(frame)
    if "ModalityLUTSequence" in scope:
        del scope.ModalityLUTSequence
    return np.asarray(apply_modality_lut(frame, scope), np.float64)


def scope_padding(data_set: Dataset, frame: Frame) -> Any:
    """Pixel Padding Value (0028,0120) as the samples carry it; NaN, equal to nothing, where there is none."""
    value = data_set.get("PixelPaddingValue")
    return float("nan") if value is None or isinstance(value, (bytes, MultiValue)) else int(value)


def _samples(frame: Frame, description: PixelDescription, high_bit: int | None) -> Frame:
    """Samples without what lies in the bits beside them (overlays of old images)."""
    if frame.dtype.kind not in "iu" or description.bits_allocated < 8:
        return frame
    bits = SampleBits.of(replace(description, bits_allocated=8 * frame.dtype.itemsize), high_bit)
    return frame if bits is None or bits.are_in(frame) else bits.of_cells(frame)


def _own_window(values: Frame, scope: Dataset, padding: Frame) -> tuple[Frame, float, float]:
    width = scope.get("WindowWidth")
    table = LookupTable.first_of(scope.get("VOILUTSequence"))
    if table is not None:
        return table.of(values), 0.0, table.highest
    if width is not None and scope.get("WindowCenter") is not None:
        first = [value[0] if isinstance(value, MultiValue) else value for value in (scope.WindowCenter, width)]
        function = str(scope.get("VOILUTFunction") or "LINEAR").lower().replace("_", "-")
        if all(value is not None for value in first) and float(first[1]) > 0:
            return _window(values, float(first[0]), float(first[1]), function)
    seen = values[~padding] if padding.any() and not padding.all() else values
    seen = seen[np.isfinite(seen)]
    return (values, float(seen.min()), float(seen.max())) if seen.size else (values, 0.0, 1.0)


def _window(values: Frame, centre: float, width: float, function: str) -> tuple[Frame, float, float]:
    """Values with those that become black and white (PS3.3 C.11.2.1.2 and C.11.2.1.3). A width below 1, which `linear` has none of, is taken as `linear-exact`."""
    if function == "sigmoid":
        return 1.0 / (1.0 + np.exp(np.clip(-4.0 * (values - centre) / width, -500, 500))), 0.0, 1.0
    if function == "linear-exact" or width < 1:
        return values, centre - width / 2, centre + width / 2
    return values, centre - 0.5 - (width - 1) / 2, centre - 0.5 + (width - 1) / 2


def _colour(data_set: Dataset, frame: Frame, description: PixelDescription) -> Frame:
    if description.photometric == "PALETTE COLOR":
        coloured = apply_color_lut(frame, data_set)
        bits = int(data_set.RedPaletteColorLookupTableDescriptor[2])
        return _eight_bits(coloured, 16 if coloured.dtype.itemsize == 2 and bits > 8 else 8)[:, :, :3]
    frame = _eight_bits(frame[:, :, :3], description.bits_stored)
    if description.photometric in ("YBR_FULL", "YBR_FULL_422"):
        converted: Frame = convert_color_space(frame, description.photometric, "RGB")
        return converted
    if description.photometric in ("RGB", "YBR_RCT", "YBR_ICT"):
        return frame
    raise DecodeError("There is no rendering for this photometric interpretation.")


def _eight_bits(frame: Frame, bits: int) -> Frame:
    if frame.dtype == np.uint8:
        return frame
    scaled: Frame = np.clip(frame.astype(np.int64) >> max(0, bits - 8), 0, 255).astype(np.uint8)
    return scaled


def _square_pixels(image: Image.Image, data_set: Dataset) -> Image.Image:
    """Stretch where Pixel Aspect Ratio (0028,0034) says that pixels are not square."""
    ratio = data_set.get("PixelAspectRatio")
    if not isinstance(ratio, MultiValue) or len(ratio) != 2 or not ratio[0] or not ratio[1] or ratio[0] == ratio[1]:
        return image
    factor = float(ratio[0]) / float(ratio[1])
    if not 0.1 < factor < 10:
        return image
    return image.resize((image.width, max(1, round(image.height * factor))), Image.Resampling.BILINEAR)


def _fit(image: Image.Image, viewport: tuple[int, int, float, float, float, float]) -> Image.Image:
    """Crop to the source region and scale into the viewport, keeping the aspect ratio. Raises InvalidRequest where the region holds no pixel."""
    width, height, left, top, region_width, region_height = viewport
    region = (left, top, left + (abs(region_width) or image.width - left), top + (abs(region_height) or image.height - top))
    right, bottom = min(image.width, round(region[2])), min(image.height, round(region[3]))
    if right <= round(left) or bottom <= round(top):
        raise InvalidRequest("The viewport's source region holds no pixel of the image.")
    image = image.crop((round(left), round(top), right, bottom))
    if region_width < 0:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if region_height < 0:
        image = image.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    scale = min(width / image.width, height / image.height)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.BILINEAR if scale >= 1 else Image.Resampling.BOX)
