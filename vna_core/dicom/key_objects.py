"""The parts that every Key Object Selection document has (PS3.3 A.35.4, PS3.16 TID 2010), and what refers to instances as it does."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, TypeVar

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from vna_core.domain.corrections import DESCRIPTION
from vna_core.domain.identifiers import Identified


class Named(Identified, Protocol):
    """An instance that a document names."""

    @property
    def sop_class_uid(self) -> str: ...


NamedT = TypeVar("NamedT", bound=Named)


def coded(value: str, meaning: str) -> Dataset:
    """A code of DCM (PS3.3 8.8)."""
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, "DCM", meaning
    return code


def reference(instance: Named) -> Dataset:
    """A reference to an instance (PS3.3 10.8)."""
    one = Dataset()
    one.ReferencedSOPClassUID, one.ReferencedSOPInstanceUID = instance.sop_class_uid, instance.sop_instance_uid
    return one


def by_series(instances: Iterable[NamedT]) -> Mapping[str, Sequence[NamedT]]:
    """Instances by their series, in the order given."""
    found: dict[str, list[NamedT]] = {}
    for one in instances:
        found.setdefault(one.series_instance_uid, []).append(one)
    return found


def content_item(relationship: str, value_type: str, concept: Dataset | None = None) -> Dataset:
    """A content item without its value (PS3.3 C.17.3)."""
    item = Dataset()
    item.RelationshipType, item.ValueType = relationship, value_type
    if concept is not None:
        item.ConceptNameCodeSequence = [concept]
    return item


def description(text: str) -> Dataset:
    """The content item that says in words why instances were selected."""
    item = content_item("CONTAINS", "TEXT", coded(DESCRIPTION, "Key Object Description"))
    item.TextValue = text
    return item


def selected(instance: Named, value_type: str = "IMAGE") -> Dataset:
    """The content item that selects an instance."""
    item = content_item("CONTAINS", value_type)
    item.ReferencedSOPSequence = [reference(instance)]
    return item


def select(document: Dataset, title: Dataset, instances: Sequence[Named], content: Sequence[Dataset]) -> None:
    """Make a data set a selection: its title, its content, and the evidence, which is all of one study."""
    document.ReferencedPerformedProcedureStepSequence = []
    document.ValueType, document.ContinuityOfContent = "CONTAINER", "SEPARATE"
    document.ConceptNameCodeSequence = [title]
    template = Dataset()
    template.MappingResource, template.TemplateIdentifier = "DCMR", "2010"
    document.ContentTemplateSequence = [template]
    document.CurrentRequestedProcedureEvidenceSequence = [_evidence(instances)]
    document.ContentSequence = list(content)


def _evidence(instances: Sequence[Named]) -> Dataset:
    evidence = Dataset()
    evidence.StudyInstanceUID = instances[0].study_instance_uid
    evidence.ReferencedSeriesSequence = []
    for uid, members in by_series(instances).items():
        series = Dataset()
        series.SeriesInstanceUID = uid
        series.ReferencedSOPSequence = [reference(one) for one in members]
        evidence.ReferencedSeriesSequence.append(series)
    return evidence


def part10(document: Dataset, implementation: str = "") -> bytes:
    """A data set as a Part 10 file in Explicit VR Little Endian, by the implementation class given, else pydicom's."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = document.SOPClassUID, document.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    if implementation:
        meta.ImplementationClassUID = implementation
    document.file_meta = meta
    stream = io.BytesIO()
    document.save_as(stream, enforce_file_format=True)
    return stream.getvalue()
