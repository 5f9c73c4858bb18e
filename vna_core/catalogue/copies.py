"""Copies of a version: where they are, and which of them can be trusted."""

from __future__ import annotations

from sqlalchemy import delete, func, insert, select, update

from vna_core.catalogue.availability import refresh_series
from vna_core.catalogue.database import Database, Session
from vna_core.catalogue.entry_form import EntryForm
from vna_core.catalogue.follow_ups import FollowUps
from vna_core.catalogue.held import held_by_pk
from vna_core.catalogue.schema import headers, instances, locations, totals
from vna_core.catalogue.stored_text import to_stored
from vna_core.domain.errors import NotFound
from vna_core.domain.instance import HeldInstance, Location
from vna_core.domain.placement import BAD


class Copies:
    """Changes what is known about copies."""

    def __init__(self, database: Database, follow_ups: FollowUps) -> None:
        self._database = database
        self._follow_ups = follow_ups

    def replace(self, pk: int, form: EntryForm) -> HeldInstance:
        """Make the object of `form` the first copy of version `pk`; good copies of the same digest stay. Raises NotFound."""
        entry = form.entry
        with self._database.transaction() as session:
            row = session.run(select(instances.c.size, instances.c.sha256).where(instances.c.pk == pk)).fetchone()
            if row is None:
                raise NotFound("The catalogue holds no such version.", pk=pk)
            store, key, offset, length = form.location
            of_version = locations.c.instance_fk == pk
            same_object = (locations.c.store == store) & (locations.c.key == key) & (locations.c.offset == offset)
            of_other_content = [] if row[1] == entry.sha256 else [of_version]
            session.run(delete(locations).where(*(of_other_content or [of_version, (locations.c.state == BAD) | same_object])))
            session.run(update(locations).where(of_version).values(ordinal=locations.c.ordinal + 1000))
            session.run(
                insert(locations).values(
                    instance_fk=pk, ordinal=0, store=store, key=key, offset=offset, length=length, state="ok"
                )
            )
            session.run(
                update(instances)
                .where(instances.c.pk == pk)
                .values(
                    transfer_syntax_uid=entry.transfer_syntax_uid,
                    sha256=entry.sha256,
                    size=entry.size,
                    data_set_offset=entry.data_set_offset,
                    trailer_offset=entry.trailer_offset,
                    pixel_offset=form.pixels[0],
                    pixel_length=form.pixels[1],
                    frame_count=entry.number_of_frames,
                    rule_set=entry.rule_set,
                    crc32c=entry.crc32c,
                )
            )
            session.run(update(headers).where(headers.c.instance_fk == pk).values(json=form.header, provenance=form.provenance))
            session.run(update(totals).where(totals.c.pk == 1).values(bytes=totals.c.bytes + entry.size - row[0]))
            self._changed(session, pk)
            return held_by_pk(self._database, session, pk)

    def add(self, pk: int, location: Location) -> bool:
        """List a further copy of a version; False for one that is listed already, which stays as it is. Raises NotFound."""
        place = {"store": to_stored(location.store), "key": to_stored(location.key), "offset": location.offset}
        of_version = locations.c.instance_fk == pk
        with self._database.transaction() as session:
            if session.run(select(instances.c.pk).where(instances.c.pk == pk)).fetchone() is None:
                raise NotFound("The catalogue holds no such version.", pk=pk)
            there = [of_version, *(locations.c[name] == value for name, value in place.items())]
            if session.run(select(locations.c.ordinal).where(*there)).fetchone() is not None:
                return False
            (last,) = session.run(select(func.max(locations.c.ordinal)).where(of_version)).fetchone()
            ordinal = 0 if last is None else last + 1
            session.run(insert(locations).values(instance_fk=pk, ordinal=ordinal, **place, length=location.length, state="ok"))
        return True

    def set_state(self, pk: int, location: Location, state: str) -> None:
        """Mark one copy ``ok`` or ``bad``."""
        this = (
            (locations.c.instance_fk == pk)
            & (locations.c.store == to_stored(location.store))
            & (locations.c.key == to_stored(location.key))
            & (locations.c.offset == location.offset)
        )
        with self._database.transaction() as session:
            session.run(update(locations).where(this).values(state=state))
            self._changed(session, pk)

    def _changed(self, session: Session, pk: int) -> None:
        """A copy changed: availability is another one, and there may be something to copy again."""
        row = session.run(select(instances.c.series_fk).where(instances.c.pk == pk)).fetchone()
        if row is not None:
            refresh_series(session, row[0])
            self._follow_ups.ask(session, (row[0],))
