"""The catalogue's database opened, with its tables made or migrated: also on a disk that is full, and to be read on one that takes nothing."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from vna_core.catalogue.database import Database
from vna_core.catalogue.read_only import copied
from vna_core.catalogue.reserve import Reserve
from vna_core.catalogue.upgrade import upgrade
from vna_core.configuration import CatalogueSettings
from vna_core.configuration.data_folder import is_read_only, make_data_folder
from vna_core.domain.errors import CatalogueUnavailable, OutOfResources


def open_database(settings: CatalogueSettings, data: Path, *, durable: bool, reading: bool) -> Database:
    """See `Catalogue.open`."""
    database = Database(settings, data, durable)
    file = Path(database.url.database or "")
    if reading and not database.is_postgresql and is_read_only(file.parent):
        database.close()
        return copied(settings, data, file)
    if not (reading and is_read_only(data)):
        make_data_folder(data)
    if not database.is_postgresql:
        _keep_to_ourselves(file)
    reserve = Reserve(file) if durable and not database.is_postgresql else None
    try:
        upgrade(database)
    except (CatalogueUnavailable, OutOfResources):
        database.close()
        if reserve is None or not reserve.give_up():
            raise
        upgrade(database)
    else:
        if reserve is not None:
            reserve.keep()
    return database


def _keep_to_ourselves(file: Path) -> None:
    """Make a database that is not there yet, with names of patients in it, for this account alone; SQLite makes its other files alike."""
    with contextlib.suppress(OSError):  # SQLite tries the same next, and says what hinders it
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
