"""Held versions read back from the catalogue."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, select

from vna_core.catalogue.database import Database, Session
from vna_core.catalogue.entry_form import attribute_values
from vna_core.catalogue.schema import BY_LEVEL, instances, locations, patients, series, studies
from vna_core.catalogue.stored_text import from_stored
from vna_core.domain.errors import NotFound
from vna_core.domain.identifiers import PatientKey
from vna_core.domain.instance import HeldInstance, IndexEntry, Location
from vna_core.domain.octets import ByteRange
from vna_core.domain.placement import COLD, OK
from vna_core.domain.query import Level

_ATTRIBUTES: Final = BY_LEVEL[Level.IMAGE][2:]
"""All but the two UIDs, which have fields of their own."""

_FIELDS: Final = (
    instances.c.pk,
    patients.c.issuer_of_patient_id,
    patients.c.patient_id,
    studies.c.study_instance_uid,
    series.c.series_instance_uid,
    instances.c.sop_instance_uid,
    instances.c.sop_class_uid,
    instances.c.transfer_syntax_uid,
    instances.c.version,
    instances.c.is_current,
    instances.c.sha256,
    instances.c.size,
    instances.c.data_set_offset,
    instances.c.trailer_offset,
    instances.c.pixel_offset,
    instances.c.pixel_length,
    instances.c.frame_count,
    instances.c.original_sha256,
    instances.c.original_size,
    instances.c.crc32c,
    *(instances.c[attribute.name] for attribute in _ATTRIBUTES),
    locations.c.ordinal,
    locations.c.store,
    locations.c.key,
    locations.c.offset,
    locations.c.length,
    locations.c.state,
)
_FIRST_ATTRIBUTE: Final = 20
_FIRST_LOCATION: Final = _FIRST_ATTRIBUTE + len(_ATTRIBUTES)
OF_INSTANCE: Final = (
    instances.join(series, instances.c.series_fk == series.c.pk)
    .join(studies, series.c.study_fk == studies.c.pk)
    .join(patients, studies.c.patient_fk == patients.c.pk)
)


class _StoredAttributes(Mapping[int, tuple[str, ...]]):
    """Attributes of a row, decoded when somebody asks: reads of whole studies do not."""

    __slots__ = ("_decoded", "_row")

    def __init__(self, row: Sequence[Any]) -> None:
        self._row = row
        self._decoded: dict[int, tuple[str, ...]] = {}

    def _values(self) -> dict[int, tuple[str, ...]]:
        if not self._decoded:
            row = self._row
            found = {
                attribute.tag: attribute_values(attribute, row[position])
                for position, attribute in enumerate(_ATTRIBUTES, _FIRST_ATTRIBUTE)
                if row[position]
            }
            found[0x00080018], found[0x00080016] = (from_stored(row[5]),), (from_stored(row[6]),)
            self._decoded = found
        return self._decoded

    def __getitem__(self, tag: int) -> tuple[str, ...]:
        return self._values()[tag]

    def __iter__(self) -> Iterator[int]:
        return iter(self._values())

    def __len__(self) -> int:
        return len(self._values())

    def __repr__(self) -> str:
        return repr(self._values())


def held_statement(*conditions: ColumnElement[bool]) -> Select[Any]:
    """One row per location of every version that fulfils `conditions`, in the order of recording."""
    joined = OF_INSTANCE.outerjoin(locations, locations.c.instance_fk == instances.c.pk)
    return select(*_FIELDS).select_from(joined).where(*conditions).order_by(instances.c.pk, locations.c.ordinal)


def held_rows(rows: Iterable[Sequence[Any]]) -> list[HeldInstance]:
    """Versions out of the rows of `held_statement`. Good copies come before bad ones, which are left out where a good one is."""
    found: list[HeldInstance] = []
    last, copies = None, list[tuple[Location, str]]()
    for row in rows:
        if last is not None and row[0] != last[0]:
            found.append(_held(last, copies))
            copies = []
        last = row
        if row[_FIRST_LOCATION] is not None:
            _, store, key, offset, length, state = row[_FIRST_LOCATION:]
            if not (store.isascii() and key.isascii()):
                store, key = from_stored(store), from_stored(key)
            copies.append((Location(store, key, offset, length), state))
    if last is not None:
        found.append(_held(last, copies))
    return found


def _held(row: Sequence[Any], copies: list[tuple[Location, str]]) -> HeldInstance:
    good = tuple([location for location, state in copies if state == OK])
    cold = () if len(good) == len(copies) else tuple([location for location, state in copies if state == COLD])
    texts = row[1:7]
    if not "".join(texts).isascii():  # hardly ever
        texts = tuple(map(from_stored, texts))
    issuer, patient_id, study, series_uid, sop, sop_class = texts
    return HeldInstance(
        pk=row[0],
        patient=PatientKey(issuer, patient_id),
        study_instance_uid=study,
        series_instance_uid=series_uid,
        sop_instance_uid=sop,
        sop_class_uid=sop_class,
        transfer_syntax_uid=row[7],
        version=row[8],
        current=bool(row[9]),
        locations=good or cold or tuple(location for location, _ in copies),
        sha256=row[10],
        size=row[11],
        data_set_offset=row[12],
        trailer_offset=row[13],
        pixel_data=None if row[14] is None else ByteRange(row[14], row[15]),
        number_of_frames=row[16],
        original_sha256=row[17],
        original_size=row[18],
        attributes=_StoredAttributes(row),
        crc32c=row[19],
        nearline=bool(cold) and not good,
    )


def held_from_entry(pk: int, version: int, current: bool, entry: IndexEntry) -> HeldInstance:
    """What the catalogue will answer for an entry just recorded."""
    return HeldInstance(
        pk=pk,
        patient=entry.patient,
        study_instance_uid=entry.study_instance_uid,
        series_instance_uid=entry.series_instance_uid,
        sop_instance_uid=entry.sop_instance_uid,
        sop_class_uid=entry.sop_class_uid,
        transfer_syntax_uid=entry.transfer_syntax_uid,
        version=version,
        current=current,
        locations=(entry.location,),
        sha256=entry.sha256,
        size=entry.size,
        data_set_offset=entry.data_set_offset,
        trailer_offset=entry.trailer_offset,
        pixel_data=entry.pixel_data,
        number_of_frames=entry.number_of_frames,
        original_sha256=entry.original_sha256,
        original_size=entry.original_size,
        attributes=entry.attributes,
        crc32c=entry.crc32c,
    )


def held_by_pk(database: Database, session: Session, pk: int) -> HeldInstance:
    """One version by its key. Raises NotFound."""
    found = held_rows(session.run(held_statement(instances.c.pk == pk)).fetchall())
    if not found:
        raise NotFound("The catalogue holds no such version.", pk=pk)
    return found[0]
