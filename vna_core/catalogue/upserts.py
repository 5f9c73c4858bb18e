"""INSERTs that may find their row: each kind of database has its own, and only the one that is used is loaded."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Table


def upsert(on_postgresql: bool, table: Table) -> Any:
    """An INSERT into a table that knows ``on_conflict_do_update``."""
    if on_postgresql:
        from sqlalchemy.dialects.postgresql import insert  # here: it takes an eighth of a second of a command on SQLite

        return insert(table)
    from sqlalchemy.dialects.sqlite import insert as insert_here

    return insert_here(table)
