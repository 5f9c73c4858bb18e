"""Images to lay out as arrays: made with pydicom, which shares no code with the arrays."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, ExplicitVRLittleEndian, SegmentationStorage

ROOT = "1.2.826.0.1.3680043.10.7"
STUDY, SERIES = f"{ROOT}.1", f"{ROOT}.2"
WHOLE_SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"


def image(number: int, samples: np.ndarray[Any, Any], sop_class: str = CTImageStorage, **attributes: Any) -> bytes:
    """A Part 10 file whose frames are `samples`: (rows, columns), (frames, rows, columns) or (..., colours)."""
    one = Dataset()
    one.file_meta = FileMetaDataset()
    one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    one.SOPClassUID = one.file_meta.MediaStorageSOPClassUID = sop_class
    one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = f"{ROOT}.3.{number}"
    one.StudyInstanceUID, one.SeriesInstanceUID, one.PatientID, one.PatientName = STUDY, SERIES, "P1", "SECRET^NAME"
    one.Modality, one.InstanceNumber = "CT", number
    one.SamplesPerPixel = attributes.pop("SamplesPerPixel", 1)
    colour = one.SamplesPerPixel > 1
    shape = samples.shape[:-1] if colour else samples.shape
    one.Rows, one.Columns = shape[-2:]
    if len(shape) > 2:
        one.NumberOfFrames = shape[0]
    one.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        one.PlanarConfiguration = 0
    one.BitsAllocated = one.BitsStored = samples.dtype.itemsize * 8
    one.HighBit = one.BitsStored - 1
    one.PixelRepresentation = int(samples.dtype.kind == "i")
    octets = samples.tobytes()
    one.PixelData = octets + b"\0" * (len(octets) % 2)
    for keyword, value in attributes.items():
        setattr(one, keyword, value)
    out = io.BytesIO()
    one.save_as(out, enforce_file_format=True)
    return out.getvalue()


def slice_of(number: int, height: float, **attributes: Any) -> bytes:
    """One axial slice of 6 rows and 5 columns, 2 mm between rows and 1 mm between columns; its samples tell its number."""
    samples = np.arange(30, dtype="<i2").reshape(6, 5) + 1000 * number
    place = {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "PixelSpacing": [2, 1], "SliceThickness": 3}
    place |= {"ImagePositionPatient": [10, 20, height], "RescaleSlope": 1, "RescaleIntercept": -1024}
    return image(number, samples, **{**place, **attributes})


def enhanced(heights: list[float], samples: np.ndarray[Any, Any]) -> bytes:
    """A multi-frame CT whose frames tell their places in functional groups."""
    per_frame = []
    for number, height in enumerate(heights):
        position, content, transformation, group = Dataset(), Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = [0, 0, height]
        content.DimensionIndexValues = [1, number + 1]
        transformation.RescaleSlope, transformation.RescaleIntercept, transformation.RescaleType = 2, number, "HU"
        group.PlanePositionSequence = Sequence([position])
        group.FrameContentSequence = Sequence([content])
        group.PixelValueTransformationSequence = Sequence([transformation])
        per_frame.append(group)
    shared, orientation, measures = Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
    measures.PixelSpacing, measures.SliceThickness = [0.5, 0.25], 1
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = Sequence([orientation]), Sequence([measures])
    groups = {"PerFrameFunctionalGroupsSequence": Sequence(per_frame), "SharedFunctionalGroupsSequence": Sequence([shared])}
    return image(50, samples, EnhancedCTImageStorage, **groups)


def bits(frames: np.ndarray[Any, Any]) -> bytes:
    """A segmentation of one bit a sample, frames packed without padding between them (PS3.5 8.1.1)."""
    packed = np.packbits(frames.astype(np.uint8).ravel(), bitorder="little").tobytes()
    one = {"BitsAllocated": 1, "BitsStored": 1, "HighBit": 0, "PixelData": packed + b"\0" * (len(packed) % 2)}
    return image(60, frames.astype(np.uint8), SegmentationStorage, **one)


def tiles(plane: np.ndarray[Any, Any], tile: int) -> np.ndarray[Any, Any]:
    """A plane cut into square tiles, row by row; those at the edge are filled up."""
    rows, columns = (-(-length // tile) for length in plane.shape[:2])
    whole = np.zeros((rows * tile, columns * tile, *plane.shape[2:]), plane.dtype)
    whole[: plane.shape[0], : plane.shape[1]] = plane
    cut = [whole[r * tile : (r + 1) * tile, c * tile : (c + 1) * tile] for r in range(rows) for c in range(columns)]
    return np.stack(cut)


def slide(number: int, plane: np.ndarray[Any, Any], tile: int, **attributes: Any) -> bytes:
    """One level of a whole slide image."""
    fixed = {"TotalPixelMatrixRows": plane.shape[0], "TotalPixelMatrixColumns": plane.shape[1], "SamplesPerPixel": 3}
    fixed |= {"ImageType": ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"], "DimensionOrganizationType": "TILED_FULL", "Modality": "SM"}
    return image(number, tiles(plane, tile), WHOLE_SLIDE, **{**fixed, **attributes})
