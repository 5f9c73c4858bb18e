"""Orthanc's ``/changes``: what was stored, changed or deleted, by study."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any, Final

from vna_core.dicom.network.web_client import WebClient
from vna_core.domain.deadline import Deadline
from vna_core.domain.errors import InvalidRequest, NotFound, PeerError
from vna_core.domain.numbers import whole_number
from vna_core.ports.pacs import Change, ChangeKind

_KINDS: Final = {
    "NewStudy": ChangeKind.ADDED,
    "NewSeries": ChangeKind.ADDED,
    "NewInstance": ChangeKind.ADDED,
    "ModifiedStudy": ChangeKind.UPDATED,
    "UpdatedAttachment": ChangeKind.UPDATED,
    "UpdatedMetadata": ChangeKind.UPDATED,
    "Deleted": ChangeKind.DELETED,
}
_TYPES: Final = {"Study": "/studies/{}", "Series": "/series/{}/study", "Instance": "/instances/{}/study"}
_PAGE: Final = 1000
_REMEMBERED: Final = 4096


def changes_behind(client: WebClient, since: str, deadline: Deadline | None) -> Iterator[Change]:
    """Changes behind a cursor, oldest first; neighbours that tell the same about the same study are told once."""
    cursor = whole_number(since or "0")
    if cursor is None:
        raise InvalidRequest("The cursor is none of this source's.")
    studies = _Studies(client, deadline)
    while True:
        page = client.document("/changes", {"since": str(cursor), "limit": str(_PAGE)}, deadline=deadline)
        entries = page.get("Changes") if isinstance(page, dict) else None
        if not isinstance(entries, list):
            raise PeerError("Orthanc's change feed is not what it should be.")
        held: Change | None = None
        for entry in entries:
            change = _change(entry, studies)
            if change is None:
                continue
            if held is not None and (held.kind, held.study_instance_uid) != (change.kind, change.study_instance_uid):
                yield held
            held = change
        if held is not None:
            yield held
        last = page.get("Last")
        if page.get("Done", True) or not isinstance(last, int) or last <= cursor:
            return
        cursor = last


def last_change(client: WebClient) -> str:
    """The cursor of the newest change."""
    page = client.document("/changes?last")
    last = page.get("Last") if isinstance(page, dict) else None
    if not isinstance(last, int):
        raise PeerError("Orthanc's change feed is not what it should be.")
    return str(last)


def _change(entry: object, studies: _Studies) -> Change | None:
    if not isinstance(entry, Mapping) or not isinstance(entry.get("Seq"), int):
        raise PeerError("An entry of Orthanc's change feed is not what it should be.")
    kind = _KINDS.get(str(entry.get("ChangeType", "")))
    resource = str(entry.get("ResourceType", ""))
    if kind is None or resource not in _TYPES:
        return None
    study = studies.uid_of(resource, str(entry.get("ID", "")), kind is ChangeKind.DELETED)
    return Change(str(entry["Seq"]), kind, study)


class _Studies:
    """Study Instance UIDs of Orthanc's resources, remembered for a while."""

    def __init__(self, client: WebClient, deadline: Deadline | None) -> None:
        self._client, self._deadline = client, deadline
        self._known: OrderedDict[tuple[str, str], str] = OrderedDict()

    def uid_of(self, resource: str, identifier: str, deleted: bool) -> str:
        """Empty for what is not there any more."""
        key = (resource, identifier)
        if key not in self._known and not deleted:
            self._known[key] = self._asked(resource, identifier)
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return self._known.get(key, "")

    def _asked(self, resource: str, identifier: str) -> str:
        if not identifier or not all(one in "0123456789abcdef-" for one in identifier):
            raise PeerError("Orthanc gave an identifier that is none.")
        try:
            found: Any = self._client.document(_TYPES[resource].format(identifier), deadline=self._deadline)
        except NotFound:
            return ""
        tags = found.get("MainDicomTags") if isinstance(found, dict) else None
        return str(tags.get("StudyInstanceUID", "")) if isinstance(tags, dict) else ""
