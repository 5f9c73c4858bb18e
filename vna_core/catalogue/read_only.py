"""The catalogue of a data folder whose disk takes nothing any more, as after it was remounted read-only because of a fault.

SQLite cannot read a database with a write-ahead log there: it needs shared memory beside it, and the log of a process that was
killed must be taken up. So database and log are copied to a temporary folder and read there, as they were left; nothing is
written to the copy, where it would be lost.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from sqlalchemy import URL

from vna_core.catalogue.database import Database
from vna_core.catalogue.upgrade import upgrade
from vna_core.configuration import CatalogueSettings
from vna_core.domain.errors import CatalogueUnavailable

_LOG = "-wal"


def copied(settings: CatalogueSettings, data: Path, database: Path) -> Database:
    """A database to be read, made of the one at that path; its copy goes when it is closed.

    Raises
    ------
    CatalogueUnavailable
        There is none, it cannot be read, or no temporary folder takes the copy.
    """
    folder: tempfile.TemporaryDirectory[str] | None = None
    try:
        folder = tempfile.TemporaryDirectory(prefix="vna-catalogue-", ignore_cleanup_errors=True)
        copy = Path(folder.name) / database.name
        shutil.copyfile(database, copy)
        log = database.with_name(database.name + _LOG)
        if log.exists():
            shutil.copyfile(log, copy.with_name(copy.name + _LOG))
    except OSError as error:
        if folder is not None:
            folder.cleanup()
        raise CatalogueUnavailable(
            f"The disk of {database} takes nothing, and the catalogue cannot be copied to be read: {os.strerror(error.errno or 0)}. "
            "Set TMPDIR to a folder with room for it.",
            error=type(error).__name__,
        ) from error
    there = settings.model_copy(update={"url": URL.create("sqlite", database=str(copy)).render_as_string()})
    newer = Database(there, data, durable=False)
    try:
        upgrade(newer)
    finally:
        newer.close()
    return Database(there, data, durable=False, folder=folder)
