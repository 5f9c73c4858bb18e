"""Octets that members delivered, in files: those of one retrieval and member one after the other, since a file of its own for each instance costs more
than its octets do.

A file's index is written when the retrieval ends. From then on every process finds what is in it, and knows what it is without reading it; a process
that dies before leaves octets that nobody finds, and that go with their span. Index and octets are checksummed: what is damaged is forgotten, and
asked for again. Nothing is flushed: members have it.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from vna_core.archival_storage.checksum import extended
from vna_core.domain.errors import DigestMismatch
from vna_core.domain.identifiers import PatientKey
from vna_core.domain.octets import CHUNK
from vna_core.federation.locating import InstanceKey, key_of

_INDEX: Final = ".index"
_OCTETS: Final = ".octets"

Row = tuple[str, str, str, str, str, str, str, int, int, int]
"""What an index tells of an instance: its patient, UIDs and transfer syntax; then offset, size and CRC-32C of its octets."""


@dataclass(frozen=True, slots=True)
class PassedInstance:
    """One instance as a member gave it.

    Attributes
    ----------
    path, offset
        Where its octets are kept; the offset counts from 0.
    size, crc32c
        Of the Part 10 file.
    content
        The file itself while it is at hand; None: `path` is read.
    """

    patient: PatientKey
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    path: Path
    offset: int
    size: int
    crc32c: int
    content: bytes | bytearray | None = None

    def pieces(self) -> Iterator[bytes | memoryview]:
        """The file. Raises DigestMismatch before the last piece where it is not what came."""
        if self.content is not None:
            yield memoryview(self.content)
            return
        checksum, left, held = 0, self.size, b""
        with contextlib.suppress(FileNotFoundError), self.path.open("rb", buffering=0) as file:
            file.seek(self.offset)
            while left and (piece := file.read(min(CHUNK, left))):
                if held:
                    yield held
                checksum, left, held = extended(checksum, piece), left - len(piece), piece
        if left or checksum != self.crc32c:
            self.forget()
            raise DigestMismatch("What a member delivered was damaged here: ask for it again.", sop=self.sop_instance_uid)
        yield held

    def forget(self) -> None:
        """Remove the file, with what else is in it: it cannot be trusted. Whoever reads it already reads on."""
        for suffix in (_INDEX, _OCTETS):
            self.path.with_suffix(suffix).unlink(missing_ok=True)


class KeptFile:
    """What one member delivers in one retrieval. May be used by several threads.

    Parameters
    ----------
    folder
        Where the file is made with the first instance; that of the member's study.
    """

    def __init__(self, folder: Path) -> None:
        # Names ascend with time, so that of two that hold the same instance the later is found.
        self._octets = folder / f"{time.time_ns():016x}{secrets.token_hex(4)}{_OCTETS}"
        self._lock = threading.Lock()
        self._descriptor = -1
        self._closed = False
        self._size = 0
        self._rows: list[Row] = []

    def add(self, one: PassedInstance, pieces: Iterable[bytes | bytearray | memoryview]) -> PassedInstance:
        """The instance with the place of its octets. Raises OSError where they cannot be written, or the file is closed."""
        with self._lock:
            if self._closed:
                raise ValueError("the file is closed")
            if self._descriptor < 0:
                self._descriptor = _created(self._octets)
            checksum, end = 0, self._size
            for piece in pieces:
                checksum = extended(checksum, piece)
                end = _written(self._descriptor, piece, end)
            begin, self._size = self._size, end
            self._rows.append(
                (
                    *(one.patient.issuer, one.patient.patient_id, one.study_instance_uid, one.series_instance_uid),
                    *(one.sop_instance_uid, one.sop_class_uid, one.transfer_syntax_uid, begin, end - begin, checksum),
                )
            )
            return replace(one, path=self._octets, offset=begin, size=end - begin, crc32c=checksum)

    def close(self) -> None:
        """Have others find what is in it. May be called twice."""
        with self._lock:
            self._closed = True
            if self._descriptor < 0:
                return
            os.close(self._descriptor)
            self._descriptor = -1
            try:
                _write_index(self._octets.with_suffix(_INDEX), self._rows)
            except OSError:  # a full disk: nobody finds it, and the member is asked again
                self._octets.unlink(missing_ok=True)


def kept_below(folder: Path) -> dict[InstanceKey, PassedInstance]:
    """What is kept in a folder, which is of one study."""
    found: dict[InstanceKey, PassedInstance] = {}
    try:
        indexes = sorted(one.path for one in os.scandir(folder) if one.name.endswith(_INDEX))
    except FileNotFoundError:
        return found
    for index in indexes:
        octets = Path(index).with_suffix(_OCTETS)
        for one in _read_index(Path(index), octets):
            found[key_of(one)] = one
    return found


def _created(path: Path) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        return os.open(path, flags, 0o600)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, flags, 0o600)


def _written(descriptor: int, piece: bytes | bytearray | memoryview, position: int) -> int:
    """Write all of a piece; the offset behind it."""
    with memoryview(piece) as view:
        done = 0
        while done < len(view):
            done += os.pwrite(descriptor, view[done:], position + done)
        return position + done


def _write_index(path: Path, rows: list[Row]) -> None:
    content = json.dumps(rows, separators=(",", ":")).encode("ascii")
    partial = path.with_suffix(".partial")
    partial.write_bytes(b"%08x" % extended(0, content) + content)
    partial.rename(path)


def _read_index(path: Path, octets: Path) -> list[PassedInstance]:
    """What an index tells; nothing where it is gone, or damaged: then it is removed."""
    try:
        whole = path.read_bytes()
    except FileNotFoundError:
        return []
    checksum, content = whole[:8], whole[8:]
    if checksum != b"%08x" % extended(0, content):
        path.unlink(missing_ok=True)
        octets.unlink(missing_ok=True)
        return []
    return [
        PassedInstance(PatientKey(issuer, patient_id), study, series, sop, sop_class, syntax, octets, offset, size, crc32c)
        for issuer, patient_id, study, series, sop, sop_class, syntax, offset, size, crc32c in json.loads(content)
    ]
