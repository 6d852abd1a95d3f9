"""An index of the runs that failed, were killed, or are still running: what one looks for by status."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make the index."""
    # MySQL commits each change: somebody may have been killed when he had made it.
    if "runs_unfinished" in {index["name"] for index in sa.inspect(op.get_bind()).get_indexes("runs")}:
        return
    where = sa.text("status != 'FINISHED'")
    op.create_index(
        "runs_unfinished",
        "runs",
        ["status", "age"],
        sqlite_where=where,
        postgresql_where=where,
        mysql_length={"status": 16},
    )
