"""Held versions, headers and explanations, found by identifiers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Select, bindparam, select, union_all

from vna_core.catalogue.audiences import LABELS, stands, visible, visible_sql
from vna_core.catalogue.database import Database, Prepared
from vna_core.catalogue.entry_form import decompress, moment, unpack_provenance
from vna_core.catalogue.held import OF_INSTANCE, held_by_pk, held_rows, held_statement
from vna_core.catalogue.schema import headers, instances, patients, series, sources, studies
from vna_core.catalogue.schema_stewardship import deleted_versions
from vna_core.catalogue.standing import cut_pairs
from vna_core.catalogue.stored_text import from_stored, identifier
from vna_core.domain.access import EVERYTHING, Scope
from vna_core.domain.errors import NotFound
from vna_core.domain.identifiers import PatientKey
from vna_core.domain.instance import HeldInstance
from vna_core.domain.octets import Source
from vna_core.domain.transformation import Finding, Transformation

_PIECE: Final = 200
_CURRENT: Final = instances.c.is_current == 1


@dataclass(frozen=True, slots=True)
class Explanation:
    """Where a version came from and what normalization did to it. `versions` are all under the same SOP Instance UID.

    `cut` are keys of pairs of them: a cut copy, and the version that continues it.
    """

    held: HeldInstance
    source: Source
    received_at: datetime
    transformations: tuple[Transformation, ...]
    findings: tuple[Finding, ...]
    rule_set: str
    versions: tuple[HeldInstance, ...]
    cut: tuple[tuple[int, int], ...] = ()

    @property
    def cut_copies(self) -> tuple[HeldInstance, ...]:
        """Versions in the same place that end before their pixels and begin as this one does."""
        return tuple(one for one in self._beside if (one.pk, self.held.pk) in self.cut)

    @property
    def whole_copies(self) -> tuple[HeldInstance, ...]:
        """Versions in the same place of which this one is a cut copy."""
        return tuple(one for one in self._beside if (self.held.pk, one.pk) in self.cut)

    @property
    def _beside(self) -> Iterator[HeldInstance]:
        """Versions under the same patient, study and series: elsewhere each has its own current one."""
        return (one for one in self.versions if one.place == self.held.place)

    @property
    def standing(self) -> str:
        """Why a version is current, or is not, where more than the time of arrival decides; empty otherwise."""
        if self.cut_copies:
            named = ", ".join(str(one.version) for one in self.cut_copies)
            stands = f"Stands in the place of version {named}" if self.held.current else f"Continues version {named}"
            return f"{stands}, a cut copy of this one: as received, this one begins with all of it, and has the pixels."
        if not self.whole_copies:
            return ""
        named = ", ".join(str(one.version) for one in self.whole_copies)
        why = ", but not for everybody who sees this one" if self.held.current else ""
        return f"Ends before its pixels: a cut copy of version {named}, which is whole{why}."


class InstanceHeader(NamedTuple):
    """The DICOM JSON (PS3.18 annex F) of one current version without bulk data, and the UIDs that address it."""

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    json: bytes


ListedHeader = tuple[int, str, str, str, str, str]
"""Key, UIDs of study, series and instance, and what the header was made of: the object's digest and the rules."""


class Reader:
    """Reads by identifiers; SQL text is made once for each combination of them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._held: dict[tuple[bool, ...], Prepared] = {}
        self._metadata: dict[tuple[bool, ...], Prepared] = {}
        wanted = "= ANY(%s)" if database.is_postgresql else "IN (SELECT value FROM json_each(?))"
        self._headers_sql = f"SELECT instance_fk, json FROM headers WHERE instance_fk {wanted}"
        by_sop = instances.c.sop_instance_uid == bindparam("uid")
        self._seen = visible(instances.c.audience, database.is_postgresql)
        self._stands = stands(database.is_postgresql)
        self._by_sop = database.prepare(held_statement(by_sop))
        self._by_sop_seen = database.prepare(held_statement(by_sop, self._seen))
        self._pks_seen = f"SELECT pk FROM instances WHERE pk {wanted} AND " + visible_sql(
            "instances.audience", "%s" if database.is_postgresql else "?", database.is_postgresql
        )
        self._met = database.prepare(
            union_all(
                select(instances.c.sop_instance_uid).where(by_sop),
                select(deleted_versions.c.sop_instance_uid).where(deleted_versions.c.sop_instance_uid == bindparam("uid")),
            )
        )

    def is_new(self, sop_instance_uid: str) -> bool:
        """Whether nothing is held under a SOP Instance UID, and nothing was deleted under it."""
        with self._database.session() as session:
            return session.execute(self._met.sql, self._met.arrange({"uid": identifier(sop_instance_uid)})).fetchone() is None

    def versions(self, sop_instance_uid: str, scope: Scope = EVERYTHING) -> tuple[HeldInstance, ...]:
        """Every version under a SOP Instance UID, in any patient, study and series; by order of arrival within each."""
        prepared = self._by_sop if scope.is_everything else self._by_sop_seen
        values = {"uid": identifier(sop_instance_uid), LABELS: scope.text}
        with self._database.session() as session:
            rows = session.execute(prepared.sql, prepared.arrange(values)).fetchall()
        return tuple(sorted(held_rows(rows), key=lambda held: (held.version, held.pk)))

    def by_pk(self, pk: int) -> HeldInstance:
        """One version by its key. Raises NotFound."""
        with self._database.session() as session:
            return held_by_pk(self._database, session, pk)

    def instances(
        self,
        patient: PatientKey | None,
        study: str | None,
        series_uid: str | None,
        sop: str | None,
        all_versions: bool,
        scope: Scope = EVERYTHING,
    ) -> list[HeldInstance]:
        """Versions that fulfil everything given, in the order of recording."""
        wanted = _wanted(patient, study, series_uid, sop)
        shape = (*(name in wanted for name in ("patient_id", "study", "series", "sop")), all_versions, scope.is_everything)
        prepared = self._held.get(shape)
        if prepared is None:
            conditions = _conditions(wanted) + (self._within(scope) if all_versions else self._standing(scope))
            prepared = self._held[shape] = self._database.prepare(held_statement(*conditions))
        with self._database.session() as session:
            return held_rows(session.execute(prepared.sql, prepared.arrange(wanted | {LABELS: scope.text})).fetchall())

    def _within(self, scope: Scope) -> list[ColumnElement[bool]]:
        return [] if scope.is_everything else [self._seen]

    def _standing(self, scope: Scope) -> list[ColumnElement[bool]]:
        """That a version is the current one; within a scope, of those that lie in it."""
        return [_CURRENT] if scope.is_everything else [self._seen, self._stands]

    def seen(self, pks: Sequence[int], scope: Scope) -> frozenset[int]:
        """Which versions lie in a scope."""
        if scope.is_everything:
            return frozenset(pks)
        parameter: Any = list(pks) if self._database.is_postgresql else f"[{','.join(map(str, pks))}]"
        with self._database.session() as session:
            return frozenset(row[0] for row in session.execute(self._pks_seen, (parameter, scope.text)).fetchall())

    def by_uid_list(self, sop_instance_uids: Sequence[str], scope: Scope = EVERYTHING) -> Iterator[HeldInstance]:
        """Current versions of many instances, in pieces; unknown UIDs are passed over."""
        wanted = list(dict.fromkeys(identifier(uid) for uid in sop_instance_uids))
        for start in range(0, len(wanted), _PIECE):
            piece = wanted[start : start + _PIECE]
            wanted_here = held_statement(instances.c.sop_instance_uid.in_(piece), *self._standing(scope))
            prepared = self._database.prepare(wanted_here)
            with self._database.session() as session:
                found = held_rows(session.execute(prepared.sql, prepared.arrange({LABELS: scope.text})).fetchall())
            yield from found

    def headers(
        self, study: str, series_uid: str | None, sop: str | None, scope: Scope = EVERYTHING
    ) -> Iterator[tuple[HeldInstance, bytes]]:
        """Current versions with their DICOM JSON, in the order of recording; memory stays flat for studies of any size."""
        held = self.instances(None, study, series_uid, sop, False, scope)
        for start in range(0, len(held), _PIECE):
            piece = held[start : start + _PIECE]
            found = self._packed_headers([one.pk for one in piece])
            for one in piece:
                yield one, decompress(found[one.pk])

    def metadata(
        self, study: str, series_uid: str | None, sop: str | None, scope: Scope = EVERYTHING
    ) -> Iterator[InstanceHeader]:
        """The DICOM JSON of current versions and the UIDs that address them, in the order of recording; read in pieces."""
        return self.metadata_of(self.listed(study, series_uid, sop, scope))

    def listed(self, study: str, series_uid: str | None, sop: str | None, scope: Scope = EVERYTHING) -> tuple[ListedHeader, ...]:
        """Which headers `metadata` gives, without reading them. Equal lists stand for equal headers: rows with one digest do."""
        wanted = _wanted(None, study, series_uid, sop)
        shape = (*(name in wanted for name in ("series", "sop")), scope.is_everything)
        prepared = self._metadata.get(shape)
        if prepared is None:
            statement = _metadata_statement(wanted).where(*self._standing(scope))
            prepared = self._metadata[shape] = self._database.prepare(statement)
        with self._database.session() as session:
            return tuple(sorted(session.execute(prepared.sql, prepared.arrange(wanted | {LABELS: scope.text})).fetchall()))

    def metadata_of(self, rows: Sequence[ListedHeader]) -> Iterator[InstanceHeader]:
        """The headers that `listed` named; read in pieces."""
        for start in range(0, len(rows), _PIECE):
            piece = rows[start : start + _PIECE]
            packed = self._packed_headers([row[0] for row in piece])
            for pk, study_uid, series_of, uid, *_ in piece:
                yield InstanceHeader(from_stored(study_uid), from_stored(series_of), from_stored(uid), decompress(packed[pk]))

    def _packed_headers(self, pks: list[int]) -> dict[int, bytes]:
        parameter: Any = pks if self._database.is_postgresql else f"[{','.join(map(str, pks))}]"
        with self._database.session() as session:
            return dict(session.execute(self._headers_sql, (parameter,)).fetchall())

    def explanation(self, pk: int) -> Explanation:
        """Everything known about how a version came to be. Raises NotFound."""
        statement = (
            select(
                instances.c.sop_instance_uid,
                instances.c.received_at,
                instances.c.rule_set,
                headers.c.provenance,
                sources.c.kind,
                sources.c.name,
                sources.c.address,
                sources.c.issuer,
            )
            .join(headers, headers.c.instance_fk == instances.c.pk)
            .join(sources, sources.c.pk == instances.c.source_fk)
            .where(instances.c.pk == pk)
        )
        with self._database.session() as session:
            row: Any = session.run(statement).fetchone()
        if row is None:
            raise NotFound("The catalogue holds no such version.", pk=pk)
        transformations, findings = unpack_provenance(row[3])
        versions = self.versions(from_stored(row[0]))
        with self._database.session() as session:
            cut = cut_pairs(session, [one.pk for one in versions]) if len(versions) > 1 else []
        return Explanation(
            held=next(version for version in versions if version.pk == pk),
            source=Source(*(from_stored(text) for text in row[4:])),
            received_at=moment(row[1]),
            transformations=transformations,
            findings=findings,
            rule_set=row[2],
            versions=versions,
            cut=tuple(cut),
        )


def _metadata_statement(wanted: dict[str, str]) -> Select[Any]:
    uids = (studies.c.study_instance_uid, series.c.series_instance_uid, instances.c.sop_instance_uid)
    made_of = (instances.c.sha256, instances.c.rule_set)
    return select(instances.c.pk, *uids, *made_of).select_from(OF_INSTANCE).where(*_conditions(wanted))


def _wanted(patient: PatientKey | None, study: str | None, series_uid: str | None, sop: str | None) -> dict[str, str]:
    wanted: dict[str, str] = {}
    if patient is not None:
        wanted |= {"patient_id": identifier(patient.patient_id), "issuer": identifier(patient.issuer)}
    given = (("study", study), ("series", series_uid), ("sop", sop))
    return wanted | {name: identifier(uid) for name, uid in given if uid is not None}


def _conditions(wanted: dict[str, str]) -> list[ColumnElement[bool]]:
    columns = {
        "patient_id": patients.c.patient_id,
        "issuer": patients.c.issuer_of_patient_id,
        "study": studies.c.study_instance_uid,
        "series": series.c.series_instance_uid,
        "sop": instances.c.sop_instance_uid,
    }
    return [columns[name] == bindparam(name) for name in wanted]
