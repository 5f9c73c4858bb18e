"""The data set around the pixels, read and re-encoded with pydicom. Runs in a decoding subprocess only."""

from __future__ import annotations

from functools import lru_cache
from io import BytesIO

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset

from vna_core.access.decode_codecs import PixelDescription
from vna_core.domain.errors import UnsupportedMediaType


def read(octets: bytes) -> Dataset:
    """A data set in explicit little endian, as our canonical objects hold it."""
    return read_dataset(BytesIO(octets), is_implicit_VR=False, is_little_endian=True)


@lru_cache(maxsize=1)
def read_shared(octets: bytes) -> Dataset:
    """The same for whoever changes nothing of it: frames of one instance come one after the other with the same header."""
    return read(octets)


def describe(data_set: Dataset) -> PixelDescription:
    """The Image Pixel module. Raises UnsupportedMediaType when the data set describes no image."""
    rows, columns = data_set.get("Rows"), data_set.get("Columns")
    if rows is None or columns is None:
        raise UnsupportedMediaType("This instance has no pixels.")
    allocated = int(data_set.get("BitsAllocated") or 8)
    return PixelDescription(
        rows=int(rows),
        columns=int(columns),
        samples=int(data_set.get("SamplesPerPixel") or 1),
        bits_allocated=allocated,
        bits_stored=int(data_set.get("BitsStored") or allocated),
        pixel_representation=int(data_set.get("PixelRepresentation") or 0),
        photometric=str(data_set.get("PhotometricInterpretation") or "MONOCHROME2"),
        planar_configuration=int(data_set.get("PlanarConfiguration") or 0),
        keyword="PixelData"
        if data_set.get("BitsStored") is not None
        else {32: "FloatPixelData", 64: "DoubleFloatPixelData"}.get(allocated, "PixelData"),
    )


def adjust(data_set: Dataset, after: PixelDescription) -> None:
    """Write the attributes that a change of transfer syntax changes (PS3.5 section 8.2): colour space, plane order, sample width."""
    if after.samples > 1:
        data_set.PhotometricInterpretation = after.photometric
        data_set.PlanarConfiguration = after.planar_configuration
    if after.keyword == "PixelData":
        data_set.BitsAllocated = after.bits_allocated


def encode(data_set: Dataset) -> bytes:
    """The data set in explicit little endian; elements that were not touched keep their octets."""
    target = DicomBytesIO()
    target.is_little_endian = True
    target.is_implicit_VR = False
    write_dataset(target, data_set)
    octets: bytes = target.getvalue()
    return octets
