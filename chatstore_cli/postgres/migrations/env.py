"""Run by Alembic: migrations over the connection that migrate.py gives, in its transaction, or as statements only."""

from __future__ import annotations

from alembic import context

from chatstore_cli.postgres.schema import METADATA
from chatstore_cli.postgres.versions import VERSION_TABLE

if context.is_offline_mode():
    context.configure(
        dialect_name="postgresql", target_metadata=METADATA, version_table=VERSION_TABLE, literal_binds=True
    )
    with context.begin_transaction():
        context.run_migrations()
else:
    connection = context.config.attributes["connection"]
    context.configure(connection=connection, target_metadata=METADATA, version_table=VERSION_TABLE)
    context.run_migrations()
