"""A folder that files are written to under names that tell them apart. What lies there already is never overwritten."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vna_core.domain.errors import InvalidRequest
from vna_core.domain.file_names import shared, told_apart

_NO_LINKS: Final = frozenset((errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK))
"""What a file system says that has no hard links, such as that of a memory stick."""


@dataclass(frozen=True, slots=True)
class OutputFile:
    """A file that is whole. `is_new`: it was written now; otherwise exactly these octets were there already."""

    path: Path
    sha256: str
    is_new: bool


class OutputFolder:
    """Writes files into a folder, which is made where it is missing.

    A file has its plain name, ``<stem><suffix>``, where nothing else has it; otherwise the first digits of its own
    SHA-256 stand before the suffix. So the same call into the same folder finds its files again.

    Parameters
    ----------
    stems
        Those of all files that are going to be written: those that occur more than once get no plain name.
    """

    def __init__(self, folder: Path, stems: Iterable[str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._shared = shared(stems)

    def write(self, stem: str, suffix: str, octets: Iterator[bytes]) -> OutputFile:
        """Write one file; it has its name when it is whole. Whatever making the octets raises escapes, and no file is left.

        Raises
        ------
        InvalidRequest
            Files of both its names are there, and hold something else.
        """
        partial = self._folder / f"{stem}{suffix}.partial"
        digest = hashlib.sha256()
        try:
            with partial.open("wb") as stream:
                for piece in octets:
                    stream.write(piece)
                    digest.update(piece)
            sha256 = digest.hexdigest()
            names = ([] if stem in self._shared else [f"{stem}{suffix}"]) + [told_apart(stem, sha256, suffix)]
            for path in (self._folder / name for name in names):
                if _named(partial, path):
                    return OutputFile(path, sha256, is_new=True)
                if _holds(path, sha256):
                    return OutputFile(path, sha256, is_new=False)
        finally:
            partial.unlink(missing_ok=True)
        raise InvalidRequest(f"{path} is there and holds something else: it is not overwritten. Give another folder.")


def _named(partial: Path, path: Path) -> bool:
    """Give a whole file its name, unless something has it."""
    try:
        os.link(partial, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if os.path.lexists(path):
            return False
        partial.rename(path)
    return True


def _holds(path: Path, sha256: str) -> bool:
    with contextlib.suppress(OSError), path.open("rb") as stream:  # a folder, or not ours to read: something else in any case
        return hashlib.file_digest(stream, "sha256").hexdigest() == sha256
    return False
