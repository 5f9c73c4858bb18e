"""Which rules fired on what came from where: the deviations of every source, by vendor and model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import select

from vna_core.catalogue.database import Database
from vna_core.catalogue.entry_form import unpack_provenance
from vna_core.catalogue.held import OF_INSTANCE
from vna_core.catalogue.schema import headers, instances, series, sources
from vna_core.catalogue.stored_text import from_stored, to_stored

_PIECE: Final = 500


@dataclass(frozen=True, slots=True)
class Deviations:
    """What normalization did to one instance.

    Attributes
    ----------
    changes, findings
        Rule to the number of elements that it changed, or flagged.
    """

    source_kind: str
    source_name: str
    manufacturer: str
    model: str
    sop_instance_uid: str
    changes: dict[str, int]
    findings: dict[str, int]


def deviations(database: Database, source: str | None) -> Iterator[Deviations]:
    """Current versions, of one source or of all, in the order of recording; read in pieces, so that memory stays flat."""
    wanted = () if source is None else (sources.c.name == to_stored(source),)
    statement = (
        select(
            instances.c.pk,
            instances.c.sop_instance_uid,
            sources.c.kind,
            sources.c.name,
            series.c.manufacturer,
            series.c.manufacturer_model_name,
            headers.c.provenance,
        )
        .select_from(
            OF_INSTANCE.join(headers, headers.c.instance_fk == instances.c.pk).join(
                sources, sources.c.pk == instances.c.source_fk
            )
        )
        .order_by(instances.c.pk)
        .limit(_PIECE)
    )
    last = 0
    while True:
        with database.session() as session:
            piece = session.run(statement.where(instances.c.pk > last, instances.c.is_current == 1, *wanted)).fetchall()
        for row in piece:
            yield _deviations(row)
        if len(piece) < _PIECE:
            return
        last = piece[-1][0]


def _deviations(row: Any) -> Deviations:
    transformations, findings = unpack_provenance(row[6])
    changed: dict[str, int] = {}
    flagged: dict[str, int] = {}
    for change in transformations:
        changed[change.rule] = changed.get(change.rule, 0) + change.count
    for finding in findings:
        flagged[finding.rule] = flagged.get(finding.rule, 0) + 1
    uid, kind, name, manufacturer, model = (from_stored(text) for text in row[1:6])
    return Deviations(kind, name, manufacturer, model, uid, changed, flagged)
