"""Registered models and their versions; models that runs have logged under a name become versions of it."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

from autotrack.stores.database.codes import digest, unescape

revision = "0002"
down_revision = "0001"

_BIG = sa.BigInteger()
_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql").with_variant(mysql.LONGTEXT(), "mysql")
_HASH = sa.LargeBinary(16).with_variant(mysql.BINARY(16), "mysql")
_TABLES = ("registered_models", "model_versions", "model_tags", "model_aliases")
_STATE = "1 while it is there, 0 once it is deleted"
_AT_ONCE = 500


def upgrade() -> None:
    """Make the tables, and the versions that runs have named."""
    if op.get_bind().dialect.name == "mysql":
        # It commits each table: somebody may have been killed while he made them.
        there = set(sa.inspect(op.get_bind()).get_table_names())
        for name in _TABLES:
            if name in there:
                op.drop_table(name)
    models = _table(
        "registered_models",
        _row("id", _ID, primary_key=True, autoincrement=True),
        _row("hash", _HASH, unique=True),
        _row("name", _TEXT),
        _row("last_version", _BIG),
        _row("created", _BIG, "milliseconds since 1970"),
        _row("description", _TEXT),
        _row("state", sa.SmallInteger(), _STATE),
    )
    versions = _table(
        "model_versions",
        _row("model", _BIG),
        _row("version", _BIG),
        _row("run_hash", _HASH),
        _row("run_id", _TEXT),
        _row("path", _TEXT),
        _row("digest", _TEXT),
        sa.Column("logged", _HASH, comment="of run and path, where the run itself named the model"),
        _row("created", _BIG, "milliseconds since 1970"),
        _row("description", _TEXT),
        _row("state", sa.SmallInteger(), _STATE),
        sa.PrimaryKeyConstraint("model", "version"),
    )
    op.create_index("model_versions_logged", "model_versions", ["model", "logged"], unique=True)
    op.create_index("model_versions_by_run", "model_versions", ["run_hash", "state"])
    _table(
        "model_tags",
        _row("model", _BIG),
        _row("version", _BIG, "0 for a tag of the registered model"),
        _row("hash", _HASH),
        _row("key", _TEXT),
        _row("value", _TEXT),
        sa.PrimaryKeyConstraint("model", "version", "hash"),
    )
    _table(
        "model_aliases",
        _row("model", _BIG),
        _row("hash", _HASH),
        _row("alias", _TEXT),
        _row("version", _BIG),
        sa.PrimaryKeyConstraint("model", "hash"),
    )
    _register(models, versions)


def _register(models: sa.Table, versions: sa.Table) -> None:
    """Number what runs have logged, in the order in which they started."""
    connection = op.get_bind()
    rows = connection.execute(
        sa.text(
            "SELECT m.registered_model_name AS name, m.path, m.digest, r.run_id, r.start_time, r.end_time "
            "FROM models m JOIN runs r ON r.id = m.run JOIN journals j ON j.id = m.journal "
            "WHERE m.registered_model_name IS NOT NULL AND r.start_number != 0 "
            "ORDER BY r.start_time, r.start_journal, r.start_number, r.run_id, j.journal_id, m.number"
        )
    )
    numbers: dict[str, int] = {}
    names: dict[str, tuple[int, int]] = {}
    made: list[dict[str, Any]] = []
    for row in rows.all():
        name = unescape(row.name)
        if not name.strip() or "/" in name or ":" in name:
            continue  # no registered model can have it
        numbers[row.name] = numbers.get(row.name, 0) + 1
        created = row.start_time if row.end_time is None else row.end_time
        model, _ = names.setdefault(row.name, (len(names) + 1, created))
        run_id, path = unescape(row.run_id), unescape(row.path)
        version = {"model": model, "version": numbers[row.name], "run_hash": digest(run_id), "run_id": row.run_id}
        version |= {"path": row.path, "digest": row.digest, "logged": digest(run_id, path), "description": ""}
        made.append({**version, "created": created, "state": 1})
    for name, (model, created) in names.items():
        found = {"hash": digest(unescape(name)), "name": name, "last_version": numbers[name], "created": created}
        connection.execute(sa.insert(models).values(**found, description="", state=1))
        number = connection.execute(sa.select(models.c.id).where(models.c.hash == found["hash"])).scalar_one()
        names[name] = (number, model)
    ids = {model: number for number, model in names.values()}
    for start in range(0, len(made), _AT_ONCE):
        chunk = [{**version, "model": ids[version["model"]]} for version in made[start : start + _AT_ONCE]]
        connection.execute(sa.insert(versions), chunk)


def _row(name: str, type_: Any, comment: str | None = None, **options: Any) -> sa.Column[Any]:
    return sa.Column(name, type_, nullable=False, comment=comment, **options)


def _table(name: str, *parts: Any) -> sa.Table:
    dialect = op.get_bind().dialect
    options: dict[str, Any] = {}
    if dialect.name == "mysql":
        # By code points, and blanks at the end count.
        collation = "utf8mb4_nopad_bin" if getattr(dialect, "is_mariadb", False) else "utf8mb4_0900_bin"
        options = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": collation}
    return op.create_table(name, *parts, **options)
