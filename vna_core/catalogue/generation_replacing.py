"""Another object is made to stand for a version: its row, its copies, its parents and its place among the versions follow."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import delete, insert, select, update

from vna_core.catalogue.availability import refresh_series
from vna_core.catalogue.database import Database, Session
from vna_core.catalogue.entry_form import EntryForm, microseconds
from vna_core.catalogue.parent_changes import ParentChanges
from vna_core.catalogue.parents import Parents
from vna_core.catalogue.recording import Recorder, RecordingBatch
from vna_core.catalogue.schema import generations, headers, instances, locations, totals
from vna_core.catalogue.standing import order_versions
from vna_core.catalogue.stored_text import to_stored
from vna_core.domain.errors import NotFound
from vna_core.domain.instance import IndexEntry


def list_first(session: Session, pk: int) -> None:
    """List the object made on arrival, when it was the only one up to now."""
    if session.run(select(generations.c.generation).where(generations.c.instance_fk == pk).limit(1)).fetchone() is not None:
        return
    columns = (instances.c.received_at, instances.c.rule_set, instances.c.sha256, instances.c.size)
    place = (locations.c.store, locations.c.key, locations.c.offset)
    joined = instances.outerjoin(locations, locations.c.instance_fk == instances.c.pk)
    statement = select(*columns, *place).select_from(joined).where(instances.c.pk == pk).order_by(locations.c.ordinal).limit(1)
    at, rule_set, sha256, size, store, key, offset = session.run(statement).fetchone()
    session.run(
        insert(generations).values(
            instance_fk=pk,
            generation=0,
            is_current=1,
            run="",
            at=at,
            rule_set=rule_set,
            sha256=sha256,
            size=size,
            store=store or "",
            key=key or "",
            offset=offset or 0,
        )
    )


def list_generation(session: Session, pk: int, entry: IndexEntry, *, is_current: bool) -> None:
    """List an object of a version's octets, in the place of an earlier note of it."""
    made = entry.renormalization
    number = made.generation if made is not None else 0
    listed = (generations.c.instance_fk == pk) & (generations.c.generation == number)
    session.run(delete(generations).where(listed))
    session.run(
        insert(generations).values(
            instance_fk=pk,
            generation=number,
            is_current=int(is_current),
            run=made.run if made is not None else "",
            at=microseconds(made.at if made is not None else entry.received_at),
            rule_set=entry.rule_set,
            sha256=entry.sha256,
            size=entry.size,
            store=to_stored(entry.location.store),
            key=to_stored(entry.location.key),
            offset=entry.location.offset,
        )
    )


class Replacing:
    """One transaction that makes other objects stand for versions."""

    def __init__(self, database: Database, recorder: Recorder, session: Session) -> None:
        self._session = session
        self._batch = RecordingBatch(recorder, session)
        self._parents = Parents(database)
        self._gone: set[tuple[int, str]] = set()
        self._series: set[int] = set()
        self._chains: set[tuple[int, str]] = set()

    def replace(self, forms: Iterable[tuple[int, EntryForm]]) -> None:
        """Everything that changes of versions, by their keys: rows first, then what depends on them. Raises NotFound."""
        for pk, form in forms:
            self._replace(pk, form)
        self._batch.flush()
        for series_pk, uid in sorted(self._chains):
            order_versions(self._session, series_pk, uid)
        ParentChanges(self._batch, self._parents, frozenset(self._gone)).above(self._series)
        for series_pk in sorted(self._series):
            refresh_series(self._session, series_pk)
        self._batch.touched |= self._series
        self._batch.finish()
        self._session.run(update(totals).where(totals.c.pk == 1).values(changes_of_parents=totals.c.changes_of_parents + 1))

    def _replace(self, pk: int, form: EntryForm) -> None:
        entry, session = form.entry, self._session
        columns = (instances.c.series_fk, instances.c.sop_instance_uid, instances.c.received_at, instances.c.sha256)
        row = session.run(select(*columns, instances.c.size).where(instances.c.pk == pk)).fetchone()
        if row is None:
            raise NotFound("The catalogue holds no such version.", pk=pk)
        series_before, uid_before, received_at, sha256, size = row
        list_first(session, pk)
        patient = self._parents.patient(self._batch, form)
        study = self._parents.study(self._batch, patient, form)
        series_pk = self._parents.series_of(self._batch, study, form).pk
        self._batch.flush()
        session.run(delete(locations).where(locations.c.instance_fk == pk))
        store, key, offset, length = form.location
        session.run(
            insert(locations).values(instance_fk=pk, ordinal=0, store=store, key=key, offset=offset, length=length, state="ok")
        )
        audience = self._parents.audiences.key(self._batch, form.labels)
        session.run(
            update(instances).where(instances.c.pk == pk).values(series_fk=series_pk, audience=audience, **_columns(form))
        )
        session.run(update(headers).where(headers.c.instance_fk == pk).values(json=form.header, provenance=form.provenance))
        session.run(update(generations).where(generations.c.instance_fk == pk).values(is_current=0))
        list_generation(session, pk, entry, is_current=True)
        self._batch.count("bytes", entry.size - size)
        self._gone.add((received_at, sha256))
        self._series |= {series_before, series_pk}
        self._chains |= {(series_before, uid_before), (series_pk, form.sop_instance_uid)}


def _columns(form: EntryForm) -> dict[str, Any]:
    """Columns of `instances` that an object decides, but its series."""
    entry = form.entry
    names = [column.name for column in instances.columns]
    first = names.index("series_fk") + 1
    return dict(zip(names[first : first + len(form.image)], form.image, strict=True)) | {
        "transfer_syntax_uid": entry.transfer_syntax_uid,
        "sha256": entry.sha256,
        "size": entry.size,
        "data_set_offset": entry.data_set_offset,
        "trailer_offset": entry.trailer_offset,
        "pixel_offset": form.pixels[0],
        "pixel_length": form.pixels[1],
        "frame_count": entry.number_of_frames,
        "rule_set": entry.rule_set,
        "crc32c": entry.crc32c,
    }
