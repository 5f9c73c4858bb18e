"""The frames of a pack as one Zarr v3 array: which order they are in, and the metadata that lets any Zarr reader open them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Final

Header = Mapping[str, Any]
"""DICOM JSON of one instance (PS3.18 annex F)."""

_FLOAT: Final = "7FE00008"
_DOUBLE: Final = "7FE00009"
_INTEGERS: Final = {8: "int8", 16: "int16", 32: "int32", 64: "int64"}
_DESCRIPTION: Final = ("00280002", "00280004", "00280006", "00280010", "00280011", "00280100", "00280101", "00280103")
"""What all frames of an array have in common: the image pixel description (PS3.3 section C.7.6.3)."""
_ATTRIBUTES: Final = {
    "PhotometricInterpretation": "00280004",
    "ImageOrientationPatient": "00200037",
    "PixelSpacing": "00280030",
    "SliceThickness": "00180050",
    "SpacingBetweenSlices": "00180088",
    "RescaleIntercept": "00281052",
    "RescaleSlope": "00281053",
    "RescaleType": "00281054",
}
_POSITION: Final = "00200032"
_ORIENTATION: Final = "00200037"
_LOOKED_AT: Final = frozenset(
    (*_DESCRIPTION, *_ATTRIBUTES.values(), _POSITION, _ORIENTATION, _FLOAT, _DOUBLE, "00200013", "00080018")
)


@dataclass(frozen=True, slots=True)
class Volume:
    """An array of frames.

    Attributes
    ----------
    shape
        Frames, rows, columns; and samples per pixel where there are several.
    frame_size
        Octets of one frame.
    metadata
        The content of ``zarr.json``.
    """

    shape: tuple[int, ...]
    frame_size: int
    metadata: bytes


def looked_at(header: Header) -> Header:
    """What of a header `volume_order` and `volume_of` look at: some twenty elements of hundreds, for series of thousands."""
    return {tag: header[tag] for tag in _LOOKED_AT & header.keys()}


def volume_order(headers: Sequence[Header]) -> list[int]:
    """The positions of instances in the order in which their frames are an array.

    Along the normal of the image plane where all have one orientation and a position (PS3.3 section C.7.6.2.1.1), else by Instance
    Number; then by SOP Instance UID.
    """
    orientations = {tuple(_values(header, _ORIENTATION)) for header in headers}
    orientation = _decimals(next(iter(orientations))) if len(orientations) == 1 else ()
    positions = [_decimals(_values(header, _POSITION)) for header in headers]
    in_space = len(orientation) == 6 and all(len(position) == 3 for position in positions)

    def key(at: int) -> tuple[float, float, str]:
        along = _along(orientation, positions[at]) if in_space else 0.0
        number = _decimals(_values(headers[at], "00200013"))
        return along, number[0] if number else 0.0, str(_value(headers[at], "00080018", ""))

    return sorted(range(len(headers)), key=key)


def volume_of(headers: Sequence[Header], frames: Sequence[int]) -> Volume | None:
    """The array that native frames of instances are, in this order; None where they differ or are no whole octets.

    Parameters
    ----------
    frames
        How many each instance has.
    """
    first = headers[0] if headers else {}
    described = {tuple(repr(_values(header, tag)) for tag in _DESCRIPTION) for header in headers}
    rows, columns = _number(first, "00280010", 0), _number(first, "00280011", 0)
    data_types = {_data_type(header) for header in headers}
    data_type, samples = data_types.pop() if len(data_types) == 1 else "", _number(first, "00280002", 1)
    if len(described) != 1 or not data_type or not rows or not columns or samples not in (1, 3, 4) or 0 in frames:
        return None
    if samples == 3 and str(_value(first, "00280004", "")).endswith(("422", "420")):
        return None
    shape = (sum(frames), rows, columns, *((samples,) if samples > 1 else ()))
    frame_size = prod(shape[1:]) * int(data_type.lstrip("uintfloa")) // 8
    by_plane = samples > 1 and _number(first, "00280006", 0) == 1
    return Volume(shape, frame_size, _metadata(shape, data_type, by_plane, _attributes(headers)))


def _metadata(shape: tuple[int, ...], data_type: str, by_plane: bool, attributes: Mapping[str, Any]) -> bytes:
    """One shard that is all of the array, one chunk a frame."""
    octets = {"name": "bytes"} if data_type.endswith("int8") else _BYTES
    order = [{"name": "transpose", "configuration": {"order": [0, 3, 1, 2]}}] if by_plane else []
    sharding = {
        "chunk_shape": [1, *shape[1:]],
        "codecs": [*order, octets],
        "index_codecs": [_BYTES, {"name": "crc32c"}],
        "index_location": "end",
    }
    document = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(shape),
        "data_type": data_type,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(shape)}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "."}},
        "fill_value": 0.0 if data_type.startswith("float") else 0,
        "codecs": [{"name": "sharding_indexed", "configuration": sharding}],
        "attributes": attributes,
        "dimension_names": ["frame", "row", "column", "sample"][: len(shape)],
    }
    return json.dumps(document, separators=(",", ":")).encode("utf-8")


_BYTES: Final[dict[str, Any]] = {"name": "bytes", "configuration": {"endian": "little"}}


def _attributes(headers: Sequence[Header]) -> dict[str, Any]:
    """What is the same for all frames and names nobody, and where the first and the last are."""
    found: dict[str, Any] = {}
    for name, tag in _ATTRIBUTES.items():
        values = _values(headers[0], tag)
        if values and all(_values(header, tag) == values for header in headers):
            found[name] = values if len(values) > 1 else values[0]
    ends = [_values(headers[0], _POSITION), _values(headers[-1], _POSITION)]
    if all(ends):
        found["ImagePositionPatientFirst"], found["ImagePositionPatientLast"] = ends
    return {"dicom": found}


def _data_type(header: Header) -> str:
    """Name of the data type in Zarr, or an empty text."""
    if _FLOAT in header or _DOUBLE in header:
        return "float32" if _FLOAT in header else "float64"
    name = _INTEGERS.get(_number(header, "00280100", 0), "")
    return name if not name or _number(header, "00280103", 0) == 1 else f"u{name}"


def _values(header: Header, tag: str) -> list[Any]:
    values = header.get(tag, {}).get("Value", [])
    return values if isinstance(values, list) else []


def _value(header: Header, tag: str, default: Any) -> Any:
    return next(iter(_values(header, tag)), default)


def _number(header: Header, tag: str, default: int) -> int:
    value = _value(header, tag, default)
    return value if isinstance(value, int) else default


def _decimals(values: Sequence[Any]) -> tuple[float, ...]:
    return tuple(float(value) for value in values if isinstance(value, int | float))


def _along(orientation: Sequence[float], position: Sequence[float]) -> float:
    """Distance along the normal of the image plane."""
    a, b = orientation[:3], orientation[3:]
    normal = (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])
    return sum(one * other for one, other in zip(normal, position, strict=True))
