"""What a rebuild must know besides the objects lies in the stores as small notes: holds, deletions, and how they ended.

The catalogue decides, in one transaction, and remembers that the stores do not know yet; then the notes are written, to the
landing store first. Whoever comes next writes what a process that died has left unwritten.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, astuple, dataclass, field, replace
from datetime import datetime
from typing import Any, Final

import structlog

from vna_core.archival_storage.keys import DELETIONS, HOLDS, NOTES, note_key
from vna_core.catalogue import Catalogue
from vna_core.domain.errors import ObjectExists, OutOfResources, StorageError
from vna_core.domain.stewardship import (
    HIDDEN,
    PURGED,
    PURGING,
    UNDOING,
    UNDONE,
    DeletedObject,
    DeletedVersion,
    Deletion,
    Extent,
    Hold,
)
from vna_core.ports.storage import Store

_UNDONE_NOTE: Final = "undone"
_PURGED_NOTE: Final = "purged"
_RELEASED_NOTE: Final = "released"

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Notes:
    """What the notes of all stores tell. `damaged` names those that no store can give."""

    holds: dict[str, Hold] = field(default_factory=dict)
    deletions: dict[str, tuple[Deletion, tuple[DeletedVersion, ...], tuple[DeletedObject, ...]]] = field(default_factory=dict)
    damaged: list[str] = field(default_factory=list)


def write_notes(stores: Mapping[str, Store], landing: Store, catalogue: Catalogue) -> None:
    """Write every note that is due. Afterwards the landing store has them; a store that does not answer or is full gets them later.

    Raises
    ------
    OutOfResources, StoreUnavailable
        The landing store cannot take them now.
    """
    for hold in catalogue.holds.unnoted():
        if _written(stores, landing, _hold_notes(hold)):
            catalogue.holds.noted(hold.id)
    for deletion in catalogue.deletions.unnoted():
        if _written(stores, landing, _deletion_notes(deletion, catalogue)):
            catalogue.deletions.noted(deletion)


def _written(stores: Mapping[str, Store], landing: Store, notes: Mapping[str, bytes]) -> bool:
    """Write notes everywhere; whether all stores have them."""
    _put(landing, notes)
    complete = True
    for store in stores.values():
        if store is landing:
            continue
        try:
            _put(store, notes)
        except (StorageError, OutOfResources) as error:
            _log.warning("note-not-written", store=store.name, code=error.code)
            complete = False
    return complete


def _put(store: Store, notes: Mapping[str, bytes]) -> None:
    for key, content in notes.items():
        try:
            store.create(key, [content])
        except ObjectExists:
            continue


def _hold_notes(hold: Hold) -> dict[str, bytes]:
    told = {name: value for name, value in asdict(hold).items() if not name.startswith("released")}
    notes = {note_key(HOLDS, hold.id): _octets({**told, "set_at": hold.set_at.isoformat()})}
    if hold.released_at is not None:
        notes[note_key(HOLDS, hold.id, _RELEASED_NOTE)] = _ended(hold.id, hold.released_by, hold.released_at)
    return notes


def _deletion_notes(deletion: Deletion, catalogue: Catalogue) -> dict[str, bytes]:
    """The note that something was deleted is written once, while everything about it is still known."""
    notes = {}
    if deletion.state in (HIDDEN, UNDOING, PURGING):
        told = {name: getattr(deletion, name) for name in ("id", "level", "uid", "reason", "deleted_by")}
        notes[note_key(DELETIONS, deletion.id)] = _octets(
            {
                **told,
                **({"rejection": deletion.rejection, "note": deletion.note} if deletion.rejection else {}),
                "deleted_at": deletion.deleted_at.isoformat(),
                "versions": [asdict(one) for one in catalogue.deletions.versions(deletion.id)],
                "objects": [astuple(one) for one in catalogue.deletions.objects(deletion.id)],
            }
        )
    what = {UNDOING: _UNDONE_NOTE, UNDONE: _UNDONE_NOTE, PURGING: _PURGED_NOTE, PURGED: _PURGED_NOTE}.get(deletion.state)
    if what is not None and deletion.ended_at is not None:
        notes[note_key(DELETIONS, deletion.id, what)] = _ended(deletion.id, deletion.ended_by, deletion.ended_at)
    return notes


def _ended(identifier: str, by: str, at: datetime) -> bytes:
    return _octets({"id": identifier, "by": by, "at": at.isoformat()})


def _octets(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=True, indent=1).encode("ascii")


def read_notes(stores: Mapping[str, Store]) -> Notes:
    """What all stores tell about holds and deletions; a note that is damaged in one store is read from another."""
    notes = Notes()
    documents: dict[str, dict[str, Any]] = {}
    wrong: dict[str, str] = {}
    for store in stores.values():
        for prefix in (HOLDS, DELETIONS):
            for stored in store.list(prefix):
                if stored.key in documents:
                    continue
                try:
                    documents[stored.key] = dict(json.loads(store.read(stored.key)))
                except (StorageError, ValueError, TypeError) as error:
                    _log.error("note-damaged", store=store.name, key=stored.key, error=type(error).__name__)
                    wrong[stored.key] = f"{store.name}:{stored.key}"
    for key in sorted(documents):  # what happened to a thing afterwards sorts behind the thing itself
        try:
            _understand(key, documents[key], notes)
        except (ValueError, KeyError, TypeError):
            wrong[key] = key
            documents[key] = {}
    notes.damaged = [name for key, name in wrong.items() if not documents.get(key)]
    return notes


def _understand(key: str, said: Mapping[str, Any], notes: Notes) -> None:
    if "by" in said:
        at = datetime.fromisoformat(said["at"])
        if key.startswith(HOLDS):
            notes.holds[said["id"]] = replace(notes.holds[said["id"]], released_by=said["by"], released_at=at)
            return
        deletion, versions, objects = notes.deletions[said["id"]]
        state = UNDONE if key.endswith(f".{_UNDONE_NOTE}.json") else PURGED
        notes.deletions[said["id"]] = (replace(deletion, state=state, ended_by=said["by"], ended_at=at), versions, objects)
    elif key.startswith(HOLDS):
        at = datetime.fromisoformat(said["set_at"])
        told = (said["identifier"], said["issuer"], said["reason"], said["set_by"])
        notes.holds[said["id"]] = Hold(said["id"], Extent(said["level"]), *told, at)
    else:
        at = datetime.fromisoformat(said["deleted_at"])
        rejected = {name: said.get(name, "") for name in ("rejection", "note")}
        deletion = Deletion(said["id"], Extent(said["level"]), said["uid"], said["reason"], said["deleted_by"], at, **rejected)
        versions = tuple(DeletedVersion(**one) for one in said["versions"])
        notes.deletions[said["id"]] = (deletion, versions, tuple(DeletedObject(*one) for one in said["objects"]))


def spread_notes(stores: Mapping[str, Store]) -> int:
    """Give every store the notes that another one has; how many were missing. A store that does not answer or is full is left out."""
    known: dict[str, Store] = {}
    held: dict[str, set[str]] = {}
    for name, store in stores.items():
        try:
            held[name] = {stored.key for prefix in NOTES for stored in store.list(prefix)}
        except StorageError as error:
            _log.warning("notes-not-listed", store=name, code=error.code)
            continue
        for key in held[name]:
            known.setdefault(key, store)
    spread = 0
    for name, keys in held.items():
        for key in sorted(known.keys() - keys):
            try:
                _put(stores[name], {key: known[key].read(key)})
                spread += 1
            except (StorageError, OutOfResources) as error:
                _log.warning("note-not-written", store=name, key=key, code=error.code)
    return spread
