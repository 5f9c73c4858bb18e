"""Patients, studies and series as instances arrive: found or made, and their attributes filled.

Each attribute of a parent comes from the earliest instance that has it: the first non-empty value wins, later ones fill gaps.
"Earliest" is the stamp of the instance (time of arrival, digest), so the result does not depend on the order of recording,
and a rebuilt catalogue is equal to the one before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from sqlalchemy import Insert, Select, Table, Update, bindparam, delete, insert, select, update

from vna_core.catalogue import person_names
from vna_core.catalogue.audiences import Audiences
from vna_core.catalogue.database import Database, Session
from vna_core.catalogue.entry_form import EntryForm, Stamp, attribute_text
from vna_core.catalogue.schema import BY_LEVEL, FOLDED, name_keys, patients, series, studies
from vna_core.catalogue.stored_text import from_stored, to_stored
from vna_core.domain.indexed_attributes import IndexedAttribute
from vna_core.domain.query import Level

SUFFIX_OF_NAME: Final = 0
PHONETIC_CODE: Final = 1
SUFFIX_OF_ID: Final = 2

_IDENTITY: Final = frozenset({0x00100020, 0x00100021, 0x0020000D, 0x0020000E})
_TIME_TEMPLATE: Final = "000000.000000"


@dataclass(slots=True, eq=False)
class Parent:
    """What is known about one row: which attributes it still lacks, and when the latest of the others came."""

    pk: int
    missing: frozenset[int]
    latest: Stamp


class Batch(Protocol):
    """The part of a running batch that parents need."""

    session: Session

    def next_pk(self) -> int:
        """A primary key nobody else gets."""

    def flush(self) -> None:
        """Send pending rows, so that statements see them."""

    def add(self, table: Table, row: list[Any]) -> None:
        """Insert a row before the transaction ends."""

    def count(self, name: str, more: int = 1) -> None:
        """Add to the archive's totals."""


def insertion(table: Table) -> Insert:
    """One row of a table; each column is a parameter of its name."""
    return insert(table).values({column.name: bindparam(column.name) for column in table.columns})


def _reading(table: Table) -> Select[Any]:
    return select(table).where(table.c.pk == bindparam("wanted"))


def _changing(table: Table) -> Update:
    fixed = ("pk", "audience")
    names = [column.name for column in table.columns if column.name not in fixed]
    changing = [name for name in names if not name.endswith("_fk") and not name.startswith("number_of_")]
    return update(table).where(table.c.pk == bindparam("wanted")).values({name: bindparam(name) for name in changing})


def _finding_patient() -> Select[Any]:
    return select(patients).where(
        patients.c.patient_id == bindparam("patient_id"),
        patients.c.issuer_of_patient_id == bindparam("issuer"),
        patients.c.only_study == bindparam("only_study"),
    )


def _finding_study() -> Select[Any]:
    return select(studies).where(studies.c.study_instance_uid == bindparam("uid"), studies.c.patient_fk == bindparam("parent"))


def _finding_series() -> Select[Any]:
    return select(series).where(series.c.series_instance_uid == bindparam("uid"), series.c.study_fk == bindparam("parent"))


class ParentTable:
    """The statements for one level."""

    def __init__(self, database: Database, table: Table, level: Level, side: Callable[[dict[str, str]], dict[str, str]]) -> None:
        self.table = table
        self.attributes = tuple(attribute for attribute in BY_LEVEL[level] if attribute.tag not in _IDENTITY)
        self.tags = frozenset(attribute.tag for attribute in self.attributes)
        self.names = [column.name for column in table.columns]
        self.side = side
        self.insert_sql, self.select_sql = database.prepared(insertion, table), database.prepared(_reading, table)
        self.update_sql = database.prepared(_changing, table)

    def texts(self, attributes: Mapping[int, tuple[str, ...]]) -> dict[str, str]:
        """Hot columns for the attributes an entry provides; absent ones are empty."""
        return {attribute.name: attribute_text(attribute, attributes) for attribute in self.attributes}

    def known(self, row: Mapping[str, Any]) -> Parent:
        """What is to be remembered of a row."""
        missing = frozenset(attribute.tag for attribute in self.attributes if not row[attribute.name])
        base, others = read_stamps(row["stamps"])
        came = (others.get(attribute.name, base) for attribute in self.attributes if row[attribute.name]) if others else ()
        return Parent(row["pk"], missing, max(came, default=base))


def write_stamps(base: Stamp, others: Mapping[str, Stamp]) -> str:
    """When the attributes of a row came: one stamp for all, and the exceptions by column."""
    exceptions = "".join(f";{name}={stamp[0]}:{stamp[1]}" for name, stamp in sorted(others.items()) if stamp != base)
    return f"{base[0]}:{base[1]}{exceptions}"


def read_stamps(text: str) -> tuple[Stamp, dict[str, Stamp]]:
    """The inverse of `write_stamps`."""
    base, *exceptions = text.split(";")
    others = {}
    for exception in exceptions:
        name, _, stamp = exception.partition("=")
        others[name] = _stamp(stamp)
    return _stamp(base), others


def _stamp(text: str) -> Stamp:
    time, _, digest = text.partition(":")
    return int(time), digest


def patient_side(row: dict[str, str]) -> dict[str, str]:
    """Side columns of a patient: the three folded groups of the name."""
    groups = [to_stored(group) for group in person_names.groups(from_stored(row["patient_name"]))]
    return {"name_alphabetic": groups[0], "name_ideographic": groups[1], "name_phonetic": groups[2]}


def _folded(level: Level) -> tuple[IndexedAttribute, ...]:
    return tuple(attribute for attribute in FOLDED if attribute.level is level)


def folded_names(text: str) -> str:
    """All folded groups of all names in a column, each between line feeds."""
    if not text:
        return ""
    found = [group for name in from_stored(text).split("\\") for group in person_names.groups(name) if group]
    return to_stored("\n" + "\n".join(found) + "\n") if found else ""


def study_side(row: dict[str, str]) -> dict[str, str]:
    """Side columns of a study: what it is sorted by, and its folded names."""
    time = row["study_time"]
    side = {"newest": row["study_date"] + time + _TIME_TEMPLATE[len(time) :] if row["study_date"] else ""}
    return side | {f"{attribute.name}_folded": folded_names(row[attribute.name]) for attribute in _folded(Level.STUDY)}


def series_side(row: dict[str, str]) -> dict[str, str]:
    """Side columns of a series: its folded names."""
    return {f"{attribute.name}_folded": folded_names(row[attribute.name]) for attribute in _folded(Level.SERIES)}


class Parents:
    """Finds and makes parents for one catalogue, and remembers them between batches.

    What is remembered is only ever out of date in what other processes filled; before anything is filled the row is read again.
    """

    LIMIT: Final = 20_000

    def __init__(self, database: Database) -> None:
        self._database = database
        self.patients = ParentTable(database, patients, Level.PATIENT, patient_side)
        self.studies = ParentTable(database, studies, Level.STUDY, study_side)
        self.series = ParentTable(database, series, Level.SERIES, series_side)
        self._known: dict[tuple[Any, ...], Parent] = {}
        self._fresh: dict[tuple[Any, ...], Parent | None] = {}
        self._classes: dict[int, set[str]] = {}
        self.audiences = Audiences(database)
        self._fresh_classes: set[int] = set()
        self._find_patient = database.prepared(_finding_patient)
        self._find_study, self._find_series = database.prepared(_finding_study), database.prepared(_finding_series)

    def confirm(self) -> None:
        """The transaction is durable: remember what it made."""
        if len(self._known) > self.LIMIT:
            self._known.clear()
            self._classes.clear()
        for key, parent in self._fresh.items():
            if parent is not None:
                self._known[key] = parent
        self._fresh.clear()
        self._fresh_classes.clear()

    def forget(self) -> None:
        """The transaction was rolled back."""
        for key in self._fresh:
            self._known.pop(key, None)
        for pk in self._fresh_classes:
            self._classes.pop(pk, None)
        self._fresh.clear()
        self._fresh_classes.clear()
        self.audiences.forget()

    def clear(self) -> None:
        """Forget everything that is known about rows."""
        self._known.clear()
        self._classes.clear()
        self.audiences.forget()

    def _lookup(self, key: tuple[Any, ...]) -> Parent | None:
        return self._fresh[key] if key in self._fresh else self._known.get(key)

    def patient(self, batch: Batch, form: EntryForm) -> Parent:
        """The patient of an entry. Without a Patient ID, a patient of that study alone."""
        only_study = "" if form.patient_id else form.study_instance_uid
        key = (form.patient_id, form.issuer, only_study)
        parent = self._lookup(key)
        if parent is not None:
            return self._filled(batch, self.patients, key, parent, form)
        row = self._row(batch, self._find_patient, {"patient_id": key[0], "issuer": key[1], "only_study": key[2]}, self.patients)
        if row is not None:
            return self._filled(batch, self.patients, key, self.patients.known(row), form)
        identity = {"patient_id": key[0], "issuer_of_patient_id": key[1], "only_study": only_study}
        parent, made = self._make(batch, self.patients, key, form, identity)
        batch.count("patients")
        self.add_name_keys(batch, parent.pk, made)
        return parent

    def study(self, batch: Batch, patient: Parent, form: EntryForm) -> Parent:
        """The study of an entry, below its patient."""
        key = (patient.pk, form.study_instance_uid)
        parent = self._lookup(key)
        if parent is None:
            row = self._row(batch, self._find_study, {"uid": key[1], "parent": patient.pk}, self.studies)
            if row is not None:
                parent = self.studies.known(row)
        if parent is not None:
            parent = self._filled(batch, self.studies, key, parent, form)
        else:
            identity = {"patient_fk": patient.pk, "study_instance_uid": key[1], "modalities": "", "sop_classes": ""}
            parent, _ = self._make(batch, self.studies, key, form, identity)
            batch.count("studies")
        self._note_class(batch, parent.pk, form.sop_class_uid)
        return parent

    def series_of(self, batch: Batch, study: Parent, form: EntryForm) -> Parent:
        """The series of an entry, below its study."""
        key = (study.pk, form.series_instance_uid, 0)
        parent = self._lookup(key)
        if parent is None:
            row = self._row(batch, self._find_series, {"uid": key[1], "parent": study.pk}, self.series)
            if row is not None:
                parent = self.series.known(row)
        if parent is not None:
            before = parent
            parent = self._filled(batch, self.series, key, parent, form)
            if parent is not before:
                self.refresh_modalities(batch, study.pk)
            return parent
        identity = {"study_fk": study.pk, "series_instance_uid": key[1], "number_of_instances": 0}
        parent, made = self._make(batch, self.series, key, form, identity)
        batch.count("series")
        if made["modality"]:
            self.refresh_modalities(batch, study.pk)
        return parent

    def _row(self, batch: Batch, find: Any, values: dict[str, Any], table: ParentTable) -> dict[str, Any] | None:
        batch.flush()
        row = batch.session.execute(find.sql, find.arrange(values)).fetchone()
        return None if row is None else dict(zip(table.names, row, strict=True))

    def _make(
        self, batch: Batch, table: ParentTable, key: tuple[Any, ...], form: EntryForm, identity: dict[str, Any]
    ) -> tuple[Parent, dict[str, Any]]:
        row: dict[str, Any] = table.texts(form.entry.attributes) | identity
        row |= table.side(row) | {"pk": batch.next_pk(), "stamps": write_stamps(form.stamp, {})}
        row["audience"] = self.audiences.key(batch, form.labels)
        self.audiences.made(table.table, row["pk"], form.labels)
        batch.add(table.table, [row[name] for name in table.insert_sql.names])
        parent = self._fresh[key] = table.known(row)
        return parent, row

    def _filled(self, batch: Batch, table: ParentTable, key: tuple[Any, ...], parent: Parent, form: EntryForm) -> Parent:
        """`parent`, or what it becomes when the entry knows more, or knew it earlier. It gets the entry's labels."""
        if form.labels:
            self.audiences.widen(batch, table.table, parent.pk, form.labels)
        if form.stamp >= parent.latest and parent.missing.isdisjoint(form.entry.attributes):
            if key not in self._known:
                self._fresh[key] = parent
            return parent
        batch.flush()
        values = batch.session.execute(table.select_sql.sql, table.select_sql.arrange({"wanted": parent.pk})).fetchone()
        row: dict[str, Any] = dict(zip(table.names, values, strict=True))
        base, stamps = read_stamps(row["stamps"])
        changed = False
        for name, text in table.texts(form.entry.attributes).items():
            if text and (not row[name] or form.stamp < stamps.get(name, base)):
                row[name], stamps[name], changed = text, form.stamp, True
        if changed:
            row |= table.side(row) | {"stamps": write_stamps(base, stamps), "wanted": parent.pk}
            batch.session.execute(table.update_sql.sql, table.update_sql.arrange(row))
            if table is self.patients:
                batch.session.run(delete(name_keys).where(name_keys.c.patient_fk == parent.pk))
                self.add_name_keys(batch, parent.pk, row)
        fresh = self._fresh[key] = table.known(row)
        return fresh

    def add_name_keys(self, batch: Batch, pk: int, row: Mapping[str, Any]) -> None:
        """Gather the rows by which a patient is found by parts of name and ID."""
        groups = person_names.groups(from_stored(row["patient_name"]))
        for text in person_names.suffixes(groups):
            batch.add(name_keys, [SUFFIX_OF_NAME, to_stored(text), pk])
        for text in set().union(*(person_names.phonetic_codes(group) for group in groups)):
            batch.add(name_keys, [PHONETIC_CODE, to_stored(text), pk])
        for text in person_names.suffixes((from_stored(row["patient_id"]),)):
            batch.add(name_keys, [SUFFIX_OF_ID, to_stored(text), pk])

    def _note_class(self, batch: Batch, pk: int, sop_class_uid: str) -> None:
        """Keep SOP Classes in Study (0008,0062) up to date."""
        known = self._classes.get(pk)
        if known is not None and sop_class_uid in known:
            return
        batch.flush()
        (text,) = batch.session.run(select(studies.c.sop_classes).where(studies.c.pk == pk)).fetchone()
        classes = {one for one in text.split("\\") if one}
        if sop_class_uid and sop_class_uid not in classes:
            classes.add(sop_class_uid)
            text = "\\" + "\\".join(sorted(classes)) + "\\"
            batch.session.run(update(studies).where(studies.c.pk == pk).values(sop_classes=text))
        self._classes[pk] = classes | {sop_class_uid}
        self._fresh_classes.add(pk)

    def refresh_modalities(self, batch: Batch, pk: int) -> None:
        """Keep Modalities in Study (0008,0061) up to date."""
        batch.flush()
        rows = batch.session.run(select(series.c.modality).where(series.c.study_fk == pk, series.c.modality != "").distinct())
        found = sorted(row[0] for row in rows.fetchall())
        text = "\\" + "\\".join(found) + "\\" if found else ""
        batch.session.run(update(studies).where(studies.c.pk == pk).values(modalities=text))
