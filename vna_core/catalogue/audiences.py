"""Sets of labels: which departments and collections a row of the catalogue has.

An instance has the labels that the site's rules give it; a parent has those of everything below it. Who may see some of
them sees the row, and below it what has one of them. Without departments every row has the empty set, whose key is 0.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Protocol

from sqlalchemy import ColumnElement, Table, Text, bindparam, exists, func, insert, literal, or_, select, update

from vna_core.catalogue.database import Database, Session
from vna_core.catalogue.schema import instances, patients, series, studies
from vna_core.catalogue.schema_departments import audience_labels, audiences
from vna_core.domain.access import Scope

_BELOW: Final = {
    "series": (instances, instances.c.series_fk),
    "studies": (series, series.c.study_fk),
    "patients": (studies, studies.c.patient_fk),
}
LABELS: Final = "labels"
"""Name of the parameter that `visible` needs: `Scope.text`."""


class Batch(Protocol):
    """The part of a running batch that audiences need."""

    session: Session

    def next_pk(self) -> int:
        """A primary key nobody else gets."""

    def flush(self) -> None:
        """Send pending rows, so that statements see them."""


def labels_of(text: str | None) -> frozenset[str]:
    """A set of labels as `audiences` keeps it; None, which an outer join gives for the key 0, is the empty one."""
    return frozenset(text.strip(";").split(";")) if text else frozenset()


def visible(column: ColumnElement[Any], is_postgresql: bool) -> ColumnElement[bool]:
    """That a row has one of the labels of the parameter `LABELS`."""
    inside = func.strpos if is_postgresql else func.instr
    label = literal(";") + audience_labels.c.label + literal(";")
    return column.in_(select(audience_labels.c.audience).where(inside(bindparam(LABELS, None, type_=Text()), label) > 0))


def visible_sql(column: str, mark: str, is_postgresql: bool) -> str:
    """The same as text, with one positional parameter."""
    inside = f"strpos({mark}" if is_postgresql else f"instr({mark}"
    return f"{column} IN (SELECT audience FROM audience_labels WHERE {inside}, ';' || label || ';') > 0)"


def stands(is_postgresql: bool) -> ColumnElement[bool]:
    """That a version stands for its instance before whoever has one of the labels of the parameter `LABELS`, and sees the version itself.

    The current one stands wherever it is seen; where it is not, the first of those that are.
    """
    before = instances.alias("before")
    better = exists().where(
        before.c.sop_instance_uid == instances.c.sop_instance_uid,
        before.c.series_fk == instances.c.series_fk,
        or_(before.c.is_current == 1, before.c.version < instances.c.version),
        visible(before.c.audience, is_postgresql),
    )
    return or_(instances.c.is_current == 1, ~better.correlate(instances))


def stands_sql(mark: str, is_postgresql: bool) -> str:
    """The same as text, with one positional parameter."""
    return (
        "(instances.is_current = 1 OR NOT EXISTS (SELECT 1 FROM instances AS before"
        " WHERE before.sop_instance_uid = instances.sop_instance_uid AND before.series_fk = instances.series_fk"
        " AND (before.is_current = 1 OR before.version < instances.version)"
        f" AND {visible_sql('before.audience', mark, is_postgresql)}))"
    )


def ids_in_scope(session: Session, scope: Scope, is_postgresql: bool) -> list[int]:
    """Keys of all audiences that a scope reaches."""
    inside = "strpos(%s" if is_postgresql else "instr(?"
    statement = f"SELECT DISTINCT audience FROM audience_labels WHERE {inside}, ';' || label || ';') > 0"
    return [row[0] for row in session.execute(statement, (scope.text,)).fetchall()]


class Audiences:
    """Finds and makes sets of labels, and gives them to rows. Used inside writing transactions only.

    What is remembered of parents is only ever too little: their labels grow, until versions move, and then all is forgotten.
    """

    LIMIT: Final = 50_000

    def __init__(self, database: Database) -> None:
        self._keys: dict[tuple[str, ...], int] = {}
        self._labels: dict[int, frozenset[str]] = {0: frozenset()}
        self._known: dict[tuple[str, int], frozenset[str]] = {}
        self._read = {
            table.name: database.prepare(select(table.c.audience).where(table.c.pk == bindparam("wanted")))
            for table in (patients, studies, series)
        }

    def forget(self) -> None:
        """Forget everything: a transaction was rolled back, or versions moved to other parents."""
        self._keys.clear()
        self._labels = {0: frozenset()}
        self._known.clear()

    def key(self, batch: Batch, labels: Iterable[str]) -> int:
        """The key of a set of labels, made where it is new."""
        ordered = tuple(sorted(labels))
        if not ordered:
            return 0
        found = self._keys.get(ordered)
        if found is None:
            text, session = f";{';'.join(ordered)};", batch.session
            row = session.run(select(audiences.c.pk).where(audiences.c.labels == text)).fetchone()
            if row is None:
                found = batch.next_pk()
                session.run(insert(audiences).values(pk=found, labels=text))
                for label in ordered:
                    session.run(insert(audience_labels).values(label=label, audience=found))
            else:
                found = int(row[0])
            self._keys[ordered] = found
            self._labels[found] = frozenset(ordered)
        return found

    def labels(self, session: Session, key: int) -> frozenset[str]:
        """The labels of a set."""
        found = self._labels.get(key)
        if found is None:
            (text,) = session.run(select(audiences.c.labels).where(audiences.c.pk == key)).fetchone()
            found = self._labels[key] = labels_of(text)
        return found

    def made(self, table: Table, pk: int, labels: Iterable[str]) -> None:
        """A row was made with these labels."""
        self._known[table.name, pk] = frozenset(labels)

    def widen(self, batch: Batch, table: Table, pk: int, labels: frozenset[str]) -> None:
        """Give a parent these labels besides those it has."""
        known = self._known.get((table.name, pk))
        if known is not None and labels <= known:
            return
        batch.flush()
        read = self._read[table.name]
        (key,) = batch.session.execute(read.sql, read.arrange({"wanted": pk})).fetchone()
        has = self.labels(batch.session, key)
        if not labels <= has:
            has |= labels
            batch.session.run(update(table).where(table.c.pk == pk).values(audience=self.key(batch, has)))
        if len(self._known) > self.LIMIT:
            self._known.clear()
        self._known[table.name, pk] = has

    def refresh(self, batch: Batch, table: Table, pk: int) -> None:
        """Give a parent the labels of what is below it, and no others."""
        below, parent = _BELOW[table.name]
        session = batch.session
        keys = session.run(select(below.c.audience).where(parent == pk).distinct()).fetchall()
        labels = frozenset().union(*(self.labels(session, row[0]) for row in keys))
        session.run(update(table).where(table.c.pk == pk).values(audience=self.key(batch, labels)))
        self._known.pop((table.name, pk), None)
