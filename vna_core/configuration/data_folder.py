"""The data folder: made on first use, and an error of the configuration where that cannot be."""

from __future__ import annotations

import os
from pathlib import Path

from vna_core.domain.errors import ConfigurationError


def is_read_only(folder: Path) -> bool:
    """Whether the file system of a folder is mounted read-only, as one is after its disk failed."""
    try:
        return bool(os.statvfs(folder).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def make_data_folder(folder: Path) -> None:
    """Make the folder and those above it where they are missing: other accounts of the machine look into none of it. May be called again.

    Raises
    ------
    ConfigurationError
        It is no folder, cannot be made, or cannot be written.
    """
    try:
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    except OSError as error:
        reason = "there is a file of this name" if isinstance(error, FileExistsError) else os.strerror(error.errno or 0)
        raise ConfigurationError(f"{folder} cannot be the data folder: {reason}. Give another one.", setting="data") from error
    if is_read_only(folder):
        message = (
            f"{folder} cannot be the data folder: its file system is mounted read-only, as it is after a disk failed; the system's log "
            "says why. What is held can be taken out: `vna find`, `get`, `export`, `explain`, `stats` and `inventory write` only read."
        )
        raise ConfigurationError(message, setting="data")
    if not os.access(folder, os.W_OK | os.X_OK):
        message = f"{folder} cannot be the data folder: it cannot be written by this user. Give another one, or change its owner."
        raise ConfigurationError(message, setting="data")
