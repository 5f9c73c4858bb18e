"""CT images to offer: a real file that ships with pydicom, with other identifiers and pixels."""

from __future__ import annotations

import io
import os
from functools import cache
from pathlib import Path

import pydicom
from pydicom.uid import ExplicitVRLittleEndian

_SAMPLE = Path(os.path.dirname(pydicom.__file__)) / "data" / "test_files" / "CT_small.dcm"


@cache
def ct(number: int = 1, *, rows: int = 128, pixel: int | None = None, implicit: bool = False, **attributes: str) -> bytes:
    """A Part 10 file; equal arguments give equal octets.

    Parameters
    ----------
    number
        Makes the SOP Instance UID, and the pixels where `pixel` is not given.
    rows
        Height; the width is 128, two octets a pixel.
    attributes
        Values of further elements by keyword; an empty one removes the element.
    """
    data_set = pydicom.dcmread(_SAMPLE)
    uid = f"1.2.826.0.1.3680043.10.1.{number}"
    data_set.SOPInstanceUID = data_set.file_meta.MediaStorageSOPInstanceUID = uid
    data_set.InstanceNumber = str(number)
    data_set.Rows = rows
    data_set.PixelData = (number if pixel is None else pixel).to_bytes(2, "little") * (128 * rows)
    for keyword in ("SmallestImagePixelValue", "LargestImagePixelValue", "DataSetTrailingPadding"):
        data_set.pop(keyword, None)
    for keyword, value in attributes.items():
        if value:
            setattr(data_set, keyword, value)
        else:
            delattr(data_set, keyword)
    out = io.BytesIO()
    if implicit:
        data_set.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2"
        data_set.save_as(out, implicit_vr=True, little_endian=True)
    else:
        data_set.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data_set.save_as(out, implicit_vr=False, little_endian=True)
    return out.getvalue()
