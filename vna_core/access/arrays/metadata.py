"""Zarr v3 metadata documents of arrays and groups, with OME-Zarr 0.5 multiscales for readers that know them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from vna_core.access.arrays.layout import ArrayLayout, Axis
from vna_core.access.decode_codecs import decoded_label

OME_VERSION: Final = "0.5"
CODEC: Final = "vna.dicom_frame"
"""Name of the codec for DICOM frames."""


def document(content: dict[str, Any]) -> bytes:
    """A metadata document as octets."""
    return json.dumps(content, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode("ascii")


def data_type(layout: ArrayLayout) -> str:
    """Zarr's name of the sample type."""
    description = layout.form.description
    if description.keyword != "PixelData":
        return "float64" if description.bits_allocated == 64 else "float32"
    return f"{'' if description.pixel_representation else 'u'}int{max(8, description.bits_allocated)}"


def codecs(layout: ArrayLayout) -> list[dict[str, Any]]:
    """``bytes`` where the frame is the samples themselves, else the codec for DICOM frames."""
    description = layout.form.description
    chain: list[dict[str, Any]] = []
    if description.samples > 1 and not (layout.form.plain and description.planar_configuration == 1):
        colour = next(number for number, axis in enumerate(layout.axes) if axis.name == "c")
        order = [*(number for number in range(len(layout.axes)) if number != colour), colour]
        chain.append({"name": "transpose", "configuration": {"order": order}})  # samples of a pixel lie side by side
    if layout.form.plain:
        endian = {} if description.bits_allocated == 8 else {"configuration": {"endian": "little"}}
        return [*chain, {"name": "bytes", **endian}]
    known = {name: getattr(description, name) for name in type(description).__dataclass_fields__}
    if layout.form.samples is not None:
        known["high_bit"] = layout.form.samples.high
    return [*chain, {"name": CODEC, "configuration": {"transfer_syntax_uid": layout.form.transfer_syntax_uid, **known}}]


def array_document(layout: ArrayLayout) -> dict[str, Any]:
    """``zarr.json`` of an array whose chunks are frames."""
    floating = layout.form.description.keyword != "PixelData"
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(layout.shape),
        "data_type": data_type(layout),
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(layout.chunk)}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0.0 if floating else 0,
        "codecs": codecs(layout),
        "dimension_names": [axis.name for axis in layout.axes],
        "attributes": {"dicom": dicom_attributes(layout)},
    }


def dicom_attributes(layout: ArrayLayout) -> dict[str, Any]:
    """What a reader must know of the values that the array gives. No name, ID or date of a patient."""
    description = layout.form.description
    values = decoded_label(layout.form.transfer_syntax_uid, description)
    bits = {
        "bits_stored": description.bits_stored,
        "high_bit": description.bits_stored - 1,
        "pixel_representation": description.pixel_representation,
    }
    return {
        "transfer_syntax_uid": layout.form.transfer_syntax_uid,
        "photometric_interpretation": values.photometric,
        "stored_photometric_interpretation": description.photometric,
        **(bits if description.keyword == "PixelData" else {}),
        "spacing": {axis.name: axis.scale for axis in layout.axes if axis.unit == "millimeter"},
        **layout.attributes,
    }


def group_document(attributes: dict[str, Any]) -> dict[str, Any]:
    """``zarr.json`` of a group."""
    return {"zarr_format": 3, "node_type": "group", "attributes": attributes}


def multiscales(name: str, levels: Sequence[ArrayLayout]) -> dict[str, Any]:
    """OME-Zarr's description of an image whose levels are the arrays ``0``, ``1``, ...; empty for axes it has no words for."""
    largest = levels[0]
    kinds = [axis.type for axis in largest.axes]
    if kinds.count("space") not in (2, 3) or kinds.count("channel") + kinds.count(None) > 1:
        return {}
    datasets = []
    for number, level in enumerate(levels):
        scale = [
            axis.scale * (full / length if axis.type == "space" else 1.0)
            for axis, full, length in zip(largest.axes, largest.shape, level.shape, strict=True)
        ]
        datasets.append({"path": str(number), "coordinateTransformations": [{"type": "scale", "scale": scale}]})
    return {
        "ome": {"version": OME_VERSION, "multiscales": [{"name": name, "axes": ome_axes(largest.axes), "datasets": datasets}]}
    }


def ome_axes(axes: Sequence[Axis]) -> list[dict[str, str]]:
    """Axes as OME-Zarr writes them."""
    known = []
    for axis in axes:
        one = {"name": axis.name}
        if axis.type is not None:
            one["type"] = axis.type
        if axis.unit is not None:
            one["unit"] = axis.unit
        known.append(one)
    return known
