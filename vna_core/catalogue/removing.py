"""Versions leave the catalogue: their rows, what depends on them, and what their parents have from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Table, delete, or_, select, update

from vna_core.catalogue.availability import refresh_series
from vna_core.catalogue.database import Database, Session
from vna_core.catalogue.follow_ups import FollowUps
from vna_core.catalogue.parent_changes import ParentChanges
from vna_core.catalogue.parents import Parents
from vna_core.catalogue.recording import OTHER_PARENT, Recorder, RecordingBatch
from vna_core.catalogue.schema import conflicts, instances, metadata, sources, totals
from vna_core.catalogue.standing import order_versions

_PIECE: Final = 300


def remove_versions(database: Database, session: Session, pks: Sequence[int]) -> None:
    """Remove versions within a running transaction: all of an instance in a series, or all but one.

    Afterwards the catalogue is what it would be if they had never been recorded.
    """
    removal = _Removal(database, session)
    for at in range(0, len(pks), _PIECE):
        removal.gather(pks[at : at + _PIECE])
    removal.remove()


def _dependents() -> list[tuple[Table, Any]]:
    """Every table with rows about versions, and the column that names the version."""
    return [
        (table, key.parent)
        for table in metadata.tables.values()
        for key in table.foreign_keys
        if key.column.table is instances and table is not conflicts
    ]


class _Removal:
    def __init__(self, database: Database, session: Session) -> None:
        self._session = session
        self._batch = RecordingBatch(Recorder(database, FollowUps(database)), session)
        self._parents = Parents(database)
        self._pks: list[int] = []
        self._stamps: set[tuple[int, str]] = set()
        self._series: set[int] = set()
        self._uids: set[str] = set()
        self._chains: set[tuple[int, str]] = set()
        self._sources: set[int] = set()

    def gather(self, pks: Sequence[int]) -> None:
        """Take down what has to be brought up to date afterwards."""
        names = ("pk", "series_fk", "sop_instance_uid", "received_at", "sha256", "source_fk", "size")
        statement = select(*(instances.c[name] for name in names)).where(instances.c.pk.in_(list(pks)))
        for pk, series_pk, uid, received_at, sha256, source, size in self._session.run(statement).fetchall():
            self._pks.append(pk)
            self._series.add(series_pk)
            self._uids.add(uid)
            self._chains.add((series_pk, uid))
            self._stamps.add((received_at, sha256))
            self._sources.add(source)
            self._batch.count("versions", -1)
            self._batch.count("bytes", -size)

    def remove(self) -> None:
        """Rows first, then what depends on them."""
        for at in range(0, len(self._pks), _PIECE):
            piece = self._pks[at : at + _PIECE]
            named = or_(conflicts.c.first_fk.in_(piece), conflicts.c.second_fk.in_(piece))
            self._batch.count("conflicts", -self._session.run(delete(conflicts).where(named)).rowcount)
            for table, column in _dependents():
                self._session.run(delete(table).where(column.in_(piece)))
            self._session.run(delete(instances).where(instances.c.pk.in_(piece)))
        for series_pk, uid in sorted(self._chains):
            if order_versions(self._session, series_pk, uid):
                refresh_series(self._session, series_pk)
        for uid in sorted(self._uids):
            self._list_conflicts(uid)
        self._forget_sources()
        ParentChanges(self._batch, self._parents, frozenset(self._stamps)).above(self._series)
        self._batch.finish()
        self._session.run(update(totals).where(totals.c.pk == 1).values(changes_of_parents=totals.c.changes_of_parents + 1))

    def _list_conflicts(self, uid: str) -> None:
        """Instances that are left under one UID in several series contradict the first of them, which may be another one now."""
        columns = (instances.c.pk, instances.c.series_fk, instances.c.received_at)
        rows = self._session.run(select(*columns).where(instances.c.sop_instance_uid == uid).order_by(instances.c.pk)).fetchall()
        chains: dict[int, list[Any]] = {}
        for row in rows:
            chains.setdefault(row[1], []).append(row)
        heads = [chain[0] for chain in chains.values()]
        if len(heads) < 2:
            return
        other = (conflicts.c.sop_instance_uid == uid) & (conflicts.c.classification == OTHER_PARENT)
        listed = {row[0] for row in self._session.run(select(conflicts.c.second_fk).where(other)).fetchall()}
        for (pk, _, received_at), chain in zip(heads[1:], list(chains.values())[1:], strict=True):
            if listed.isdisjoint(row[0] for row in chain):
                self._batch.count("conflicts")
                self._batch.add(conflicts, (self._batch.next_pk(), uid, heads[0][0], pk, OTHER_PARENT, received_at))

    def _forget_sources(self) -> None:
        keys = [key for table in metadata.tables.values() for key in table.foreign_keys if key.column.table is sources]
        for pk in sorted(self._sources):
            if all(
                self._session.run(select(column).where(column == pk).limit(1)).fetchone() is None
                for column in (key.parent for key in keys)
            ):
                self._session.run(delete(sources).where(sources.c.pk == pk))
