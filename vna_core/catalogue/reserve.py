"""A little room on the disk of an SQLite catalogue, given up where the disk is full when the catalogue is opened.

SQLite needs a file for the memory that its processes share, even to read; the last process that closes the database removes it.
So an archive whose disk became full could go on reading, and after a restart could not. With the room of the reserve it can.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

ROOM: Final = 64 << 10
"""Octets: twice what the shared memory of a small write-ahead log takes."""


class Reserve:
    """The file that holds the room, beside the database."""

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(database.name + ".reserve")

    def keep(self) -> None:
        """Have the room, unless the disk does not give it now. May be called again."""
        if self._path.exists():
            return
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            return  # read-only, or not even room for a name: the catalogue works without
        try:
            os.posix_fallocate(descriptor, 0, ROOM)
        except OSError:
            with contextlib.suppress(OSError):
                self._path.unlink()
        finally:
            os.close(descriptor)

    def give_up(self) -> bool:
        """Give the room back where the disk is full; whether there was any to be given."""
        try:
            status = os.statvfs(self._path.parent)
            if status.f_bavail * status.f_frsize >= ROOM:
                return False
            self._path.unlink()
        except OSError:
            return False
        return True
