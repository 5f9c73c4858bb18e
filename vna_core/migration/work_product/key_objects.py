"""Flags on images as a Key Object Selection Document (PS3.3 A.35.4, PS3.16 TID 2010): one for each study and flag."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from pydicom.dataset import Dataset

from vna_core.catalogue.source_headers import SourceHeader
from vna_core.migration.work_product.documents import DEVICE, begun, by_series, coded, made_uid, part10, reference
from vna_core.migration.work_product.finding import Document
from vna_core.migration.work_product.residues import REJECTED, RESIDUES, SIGNIFICANT

KEY_OBJECT_SELECTION: Final = "1.2.840.10008.5.1.4.1.1.88.59"
TITLES: Final[Mapping[str, tuple[str, str]]] = {
    SIGNIFICANT: ("113000", "Of Interest"),
    REJECTED: ("113001", "Rejected for Quality Reasons"),
}
"""Document title (CID 7010) of what is made of a flag."""


def key_object_selection(flag: str, images: Sequence[SourceHeader], document: Document, at: datetime) -> tuple[str, bytes]:
    """SOP Instance UID and Part 10 file of the selection of all images of a study that have a flag.

    The UID is that of the flag and of the images: the same images give the same UID. `document` is the header of one of them.
    """
    study = images[0].study_instance_uid
    sop = made_uid("kos", flag, study, *sorted(one.sop_instance_uid for one in images))
    made = begun(document, KEY_OBJECT_SELECTION, sop, made_uid("kos-series", study), "KO", at)
    made.SeriesDescription = "Key images of the former archive"
    made.ContentDate, made.ContentTime = made.InstanceCreationDate, made.InstanceCreationTime
    made.ReferencedPerformedProcedureStepSequence = []
    made.CurrentRequestedProcedureEvidenceSequence = [_evidence(study, images)]
    made.ValueType, made.ContinuityOfContent = "CONTAINER", "SEPARATE"
    made.ConceptNameCodeSequence = [coded(*TITLES[flag])]
    template = Dataset()
    template.MappingResource, template.TemplateIdentifier = "DCMR", "2010"
    made.ContentTemplateSequence = [template]
    made.ContentSequence = [*_observer(), _description(flag), *(_image(one) for one in images)]
    return sop, part10(made)


def _evidence(study: str, images: Sequence[SourceHeader]) -> Dataset:
    evidence = Dataset()
    evidence.StudyInstanceUID = study
    evidence.ReferencedSeriesSequence = []
    for series, members in by_series(images).items():
        one = Dataset()
        one.SeriesInstanceUID = series
        one.ReferencedSOPSequence = [reference(member) for member in members]
        evidence.ReferencedSeriesSequence.append(one)
    return evidence


def _observer() -> list[Dataset]:
    """That a device says so, not a person (TID 1002)."""
    kind = _item("HAS OBS CONTEXT", "CODE", coded("121005", "Observer Type"))
    kind.ConceptCodeSequence = [coded("121007", "Device")]
    uid = _item("HAS OBS CONTEXT", "UIDREF", coded("121012", "Device Observer UID"))
    uid.UID = made_uid("device")
    name = _item("HAS OBS CONTEXT", "TEXT", coded("121013", "Device Observer Name"))
    name.TextValue = DEVICE
    return [kind, uid, name]


def _description(flag: str) -> Dataset:
    residue = RESIDUES[flag]
    told = _item("CONTAINS", "TEXT", coded("113012", "Key Object Description"))
    low = residue.elements[0]
    told.TextValue = f"Flagged in {residue.product}: private element ({residue.group:04X},xx{low:02X}) of {residue.creator} is 1."
    return told


def _image(header: SourceHeader) -> Dataset:
    image = Dataset()
    image.RelationshipType, image.ValueType = "CONTAINS", "IMAGE"
    image.ReferencedSOPSequence = [reference(header)]
    return image


def _item(relationship: str, value_type: str, concept: Dataset) -> Dataset:
    item = Dataset()
    item.RelationshipType, item.ValueType, item.ConceptNameCodeSequence = relationship, value_type, [concept]
    return item
