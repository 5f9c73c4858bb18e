"""Packs in the catalogue: what can be sealed, who may do it, and where members are."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, delete, func, insert, select, update

from vna_core.catalogue.availability import refresh_series
from vna_core.catalogue.clock import now
from vna_core.catalogue.database import Database, Session
from vna_core.catalogue.entry_form import moment
from vna_core.catalogue.follow_ups import FollowUps
from vna_core.catalogue.object_uses import is_kept_for_deletion, is_read
from vna_core.catalogue.pack_contents import (
    LOOSE,
    PACKED,
    beginning_with,
    header_json,
    is_pointed_at,
    loose_summary,
    series_places,
    stored_versions,
)
from vna_core.catalogue.pack_switch import (
    WHEN_PACKED,
    add_copy,
    copy_everything,
    fate_of,
    forget_copy,
    forget_leftovers,
    leave,
    leave_empty_packs,
    leave_where_packed,
    list_pack,
    point_into,
    postpone_leftovers,
    release_where_packed,
)
from vna_core.catalogue.schema import generations, instances, locations, normalization_runs, series, studies
from vna_core.catalogue.schema_packs import pack_claims, pack_copies, pack_leftovers, pack_members, pack_watch, packs
from vna_core.catalogue.stored_text import from_stored, identifier, to_stored
from vna_core.domain.errors import LeaseLost, NotFound
from vna_core.domain.packs import Leftover, ListedPack, NewPack, PackClaim, PackedObject, SeriesPlace, StoredVersion
from vna_core.domain.placement import BAD

_PAGE: Final = 1000
_PIECE: Final = 500


class Packs:
    """Reads and changes what is known about packs."""

    def __init__(self, database: Database, follow_ups: FollowUps) -> None:
        self._database = database
        self._follow_ups = follow_ups

    # -- what can be sealed -----------------------------------------------------------------------------------------------

    def series(self, *, study: str | None = None, series: str | None = None, after: int = 0) -> list[SeriesPlace]:
        """Series of a study or of this UID; without either a page of all, by key, behind `after`."""
        with self._database.session() as session:
            return series_places(session, study, series, after)

    def place_of(self, pk: int) -> list[SeriesPlace]:
        """One series by its key; none where it is gone."""
        columns = (series.c.pk, studies.c.study_instance_uid, series.c.series_instance_uid)
        wanted = select(*columns).join(studies, studies.c.pk == series.c.study_fk).where(series.c.pk == pk)
        with self._database.session() as session:
            return [SeriesPlace(row[0], from_stored(row[1]), from_stored(row[2])) for row in session.run(wanted).fetchall()]

    def places_in(self, key: str) -> list[SeriesPlace]:
        """The series of which versions are read from a pack."""
        inside = select(instances.c.series_fk).join(locations, locations.c.instance_fk == instances.c.pk)
        columns = (series.c.pk, studies.c.study_instance_uid, series.c.series_instance_uid)
        wanted = select(*columns).join(studies, studies.c.pk == series.c.study_fk)
        of_pack = series.c.pk.in_(inside.where(locations.c.key == to_stored(key)))
        with self._database.session() as session:
            return [
                SeriesPlace(row[0], from_stored(row[1]), from_stored(row[2]))
                for row in session.run(wanted.where(of_pack).order_by(series.c.pk)).fetchall()
            ]

    def damaged(self, keys: Collection[str]) -> set[str]:
        """Those of some packs of which a copy is damaged or missing somewhere."""
        bad = select(locations.c.key).where(locations.c.key.in_([to_stored(key) for key in keys]), locations.c.state == BAD)
        with self._database.session() as session:
            return {from_stored(row[0]) for row in session.run(bad.distinct()).fetchall()} if keys else set()

    def loose_summary(self, place: SeriesPlace, store: str) -> tuple[int, int, int]:
        """How many current objects of a series are loose in a store, their octets, and when the last of it came (microseconds)."""
        with self._database.session() as session:
            return loose_summary(session, place.pk, store)

    def loose(self, place: SeriesPlace, store: str) -> list[StoredVersion]:
        """Every loose object of a series with a good copy in a store: current, of further versions, and earlier generations."""
        with self._database.session() as session:
            return stored_versions(session, place.pk, (store,), LOOSE)

    def packed(self, place: SeriesPlace, stores: Sequence[str]) -> list[StoredVersion]:
        """Every object of a series with a good copy in a pack of some stores, in the first of them that has it."""
        with self._database.session() as session:
            return stored_versions(session, place.pk, stores, PACKED)

    def headers(self, pks: Sequence[int]) -> dict[int, bytes]:
        """DICOM JSON of versions by key."""
        with self._database.session() as session:
            return header_json(session, list(pks))

    def notice(self, limit: int = _PAGE) -> list[SeriesPlace]:
        """Series that got objects since the last call: of at most `limit` versions, or of runs of re-normalization that ended.

        Each is noticed once; an empty answer says that everything was.
        """
        with self._database.transaction() as session:
            row = session.run(select(pack_watch.c.noticed, pack_watch.c.noticed_runs).where(pack_watch.c.pk == 1)).fetchone()
            if row is None:
                session.run(insert(pack_watch).values(pk=1, noticed=0))
            after, ended = row if row is not None else (0, 0)
            new = (
                select(instances.c.pk, instances.c.series_fk).where(instances.c.pk > after).order_by(instances.c.pk).limit(limit)
            )
            rows = session.run(new).fetchall()
            if rows:
                session.run(update(pack_watch).where(pack_watch.c.pk == 1).values(noticed=rows[-1][0]))
                found = {row[1] for row in rows}
            else:
                found = _of_runs(session, ended)
            columns = (series.c.pk, studies.c.study_instance_uid, series.c.series_instance_uid)
            wanted = select(*columns).join(studies, studies.c.pk == series.c.study_fk).where(series.c.pk.in_(sorted(found)))
            places = session.run(wanted).fetchall() if found else []
        return [SeriesPlace(row[0], from_stored(row[1]), from_stored(row[2])) for row in places]

    # -- who may do it ----------------------------------------------------------------------------------------------------

    def claim(self, place: SeriesPlace, lease: float) -> PackClaim | None:
        """The right to seal or compact a series for `lease` seconds; None while somebody else has it."""
        claim = PackClaim(place.study_instance_uid, place.series_instance_uid, secrets.token_hex(16))
        with self._database.transaction() as session:
            taken = session.run(select(pack_claims.c.until).where(_of_claim(claim))).fetchone()
            if taken is not None and taken[0] > now():
                return None
            session.run(delete(pack_claims).where(_of_claim(claim)))
            session.run(
                insert(pack_claims).values(
                    study_instance_uid=identifier(claim.study_instance_uid),
                    series_instance_uid=identifier(claim.series_instance_uid),
                    token=claim.token,
                    until=now() + round(lease * 1e6),
                )
            )
        return claim

    def keep_claim(self, claim: PackClaim, lease: float) -> None:
        """Have it for another `lease` seconds. Raises LeaseLost."""
        with self._database.transaction() as session:
            _extend(session, claim, lease)

    def release(self, claim: PackClaim) -> None:
        """Give it up. A lost one is passed over."""
        with self._database.transaction() as session:
            session.run(delete(pack_claims).where(_of_claim(claim), pack_claims.c.token == claim.token))

    # -- where members are ------------------------------------------------------------------------------------------------

    def switch(
        self,
        claim: PackClaim,
        new: NewPack,
        store: str,
        moved: Sequence[StoredVersion],
        delay: float,
        others: Sequence[str] = (),
    ) -> None:
        """Point everything moved at a proven pack, and have what it was in before removed after `delay` seconds: one transaction.

        What follows a change of the series (placement in `others`, the other stores) is asked for in it.

        Raises LeaseLost when the claim is lost: nothing is changed then.
        """
        at = now()
        not_before = at + round(delay * 1e6)
        with self._database.transaction() as session:
            _extend(session, claim, 1.0)
            pk = list_pack(session, new, at)
            add_copy(session, pk, store, at)
            point_into(session, new, store, moved)
            forget_leftovers(session, store, [new.key])
            loose = [(one.location.key, one.held.pk) for one in moved if one.location.key.startswith(LOOSE)]
            leave(session, store, loose, not_before)
            leave_where_packed(session, others, moved)
            leave_empty_packs(session, store, new.study_instance_uid, new.series_instance_uid, not_before)
            self._follow_ups.ask(session, _refreshed(session, {one.held.pk for one in moved}))

    def record_copy(self, key: str, store: str, delay: float = 0.0) -> None:
        """Note that a store has a proven copy of a listed pack: versions are read from it there, and what they were in goes later.

        Raises NotFound for a pack that is not listed.
        """
        at = now()
        not_before = at + round(delay * 1e6)
        with self._database.transaction() as session:
            columns = (packs.c.pk, packs.c.study_instance_uid, packs.c.series_instance_uid)
            row = session.run(select(*columns).where(packs.c.key == to_stored(key))).fetchone()
            if row is None:
                raise NotFound("The catalogue knows no such pack.", key=key)
            add_copy(session, row[0], store, at)
            left = copy_everything(session, row[0], key, store)
            leave(session, store, [(one, instance) for one, instance in left if instance], not_before)
            release_where_packed(session, row[0], store, not_before)
            leave_empty_packs(session, store, from_stored(row[1]), from_stored(row[2]), not_before)
            held = select(pack_members.c.instance_fk).where(pack_members.c.pack_fk == row[0])
            _refreshed(session, {one[0] for one in session.run(held).fetchall()})

    def list_found(self, new: NewPack, store: str) -> None:
        """List a pack that was found in a store, whose members are recorded already: for a catalogue that is rebuilt."""
        with self._database.transaction() as session:
            add_copy(session, list_pack(session, new, now()), store, now())

    def instance_at(self, key: str, offset: int, sop_instance_uid: str) -> int:
        """Key of the version that has an object here, as what is current or as an earlier generation; 0: nobody has it."""
        here = (generations.c.key == to_stored(key)) & (generations.c.offset == offset)
        current = select(locations.c.instance_fk).join(instances, instances.c.pk == locations.c.instance_fk)
        current = current.where(instances.c.sop_instance_uid == identifier(sop_instance_uid))
        current = current.where(locations.c.key == to_stored(key), locations.c.offset == offset)
        with self._database.session() as session:
            row = session.run(select(generations.c.instance_fk).where(here).limit(1)).fetchone()
            row = row or session.run(current.limit(1)).fetchone()
        return int(row[0]) if row is not None else 0

    # -- what is left over ------------------------------------------------------------------------------------------------

    def leave(self, store: str, objects: Sequence[tuple[str, int]], delay: float | None) -> None:
        """Have objects (key and version, 0 for a pack) removed after `delay` seconds, unless something points at them then.

        None: as soon as the store has a pack that the version is in.
        """
        with self._database.transaction() as session:
            leave(session, store, objects, WHEN_PACKED if delay is None else now() + round(delay * 1e6))

    def leftovers(self, limit: int = _PAGE, *, due_in: float = 0.0) -> list[tuple[str, str, int]]:
        """Objects to be removed now: store, key, and the version they are of (0: a pack)."""
        columns = (pack_leftovers.c.store, pack_leftovers.c.key, pack_leftovers.c.instance_fk)
        due = pack_leftovers.c.not_before <= now() + round(due_in * 1e6)
        with self._database.session() as session:
            rows = session.run(select(*columns).where(due).order_by(pack_leftovers.c.not_before).limit(limit)).fetchall()
        return [(from_stored(row[0]), from_stored(row[1]), row[2]) for row in rows]

    def is_left_over(self, store: str, key: str) -> bool:
        """Whether an object waits to be removed, as its content is in a pack."""
        this = (pack_leftovers.c.store == to_stored(store)) & (pack_leftovers.c.key == to_stored(key))
        with self._database.session() as session:
            return session.run(select(pack_leftovers.c.key).where(this)).fetchone() is not None

    def left_in(self, store: str, folder: str) -> list[str]:
        """Keys in a store, below a folder, that wait to be removed."""
        here = (pack_leftovers.c.store == to_stored(store)) & beginning_with(pack_leftovers.c.key, to_stored(folder))
        with self._database.session() as session:
            rows = session.run(select(pack_leftovers.c.key).where(here).order_by(pack_leftovers.c.key)).fetchall()
        return [from_stored(row[0]) for row in rows]

    def number_of_leftovers(self) -> int:
        """How many objects wait to be removed."""
        with self._database.session() as session:
            waiting = pack_leftovers.c.not_before < WHEN_PACKED
            return int(session.run(select(func.count()).select_from(pack_leftovers).where(waiting)).fetchone()[0])

    def fate_of(self, store: str, key: str, instance: int, *, everywhere: bool = False) -> Leftover:
        """What becomes of an object that is to be removed.

        Parameters
        ----------
        everywhere
            What a version was in before it was packed stays until each store that has it has it in a pack.
        """
        with self._database.session() as session:
            return fate_of(session, store, key, instance, everywhere=everywhere)

    def postpone_leftovers(self, store: str, keys: Sequence[str], seconds: float) -> None:
        """Have them looked at again later."""
        with self._database.transaction() as session:
            postpone_leftovers(session, store, keys, now() + round(seconds * 1e6))

    def forget_leftovers(self, store: str, keys: Sequence[str]) -> None:
        """They are gone, or in use again."""
        with self._database.transaction() as session:
            forget_leftovers(session, store, keys)

    # -- packs of deletions -----------------------------------------------------------------------------------------------

    def is_needed(self, store: str, key: str) -> bool:
        """Whether anything that is held lies in a pack there, or anything deleted that may be taken back or is under a hold."""
        with self._database.session() as session:
            return is_read(session, store, key) or is_kept_for_deletion(session, store, key)

    def has_copy(self, store: str, key: str) -> bool:
        """Whether a pack is in use in a store: listed there, and not taken over by another one."""
        copies = select(pack_copies.c.store).join(packs, packs.c.pk == pack_copies.c.pack_fk)
        with self._database.session() as session:
            listed = copies.where(packs.c.key == to_stored(key), pack_copies.c.store == to_stored(store))
            return session.run(listed).fetchone() is not None or is_read(session, store, key)

    def repoint(self, key: str, offset: int, instance: int) -> None:
        """A member of a listed pack is of this version: one that was deleted and taken back has another key than before."""
        of_pack = pack_members.c.pack_fk.in_(select(packs.c.pk).where(packs.c.key == to_stored(key)))
        this = of_pack & (pack_members.c.offset == offset) & (pack_members.c.instance_fk != instance)
        with self._database.session() as session:
            if session.run(select(pack_members.c.ordinal).where(this)).fetchone() is None:
                return
        with self._database.transaction() as session:
            session.run(update(pack_members).where(this).values(instance_fk=instance))

    def gone(self, store: str, key: str) -> None:
        """A pack is no longer in a store."""
        with self._database.transaction() as session:
            forget_copy(session, store, key)

    # -- what there is ----------------------------------------------------------------------------------------------------

    def listed(
        self, *, study: str | None = None, series: str | None = None, key: str | None = None, after: int = 0, limit: int = 100
    ) -> list[ListedPack]:
        """Packs in the order of sealing, of a study or series, or this one; a page behind the key `after`."""
        statement = select(packs).where(packs.c.pk > after).order_by(packs.c.pk).limit(limit)
        for column, value in ((packs.c.study_instance_uid, study), (packs.c.series_instance_uid, series)):
            statement = statement.where(column == identifier(value)) if value is not None else statement
        statement = statement.where(packs.c.key == to_stored(key)) if key is not None else statement
        with self._database.session() as session:
            return [_listed(session, row) for row in session.run(statement).fetchall()]

    def members(self, pack: int) -> list[PackedObject]:
        """Members of a pack in order, whether or not something points at them."""
        columns = (pack_members.c.instance_fk, pack_members.c.sha256, pack_members.c.offset, pack_members.c.length)
        with self._database.session() as session:
            rows = session.run(select(*columns).where(pack_members.c.pack_fk == pack).order_by(pack_members.c.ordinal)).fetchall()
        return [PackedObject(*row) for row in rows]


def _refreshed(session: Session, instance_pks: set[int]) -> set[int]:
    """The series of some versions, with how readily they can be read brought up to date."""
    pks = sorted(instance_pks)
    found: set[int] = set()
    for at in range(0, len(pks), _PIECE):
        wanted = select(instances.c.series_fk).where(instances.c.pk.in_(pks[at : at + _PIECE])).distinct()
        found |= {int(row[0]) for row in session.run(wanted).fetchall()}
    for pk in sorted(found):
        refresh_series(session, pk)
    return found


def _of_runs(session: Session, ended: int) -> set[int]:
    """Series that have objects of runs of re-normalization which ended behind a moment; the moment moves on."""
    columns = normalization_runs.c
    over = select(columns.id, columns.updated_at).where(columns.updated_at > ended, columns.state.in_(("done", "undone")))
    runs = session.run(over).fetchall()
    if not runs:
        return set()
    session.run(update(pack_watch).where(pack_watch.c.pk == 1).values(noticed_runs=max(row[1] for row in runs)))
    made = select(instances.c.series_fk).join(generations, generations.c.instance_fk == instances.c.pk).distinct()
    return {row[0] for row in session.run(made.where(generations.c.run.in_([row[0] for row in runs]))).fetchall()}


def _of_claim(claim: PackClaim) -> ColumnElement[bool]:
    columns = pack_claims.c
    return (columns.study_instance_uid == identifier(claim.study_instance_uid)) & (
        columns.series_instance_uid == identifier(claim.series_instance_uid)
    )


def _extend(session: Session, claim: PackClaim, lease: float) -> None:
    held = update(pack_claims).where(_of_claim(claim), pack_claims.c.token == claim.token)
    if not session.run(held.values(until=now() + round(lease * 1e6))).rowcount:
        raise LeaseLost("Another process has taken over the series that was being packed.")


def _listed(session: Session, row: Any) -> ListedPack:
    pk, key, sha256, size, study, series_uid, frames, sealed_at = row
    members = select(func.count()).select_from(pack_members).where(pack_members.c.pack_fk == pk)
    live = select(func.count()).select_from(pack_members.join(packs, packs.c.pk == pack_members.c.pack_fk))
    proven = session.run(select(pack_copies.c.store).where(pack_copies.c.pack_fk == pk)).fetchall()
    copied = select(locations.c.store).join(pack_members, pack_members.c.instance_fk == locations.c.instance_fk).distinct()
    copied = copied.where(pack_members.c.pack_fk == pk, locations.c.key == key)
    return ListedPack(
        pk=pk,
        key=from_stored(key),
        sha256=sha256,
        size=size,
        study_instance_uid=from_stored(study),
        series_instance_uid=from_stored(series_uid),
        frames=frames,
        members=session.run(members).fetchone()[0],
        live=session.run(live.where(packs.c.pk == pk, is_pointed_at())).fetchone()[0],
        stores=tuple(sorted({from_stored(one[0]) for one in (*proven, *session.run(copied).fetchall())})),
        sealed_at=moment(sealed_at),
    )
