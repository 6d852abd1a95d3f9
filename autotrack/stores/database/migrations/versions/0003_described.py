"""Experiments that were described, tags that were taken away, and what MLflow's clients tell of a model."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0003"
down_revision = "0002"

_BIG = sa.BigInteger()
_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql").with_variant(mysql.LONGTEXT(), "mysql")
_COLUMNS = {"model_id": "nothing where there is none", "details": "JSON, nothing where there are none"}


def upgrade() -> None:
    """Make the tables and the columns."""
    there: set[str] = set()
    if op.get_bind().dialect.name == "mysql":
        # It commits each change: somebody may have been killed while he made them.
        inspector = sa.inspect(op.get_bind())
        there = {column["name"] for column in inspector.get_columns("models")}
        for name in {"removed_tags", "experiment_facts"} & set(inspector.get_table_names()):
            op.drop_table(name)
    for name, comment in _COLUMNS.items():
        if name not in there:
            op.add_column("models", sa.Column(name, _TEXT, comment=comment))
    _table(
        "removed_tags",
        _row("run", _BIG),
        _row("key", _BIG),
        _row("journal", _BIG),
        sa.PrimaryKeyConstraint("run", "key"),
    )
    _table(
        "experiment_facts",
        _row("experiment", _BIG),
        _row("key", _BIG, "0 in a row that says that the experiment was described"),
        _row("value", _TEXT, "JSON"),
        _row("journal", _BIG),
        sa.PrimaryKeyConstraint("experiment", "key"),
    )


def _row(name: str, type_: Any, comment: str | None = None) -> sa.Column[Any]:
    return sa.Column(name, type_, nullable=False, comment=comment)


def _table(name: str, *parts: Any) -> None:
    dialect = op.get_bind().dialect
    options: dict[str, Any] = {"sqlite_with_rowid": False}
    if dialect.name == "mysql":
        # By code points, and blanks at the end count.
        collation = "utf8mb4_nopad_bin" if getattr(dialect, "is_mariadb", False) else "utf8mb4_0900_bin"
        options = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": collation}
    op.create_table(name, *parts, **options)
