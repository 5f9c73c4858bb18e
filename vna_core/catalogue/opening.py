"""The catalogue's database opened, with its tables made or migrated: also on a disk that is full, and to be read on one that takes nothing."""

from __future__ import annotations

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
