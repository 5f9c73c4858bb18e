"""Patients, studies and series after versions below them changed or went elsewhere.

Each attribute of a parent comes from the earliest version that has it (see `parents`). What came from a version that says
something else now is looked for again among those that are there; a parent without any version goes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from sqlalchemy import ColumnElement, delete, func, select, update

from vna_core.catalogue.entry_form import Stamp, attribute_text, decompress
from vna_core.catalogue.header_attributes import header_attributes
from vna_core.catalogue.held import OF_INSTANCE
from vna_core.catalogue.parents import Batch, Parents, ParentTable, read_stamps, write_stamps
from vna_core.catalogue.schema import headers, instances, name_keys, patients, series, studies

_PIECE: Final = 20
_SERIES_AT_ONCE: Final = 300


class ParentChanges:
    """Brings parents up to date within one transaction."""

    def __init__(self, batch: Batch, parents: Parents, gone: frozenset[Stamp]) -> None:
        self._batch = batch
        self._parents = parents
        self._gone = gone

    def above(self, series_pks: Iterable[int]) -> None:
        """Some series, then their studies, then their patients: each when what is below it is up to date. What went already is passed over."""
        statement = select(series.c.pk, series.c.study_fk, studies.c.patient_fk).join(studies, studies.c.pk == series.c.study_fk)
        wanted, rows = sorted(series_pks), []
        for at in range(0, len(wanted), _SERIES_AT_ONCE):
            rows += self._batch.session.run(statement.where(series.c.pk.in_(wanted[at : at + _SERIES_AT_ONCE]))).fetchall()
        for place, bring in enumerate((self.series, self.study, self.patient)):
            for pk in sorted({row[place] for row in rows}):
                bring(pk)

    def series(self, pk: int) -> None:
        """One series, its number of instances included; it goes when it is empty."""
        session = self._batch.session
        (before,) = session.run(select(series.c.number_of_instances).where(series.c.pk == pk)).fetchone()
        counted = select(func.count(func.distinct(instances.c.sop_instance_uid))).where(instances.c.series_fk == pk)
        (number,) = session.run(counted).fetchone()
        self._batch.count("instances", number - before)
        if not number:
            session.run(delete(series).where(series.c.pk == pk))
            self._batch.count("series", -1)
            return
        session.run(update(series).where(series.c.pk == pk).values(number_of_instances=number))
        self._parents.audiences.refresh(self._batch, series, pk)
        self._refill(self._parents.series, pk, instances.c.series_fk == pk)

    def study(self, pk: int) -> None:
        """One study whose series are up to date; it goes when it is empty."""
        session = self._batch.session
        if session.run(select(series.c.pk).where(series.c.study_fk == pk).limit(1)).fetchone() is None:
            session.run(delete(studies).where(studies.c.pk == pk))
            self._batch.count("studies", -1)
            return
        self._parents.audiences.refresh(self._batch, studies, pk)
        self._refill(self._parents.studies, pk, series.c.study_fk == pk)
        self._parents.refresh_modalities(self._batch, pk)
        of_study = select(instances.c.sop_class_uid).join(series, series.c.pk == instances.c.series_fk)
        rows = session.run(of_study.where(series.c.study_fk == pk).distinct()).fetchall()
        found = sorted(row[0] for row in rows if row[0])
        text = "\\" + "\\".join(found) + "\\" if found else ""
        session.run(update(studies).where(studies.c.pk == pk).values(sop_classes=text))

    def patient(self, pk: int) -> None:
        """One patient whose studies are up to date; it goes when it is empty."""
        session = self._batch.session
        if session.run(select(studies.c.pk).where(studies.c.patient_fk == pk).limit(1)).fetchone() is None:
            session.run(delete(name_keys).where(name_keys.c.patient_fk == pk))
            session.run(delete(patients).where(patients.c.pk == pk))
            self._batch.count("patients", -1)
            return
        self._parents.audiences.refresh(self._batch, patients, pk)
        self._refill(self._parents.patients, pk, studies.c.patient_fk == pk)

    def _refill(self, table: ParentTable, pk: int, below: ColumnElement[bool]) -> None:
        """Look again for what came from versions that changed."""
        row = self._row(table, pk)
        base, stamps = read_stamps(row["stamps"])
        missing = [one for one in table.attributes if row[one.name] and stamps.get(one.name, base) in self._gone]
        if not missing:
            return
        for one in missing:
            row[one.name] = ""
            stamps.pop(one.name, None)
        for stamp, attributes in self._versions(below):
            for one in [one for one in missing if one.tag in attributes]:
                row[one.name] = attribute_text(one, attributes)
                stamps[one.name] = stamp
            missing = [one for one in missing if not row[one.name]]
            if not missing:
                break
        if base in self._gone:
            others = {one.name: stamps.get(one.name, base) for one in table.attributes if row[one.name]}
            base = min(others.values(), default=base)
            stamps = others
        row |= table.side(row) | {"stamps": write_stamps(base, stamps), "wanted": pk}
        self._batch.session.execute(table.update_sql.sql, table.update_sql.arrange(row))
        if table is self._parents.patients:
            self._batch.session.run(delete(name_keys).where(name_keys.c.patient_fk == pk))
            self._parents.add_name_keys(self._batch, pk, row)
            self._batch.flush()

    def _row(self, table: ParentTable, pk: int) -> dict[str, Any]:
        values = self._batch.session.execute(table.select_sql.sql, table.select_sql.arrange({"wanted": pk})).fetchone()
        return dict(zip(table.names, values, strict=True))

    def _versions(self, below: ColumnElement[bool]) -> Iterator[tuple[Stamp, Any]]:
        """Versions below a parent with their attributes, earliest first; headers are read as they are needed."""
        ordered = select(instances.c.pk, instances.c.received_at, instances.c.sha256).select_from(OF_INSTANCE).where(below)
        rows = self._batch.session.run(ordered.order_by(instances.c.received_at, instances.c.sha256)).fetchall()
        for start in range(0, len(rows), _PIECE):
            piece = rows[start : start + _PIECE]
            wanted = select(headers.c.instance_fk, headers.c.json).where(headers.c.instance_fk.in_([row[0] for row in piece]))
            packed = dict(self._batch.session.run(wanted).fetchall())
            for pk, received_at, sha256 in piece:
                yield (received_at, sha256), header_attributes(decompress(packed[pk]))
