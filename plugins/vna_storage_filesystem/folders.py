"""The folders of a store: where a key lies, made durable before anything is named in them, and none that leads elsewhere."""

from __future__ import annotations

import contextlib
import os
from typing import Final

from vna_core.domain.errors import InvalidRequest
from vna_core.domain.storage_keys import checked_key

_KNOWN: Final = 100_000
"""Folders that are remembered as looked at."""


class Folders:
    """Those below `root`, which is made for the first object: a store that is only looked at leaves nothing behind."""

    def __init__(self, store: str, root: str) -> None:
        self._store = store
        self.root = root
        self._below = root.rstrip("/") + "/"
        self._begun = os.path.isdir(root)
        self._known = {root}

    @property
    def begun(self) -> bool:
        """Whether the root was there at any time since. Where it was and is no more, the disk is gone, and not the objects."""
        self._begun = self._begun or os.path.isdir(self.root)
        return self._begun

    def begin(self) -> None:
        """Make the root, unless it was there before. Raises OSError where it cannot be."""
        if not self.begun:
            make_durable(self.root)
            self._begun = True

    def path(self, key: str) -> str:
        """Of the object. Raises InvalidRequest for what is no key."""
        return f"{self._below}{checked_key(key, self._store, longest_segment=255)}"

    def make(self, folder: str) -> None:
        """Make a folder and its parents, each durable. One seen for the first time may have been made by another process a
        moment ago, so its name is flushed whoever made it."""
        if folder == self.root or (folder in self._known and os.path.isdir(folder)):
            return
        self.make(os.path.dirname(folder))
        _make_and_flush(folder)
        self.refuse_detour(folder)

    def refuse_detour(self, folder: str) -> None:
        """Raise InvalidRequest when a symbolic link below the root leads somewhere else."""
        if folder in self._known:
            return
        if os.path.realpath(folder) != folder:
            raise InvalidRequest("A symbolic link in the store leads elsewhere; it is not followed.", store=self._store)
        if os.path.isdir(folder):
            if len(self._known) > _KNOWN:
                self._known = {self.root}
            self._known.add(folder)


def make_durable(folder: str) -> None:
    """Make a folder with its parents and flush the names made."""
    if not os.path.isdir(folder):
        make_durable(os.path.dirname(folder))
        _make_and_flush(folder)


def flush(folder: str) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make_and_flush(folder: str) -> None:
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder, 0o750)
    flush(os.path.dirname(folder))
