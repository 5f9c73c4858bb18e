"""Index entries for tests: small, complete, each attribute replaceable."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from vna_core.catalogue import Catalogue, Match
from vna_core.domain.identifiers import PatientKey
from vna_core.domain.indexed_attributes import INDEXED
from vna_core.domain.instance import IndexEntry, Location
from vna_core.domain.octets import ByteRange, Source
from vna_core.domain.query import Condition, Level, Query

TAGS = {attribute.name: tag for tag, attribute in INDEXED.items()}
START = datetime(2026, 1, 1, tzinfo=UTC)


def entry(
    sop: str = "1.2.3.1.1",
    *,
    series: str = "1.2.3.1",
    study: str = "1.2.3",
    patient: str = "P1",
    issuer: str = "",
    content: str = "",
    second: float = 0,
    **attributes: str | tuple[str, ...],
) -> IndexEntry:
    """One entry; keyword arguments named as indexed attributes add their values."""
    values: dict[int, tuple[str, ...]] = {0x00080060: ("CT",)}
    for name, value in attributes.items():
        values[TAGS[name]] = (value,) if isinstance(value, str) else value
    digest = hashlib.sha256(f"{sop}|{content}".encode("utf-8", "surrogatepass")).hexdigest()
    return IndexEntry(
        patient=PatientKey(issuer, patient),
        study_instance_uid=study,
        series_instance_uid=series,
        sop_instance_uid=sop,
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        attributes=values,
        json_header=b'{"00080018":{"vr":"UI","Value":["x"]}}',
        location=Location("landing", f"studies/{digest}.dcm", 0, 1000),
        sha256=digest,
        size=1000,
        data_set_offset=300,
        trailer_offset=900,
        pixel_data=ByteRange(400, 400),
        number_of_frames=1,
        original_sha256=hashlib.sha256(f"original|{digest}".encode()).hexdigest(),
        original_size=880,
        source=Source("dimse", "CT1", "127.0.0.1"),
        received_at=START + timedelta(seconds=second),
        rule_set="2026.11.0",
    )


def changed(one: IndexEntry, **fields: Any) -> IndexEntry:
    """The entry with other fields."""
    return replace(one, **fields)


def found(catalogue: Catalogue, level: Level, *conditions: Condition, limit: int | None = None) -> list[Match]:
    """All matches of a query."""
    return list(catalogue.search(Query(level, conditions, limit)).matches)


def values(matches: list[Match], name: str) -> set[str]:
    """The first values of one attribute over all matches."""
    return {match.attributes.get(TAGS[name], ("",))[0] for match in matches}
