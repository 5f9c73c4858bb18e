"""Flags on images as a Key Object Selection Document (PS3.3 A.35.4, PS3.16 TID 2010): one for each study and flag."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from pydicom.dataset import Dataset

from vna_core.catalogue.source_headers import SourceHeader
from vna_core.dicom.key_objects import coded, content_item, description, select, selected
from vna_core.domain.corrections import KEY_OBJECT_SELECTION
from vna_core.domain.migration import WORK_PRODUCT_DEVICE
from vna_core.migration.work_product.documents import begun, finished, in_order, made_series, made_uid
from vna_core.migration.work_product.finding import Document
from vna_core.migration.work_product.residues import REJECTED, RESIDUES, SIGNIFICANT

TITLES: Final[Mapping[str, tuple[str, str]]] = {
    SIGNIFICANT: ("113000", "Of Interest"),
    REJECTED: ("113001", "Rejected for Quality Reasons"),
}
"""Document title (CID 7010) of what is made of a flag."""


def key_object_selection(flag: str, images: Sequence[SourceHeader], document: Document, at: datetime) -> tuple[str, bytes]:
    """SOP Instance UID and Part 10 file of the selection of all images of a study that have a flag.

    The UID is that of the flag, the patient and the images: the same ones give the same UID. `document` is the header of one of them.
    """
    series = made_series("kos-series", images[0], document)
    sop = made_uid("kos", flag, series, *sorted(one.sop_instance_uid for one in images))
    made = begun(document, KEY_OBJECT_SELECTION, sop, series, "KO", at)
    made.SeriesDescription = "Key images of the former archive"
    made.ContentDate, made.ContentTime = made.InstanceCreationDate, made.InstanceCreationTime
    content = [*_observer(), description(_said(flag)), *(selected(one) for one in images)]
    select(made, coded(*TITLES[flag]), in_order(images), content)
    return sop, finished(made)


def _observer() -> list[Dataset]:
    """That a device says so, not a person (TID 1002)."""
    kind = content_item("HAS OBS CONTEXT", "CODE", coded("121005", "Observer Type"))
    kind.ConceptCodeSequence = [coded("121007", "Device")]
    uid = content_item("HAS OBS CONTEXT", "UIDREF", coded("121012", "Device Observer UID"))
    uid.UID = made_uid("device")
    name = content_item("HAS OBS CONTEXT", "TEXT", coded("121013", "Device Observer Name"))
    name.TextValue = WORK_PRODUCT_DEVICE[1]
    return [kind, uid, name]


def _said(flag: str) -> str:
    residue = RESIDUES[flag]
    low = residue.elements[0]
    return f"Flagged in {residue.product}: private element ({residue.group:04X},xx{low:02X}) of {residue.creator} is 1."
