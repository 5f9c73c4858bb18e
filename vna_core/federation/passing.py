"""What members deliver and reads without a deviation is passed on as they gave it; it is kept as it came, and taken in only when something needs that.

Comes in: one instance as a member delivered it. Whatever is passed on was read to its end, is the instance that was asked for, and is a Part 10 file (a
bare data set of a C-STORE gets the head of one). Everything else goes through the rooms of the way in, which know what to do with it.

Kept is in files (`vna_core.federation.kept`), in a folder of their own of the memory's span: every process finds them, and they are forgotten with the span.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from contextlib import closing
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
from vna_core.domain.octets import Octets, ReceivedInstance, Source
from vna_core.federation.kept import KeptFile, PassedInstance, kept_below
from vna_core.federation.locating import InstanceKey
from vna_core.ingest.identify import identify

AT_HAND: Final = 4 << 20
"""Octets up to which an instance is also kept in memory until it is sent."""

_CLASS, _SOP, _PATIENT, _ISSUER, _STUDY, _SERIES = 0x00080016, 0x00080018, 0x00100020, 0x00100021, 0x0020000D, 0x0020000E
_TRAILING_PADDING: Final = 0xFFFCFFFC
"""Where an archive of ours keeps what is nobody else's affair."""
_NOWHERE: Final = Path()
_MEDIA_STORAGE: Final = ((0x00020002, _CLASS), (0x00020003, _SOP))


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

    def file(self, source: Source, study: str) -> KeptFile:
        """A new file for what a member delivers of a study."""
        return KeptFile(self._folder_of(source, study))

    def known(self, source: Source, study: str) -> dict[InstanceKey, PassedInstance]:
        """What is kept of a member's study."""
        return {key: one for key, one in kept_below(self._folder_of(source, study)).items() if one.study_instance_uid == study}

    def read(self, one: PassedInstance) -> PassedInstance | None:
        """One that is kept, proved, and at hand where it is small. None: it is gone or damaged."""
        try:
            if one.size > AT_HAND:
                for _ in one.pieces():
                    continue
                return one
            content = _read(one)
        except (OSError, DigestMismatch):
            return None
        if len(content) != one.size or extended(0, content) != one.crc32c:
            one.forget()
            return None
        return replace(one, content=content)

    def received(self, one: PassedInstance, source: Source) -> ReceivedInstance:
        """One that `read` proved, as it is taken in. Raises FileNotFoundError."""
        if one.content is not None:
            octets = Octets(one.size, "", memory=one.content)
        else:  # it is alone in its file
            octets = Octets(one.size, "", descriptor=os.open(one.path, os.O_RDONLY | os.O_CLOEXEC))
        return ReceivedInstance(octets, source, datetime.now(UTC))

    def _folder_of(self, source: Source, study: str) -> Path:
        return self._folder / key_segment(source.name) / key_segment(study)

    def described(self, received: ReceivedInstance) -> tuple[PassedInstance, bytes] | None:
        """What an instance is, and the head that it needs; None where it is not exactly as it should be."""
        try:
            parsed = identify(received, self._limits)
        except (Unarchivable, LimitExceeded):
            return None
        if parsed.notes or parsed.unfolded or parsed.end != received.octets.size:
            return None
        return _described(parsed, received)


def _read(one: PassedInstance) -> bytes:
    """Octets of one that is kept, fewer where its file is cut. Raises OSError."""
    descriptor = os.open(one.path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.pread(descriptor, one.size, one.offset)
    finally:
        os.close(descriptor)


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

    def keeping(self, study: str, only: Callable[[PassedInstance], bool]) -> Keeping:
        """Takes what is delivered in one retrieval of a study, as far as it is what was asked for; to be closed when that ends."""
        return Keeping(self, study, only)

    def is_taken(self, one: PassedInstance, source: Source) -> bool:
        """Whether one that was kept goes out as it is."""
        return self.takes is not None and self.passed.may_see(source, one.study_instance_uid, self.labels) and self.takes(one)


class Keeping:
    """What one retrieval passes on, and keeps. May be used by several threads."""

    def __init__(self, passing: PassingOn, study: str, only: Callable[[PassedInstance], bool]) -> None:
        self._passing = passing
        self._study = study
        self._only = only
        self._lock = threading.Lock()
        self._files: dict[Source, KeptFile] = {}
        self._closed = False

    def keep(self, received: ReceivedInstance) -> PassedInstance | None:
        """The instance to pass on, its octets kept; None for one that must go through the rooms. The octets are not closed."""
        passed = self._passing.passed
        if self._passing.takes is None or not passed.may_see(received.source, self._study, self._passing.labels):
            return None
        found = passed.described(received)
        if found is None or not self._only(found[0]) or not self._passing.takes(found[0]):
            return None
        one, head = found
        octets = received.octets
        pieces = (head, *_pieces(octets)) if head else _pieces(octets)
        try:
            return self._kept(one, received.source, pieces)
        except (OSError, ValueError):
            return None  # the rooms tell what is wrong with the disk

    def _kept(self, one: PassedInstance, source: Source, pieces: Iterable[bytes | bytearray | memoryview]) -> PassedInstance:
        if one.size > AT_HAND:  # alone in its file, so that it can be taken in from there
            with closing(self._passing.passed.file(source, self._study)) as own:
                return own.add(one, pieces)
        with self._lock:
            if self._closed:
                raise ValueError("nothing is kept any more")
            file = self._files.get(source)
            if file is None:
                file = self._files[source] = self._passing.passed.file(source, self._study)
        return file.add(one, pieces)

    def close(self) -> None:
        """Have others find what was kept. May be called twice."""
        with self._lock:
            self._closed = True
            for file in self._files.values():
                file.close()


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
    content = received.octets.memory if size <= AT_HAND else None
    if head and content is not None:
        content = head + content
    return PassedInstance(patient, study, series, sop, sop_class, syntax, _NOWHERE, 0, size, 0, content), head


def _agrees(parsed: ParsedOctets, revised: RevisedDataSet) -> bool:
    """Whether the File Meta Information says what the data set is."""
    named = all(parsed.file_meta.get(tag, "").strip(" \0") == revised.text(meant) for tag, meant in _MEDIA_STORAGE)
    return named and parsed.declared_transfer_syntax_uid == parsed.transfer_syntax_uid


def _text(revised: RevisedDataSet, tag: int, sets: tuple[str, ...]) -> str:
    element = revised.find(tag)
    if element is None or element.items is not None or element.length > 1024:
        return ""
    return next(iter(values_as_text(revised.value(element), "LO", sets)), "")
