"""Rows of QIDO-RS answers, encoded once: a catalogue row that comes again, unchanged, is answered with the same octets.

The key is the row itself as the catalogue just read it, so nothing here can be out of date.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic_core import PydanticSerializationError, to_json

from vna_core.catalogue import Match
from vna_core.dicom.answers import in_order
from vna_core.dicom.json_header import encode_attributes
from vna_core.gateways.dicomweb.qido_columns import Columns
from vna_core.gateways.resource_paths import INSTANCE, SERIES, STUDY, resource_path

_UIDS: Final = frozenset((STUDY, SERIES, INSTANCE))

KEPT: Final = 16 << 20
"""Octets of encoded rows that one process keeps; with the rows they were made of, about three times that in memory."""

_Key = tuple[Any, ...]


class EncodedRows:
    """Encodes matches of studies and series, and keeps what it encoded; the oldest goes first."""

    def __init__(self, kept: int = KEPT) -> None:
        self._limit = kept
        self._size = 0
        self._changing = threading.Lock()
        self._known: dict[_Key, tuple[bytes, bytes]] = {}

    def encoded(self, match: Match, columns: Columns, base: bytes, available: str) -> bytes:
        """One row as DICOM JSON.

        Parameters
        ----------
        base
            The service's root URL, of characters that need no escape in JSON.
        available
            Instance Availability (0008,0056).
        """
        key = (match.row, columns, available)
        halves = self._known.get(key)
        if halves is None:
            halves = _halves(row_of(match, columns, "", available))
            self._keep(key, halves)
        return halves[0] + base + halves[1]

    def _keep(self, key: _Key, halves: tuple[bytes, bytes]) -> None:
        with self._changing:
            if key in self._known:
                return
            self._known[key] = halves
            self._size += len(halves[0]) + len(halves[1])
            while self._size > self._limit:
                before, after = self._known.pop(next(iter(self._known)))
                self._size -= len(before) + len(after)


def uid_of(attributes: Mapping[int, Sequence[str]], tag: int) -> str:
    """A UID as it is filed: one with a backslash is told as several values, and is one."""
    return "\\".join(attributes.get(tag, ()))


def row_of(match: Match, columns: Columns, base: str, available: str) -> dict[str, Any]:
    """One row as a JSON object, in the order of its tags (PS3.18 F.2.2), with the Retrieve URL (0008,1190) below `base`."""
    names = columns.names
    attributes = match.told(None if names is None else names | _UIDS)
    url = base + resource_path(match.level, lambda tag: uid_of(attributes, tag))
    if names is not None:
        for tag in _UIDS - names:
            attributes.pop(tag, None)
    for tag in columns.always:
        attributes.setdefault(tag, ())
    row: dict[str, Any] = dict(encode_attributes(attributes))
    row["00080056"] = {"vr": "CS", "Value": [available]}
    row["00081190"] = {"vr": "UR", "Value": [url]}
    return in_order(row)


def octets(value: Any) -> bytes:
    """JSON as it is sent."""
    with contextlib.suppress(PydanticSerializationError):  # half a surrogate pair, which only an escape sequence can say
        return to_json(value)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _halves(row: dict[str, Any]) -> tuple[bytes, bytes]:
    """The octets of a row without sequences, before and after the place of the root URL.

    Inside a JSON string every quotation mark is escaped, so what is looked for cannot be in a value.
    """
    before, url, after = octets(row).partition(b'"00081190":{"vr":"UR","Value":["')
    return before + url, after
