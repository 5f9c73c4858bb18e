"""Windows that somebody set as a Grayscale Softcopy Presentation State (PS3.3 A.33.1): one for each series and way of display."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pydicom.dataset import Dataset

from vna_core.catalogue.source_headers import SourceHeader
from vna_core.dicom.key_objects import by_series, reference
from vna_core.migration.work_product.documents import begun, finished, in_order, made_series, made_uid
from vna_core.migration.work_product.finding import Document, Finding
from vna_core.migration.work_product.residues import AMI_WINDOW, MITRA_WINDOW

PRESENTATION_STATE: Final = "1.2.840.10008.5.1.4.1.1.11.1"

_CENTRE, _WIDTH, _INVERT = "centre", "width", "invert"
_PLACES: Final = {
    MITRA_WINDOW: {_WIDTH: 0x01, _CENTRE: 0x02, _INVERT: 0x03},
    AMI_WINDOW: {_CENTRE: 0x20, _WIDTH: 0x30, _INVERT: 0x10},
}
_NOT_INVERTED: Final = frozenset(("", "0", "NO"))
_SPACINGS: Final = ("00280030", "00181164")


@dataclass(frozen=True, slots=True)
class Window:
    """What one image is displayed with. All but centre and width decide which images share a presentation state.

    Attributes
    ----------
    inverse
        Values after the VOI LUT are P-Values only when inverted (PS3.3 C.11.6).
    spacing
        Row and column spacing in mm as in the image; empty: none.
    rescale
        Intercept, slope and type of the image's Modality LUT; empty: none.
    """

    centre: str
    width: str
    inverse: bool
    rows: int
    columns: int
    spacing: tuple[str, ...]
    rescale: tuple[str, ...]

    @property
    def display(self) -> tuple[Any, ...]:
        """What images of one presentation state have in common."""
        return self.inverse, self.rows, self.columns, self.spacing, self.rescale


def window_of(found: Finding, document: Document) -> Window | None:
    """The window of a finding for its image; None where its values do not say all that a presentation state says."""
    places = _PLACES[found.residue.name]
    said = {name: found.values.get(low, "").strip("\0 ") for name, low in places.items()}
    invert = said[_INVERT].upper()
    if invert not in _NOT_INVERTED and not (found.residue.name == MITRA_WINDOW and invert == "1"):
        return None
    centre, width = _decimal(said[_CENTRE]), _decimal(said[_WIDTH])
    photometric = _first(document, "00280004")
    if centre is None or width is None or float(width) < 1 or photometric not in ("MONOCHROME1", "MONOCHROME2"):
        return None
    rows, columns = _first(document, "00280010"), _first(document, "00280011")
    if not (rows.isdigit() and columns.isdigit()):
        return None
    if "00283000" in document:
        return None  # a table in place of slope and intercept would have to be copied
    rescale = tuple(_first(document, tag) for tag in ("00281052", "00281053"))
    inverse = (photometric == "MONOCHROME1") != (invert == "1")
    spacing = next((tuple(map(str, document[tag].get("Value", ()))) for tag in _SPACINGS if tag in document), ())
    kind = _first(document, "00281054") or ("HU" if _first(document, "00080060") == "CT" else "US")
    return Window(
        centre,
        width,
        inverse,
        int(rows),
        int(columns),
        spacing if len(spacing) == 2 else (),
        (*rescale, kind) if all(rescale) else (),
    )


def presentation_state(
    product: str, images: Sequence[tuple[SourceHeader, Window]], document: Document, at: datetime
) -> tuple[str, bytes]:
    """SOP Instance UID and Part 10 file of the state of images that are displayed alike but for their windows."""
    first, series = images[0][1], made_series("gsps-series", images[0][0], document)
    told = [f"{header.sop_instance_uid} {window.centre} {window.width}" for header, window in images]
    sop = made_uid("gsps", product, series, repr(first.display), *sorted(told))
    made = begun(document, PRESENTATION_STATE, sop, series, "PR", at)
    made.SeriesDescription, made.Laterality = "Windows of the former archive", ""
    made.PresentationCreationDate, made.PresentationCreationTime = made.InstanceCreationDate, made.InstanceCreationTime
    made.ContentLabel, made.ContentDescription = "WINDOW", f"Window set in {product}"[:64]
    made.ContentCreatorName = ""
    headers = [header for header, _ in images]
    made.ReferencedSeriesSequence = []
    for uid, members in by_series(in_order(headers)).items():
        one = Dataset()
        one.SeriesInstanceUID = uid
        one.ReferencedImageSequence = [reference(member) for member in members]
        made.ReferencedSeriesSequence.append(one)
    made.DisplayedAreaSelectionSequence = [_area(first)]
    made.SoftcopyVOILUTSequence = _windows(images)
    if first.rescale:
        made.RescaleIntercept, made.RescaleSlope, made.RescaleType = first.rescale
    made.PresentationLUTShape = "INVERSE" if first.inverse else "IDENTITY"
    return sop, finished(made)


def _windows(images: Sequence[tuple[SourceHeader, Window]]) -> list[Dataset]:
    """Each window with the images that it is for."""
    by_window: dict[tuple[str, str], list[SourceHeader]] = {}
    for header, window in images:
        by_window.setdefault((window.centre, window.width), []).append(header)
    made = []
    for (centre, width), members in by_window.items():
        one = Dataset()
        if len(by_window) > 1:
            one.ReferencedImageSequence = [reference(member) for member in members]
        one.WindowCenter, one.WindowWidth = centre, width
        made.append(one)
    return made


def _area(window: Window) -> Dataset:
    area = Dataset()
    area.DisplayedAreaTopLeftHandCorner = [1, 1]
    area.DisplayedAreaBottomRightHandCorner = [window.columns, window.rows]
    area.PresentationSizeMode = "SCALE TO FIT"
    if window.spacing:
        area.PresentationPixelSpacing = list(window.spacing)
    else:
        area.PresentationPixelAspectRatio = ["1", "1"]
    return area


def _decimal(text: str) -> str | None:
    """A number as a DS (PS3.5 6.2); None for what is none, and for several."""
    try:
        value = float(text)
    except ValueError:
        return None
    return text if math.isfinite(value) and len(text) <= 16 and text.isascii() else None


def _first(document: Document, tag: str) -> str:
    value = next(iter(document.get(tag, {}).get("Value") or ()), "")
    return "" if value is None else str(value)
