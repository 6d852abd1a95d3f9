"""How Alembic runs the migrations: on the connection, and in the transaction, that `schema.upgrade` gives it."""

from __future__ import annotations

from alembic import context

from autotrack.stores.database.schema import VERSION_TABLE
from autotrack.stores.database.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    transactional_ddl=False,  # the caller has begun a transaction, and commits it
)
context.run_migrations()
