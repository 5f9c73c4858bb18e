"""One look at all files of a medium: each is read once, and again only when it has changed."""

from __future__ import annotations

import os
import time
import zlib
from collections import Counter
from pathlib import Path
from typing import Final

import structlog

from vna_core.dicom.offered_files import OfferedFile, offered_files
from vna_core.domain.deadline import Deadline
from vna_core.domain.errors import VnaError
from vna_pacs_media.index import CLOSED, Index, Place
from vna_pacs_media.reading import indexed, is_attachment, unreadable

_log = structlog.get_logger(__name__)
_SETTLED: Final = 2.0
"""Seconds after which a change of a file shows in its times; one that was written just now is read again by the next look."""
_BOTHERED: Final = 1000
"""Files looked at between two looks at the deadline, and between two moments from which a later look can go on."""


def look(index: Index, path: Path, deadline: Deadline | None) -> Counter[str]:
    """Fill `index` with what lies below `path`; how many instances, unreadable and other files there were, and files as before.

    Raises PeerUnavailable; what was found until then is kept.
    """
    with index.looking():
        looking = _Look(index, deadline)
        for item in offered_files([path], looking.is_known):
            looking.take(item)
        looking.end()
    return looking.counts


class _Look:
    """Where a look is.

    A container is a file, or an archive whose members follow one another. It is known again only if all of it could be read.
    """

    def __init__(self, index: Index, deadline: Deadline | None) -> None:
        self.counts: Counter[str] = Counter()
        self._index, self._deadline = index, deadline
        self._seen = 0
        self._path = self._stamp = ""
        self._container = -1
        self._sound = False

    def is_known(self, path: Path, status: os.stat_result) -> bool:
        """Whether a file is in the index and has not changed; asked before it is opened."""
        self.end()
        self._bother()
        self._path, self._stamp = str(path), f"{status.st_size}.{status.st_mtime_ns}.{status.st_ctime_ns}"
        if self._index.has(self._path, self._stamp):
            self._path = ""
            self.counts["as_before"] += 1
            return True
        self._container = self._index.begin(self._path)
        self._sound = time.time() - max(status.st_mtime, status.st_ctime) >= _SETTLED
        return False

    def take(self, item: OfferedFile) -> None:
        """Index one file or member."""
        if item.container != self._path:  # one that could not be looked at: it is tried anew by every look
            self.end()
            self._path, self._container, self._sound = item.container, self._index.begin(item.container), False
        elif item.member:
            self._bother()
        self.counts[self._taken(item)] += 1

    def end(self) -> None:
        """What was begun is complete."""
        if self._path and self._sound:
            self._index.end(self._container, self._stamp)
        self._path = ""

    def _taken(self, item: OfferedFile) -> str:
        """In one word, what it is."""
        found = None
        try:
            if item.open is not None:
                with item.open() as stream:
                    found = indexed(item.path, stream)
                if found is None:
                    return "others"
        except (VnaError, OSError, EOFError, ValueError, RuntimeError, NotImplementedError, zlib.error) as error:
            _log.warning("file-unreadable", file=item.path, error=type(error).__name__)
        if found is None:
            self._sound = False
            found = unreadable(item.path)
        size = found.unfolded_size if found.folded else item.size
        # What must not be opened: a ZIP bomb, a file outside the folder of its DICOMDIR, one that is not there.
        offset = CLOSED if item.open is None else item.offset
        place = Place(item.container, item.member, offset, size, found.folded)
        attachment = not item.member and is_attachment(item.path)
        self._index.add(self._container, found, place, attachment)
        return "instances" if found.readable else "unreadable"

    def _bother(self) -> None:
        self._seen += 1
        if self._seen % _BOTHERED == 0:
            self._index.save()
            if self._deadline is not None:
                self._deadline.check()
