"""Archives on SQLite and on PostgreSQL."""

from __future__ import annotations

from tests.unit.catalogue.conftest import new_catalogue, postgresql_server

__all__ = ["new_catalogue", "postgresql_server"]
