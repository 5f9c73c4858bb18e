"""Copies as placement makes, moves and drops them, and the ledger of what a policy said about each series.

Objects are named by store and key: what is done to a pack is done to every version in it. A change is limited to one series,
as jobs are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, delete, exists, func, insert, literal, literal_column, select, update

from vna_core.catalogue.availability import refresh_series
from vna_core.catalogue.clock import now
from vna_core.catalogue.database import Database, Session
from vna_core.catalogue.object_uses import earlier_objects_stay, is_kept_for_deletion
from vna_core.catalogue.pack_switch import forget_copy
from vna_core.catalogue.placed import placed_instances, series_keys
from vna_core.catalogue.schema import instances, locations, series, studies
from vna_core.catalogue.schema_placement import known_stores, object_terms, placement_scans, placements, study_accesses
from vna_core.catalogue.store_sums import note_missing
from vna_core.catalogue.stored_text import from_stored, identifier, to_stored
from vna_core.domain.placement import COLD, LEAVING, OK, MissingCopies, PlacedInstance


@dataclass(frozen=True, slots=True)
class Scan:
    """How far all series have been asked for by a policy. Times are microseconds since 1970; 0: not finished."""

    policy: str
    position: int
    series: int
    started_at: int
    finished_at: int = 0


@dataclass(frozen=True, slots=True)
class Usage:
    """What one store holds in one tier and state, as far as the catalogue knows."""

    store: str
    tier: str
    state: str
    copies: int
    octets: int


class Placements:
    """Reads and changes copies, and keeps the ledger of placement."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # -- reading ----------------------------------------------------------------------------------------------------------

    def of_series(self, pk: int) -> list[PlacedInstance]:
        """Every version of a series."""
        with self._database.session() as session:
            return placed_instances(session, instances.c.series_fk == pk)

    def of_instances(self, pks: Sequence[int]) -> list[PlacedInstance]:
        """Some versions by their keys."""
        with self._database.session() as session:
            return placed_instances(session, instances.c.pk.in_(list(pks)))

    def of_study(self, study_instance_uid: str) -> dict[int, list[PlacedInstance]]:
        """Every version of a study, by the key of its series."""
        of_study = studies.c.study_instance_uid == identifier(study_instance_uid)
        statement = select(series.c.pk).join(studies, series.c.study_fk == studies.c.pk).where(of_study)
        with self._database.session() as session:
            pks = [int(row[0]) for row in session.run(statement).fetchall()]
        return {pk: self.of_series(pk) for pk in sorted(pks)}

    def series(self, after: int = 0) -> Iterator[int]:
        """Primary keys of all series behind `after`, in order."""
        return series_keys(self._database, after)

    def study_of(self, series_pk: int) -> str:
        """Study Instance UID of a series; empty when the series is gone."""
        statement = select(studies.c.study_instance_uid).join(series, series.c.study_fk == studies.c.pk)
        with self._database.session() as session:
            row = session.run(statement.where(series.c.pk == series_pk)).fetchone()
        return from_stored(row[0]) if row is not None else ""

    # -- copies -----------------------------------------------------------------------------------------------------------

    def copied_all(self, series_pk: int, copies: Sequence[tuple[str, str, str]]) -> None:
        """Record that objects were copied and verified: the key of each, the store it was in, and the store it is in too.

        Versions that meanwhile point elsewhere are passed over; recording twice is recording once.
        """
        if not copies:
            return
        with self._database.transaction() as session:
            for key, source, target in copies:
                _copied(session, series_pk, key, source, target)
            refresh_series(session, series_pk)

    def set_state(self, series_pk: int, store: str, key: str, state: str) -> None:
        """Change the state of a copy for every version in its object."""
        with self._database.transaction() as session:
            session.run(update(locations).where(_named(series_pk, store, key)).values(state=state))
            refresh_series(session, series_pk)

    def set_terms(self, series_pk: int, store: str, key: str, state: str = "", **terms: Any) -> None:
        """Note tier, lock or recall of an object (columns of ``object_terms``), and with them the state of the copies in it."""
        this = (object_terms.c.store == to_stored(store)) & (object_terms.c.key == to_stored(key))
        with self._database.transaction() as session:
            if not session.run(update(object_terms).where(this).values(**terms)).rowcount:
                session.run(insert(object_terms).values(store=to_stored(store), key=to_stored(key), **terms))
            if state:
                mine = _named(series_pk, store, key) & locations.c.state.in_((OK, COLD))
                session.run(update(locations).where(mine).values(state=state))
                refresh_series(session, series_pk)

    def tier_of(self, store: str, key: str) -> str:
        """The tier that an object was moved to; empty: none."""
        this = (object_terms.c.store == to_stored(store)) & (object_terms.c.key == to_stored(key))
        with self._database.session() as session:
            row = session.run(select(object_terms.c.tier).where(this)).fetchone()
        return str(row[0]) if row is not None else ""

    def leave(self, series_pk: int, store: str, key: str) -> bool:
        """Take a copy out of use before its object is deleted.

        False, and nothing changes: some version, or an earlier object of one, has no other copy, or what was deleted lies in it
        and may be taken back, or is under a hold.
        """
        mine = _named(series_pk, store, key)
        other = locations.alias("other")
        elsewhere = (
            (other.c.instance_fk == locations.c.instance_fk) & other.c.state.in_((OK, COLD)) & (other.c.store != to_stored(store))
        )
        alone = select(locations.c.instance_fk).where(mine, ~exists().where(elsewhere)).limit(1)
        strangers = select(locations.c.instance_fk).join(instances, instances.c.pk == locations.c.instance_fk)
        same_object = (locations.c.store == to_stored(store)) & (locations.c.key == to_stored(key))
        study = select(series.c.study_fk).where(series.c.pk == series_pk).scalar_subquery()
        others = (instances.c.series_fk != series_pk) & instances.c.series_fk.in_(
            select(series.c.pk).where(series.c.study_fk == study)
        )
        with self._database.transaction() as session:
            for obstacle in (alone, strangers.where(same_object, others).limit(1)):
                if session.run(obstacle).fetchone() is not None:
                    return False
            if is_kept_for_deletion(session, store, key) or not earlier_objects_stay(session, store, key):
                return False
            session.run(update(locations).where(mine).values(state=LEAVING))
            refresh_series(session, series_pk)
        return True

    def left(self, series_pk: int, store: str, key: str) -> None:
        """Forget a copy whose object was deleted."""
        this = (object_terms.c.store == to_stored(store)) & (object_terms.c.key == to_stored(key))
        with self._database.transaction() as session:
            session.run(delete(locations).where(_named(series_pk, store, key), locations.c.state == LEAVING))
            session.run(delete(object_terms).where(this))
            forget_copy(session, store, key)
            refresh_series(session, series_pk)

    # -- the ledger -------------------------------------------------------------------------------------------------------

    def evaluated(self, series_pk: int, policy: str, met: bool, due: int, missing: Sequence[MissingCopies] = ()) -> None:
        """Note what a policy said about a series, and which copies it has not."""
        values = {"policy": policy, "met": int(met), "evaluated_at": now(), "due_at": due}
        this = placements.c.series_fk == series_pk
        with self._database.transaction() as session:
            if not session.run(update(placements).where(this).values(**values)).rowcount:
                session.run(insert(placements).values(series_fk=series_pk, **values))
            note_missing(session, series_pk, missing)

    def due(self, limit: int = 1000) -> list[int]:
        """Series about which the policy must be asked again by now, the longest due first."""
        asked = (placements.c.due_at > 0) & (placements.c.due_at <= now())
        statement = select(placements.c.series_fk).where(asked).order_by(placements.c.due_at).limit(limit)
        with self._database.session() as session:
            return [int(row[0]) for row in session.run(statement).fetchall()]

    def put_off(self, series_pks: Sequence[int], seconds: float) -> None:
        """Have them due later: their jobs were asked for."""
        with self._database.transaction() as session:
            this = placements.c.series_fk.in_(list(series_pks))
            session.run(update(placements).where(this).values(due_at=now() + round(seconds * 1e6)))

    def counts(self, policy: str) -> dict[str, int]:
        """Series by what `policy` last said: ``met``, ``unmet``, and ``unasked`` for those it was not asked about yet."""
        asked = placements.c.policy == policy
        statement = select(placements.c.met, func.count()).where(asked).group_by(placements.c.met)
        with self._database.session() as session:
            found = {int(row[0]): int(row[1]) for row in session.run(statement).fetchall()}
            total = int(session.run(select(func.count()).select_from(series)).fetchone()[0])
        met, unmet = found.get(1, 0), found.get(0, 0)
        return {"series": total, "met": met, "unmet": unmet, "unasked": max(0, total - met - unmet)}

    def usage(self) -> list[Usage]:
        """Copies and octets by store, tier and state. Reads every copy."""
        same_object = (object_terms.c.store == locations.c.store) & (object_terms.c.key == locations.c.key)
        # not a parameter, which PostgreSQL takes for another one in the list of columns and in what they are grouped by
        tier = func.coalesce(object_terms.c.tier, literal_column("''"))
        columns = (locations.c.store, tier, locations.c.state)
        statement = (
            select(*columns, func.count(), func.sum(locations.c.length))
            .select_from(locations.outerjoin(object_terms, same_object))
            .group_by(*columns)
            .order_by(*columns)
        )
        with self._database.session() as session:
            rows = session.run(statement).fetchall()
        return [Usage(from_stored(row[0]), row[1], row[2], int(row[3]), int(row[4])) for row in rows]

    def scan(self, policy: str) -> Scan | None:
        """How far the scan for a policy is; None: never begun."""
        columns = tuple(placement_scans.c[name] for name in Scan.__dataclass_fields__)
        with self._database.session() as session:
            row = session.run(select(*columns).where(placement_scans.c.policy == policy)).fetchone()
        return Scan(*row) if row is not None else None

    def save_scan(self, scan: Scan) -> None:
        """Keep how far a scan is."""
        values = {name: getattr(scan, name) for name in Scan.__dataclass_fields__}
        with self._database.transaction() as session:
            session.run(delete(placement_scans).where(placement_scans.c.policy == scan.policy))
            session.run(insert(placement_scans).values(**values))

    # -- stores and accesses ----------------------------------------------------------------------------------------------

    def know_stores(self, names: Sequence[str]) -> list[str]:
        """Keep the names of the stores that are configured; those that were and are not any more."""
        with self._database.session() as session:
            known = {from_stored(row[0]) for row in session.run(select(known_stores.c.name)).fetchall()}
        new = sorted(set(names) - known)
        if new:
            with self._database.transaction() as session:
                there = {from_stored(row[0]) for row in session.run(select(known_stores.c.name)).fetchall()}
                for name in set(new) - there:
                    session.run(insert(known_stores).values(name=to_stored(name)))
        return sorted(known - set(names))

    def accessed(self, study_instance_uids: Sequence[str]) -> None:
        """Note that studies were retrieved just now."""
        at = now()
        with self._database.transaction() as session:
            for uid in sorted(set(study_instance_uids)):
                name = identifier(uid)
                this = study_accesses.c.study_instance_uid == name
                if not session.run(update(study_accesses).where(this).values(at=at)).rowcount:
                    session.run(insert(study_accesses).values(study_instance_uid=name, at=at))

    def no_longer_readable(self, limit: int = 1000) -> list[tuple[int, str, str]]:
        """Recalled objects whose time is over: series, store and key."""
        over = (object_terms.c.readable_until > 0) & (object_terms.c.readable_until <= now())
        same_object = (object_terms.c.store == locations.c.store) & (object_terms.c.key == locations.c.key)
        joined = object_terms.join(locations, same_object).join(instances, instances.c.pk == locations.c.instance_fk)
        columns = (instances.c.series_fk, object_terms.c.store, object_terms.c.key)
        statement = select(*columns).select_from(joined).where(over).distinct().limit(limit)
        with self._database.session() as session:
            return [(int(row[0]), from_stored(row[1]), from_stored(row[2])) for row in session.run(statement).fetchall()]


def _named(series_pk: int, store: str, key: str) -> ColumnElement[bool]:
    """Copies of the versions of a series that are in an object."""
    of_series = locations.c.instance_fk.in_(select(instances.c.pk).where(instances.c.series_fk == series_pk))
    return of_series & (locations.c.store == to_stored(store)) & (locations.c.key == to_stored(key))


def _copied(session: Session, series_pk: int, key: str, source: str, target: str) -> None:
    """A copy for every version in the object that has none there."""
    there, last = locations.alias("there"), locations.alias("last")
    held = (there.c.instance_fk == locations.c.instance_fk) & (there.c.store == to_stored(target))
    ordinal = select(func.max(last.c.ordinal) + 1).where(last.c.instance_fk == locations.c.instance_fk).scalar_subquery()
    place = (literal(to_stored(target)).label("target"), locations.c.key, locations.c.offset, locations.c.length)
    new = select(locations.c.instance_fk, ordinal.label("next"), *place, literal(OK).label("is")).where(
        _named(series_pk, source, key), locations.c.state.in_((OK, COLD)), ~exists().where(held, there.c.key == to_stored(key))
    )
    session.run(update(locations).where(_named(series_pk, target, key)).values(state=OK))
    columns = ("instance_fk", "ordinal", "store", "key", "offset", "length", "state")
    session.run(insert(locations).from_select(columns, new))
