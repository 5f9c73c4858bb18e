"""Which private elements hold work of people, by the creator that reserves their block (PS3.5 section 7.8.1).

A residue is made into a standard object only where the public name, representation and values of its elements say all that the
object says. Everything else is found and counted, and `why` tells what is not known.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """What a residue is about."""

    KEY_IMAGE = "key-image"
    REJECTED = "rejected"
    CONFIDENTIAL = "confidential"
    WINDOW = "window"
    DISPLAY = "display"
    ANNOTATION = "annotation"
    NOTE = "note"
    LOCK = "lock"
    SESSION = "session"
    DOCUMENT = "document"
    ORIGIN = "origin"


@dataclass(frozen=True, slots=True)
class Residue:
    """One thing to look for.

    Attributes
    ----------
    creator
        Private Creator, compared without case.
    group
        Of the elements; 0: any.
    elements
        Low octets of the element numbers; one of them is enough.
    made
        What is made of it: ``key object selection``, ``presentation state``, or nothing.
    why
        Why nothing is made.
    """

    name: str
    product: str
    kind: Kind
    creator: str
    group: int
    elements: tuple[int, ...]
    made: str = ""
    why: str = ""


KEY_OBJECT: Final = "key object selection"
STATE: Final = "presentation state"

SIGNIFICANT, REJECTED, CONFIDENTIAL = "ge-significant", "ge-rejected", "ge-confidential"
MITRA_WINDOW, AMI_WINDOW = "mitra-window", "ami-window"

_GE: Final = "GE Centricity"
_AGFA: Final = "Agfa IMPAX (Mitra)"
_RADWORKS: Final = "GE RadWorks (Applicare)"
_SILHOUETTE: Final = "Cedara (Silhouette)"
_NO_TITLE: Final = "No document title of the standard says it; give these studies to a department or collection."
_NO_GEOMETRY: Final = "What its values mean on the image is not public."
_NO_VALUES: Final = "Which values mean yes is not public."
_OPAQUE: Final = "A product's own file."
_HISTORY: Final = "Where the image was before; it stays in the image."

_TABLE: Final = (
    Residue(SIGNIFICANT, _GE, Kind.KEY_IMAGE, "GEIIS PACS", 0x0903, (0x11,), KEY_OBJECT),
    Residue(REJECTED, _GE, Kind.REJECTED, "GEIIS PACS", 0x0903, (0x10,), KEY_OBJECT),
    Residue(CONFIDENTIAL, _GE, Kind.CONFIDENTIAL, "GEIIS PACS", 0x0903, (0x12,), why=_NO_TITLE),
    Residue("ge-original-uids", _GE, Kind.ORIGIN, "GEIIS", 0x0907, (0x10, 0x20, 0x30), why=_HISTORY),
    Residue(
        "ge-exam-notes",
        _GE,
        Kind.NOTE,
        "http://www.gemedicalsystems.com/it_solutions/rad_pacs/",
        0x3115,
        (0x03,),
        why="The flag says that there are notes; they are in the product's database.",
    ),
    Residue(MITRA_WINDOW, _AGFA, Kind.WINDOW, "MITRA PRESENTATION 1.0", 0x0029, (0x01, 0x02), STATE),
    Residue(
        "mitra-display",
        _AGFA,
        Kind.DISPLAY,
        "MITRA PRESENTATION 1.0",
        0x0029,
        (0x00, 0x05, 0x10, 0x11, 0x12, 0x13),
        why="The sense of its rotation and the units of its box are not public.",
    ),
    Residue("mitra-markup", _AGFA, Kind.ANNOTATION, "Mitra Markup 1.0", 0x0029, tuple(range(0x15)), why=_NO_GEOMETRY),
    Residue("mitra-document", _AGFA, Kind.ANNOTATION, "Mitra Object Document 1.0", 0x0029, (0x00, 0x10), why=_OPAQUE),
    Residue("agfa-hanging", _AGFA, Kind.SESSION, "AGFA-AG_HPState", 0x0071, (0x18, 0x19, 0x1A, 0x1C, 0x1E), why=_OPAQUE),
    Residue("mitra-patient", _AGFA, Kind.ORIGIN, "MITRA LINKED ATTRIBUTES 1.0", 0x0031, (0x20,), why=_HISTORY),
    Residue(AMI_WINDOW, _RADWORKS, Kind.WINDOW, "AMI ImageContext_01", 0x3109, (0x20, 0x30), STATE),
    Residue("ami-transform", _RADWORKS, Kind.DISPLAY, "AMI ImageTransform_01", 0x3107, (0x10, 0x20, 0x30), why=_NO_GEOMETRY),
    Residue("ami-annotations", _RADWORKS, Kind.ANNOTATION, "AMI Annotations_01", 0x3101, (0x10,), why=_NO_GEOMETRY),
    Residue("ami-annotations-2", _RADWORKS, Kind.ANNOTATION, "AMI Annotations_02", 0x3101, (0x20,), why=_NO_GEOMETRY),
    Residue(
        "radworks-annotations",
        _RADWORKS,
        Kind.ANNOTATION,
        "Applicare/RadWorks/Version 6.0",
        0x4105,
        (0x01, 0x02),
        why=_NO_GEOMETRY,
    ),
    Residue("radworks-lock", _RADWORKS, Kind.LOCK, "Applicare/RadWorks/Version 5.0", 0x3109, (0x03,), why=_NO_VALUES),
    Residue("radstore", _RADWORKS, Kind.ORIGIN, "Applicare/RadStore/Version 1.0", 0x3113, (0x12, 0x17, 0x18), why=_HISTORY),
    Residue("sectra-marking", "Sectra", Kind.KEY_IMAGE, "SECTRA_ImageInfo_01", 0x0029, (0x02,), why=_NO_VALUES),
    Residue("sectra-overlay", "Sectra", Kind.ANNOTATION, "SECTRA_OverlayInfo_01", 0x6001, (0x01,), why=_NO_GEOMETRY),
    Residue("cemax-key-image", "Cemax-Icon", Kind.KEY_IMAGE, "CEMAX-ICON", 0x0029, (0x00,), why=_NO_VALUES),
    Residue("cemax-note", "Cemax-Icon", Kind.NOTE, "CEMAX-ICON", 0x0029, (0x10,), why="The note is text of the image."),
    Residue("cemax-annotations", "Cemax-Icon", Kind.ANNOTATION, "CEMAX-ICON", 0x0029, (0x20, 0x90), why=_NO_GEOMETRY),
    Residue("dr-annotations", "DR Systems", Kind.ANNOTATION, "DR Systems, Inc.", 0x4453, (0x0A,), why=_NO_GEOMETRY),
    Residue("brit-rejected", "BRIT Systems", Kind.REJECTED, "BRIT Systems, Inc.", 0x0021, (0x33,), why=_NO_VALUES),
    Residue("dlx-annotations", "GE Advantx DLX", Kind.ANNOTATION, "DLX_ANNOT_01", 0, (0x04, 0x05, 0x07), why=_NO_GEOMETRY),
    Residue("silhouette-text", _SILHOUETTE, Kind.ANNOTATION, "Silhouette Annot V1.0", 0x0029, (0x18, 0x30), why=_NO_GEOMETRY),
    Residue("silhouette-line", _SILHOUETTE, Kind.ANNOTATION, "Silhouette Line V1.0", 0x0029, (0x24, 0x27), why=_NO_GEOMETRY),
    Residue("silhouette-roi", _SILHOUETTE, Kind.ANNOTATION, "Silhouette ROI V1.0", 0x0029, (0x26, 0x30), why=_NO_GEOMETRY),
    Residue("camtronics-text", "Camtronics", Kind.ANNOTATION, "CAMTRONICS", 0x0029, (0x10, 0x50, 0x60), why=_NO_GEOMETRY),
    Residue(
        "voxar-session", "Voxar 3D", Kind.SESSION, "Voxar 2.16.124.113543.6003.1999.12.20.12.5.0", 0x1135, (0x01,), why=_OPAQUE
    ),
    Residue(
        "orthoview-session",
        "OrthoView",
        Kind.SESSION,
        "http://www.gemedicalsystems.com/it_solutions/orthoview/2.1",
        0x3117,
        (0x40,),
        why=_OPAQUE,
    ),
    Residue("vivid-report", "GE Vivid", Kind.DOCUMENT, "GEMS_IT_US_REPORT", 0x0045, (0x11, 0x12, 0x13), why=_OPAQUE),
    Residue("vepro-replaced", "VEPRO", Kind.ORIGIN, "VEPRO BROKER 1.0", 0x0057, (0x10,), why=_HISTORY),
    Residue("isite", "Philips iSite (Stentor)", Kind.ORIGIN, "STENTOR", 0x0073, (0x03, 0x04, 0x06), why=_HISTORY),
    Residue("intelerad", "Intelerad", Kind.ORIGIN, "INTELERAD MEDICAL SYSTEMS", 0x3F01, (0x01, 0x03), why=_HISTORY),
    Residue("emageon", "Emageon", Kind.ORIGIN, "EMAGEON STUDY HOME", 0x0009, (0x00, 0x01), why=_HISTORY),
)
RESIDUES: Final[dict[str, Residue]] = {one.name: one for one in _TABLE}
"""Every residue by its name."""
