"""The history of the tables, for Alembic: one module of ``versions`` per change."""
