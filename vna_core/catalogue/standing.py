"""Which of the versions of an instance in a series stands for it: the first to arrive, or the whole one of which that is a cut copy.

A version that ends before its pixels, and that another one continues octet for octet, was broken off: the whole one takes its
place in the order, where everybody who sees the cut one may see the whole one too. Nothing else decides, so that a catalogue
made anew from the stores answers as the one before, in whatever order its objects are found.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import select, update

from vna_core.catalogue.audiences import labels_of
from vna_core.catalogue.database import Session
from vna_core.catalogue.entry_form import Stamp
from vna_core.catalogue.schema import instances
from vna_core.catalogue.schema_departments import audiences
from vna_core.catalogue.schema_stewardship import cut_copies

_PIECE: Final = 500


@dataclass(frozen=True, slots=True)
class Contender:
    """One version of an instance in a series."""

    pk: int
    stamp: Stamp
    labels: frozenset[str] = frozenset()


def current_of(versions: Sequence[Contender], cut: Collection[tuple[int, int]]) -> int:
    """Key of the version that stands for the instance.

    Parameters
    ----------
    versions
        At least one.
    cut
        Keys of a cut copy and of a version that continues it; pairs of which one is not among `versions` are passed over.
    """
    by_pk = {one.pk: one for one in versions}
    place = {one.pk: one.stamp for one in versions}
    broken_off: set[int] = set()
    for cut_pk, whole_pk in cut:
        short, whole = by_pk.get(cut_pk), by_pk.get(whole_pk)
        if short is not None and whole is not None and short.labels <= whole.labels:
            broken_off.add(cut_pk)
            place[whole_pk] = min(place[whole_pk], short.stamp)
    return min((one for one in versions if one.pk not in broken_off), key=lambda one: (place[one.pk], one.stamp)).pk


def order_versions(session: Session, series_pk: int, sop_instance_uid: str) -> bool:
    """Number the versions of an instance in a series by time of arrival, and say which is current; whether another one is now."""
    columns = (instances.c.pk, instances.c.received_at, instances.c.sha256, audiences.c.labels, instances.c.version)
    joined = instances.outerjoin(audiences, audiences.c.pk == instances.c.audience)
    of_instance = (instances.c.series_fk == series_pk) & (instances.c.sop_instance_uid == sop_instance_uid)
    rows = session.run(select(*columns, instances.c.is_current).select_from(joined).where(of_instance)).fetchall()
    if not rows:
        return False
    noted = {row[0]: (row[4], bool(row[5])) for row in rows}
    versions = [Contender(pk, (at, sha256), labels_of(text)) for pk, at, sha256, text, *_ in rows]
    current = current_of(versions, cut_pairs(session, list(noted)))
    for number, one in enumerate(sorted(versions, key=lambda one: one.stamp), 1):
        if noted[one.pk] != (number, one.pk == current):
            this = update(instances).where(instances.c.pk == one.pk)
            session.run(this.values(version=number, is_current=int(one.pk == current)))
    return not noted[current][1]


def order_cut_versions(session: Session, pks: Iterable[int]) -> set[int]:
    """Do so where one of these versions was cut or is continued by another; keys of the series in which another one is current now."""
    changed, wanted = set[int](), sorted(pks)
    for at in range(0, len(wanted), _PIECE):
        piece = wanted[at : at + _PIECE]
        of_pair = (cut_copies.c.cut_fk == instances.c.pk) | (cut_copies.c.whole_fk == instances.c.pk)
        chains = select(instances.c.series_fk, instances.c.sop_instance_uid).join(cut_copies, of_pair)
        for series_pk, uid in session.run(chains.where(instances.c.pk.in_(piece)).distinct()).fetchall():
            if order_versions(session, series_pk, uid):
                changed.add(series_pk)
    return changed


def cut_pairs(session: Session, pks: Sequence[int]) -> list[tuple[int, int]]:
    """Keys of cut copies among some versions, each with that of a version that continues it, wherever that is."""
    statement = select(cut_copies.c.cut_fk, cut_copies.c.whole_fk).where(cut_copies.c.cut_fk.in_(list(pks)))
    return [(int(row[0]), int(row[1])) for row in session.run(statement).fetchall()]
