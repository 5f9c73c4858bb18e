"""The quarantine's list: octets that could not be archived as DICOM, kept once each, explained, retried."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import func, insert, select, update

from vna_core.catalogue.database import Database
from vna_core.catalogue.entry_form import microseconds, moment
from vna_core.catalogue.schema import quarantine
from vna_core.catalogue.schema_placement import quarantine_copies
from vna_core.catalogue.stored_text import from_stored, to_stored
from vna_core.domain.errors import NotFound
from vna_core.domain.octets import Source


@dataclass(frozen=True, slots=True)
class QuarantineEntry:
    """One item of the quarantine.

    Attributes
    ----------
    id
        First 16 hexadecimal digits of `sha256`; the same octets are kept once, and `times` counts how often they came.
    code, message
        Why: the error's code and its sentence.
    transfer_syntax_uid, sop_class_uid, sop_instance_uid
        What the sender named outside the octets.
    resolution
        Empty while the item waits; afterwards how it ended (``held``, ``deleted``).
    """

    id: str
    sha256: str
    size: int
    store: str
    key: str
    code: str
    message: str
    source: Source
    received_at: datetime
    transfer_syntax_uid: str = ""
    sop_class_uid: str = ""
    sop_instance_uid: str = ""
    times: int = 1
    resolution: str = ""


_COLUMNS: Final = tuple(quarantine.columns)


class Quarantine:
    """Lists what waits in the quarantine."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, entry: QuarantineEntry) -> str:
        """Add an item, or count it again when it is there; the id. What was resolved waits again."""
        with self._database.transaction() as session:
            row = session.run(select(quarantine.c.times).where(quarantine.c.id == entry.id)).fetchone()
            if row is not None:
                session.run(update(quarantine).where(quarantine.c.id == entry.id).values(times=row[0] + 1, resolution=""))
            else:
                session.run(insert(quarantine).values(**_values(entry)))
        return entry.id

    def listed(self, after: str, limit: int) -> list[QuarantineEntry]:
        """Items that wait, by id, at most `limit` after the id `after`."""
        waiting = (quarantine.c.resolution == "") & (quarantine.c.id > to_stored(after))
        with self._database.session() as session:
            rows = session.run(select(*_COLUMNS).where(waiting).order_by(quarantine.c.id).limit(limit)).fetchall()
        return [_entry(row) for row in rows]

    def entry(self, entry_id: str) -> QuarantineEntry:
        """One item, resolved or not. Raises NotFound."""
        with self._database.session() as session:
            row = session.run(select(*_COLUMNS).where(quarantine.c.id == to_stored(entry_id))).fetchone()
        if row is None:
            raise NotFound("The quarantine has no such item.", id=entry_id)
        return _entry(row)

    def resolve(self, entry_id: str, outcome: str) -> None:
        """Note how an item ended; it is no longer listed. Raises NotFound."""
        with self._database.transaction() as session:
            changed = session.run(update(quarantine).where(quarantine.c.id == to_stored(entry_id)).values(resolution=outcome))
            if not changed.rowcount:
                raise NotFound("The quarantine has no such item.", id=entry_id)

    def uncopied(self, store: str, after: str, limit: int) -> list[QuarantineEntry]:
        """Items, resolved or not, of which a store has no copy, by id, at most `limit` after the id `after`."""
        copied = select(quarantine_copies.c.id).where(quarantine_copies.c.store == to_stored(store))
        wanted = (quarantine.c.store != to_stored(store)) & quarantine.c.id.not_in(copied) & (quarantine.c.id > to_stored(after))
        with self._database.session() as session:
            rows = session.run(select(*_COLUMNS).where(wanted).order_by(quarantine.c.id).limit(limit)).fetchall()
        return [_entry(row) for row in rows]

    def copied(self, entry_id: str, store: str) -> None:
        """A store has a verified copy of an item. May be called again."""
        place = {"id": to_stored(entry_id), "store": to_stored(store)}
        this = (quarantine_copies.c.id == place["id"]) & (quarantine_copies.c.store == place["store"])
        with self._database.transaction() as session:
            if session.run(select(quarantine_copies.c.id).where(this)).fetchone() is None:
                session.run(insert(quarantine_copies).values(**place))

    def size(self) -> tuple[int, int]:
        """How many items wait, and their octets."""
        with self._database.session() as session:
            waiting = quarantine.c.resolution == ""
            row = session.run(select(func.count(), func.coalesce(func.sum(quarantine.c.size), 0)).where(waiting)).fetchone()
        return int(row[0]), int(row[1])


def _values(entry: QuarantineEntry) -> dict[str, Any]:
    texts = ("id", "sha256", "store", "key", "code", "message", "transfer_syntax_uid", "sop_class_uid", "sop_instance_uid")
    return {name: to_stored(getattr(entry, name)) for name in (*texts, "resolution")} | {
        "size": entry.size,
        "source_kind": to_stored(entry.source.kind),
        "source_name": to_stored(entry.source.name),
        "source_address": to_stored(entry.source.address),
        "source_issuer": to_stored(entry.source.issuer),
        "received_at": microseconds(entry.received_at),
        "times": entry.times,
    }


def _entry(row: Any) -> QuarantineEntry:
    values: dict[str, Any] = {
        column.name: from_stored(value) if isinstance(value, str) else value for column, value in zip(_COLUMNS, row, strict=True)
    }
    source = Source(*(values.pop(f"source_{name}") for name in ("kind", "name", "address", "issuer")))
    return QuarantineEntry(**{**values, "source": source, "received_at": moment(values["received_at"])})
