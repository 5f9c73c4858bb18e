"""An index entry brought into the form of the tables, in the caller's thread, before any lock is taken."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

import zstandard

from vna_core.catalogue.schema import BY_LEVEL, MULTIPLE
from vna_core.catalogue.stored_text import column_text, column_values, identifier, to_stored
from vna_core.domain.departments import UNDIVIDED, Departments
from vna_core.domain.indexed_attributes import IndexedAttribute
from vna_core.domain.instance import IndexEntry
from vna_core.domain.octets import Source
from vna_core.domain.query import Level
from vna_core.domain.transformation import Confidence, Finding, Transformation

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_IMAGE: Final = BY_LEVEL[Level.IMAGE]
_SOP_INSTANCE_UID: Final = 0x00080018
_SOP_CLASS_UID: Final = 0x00080016
_LARGEST_HEADER: Final = 1 << 30
_NONE: Final = frozenset[str]()

Stamp = tuple[int, str]
"""Time of arrival and digest: the order of versions, the same whichever way round they are recorded."""


class _Zstandard(threading.local):
    """Contexts are costly to make and not to be shared between threads."""

    def __init__(self) -> None:
        self.compressor = zstandard.ZstdCompressor(level=3, write_content_size=True)
        self.decompressor = zstandard.ZstdDecompressor()


_zstandard = _Zstandard()


def compress(content: bytes) -> bytes:
    """`content` as a zstd frame that states its size."""
    return _zstandard.compressor.compress(content)


def decompress(frame: bytes | memoryview) -> bytes:
    """The content of a frame `compress` made."""
    return _zstandard.decompressor.decompress(frame, max_output_size=_LARGEST_HEADER)


def microseconds(moment: datetime) -> int:
    """Microseconds since 1970 in UTC; a moment without a zone is taken as UTC."""
    delta = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH
    return (delta.days * 86400 + delta.seconds) * 1_000_000 + delta.microseconds


def moment(since_1970: int) -> datetime:
    """The inverse of `microseconds`."""
    return datetime.fromtimestamp(since_1970 // 1_000_000, UTC).replace(microsecond=since_1970 % 1_000_000)


def attribute_text(attribute: IndexedAttribute, attributes: Mapping[int, tuple[str, ...]]) -> str:
    """What the hot column of `attribute` holds."""
    values = attributes.get(attribute.tag)
    if not values:
        return ""
    text = column_text(values, attribute.vr)
    return f"\\{text}\\" if text and attribute.tag in MULTIPLE else text


def attribute_values(attribute: IndexedAttribute, text: str) -> tuple[str, ...]:
    """The values again from a hot column that is not empty."""
    return column_values(text[1:-1] if attribute.tag in MULTIPLE else text, attribute.vr)


@dataclass(slots=True, eq=False)
class EntryForm:
    """One entry as rows. `image` and `tail` go around the keys that only the transaction knows."""

    entry: IndexEntry
    classification: Mapping[int, str] | None
    jobs: tuple[str, ...]
    issuer: str
    patient_id: str
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    stamp: Stamp
    image: list[str]
    pixels: tuple[int | None, int | None]
    header: bytes
    provenance: bytes | None
    source_digest: str
    location: tuple[str, str, int, int]
    labels: frozenset[str] = frozenset()


def entry_form(
    entry: IndexEntry,
    classification: Mapping[int, str] | None,
    jobs: tuple[str, ...] = (),
    departments: Departments = UNDIVIDED,
    among: tuple[Source, ...] = (),
) -> EntryForm:
    """Bring `entry` into the form of the tables. `jobs` are kinds of jobs about it, `departments` say which labels it has; `among` are further sources of it."""
    attributes = entry.attributes
    sop_instance_uid, sop_class_uid = identifier(entry.sop_instance_uid), identifier(entry.sop_class_uid)
    image = [attribute_text(attribute, attributes) for attribute in _IMAGE]
    image[0], image[1] = sop_instance_uid, sop_class_uid
    pixel = entry.pixel_data
    location = entry.location
    return EntryForm(
        entry=entry,
        classification=classification,
        jobs=jobs,
        issuer=identifier(entry.patient.issuer),
        patient_id=identifier(entry.patient.patient_id),
        study_instance_uid=identifier(entry.study_instance_uid),
        series_instance_uid=identifier(entry.series_instance_uid),
        sop_instance_uid=sop_instance_uid,
        sop_class_uid=sop_class_uid,
        stamp=(microseconds(entry.received_at), entry.sha256),
        image=image,
        pixels=(pixel.offset, pixel.length) if pixel else (None, None),
        header=compress(entry.json_header),
        provenance=pack_provenance(entry.transformations, entry.findings),
        source_digest=source_digest(entry.source),
        location=(to_stored(location.store), to_stored(location.key), location.offset, location.length),
        labels=frozenset(departments.labels(entry.source, entry.study_instance_uid, attributes, among))
        if departments.divided
        else _NONE,
    )


assert (_IMAGE[0].tag, _IMAGE[1].tag) == (_SOP_INSTANCE_UID, _SOP_CLASS_UID), "the unique key stands first"


@lru_cache(maxsize=256)
def source_digest(source: Source) -> str:
    """What equal sources have in common."""
    text = "\x1f".join((source.kind, source.name, source.address, source.issuer))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def pack_provenance(transformations: tuple[Transformation, ...], findings: tuple[Finding, ...]) -> bytes | None:
    """Transformations and findings as stored; None when there are none."""
    if not transformations and not findings:
        return None
    content: dict[str, Any] = {
        "transformations": [_without_defaults(asdict(one)) for one in transformations],
        "findings": [_without_defaults(asdict(one)) for one in findings],
    }
    return compress(json.dumps(content, separators=(",", ":")).encode("ascii"))


def _without_defaults(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None and value != "" and (name, value) != ("count", 1)}


def unpack_provenance(packed: bytes | None) -> tuple[tuple[Transformation, ...], tuple[Finding, ...]]:
    """The inverse of `pack_provenance`."""
    if packed is None:
        return (), ()
    content = json.loads(decompress(packed))
    transformations = []
    for fields in content["transformations"]:
        transformations.append(Transformation(**{**fields, "confidence": Confidence(fields["confidence"])}))
    return tuple(transformations), tuple(Finding(**{"message": "", **fields}) for fields in content["findings"])
