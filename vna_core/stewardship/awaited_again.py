"""What rejection notes name and what never came is awaited once more by a catalogue that is made anew: it is hidden when it comes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import structlog

from vna_core.archival_storage.keys import digest_of_key, is_pack
from vna_core.catalogue import Catalogue
from vna_core.dicom.rejection_note import read_note
from vna_core.domain.corrections import AwaitedRejection
from vna_core.domain.errors import StorageError, Unarchivable
from vna_core.domain.instance import IndexEntry
from vna_core.domain.stewardship import HIDDEN, DeletedObject, Deletion
from vna_core.ports.storage import Store
from vna_core.stewardship.rejecting import principal_of
from vna_core.stewardship.stored_entry import proven_entry

_log = structlog.get_logger(__name__)


def await_again(stores: Mapping[str, Store], catalogue: Catalogue) -> list[str]:
    """Read the notes that are hidden with what they reject; the UIDs of those that could not be read.

    Called when deletions, versions and packs are on record. A note of which anything was taken back is passed over.
    """
    unread, after = list[str](), ""
    while page := catalogue.deletions.listed(HIDDEN, after=after):
        for deletion in page:
            if not deletion.note:
                continue
            versions = [one for one in catalogue.deletions.versions(deletion.id) if one.sop_instance_uid == deletion.note]
            if versions and not _await_again(stores, catalogue, deletion, {one.sha256 for one in versions}):
                unread.append(deletion.note)
        after = page[-1].id
    return unread


def _await_again(stores: Mapping[str, Store], catalogue: Catalogue, deletion: Deletion, digests: set[str]) -> bool:
    """Whether the note was read."""
    known = [catalogue.deletions.deletion(one) for one in catalogue.rejections.of_note(deletion.note)]
    if any(one.state != HIDDEN for one in known):
        return True
    entry = next(_entries(stores, catalogue, deletion.id, digests), None)
    if entry is None:
        return False
    note = read_note(json.loads(entry.json_header))
    if note is None:
        return True
    hidden = {one.sop_instance_uid for each in known for one in catalogue.deletions.versions(each.id)}
    who = principal_of(entry.source)
    by = (who.kind.value, who.name, who.address)
    catalogue.rejections.await_(
        AwaitedRejection(deletion.note, one.study_instance_uid, one.sop_instance_uid, note.title.value, by)
        for one in note.rejected
        if one.sop_instance_uid not in hidden
        and all(held.study_instance_uid != one.study_instance_uid for held in catalogue.versions(one.sop_instance_uid))
    )
    return True


def _entries(stores: Mapping[str, Store], catalogue: Catalogue, deletion: str, digests: set[str]) -> Iterator[IndexEntry]:
    """The note, of each copy that can be read."""
    for where in catalogue.deletions.objects(deletion):
        sha256 = _sha256(catalogue, where)
        store = stores.get(where.store)
        if sha256 not in digests or store is None:
            continue
        try:
            yield proven_entry(store, where.key, where.length, where.offset, sha256)
        except (StorageError, Unarchivable) as error:
            _log.error("rejection-note-not-read", store=where.store, key=where.key, code=error.code)


def _sha256(catalogue: Catalogue, where: DeletedObject) -> str:
    if not is_pack(where.key):
        return digest_of_key(where.key)
    members = (one for pack in catalogue.packs.listed(key=where.key) for one in catalogue.packs.members(pack.pk))
    return next((one.sha256 for one in members if one.offset == where.offset), "")
