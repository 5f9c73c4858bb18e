"""Alembic's entry: runs the migrations on the connection that `vna_core.catalogue.upgrade` supplies."""

from __future__ import annotations

from alembic import context

from vna_core.catalogue.tables import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, transactional_ddl=False, render_as_batch=True)
context.run_migrations()
