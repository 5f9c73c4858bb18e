"""Rules about the identifiers every instance needs (family I of the catalogue)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from vna_core.dicom.dictionary import keyword_of
from vna_core.domain.identifiers import mint_uid
from vna_core.domain.transformation import Confidence, Finding, Transformation
from vna_core.ingest.normalize.rules import Draft, Layer, Rule

SOP_CLASS_UID: Final = 0x00080016
SOP_INSTANCE_UID: Final = 0x00080018
STUDY_INSTANCE_UID: Final = 0x0020000D
SERIES_INSTANCE_UID: Final = 0x0020000E
SECONDARY_CAPTURE: Final = "1.2.840.10008.5.1.4.1.1.7"
_META_SOP_CLASS: Final = 0x00020002
_META_SOP_INSTANCE: Final = 0x00020003
_MINTED: Final = ((STUDY_INSTANCE_UID, "study"), (SERIES_INSTANCE_UID, "series"), (SOP_INSTANCE_UID, "instance"))


def _set_uid(draft: Draft, rule: str, tag: int, uid: str, confidence: Confidence, detail: str) -> Transformation:
    original = "" if draft.element(tag) is not None else None
    draft.replaced[tag] = ("UI", uid.encode("ascii", "replace"))
    return Transformation(rule, confidence, f"{tag:08X}", keyword_of(tag), original, uid, detail=detail)


def sop_instance_from_outside(draft: Draft) -> Iterator[Transformation]:
    """A SOP Instance UID that only the file meta information or the C-STORE request carries goes into the data set."""
    if draft.text(SOP_INSTANCE_UID):
        return
    for uid, where in (
        (draft.parsed.file_meta.get(_META_SOP_INSTANCE, ""), "the file meta information"),
        (draft.received.sop_instance_uid, "the C-STORE request"),
    ):
        if uid.strip(" \0"):
            yield _set_uid(draft, "I04", SOP_INSTANCE_UID, uid.strip(" \0"), Confidence.PROVEN, f"taken from {where}")
            return


def missing_uids_minted(draft: Draft) -> Iterator[Transformation]:
    """Study, Series and SOP Instance UIDs that are missing follow from the octets as received (PS3.5 B.2)."""
    for tag, level in _MINTED:
        if not draft.text(tag):
            uid = mint_uid(draft.received.octets.sha256, level)
            yield _set_uid(draft, "I04", tag, uid, Confidence.INFERRED, "minted from the octets as received")


def sop_class_completed(draft: Draft) -> Iterator[Transformation]:
    """A missing SOP Class UID comes from the file meta information, the request, or is Secondary Capture."""
    if draft.text(SOP_CLASS_UID):
        return
    for uid, where in (
        (draft.parsed.file_meta.get(_META_SOP_CLASS, ""), "taken from the file meta information"),
        (draft.received.sop_class_uid, "taken from the C-STORE request"),
        (SECONDARY_CAPTURE, "nothing names a class: Secondary Capture Image Storage"),
    ):
        if uid.strip(" \0"):
            confidence = Confidence.INFERRED if uid == SECONDARY_CAPTURE else Confidence.PROVEN
            yield _set_uid(draft, "I06", SOP_CLASS_UID, uid.strip(" \0"), confidence, where)
            return


def meta_differs_from_data_set(draft: Draft) -> Iterator[Transformation]:
    """Where the file meta information names another class or instance than the data set, the data set wins."""
    for meta_tag, tag in ((_META_SOP_CLASS, SOP_CLASS_UID), (_META_SOP_INSTANCE, SOP_INSTANCE_UID)):
        said = draft.parsed.file_meta.get(meta_tag, "").strip(" \0")
        true = draft.text(tag)
        if said and said != true:
            yield Transformation("I05", Confidence.PROVEN, f"{meta_tag:08X}", keyword_of(meta_tag), said[:128], true)


def request_differs_from_data_set(draft: Draft) -> Iterator[Finding]:
    """A C-STORE request that names another instance than its data set is noted; the data set is kept."""
    said = draft.received.sop_instance_uid.strip(" \0")
    if said and said != draft.text(SOP_INSTANCE_UID):
        yield Finding("I05", "the C-STORE request names another SOP Instance UID than the data set", f"{SOP_INSTANCE_UID:08X}")


RULES: Final = (
    Rule("I04", 1, Layer.VALUES, Confidence.PROVEN, "Missing SOP Instance UID taken from around the data set", sop_instance_from_outside),
    Rule("I04", 1, Layer.VALUES, Confidence.INFERRED, "Missing UIDs minted from the octets as received", missing_uids_minted),
    Rule("I06", 1, Layer.VALUES, Confidence.PROVEN, "Missing SOP Class UID completed", sop_class_completed),
    Rule("I05", 1, Layer.CONTAINER, Confidence.PROVEN, "File meta information names another object", meta_differs_from_data_set),
    Rule("I05", 1, Layer.CONTAINER, Confidence.PROVEN, "C-STORE request names another object", request_differs_from_data_set),
)
