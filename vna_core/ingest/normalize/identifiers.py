"""Identifiers that must be there: taken from what was said beside the data set, else minted (I04 to I06).

A minted UID follows from the digest of the octets as received, so the same octets always get the same one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from vna_core.dicom.elements import ParsedOctets
from vna_core.dicom.revision import RevisedDataSet
from vna_core.domain.errors import Malformed
from vna_core.domain.identifiers import mint_uid, uid_is_valid
from vna_core.domain.octets import ReceivedInstance
from vna_core.domain.transformation import Confidence
from vna_core.ingest.normalize.amendments import Amender, Record
from vna_core.ingest.normalize.engine import Layer, Rule

SOP_CLASS_UID: Final = 0x00080016
SOP_INSTANCE_UID: Final = 0x00080018
STUDY_INSTANCE_UID: Final = 0x0020000D
SERIES_INSTANCE_UID: Final = 0x0020000E
_META_SOP_CLASS, _META_SOP_INSTANCE = 0x00020002, 0x00020003
SECONDARY_CAPTURE: Final = "1.2.840.10008.5.1.4.1.1.7"
_LONGEST: Final = 1024


@dataclass(frozen=True, slots=True)
class Identity:
    """The four identifiers of an instance as they will stand in the data set."""

    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str
    series_instance_uid: str


@dataclass(frozen=True, slots=True)
class Identifying:
    """What identifier rules look at."""

    revised: RevisedDataSet
    parsed: ParsedOctets
    received: ReceivedInstance

    def beside(self, meta_tag: int, named: str) -> str:
        """The identifier told outside the data set: by the sender's command, else by the File Meta Information."""
        for candidate in (named.strip(" \0"), self.parsed.file_meta.get(meta_tag, "")):
            if candidate and uid_is_valid(candidate):
                return candidate
        return ""


@dataclass(frozen=True, slots=True)
class Supplied:
    """An identifier for an element that is absent or empty."""

    tag: int
    uid: str
    detail: str


IdentifierRule = Rule[Identifying, Supplied | None]


def _sop_class(subject: Identifying) -> Supplied | None:
    if subject.revised.text(SOP_CLASS_UID):
        return None
    uid = subject.beside(_META_SOP_CLASS, subject.received.sop_class_uid)
    return Supplied(SOP_CLASS_UID, uid or SECONDARY_CAPTURE, "from beside the data set" if uid else "Secondary Capture assumed")


def _sop_instance(subject: Identifying) -> Supplied | None:
    if subject.revised.text(SOP_INSTANCE_UID):
        return None
    uid = subject.beside(_META_SOP_INSTANCE, subject.received.sop_instance_uid)
    minted = mint_uid(subject.received.octets.sha256, "instance")
    return Supplied(SOP_INSTANCE_UID, uid or minted, "from beside the data set" if uid else "minted")


def _minted(tag: int, level: str) -> Callable[[Identifying], Supplied | None]:
    def mint(subject: Identifying) -> Supplied | None:
        if subject.revised.text(tag):
            return None
        return Supplied(tag, mint_uid(subject.received.octets.sha256, level), "minted")

    return mint


IDENTIFIER_RULES: Final[tuple[IdentifierRule, ...]] = (
    Rule("I06", 1, Layer.VALUES, Confidence.INFERRED, _sop_class, "SOP Class UID is missing: supplied."),
    Rule("I04", 1, Layer.VALUES, Confidence.PROVEN, _sop_instance, "SOP Instance UID is missing: supplied or minted."),
    Rule(
        "I04", 1, Layer.VALUES, Confidence.PROVEN, _minted(STUDY_INSTANCE_UID, "study"), "Study Instance UID is missing: minted."
    ),
    Rule(
        "I04",
        1,
        Layer.VALUES,
        Confidence.PROVEN,
        _minted(SERIES_INSTANCE_UID, "series"),
        "Series Instance UID is missing: minted.",
    ),
)
"""In the order they are tried."""


def apply_identifier_rules(amender: Amender, parsed: ParsedOctets, received: ReceivedInstance) -> None:
    """Put missing identifiers into the data set, and compare those of the File Meta Information with the data set's (I05)."""
    revised, journal = amender.revised, amender.journal
    subject = Identifying(revised, parsed, received)
    for rule in IDENTIFIER_RULES:
        supplied = rule.apply(subject)
        if supplied is None:
            continue
        amender.put(
            amender.root(supplied.tag),
            "UI",
            supplied.uid.encode("ascii"),
            rule.id,
            rule.confidence,
            record=Record.LEGAL,
            detail=supplied.detail,
            coerced=True,
        )
    for tag, uid in ((_META_SOP_CLASS, revised.text(SOP_CLASS_UID)), (_META_SOP_INSTANCE, revised.text(SOP_INSTANCE_UID))):
        told = parsed.file_meta.get(tag, "")
        if told and told != uid:
            journal.change("I05", Confidence.PROVEN, tag=tag, original=told, canonical=uid, detail="the data set's counts")


def identity_of(revised: RevisedDataSet) -> Identity:
    """The identifiers that stand in the data set now.

    Raises
    ------
    Malformed
        One is longer than 1,024 octets.
    """
    identity = Identity(
        *(revised.text(tag) for tag in (SOP_CLASS_UID, SOP_INSTANCE_UID, STUDY_INSTANCE_UID, SERIES_INSTANCE_UID))
    )
    for uid in (identity.sop_class_uid, identity.sop_instance_uid, identity.study_instance_uid, identity.series_instance_uid):
        if len(uid) > _LONGEST:
            raise Malformed("An identifier is longer than 1,024 octets.", rule="I02")
    return identity
