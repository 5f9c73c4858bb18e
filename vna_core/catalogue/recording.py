"""Instances become rows: one transaction for a batch, decided by what the catalogue holds at that moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from sqlalchemy import Select, Table, Update, bindparam, select, update

from vna_core.catalogue.availability import refresh_series
from vna_core.catalogue.database import Database, Session
from vna_core.catalogue.entry_form import EntryForm, Stamp
from vna_core.catalogue.follow_ups import FollowUps
from vna_core.catalogue.held import held_by_pk, held_from_entry
from vna_core.catalogue.jobs import asking
from vna_core.catalogue.parents import Parents, insertion
from vna_core.catalogue.schema import (
    conflicts,
    headers,
    instances,
    locations,
    name_keys,
    patients,
    series,
    sources,
    studies,
    totals,
)
from vna_core.catalogue.schema_stewardship import cut_copies
from vna_core.catalogue.standing import order_versions
from vna_core.catalogue.stored_text import to_stored
from vna_core.domain.errors import CatalogueError, VnaError
from vna_core.domain.instance import HeldInstance
from vna_core.domain.jobs import NORMAL
from vna_core.domain.outcome import HELD_IS_CUT, NEW_IS_CUT, Outcome

ENCODING: Final = "encoding"
OTHER_PARENT: Final = "other-parent"
UNCLASSIFIED: Final = "unclassified"

_ORDER: Final = (patients, name_keys, studies, series, sources, instances, locations, headers, conflicts, cut_copies)
_COUNTED: Final = ("patients", "studies", "series", "instances", "versions", "conflicts", "bytes")


@dataclass(frozen=True, slots=True)
class Recorded:
    """How recording ended, and the version that holds the octets: the new one, or for a duplicate the one held before."""

    outcome: Outcome
    held: HeldInstance


@dataclass(frozen=True, slots=True)
class Overtaken:
    """Nothing was recorded: since the caller compared its version with those that are held, another one was recorded."""


Result = Recorded | Overtaken | VnaError


@dataclass(slots=True, eq=False)
class _Version:
    pk: int
    series_fk: int
    version: int
    current: bool
    stamp: Stamp
    original_sha256: str


def _reading_totals() -> Select[Any]:
    return select(totals.c.last_pk, totals.c.changes_of_parents).where(totals.c.pk == 1)


def _writing_totals() -> Update:
    counted = {name: totals.c[name] + bindparam(f"more_{name}") for name in _COUNTED}
    return update(totals).where(totals.c.pk == 1).values(last_pk=bindparam("to"), **counted)


def _finding_versions() -> Select[Any]:
    names = ("pk", "series_fk", "version", "is_current", "received_at", "sha256", "original_sha256")
    return select(*(instances.c[name] for name in names)).where(instances.c.sop_instance_uid == bindparam("uid"))


def _counting_series() -> Update:
    more = series.c.number_of_instances + bindparam("more")
    return update(series).where(series.c.pk == bindparam("wanted")).values(number_of_instances=more)


class Recorder:
    """Records batches of entries."""

    def __init__(self, database: Database, follow_ups: FollowUps) -> None:
        self.database = database
        self.follow_ups = follow_ups
        self.parents = Parents(database)
        self.source_keys: dict[str, int] = {}
        self.changes_of_parents = -1
        prepared = database.prepared
        self.inserts = {table.name: prepared(insertion, table) for table in _ORDER}
        self.read_totals, self.write_totals = prepared(_reading_totals), prepared(_writing_totals)
        self.find_versions, self.count_series = prepared(_finding_versions), prepared(_counting_series)

    def groups(self, groups: Sequence[Sequence[EntryForm]]) -> list[list[Result]]:
        """Record the entries of several callers in one transaction; the results by caller."""
        results = iter(self([form for group in groups for form in group]))
        return [list(islice(results, len(group))) for group in groups]

    def __call__(self, forms: Sequence[EntryForm]) -> list[Result]:
        """Record `forms` durably. When the batch fails as a whole, each is tried alone, so that one bad entry harms no other."""
        try:
            return self._transact(forms)
        except (VnaError, ValueError, OverflowError) as error:
            self.source_keys.clear()
            if len(forms) == 1 or getattr(error, "transient", False):
                return [_refusal(error)] * len(forms)
        results: list[Result] = []
        for form in forms:
            try:
                results.extend(self._transact([form]))
            except (VnaError, ValueError, OverflowError) as error:
                self.source_keys.clear()
                results.append(_refusal(error))
        return results

    def _transact(self, forms: Sequence[EntryForm]) -> list[Result]:
        try:
            with self.database.transaction() as session:
                batch = RecordingBatch(self, session)
                for form in forms:
                    batch.record(form)
                results = batch.finish()
        except BaseException:
            self.parents.forget()
            raise
        self.parents.confirm()
        return results


def _refusal(error: Exception) -> VnaError:
    """What the caller hears: the driver refuses some values (a number too large) with exceptions of the language."""
    if isinstance(error, VnaError):
        return error
    return CatalogueError("The catalogue cannot hold a value of this entry.", error=type(error).__name__)


class RecordingBatch:
    """One transaction under way: rows are gathered and sent together where nobody needs to see them earlier."""

    def __init__(self, recorder: Recorder, session: Session) -> None:
        self.recorder = recorder
        self.session = session
        self.pending: dict[str, list[Sequence[Any]]] = {}
        row = session.execute(recorder.read_totals.sql, recorder.read_totals.arrange({"pk_1": 1})).fetchone()
        self.last_pk, changes = row
        if changes != recorder.changes_of_parents:  # some process moved versions to other parents
            recorder.parents.clear()
            recorder.source_keys.clear()
            recorder.changes_of_parents = changes
        self.more = dict.fromkeys(_COUNTED, 0)
        self.more_in_series: dict[int, int] = {}
        self.touched: set[int] = set()
        self.versions: dict[str, list[_Version]] = {}
        self.results: list[Recorded | Overtaken | tuple[Outcome, int]] = []

    def next_pk(self) -> int:
        """A primary key nobody else gets: writing transactions are serialized."""
        self.last_pk += 1
        return int(self.last_pk)

    def count(self, name: str, more: int = 1) -> None:
        """Add to the archive's totals."""
        self.more[name] += more

    def add(self, table: Table, row: Sequence[Any]) -> None:
        """Insert a row before the transaction ends."""
        rows = self.pending.get(table.name)
        if rows is None:
            self.pending[table.name] = [row]
        else:
            rows.append(row)

    def flush(self) -> None:
        """Send pending rows, parents first."""
        if self.pending:
            for table in _ORDER:
                rows = self.pending.get(table.name)
                if rows:
                    self.session.executemany(self.recorder.inserts[table.name].sql, rows)
            self.pending = {}

    def held_versions(self, sop_instance_uid: str) -> list[_Version]:
        """All versions under a SOP Instance UID, wherever they are, those of this batch included."""
        found = self.versions.get(sop_instance_uid)
        if found is None:
            find = self.recorder.find_versions
            rows = self.session.execute(find.sql, (sop_instance_uid,)).fetchall()
            found = [
                _Version(pk, parent, version, bool(current), (at, sha), original)
                for pk, parent, version, current, at, sha, original in rows
            ]
            self.versions[sop_instance_uid] = found
        return found

    def record(self, form: EntryForm) -> None:
        """Decide about one entry and gather its rows."""
        versions = self.held_versions(form.sop_instance_uid)
        entry = form.entry
        for version in versions:
            if version.original_sha256 == entry.original_sha256:
                self.results.append((Outcome.DUPLICATE, version.pk))
                return
        parents = self.recorder.parents
        patient = parents.patient(self, form)
        study = parents.study(self, patient, form)
        series_pk = parents.series_of(self, study, form).pk
        siblings = [version for version in versions if version.series_fk == series_pk]
        if form.classification is not None and any(version.pk not in form.classification for version in versions):
            self.results.append(Overtaken())
            return
        number = 1 + max((one.version for one in siblings), default=0)
        new = _Version(self.next_pk(), series_pk, number, not siblings, form.stamp, entry.original_sha256)
        if not siblings:
            self.count("instances")
            self.more_in_series[series_pk] = self.more_in_series.get(series_pk, 0) + 1
        outcome = self._outcome(form, versions, siblings, new)
        self._add_rows(form, new)
        is_cut = self._note_cut(form, versions, new)
        if siblings and (is_cut or new.stamp < max(one.stamp for one in siblings)):
            self._order(form, new)
        else:
            versions.append(new)
        self.touched.add(series_pk)
        if outcome is Outcome.HELD:
            self.results.append(Recorded(outcome, held_from_entry(new.pk, new.version, new.current, entry)))
        else:
            self.results.append((outcome, new.pk))

    def _add_rows(self, form: EntryForm, new: _Version) -> None:
        entry = form.entry
        self.count("versions")
        self.count("bytes", entry.size)
        self.add(
            instances,
            (
                new.pk,
                new.series_fk,
                *form.image,
                entry.transfer_syntax_uid,
                new.version,
                int(new.current),
                entry.sha256,
                entry.size,
                entry.data_set_offset,
                entry.trailer_offset,
                *form.pixels,
                entry.number_of_frames,
                entry.original_sha256,
                entry.original_size,
                self._source(form),
                form.stamp[0],
                entry.rule_set,
                entry.crc32c,
                self.recorder.parents.audiences.key(self, form.labels),
            ),
        )
        self.add(locations, (new.pk, 0, *form.location, "ok"))
        self.add(headers, (new.pk, form.header, form.provenance))
        for kind in form.jobs:
            self.session.run(asking(self.recorder.database.is_postgresql, kind, str(new.pk), {}, NORMAL, 0.0, False))

    def _note_cut(self, form: EntryForm, versions: list[_Version], new: _Version) -> bool:
        """Note of which versions the new one is a cut copy, or which are cut copies of it; whether there is any."""
        found = {one.pk: (form.classification or {}).get(one.pk) for one in versions}
        pairs = [(pk, new.pk) for pk, how in found.items() if how == HELD_IS_CUT]
        pairs += [(new.pk, pk) for pk, how in found.items() if how == NEW_IS_CUT]
        for pair in pairs:
            self.add(cut_copies, pair)
        return bool(pairs)

    def _order(self, form: EntryForm, new: _Version) -> None:
        """Find the place of the new version among those of its series, and which of them is current."""
        self.flush()
        if order_versions(self.session, new.series_fk, form.sop_instance_uid):
            refresh_series(self.session, new.series_fk)
        del self.versions[form.sop_instance_uid]

    def _outcome(self, form: EntryForm, versions: list[_Version], siblings: list[_Version], new: _Version) -> Outcome:
        """Duplicate, conflict or simply held; a conflict is listed."""
        if not versions:
            return Outcome.HELD
        if not siblings:
            self._add_conflict(form, versions[0], new, OTHER_PARENT)
            return Outcome.CONFLICT
        classification = form.classification or {}
        if any(classification.get(version.pk) == ENCODING for version in siblings):
            return Outcome.DUPLICATE
        first = min(siblings, key=lambda version: version.stamp)
        self._add_conflict(form, first, new, classification.get(first.pk, UNCLASSIFIED))
        return Outcome.CONFLICT

    def _add_conflict(self, form: EntryForm, first: _Version, second: _Version, classification: str) -> None:
        self.count("conflicts")
        self.add(
            conflicts, (self.next_pk(), form.sop_instance_uid, first.pk, second.pk, to_stored(classification), form.stamp[0])
        )

    def _source(self, form: EntryForm) -> int:
        digest, keys = form.source_digest, self.recorder.source_keys
        pk = keys.get(digest)
        if pk is None:
            if len(keys) > 10_000:
                keys.clear()
            row = self.session.run(select(sources.c.pk).where(sources.c.digest == digest)).fetchone()
            if row is None:
                source = form.entry.source
                pk = self.next_pk()
                texts = [to_stored(text) for text in (source.kind, source.name, source.address, source.issuer)]
                self.add(sources, (pk, *texts, digest))
            else:
                pk = int(row[0])
            keys[digest] = pk
        return pk

    def finish(self) -> list[Result]:
        """Send what is pending, counts included, and answer for each entry."""
        self.flush()
        recorder = self.recorder
        count = recorder.count_series
        self.session.executemany(
            count.sql, [count.arrange({"wanted": pk, "more": more}) for pk, more in sorted(self.more_in_series.items())]
        )
        recorder.follow_ups.ask(self.session, self.touched)
        values: Mapping[str, Any] = {"to": self.last_pk, "pk_1": 1} | {f"more_{name}": more for name, more in self.more.items()}
        self.session.execute(recorder.write_totals.sql, recorder.write_totals.arrange(values))
        return [
            result
            if isinstance(result, Recorded | Overtaken)
            else Recorded(result[0], held_by_pk(recorder.database, self.session, result[1]))
            for result in self.results
        ]
