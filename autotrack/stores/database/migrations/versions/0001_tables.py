"""The first tables."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0001"
down_revision = None

_BIG = sa.BigInteger()
_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql").with_variant(mysql.LONGTEXT(), "mysql")
_HEAD = sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql")
_HASH = sa.LargeBinary(16).with_variant(mysql.BINARY(16), "mysql")
_DOUBLE: Any = sa.Double().with_variant(mysql.DOUBLE(), "mysql")
_BLOB = sa.LargeBinary().with_variant(mysql.LONGBLOB(), "mysql")


def upgrade() -> None:
    """Make them."""
    _numbered("journals", _row("journal_id", _TEXT), _row("last_number", _BIG))
    _numbered("names", _row("text", _TEXT))
    _numbered("experiments", _row("text", _TEXT), _row("experiment_id", sa.String(20)))
    _table("counters", _row("name", sa.String(16)), _row("last", _BIG), sa.PrimaryKeyConstraint("name"))
    _runs()
    _keyed("params", _row("value", _TEXT), _row("head", _HEAD), _row("sort", _BIG, "code of the number it reads as"))
    op.create_index("params_by_value", "params", ["key", "sort", "head", "run"])
    _keyed("tags", _row("value", _TEXT), _row("head", _HEAD))
    op.create_index("tags_by_value", "tags", ["key", "head", "run"])
    _keyed(
        "metrics",
        sa.Column("value", _DOUBLE),
        sa.Column("sort", _BIG, comment="code of the value, nothing for NaN"),
        _row("step", _BIG),
        _row("timestamp", _BIG),
    )
    op.create_index("metrics_by_value", "metrics", ["key", "sort", "run"])
    order = ("run", "key", "step", "timestamp", "journal", "number", "position")
    _table(
        "points",
        *(_row(name, _BIG) for name in order),
        sa.Column("value", _DOUBLE),
        sa.Column("sort", _BIG),
        sa.PrimaryKeyConstraint(*order),
        sqlite_with_rowid=False,
    )
    _hashed("datasets", *(_row(name, _TEXT) for name in ("name", "context", "digest")), _row("body", _TEXT, "JSON"))
    _hashed("artifacts", _row("path", _TEXT), sa.Column("size", _BIG), _row("digest", _TEXT))
    _hashed(
        "models",
        *(_row(name, _TEXT) for name in ("path", "estimator_class", "serialization_format")),
        sa.Column("size", _BIG),
        sa.Column("registered_model_name", _TEXT),
        _row("digest", _TEXT),
    )
    _hashed("notes", *(_row(name, _TEXT) for name in ("kind", "subject", "message")), _row("count", _BIG))
    _table(
        "facts",
        _row("process", _BIG),
        _row("key", _BIG),
        _row("value", _TEXT, "JSON"),
        sa.Column("text", _TEXT, comment="the value where it is a text"),
        _row("journal", _BIG),
        sa.PrimaryKeyConstraint("process", "key"),
        sqlite_with_rowid=False,
    )
    _files()


def _runs() -> None:
    _table(
        "runs",
        _row("id", _ID, primary_key=True, autoincrement=False),
        _row("hash", _HASH, unique=True),
        _row("run_id", _TEXT),
        _row("run_head", _HEAD),
        _row("name", _TEXT),
        _row("name_head", _HEAD),
        _row("experiment", _BIG),
        _row("status", _TEXT),
        sa.Column("start_time", _BIG),
        sa.Column("end_time", _BIG),
        sa.Column("duration", _BIG, comment="code of the seconds"),
        sa.Column("parent_run_id", _TEXT),
        sa.Column("parent_head", _HEAD),
        _row("process", _BIG),
        sa.Column("error", _TEXT),
        sa.Column("deleted_time", _BIG),
        _row("age", _BIG, "the start time, the least number where it is not known"),
        _row("start_journal", _TEXT),
        _row("start_number", _BIG, "0 while the start is not known"),
        _row("end_journal", _TEXT),
        _row("end_number", _BIG, "0 while the end is not known"),
        _row("lifecycle_journal", _TEXT),
        _row("lifecycle_number", _BIG, "0 for a run never deleted"),
    )
    op.create_index("runs_newest", "runs", ["age"])
    op.create_index("runs_by_experiment", "runs", ["experiment", "age", "deleted_time"])
    op.create_index("runs_by_id", "runs", ["run_head"])
    op.create_index("runs_by_name", "runs", ["name_head"])
    op.create_index("runs_by_parent", "runs", ["parent_head"])
    deleted = sa.text("deleted_time IS NOT NULL")
    op.create_index("runs_deleted", "runs", ["deleted_time"], sqlite_where=deleted, postgresql_where=deleted)


def _files() -> None:
    _table(
        "files",
        _row("id", _ID, primary_key=True, autoincrement=True),
        _row("run_hash", _HASH),
        _row("run_id", _TEXT),
        _row("path", _TEXT),
        _row("size", _BIG),
        _row("digest", sa.String(80)),
        _row("created", _BIG, "milliseconds since 1970"),
        _row("state", sa.SmallInteger(), "0 while it is written, 1 for readers to see, 2 once it is replaced"),
    )
    op.create_index("files_by_run", "files", ["run_hash", "state"])
    op.create_index("files_by_state", "files", ["state", "created"])
    _table(
        "chunks",
        _row("file", _BIG),
        _row("number", _BIG),
        _row("data", _BLOB),
        sa.PrimaryKeyConstraint("file", "number"),
    )


def _numbered(name: str, *columns: sa.Column[Any]) -> None:
    _table(name, _row("id", _ID, primary_key=True, autoincrement=True), _row("hash", _HASH, unique=True), *columns)


def _keyed(name: str, *columns: sa.Column[Any]) -> None:
    keys = [_row("run", _BIG), _row("key", _BIG)]
    _table(name, *keys, *columns, _row("journal", _BIG), sa.PrimaryKeyConstraint("run", "key"), sqlite_with_rowid=False)


def _hashed(name: str, *columns: sa.Column[Any]) -> None:
    columns = (_row("run", _BIG), _row("hash", _HASH), *columns, _row("journal", _BIG), _row("number", _BIG))
    _table(name, *columns, sa.PrimaryKeyConstraint("run", "hash"), sqlite_with_rowid=False)


def _row(name: str, type_: Any, comment: str | None = None, **options: Any) -> sa.Column[Any]:
    return sa.Column(name, type_, nullable=False, comment=comment, **options)


def _table(name: str, *parts: Any, **options: Any) -> None:
    dialect = op.get_bind().dialect
    if dialect.name == "mysql":
        # By code points, and blanks at the end count.
        collation = "utf8mb4_nopad_bin" if getattr(dialect, "is_mariadb", False) else "utf8mb4_0900_bin"
        options |= {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": collation}
    op.create_table(name, *parts, **options)
