"""What members deliver and reads without a deviation is passed on as they gave it; it is kept as it came, and taken in only when something needs that.

Comes in: one instance as a member delivered it. Whatever is passed on was read to its end, is the instance that was asked for, and is a Part 10 file (a
bare data set of a C-STORE gets the head of one). Everything else goes through the rooms of the way in, which know what to do with it.

Kept are files, in a folder of their own of the memory's span: they are found by every process, and forgotten with the span. Their names carry a checksum
that each is proved by when it is read. Nothing is flushed: members have it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from vna_core.archival_storage.checksum import extended
from vna_core.configuration import IngestSettings
from vna_core.dicom import codestream
from vna_core.dicom.attribute_values import character_sets_of, values_as_text
from vna_core.dicom.elements import ParsedOctets
from vna_core.dicom.part10 import file_head
from vna_core.dicom.revision import RevisedDataSet
from vna_core.domain.departments import Departments
from vna_core.domain.errors import DigestMismatch, LimitExceeded, Unarchivable
from vna_core.domain.identifiers import PatientKey, key_segment
from vna_core.domain.octets import CHUNK, Octets, ReceivedInstance, Source
from vna_core.ingest.identify import identify

AT_HAND: Final = 4 << 20
"""Octets up to which an instance is also kept in memory until it is sent."""

_CLASS, _SOP, _PATIENT, _ISSUER, _STUDY, _SERIES = 0x00080016, 0x00080018, 0x00100020, 0x00100021, 0x0020000D, 0x0020000E
_TRAILING_PADDING: Final = 0xFFFCFFFC
"""Where an archive of ours keeps what is nobody else's affair."""
_MEDIA_STORAGE: Final = ((0x00020002, _CLASS), (0x00020003, _SOP))


@dataclass(frozen=True, slots=True)
class PassedInstance:
    """One instance as a member gave it.

    Attributes
    ----------
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
    size: int
    crc32c: int
    content: bytes | bytearray | None = None

    def pieces(self) -> Iterator[bytes | memoryview]:
        """The file. Raises DigestMismatch before the last piece where it is not what came."""
        if self.content is not None:
            yield memoryview(self.content)
            return
        checksum, size, held = 0, 0, b""
        with self.path.open("rb", buffering=0) as file:
            while piece := file.read(CHUNK):
                if held:
                    yield held
                checksum, size, held = extended(checksum, piece), size + len(piece), piece
        if (size, checksum) != (self.size, self.crc32c):
            self.path.unlink(missing_ok=True)
            raise DigestMismatch("What a member delivered was damaged here: ask for it again.", sop=self.sop_instance_uid)
        yield held


class Passed:
    """What is passed on within one span.

    Parameters
    ----------
    departments
        Rules by which it is decided whether whoever asks may see what a member delivers, before anything but its source is known.
    """

    def __init__(self, folder: Path, limits: IngestSettings, departments: Departments) -> None:
        self._folder = folder
        self._limits = limits
        self._departments = departments

    def may_see(self, source: Source, study: str, labels: frozenset[str] | None) -> bool:
        """Whether all that a source delivers of a study lies in a scope, whatever it says of itself."""
        return labels is None or self._departments.surely(source, study, {}, (), labels)

    def keep(self, received: ReceivedInstance, takes: Callable[[PassedInstance], bool]) -> PassedInstance | None:
        """The instance to pass on, its octets kept; None for one that must go through the rooms. The octets are not closed.

        `takes` says whether whoever asks takes it as it is.
        """
        found = self._read(received)
        if found is None or not takes(found[0]):
            return None
        one, head = found
        octets = received.octets
        pieces = (head, *_pieces(octets)) if head else _pieces(octets)
        try:
            path, checksum = self._write(self._folder_of(received.source, one.study_instance_uid), one.sop_instance_uid, pieces)
        except OSError:
            return None  # the rooms tell what is wrong with the disk
        content = octets.memory if octets.size <= AT_HAND else None
        if content is not None and head:
            content = head + content
        return replace(one, path=path, crc32c=checksum, content=content)

    @staticmethod
    def _write(folder: str, sop: str, pieces: Iterable[bytes | bytearray | memoryview]) -> tuple[Path, int]:
        """A file under its name as soon as it is whole, and its checksum. Raises OSError."""
        partial = f"{folder}/.{secrets.token_hex(8)}"
        try:
            file = open(partial, "xb")  # noqa: SIM115 - closed below
        except FileNotFoundError:
            os.makedirs(folder, exist_ok=True)
            file = open(partial, "xb")  # noqa: SIM115 - closed below
        checksum = 0
        try:
            with file:
                for piece in pieces:
                    checksum = extended(checksum, piece)
                    file.write(piece)
            path = f"{folder}/{key_segment(sop)}.{checksum:08x}"
            os.rename(partial, path)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(partial)
            raise
        return Path(path), checksum

    def known(self, source: Source, study: str) -> dict[str, Path]:
        """Files kept of a member's study, by their SOP Instance UID as a segment of a key."""
        with contextlib.suppress(FileNotFoundError), os.scandir(self._folder_of(source, study)) as entries:
            return {entry.name.rpartition(".")[0]: Path(entry.path) for entry in entries if not entry.name.startswith(".")}
        return {}

    def read(self, path: Path, source: Source) -> tuple[PassedInstance, ReceivedInstance] | None:
        """One file as it was passed on, and as it is taken in. None: it is gone or damaged."""
        checksum = 0
        try:
            size = path.stat().st_size
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            if size <= AT_HAND:
                with os.fdopen(descriptor, "rb", buffering=0) as file:
                    octets = Octets(size, "", memory=file.read(size))
            else:
                octets = Octets(size, "", descriptor=descriptor)
            for piece in _pieces(octets):
                checksum = extended(checksum, piece)
        except (OSError, EOFError):
            return None
        received = ReceivedInstance(octets, source, datetime.now(UTC))
        found = self._read(received) if f"{checksum:08x}" == path.name.rpartition(".")[2] else None
        if found is None:
            octets.close()
            path.unlink(missing_ok=True)
            return None
        content = octets.memory if octets.size <= AT_HAND else None
        return replace(found[0], path=path, crc32c=checksum, content=content), received

    def _folder_of(self, source: Source, study: str) -> str:
        return f"{self._folder}/{key_segment(source.name)}/{key_segment(study)}"

    def _read(self, received: ReceivedInstance) -> tuple[PassedInstance, bytes] | None:
        """What an instance is, and the head that it needs; None where it is not exactly as it should be."""
        try:
            parsed = identify(received, self._limits)
        except (Unarchivable, LimitExceeded):
            return None
        if parsed.notes or parsed.unfolded or parsed.end != received.octets.size:
            return None
        return _described(parsed, received)


@dataclass(frozen=True, slots=True)
class PassingOn:
    """What may be passed on to one asker.

    Attributes
    ----------
    labels
        Departments and collections that the asker may see; None: everything.
    takes
        Whether the asker takes an instance as it is; None: takes nothing but what went through the rooms.
    """

    passed: Passed
    labels: frozenset[str] | None = None
    takes: Callable[[PassedInstance], bool] | None = None

    def keep(self, received: ReceivedInstance, study: str) -> PassedInstance | None:
        """See `Passed.keep`."""
        if self.takes is None or not self.passed.may_see(received.source, study, self.labels):
            return None
        return self.passed.keep(received, self.takes)

    def is_taken(self, one: PassedInstance, source: Source) -> bool:
        """Whether one that was kept goes out as it is."""
        return self.takes is not None and self.passed.may_see(source, one.study_instance_uid, self.labels) and self.takes(one)


def _pieces(octets: Octets) -> Iterable[bytes | bytearray | memoryview]:
    """What is in memory as the object that it is: it is checksummed without being copied."""
    return octets.chunks() if octets.memory is None else (octets.memory,)


def _described(parsed: ParsedOctets, received: ReceivedInstance) -> tuple[PassedInstance, bytes] | None:
    revised = RevisedDataSet(parsed.buffer, parsed.data_set)
    sop_class, sop, study, series = (revised.text(tag) for tag in (_CLASS, _SOP, _STUDY, _SERIES))
    syntax = parsed.transfer_syntax_uid
    if not (sop_class and sop and study and series) or revised.find(_TRAILING_PADDING) is not None:
        return None
    if syntax != codestream.EXPLICIT_LITTLE and not codestream.is_encapsulated(syntax):
        return None
    head = b""
    if not parsed.file_meta and not parsed.data_set_offset:
        head = file_head(sop_class, sop, syntax)
    elif bytes(parsed.buffer[128:132]) != b"DICM" or not _agrees(parsed, revised):
        return None
    sets = character_sets_of(revised)
    patient = PatientKey(_text(revised, _ISSUER, sets) or received.source.issuer, _text(revised, _PATIENT, sets))
    size = received.octets.size + len(head)
    return PassedInstance(patient, study, series, sop, sop_class, syntax, Path(), size, 0), head


def _agrees(parsed: ParsedOctets, revised: RevisedDataSet) -> bool:
    """Whether the File Meta Information says what the data set is."""
    named = all(parsed.file_meta.get(tag, "").strip(" \0") == revised.text(meant) for tag, meant in _MEDIA_STORAGE)
    return named and parsed.declared_transfer_syntax_uid == parsed.transfer_syntax_uid


def _text(revised: RevisedDataSet, tag: int, sets: tuple[str, ...]) -> str:
    element = revised.find(tag)
    if element is None or element.items is not None or element.length > 1024:
        return ""
    return next(iter(values_as_text(revised.value(element), "LO", sets)), "")
