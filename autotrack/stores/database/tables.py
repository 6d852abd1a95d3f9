"""The tables, one definition for SQLite, PostgreSQL, MySQL and MariaDB.

A run is a row of ``runs``; what it has of params, metrics and so on are rows of their own, with the number of the run.
Keys of params, metrics, tags and facts, and ids of processes, are numbers of ``names``. Wherever two values may be told
for one key, the row carries the journal it comes from, whose id decides which value stays. ``migrations`` makes the
tables; a test holds that both say the same.
"""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeEngine

from autotrack.entities import FINISHED
from autotrack.stores.database.codes import HEAD, escape, unescape


class Text(sa.types.TypeDecorator[str]):
    """A text of any length and content, compared by code points."""

    impl = sa.Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """The type that holds it."""
        if dialect.name == "postgresql":
            return sa.Text(collation="C")
        return mysql.LONGTEXT() if dialect.name == "mysql" else sa.Text()

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Write it."""
        return None if value is None else escape(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        """Read it."""
        return None if value is None else unescape(value)


def _head() -> TypeEngine[str]:
    return sa.String(HEAD).with_variant(sa.String(HEAD, collation="C"), "postgresql")


def _digest() -> TypeEngine[bytes]:
    return sa.LargeBinary(16).with_variant(mysql.BINARY(16), "mysql")


def _number() -> TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _double() -> TypeEngine[float]:
    return sa.Double().with_variant(mysql.DOUBLE(), "mysql")


def _row(name: str, type_: TypeEngine[Any], **options: Any) -> sa.Column[Any]:
    return sa.Column(name, type_, nullable=False, **options)


metadata: Final = sa.MetaData()

counters = sa.Table("counters", metadata, _row("name", sa.String(16), primary_key=True), _row("last", sa.BigInteger()))
"""The greatest number given to a row, for rows that are numbered before they are written."""

journals = sa.Table(
    "journals",
    metadata,
    _row("id", _number(), primary_key=True, autoincrement=True),
    _row("hash", _digest(), unique=True),
    _row("journal_id", Text()),
    _row("last_number", sa.BigInteger()),
)
"""How far each journal has been applied."""

names = sa.Table(
    "names",
    metadata,
    _row("id", _number(), primary_key=True, autoincrement=True),
    _row("hash", _digest(), unique=True),
    _row("text", Text()),
)

experiments = sa.Table(
    "experiments",
    metadata,
    _row("id", _number(), primary_key=True, autoincrement=True),
    _row("hash", _digest(), unique=True),
    _row("text", Text()),
    _row("experiment_id", sa.String(20)),
)

runs = sa.Table(
    "runs",
    metadata,
    _row("id", _number(), primary_key=True, autoincrement=False),
    _row("hash", _digest(), unique=True),
    _row("run_id", Text()),
    _row("run_head", _head()),
    _row("name", Text()),
    _row("name_head", _head()),
    _row("experiment", sa.BigInteger()),
    _row("status", Text()),
    sa.Column("start_time", sa.BigInteger()),
    sa.Column("end_time", sa.BigInteger()),
    sa.Column("duration", sa.BigInteger(), comment="code of the seconds"),
    sa.Column("parent_run_id", Text()),
    sa.Column("parent_head", _head()),
    _row("process", sa.BigInteger()),
    sa.Column("error", Text()),
    sa.Column("deleted_time", sa.BigInteger()),
    _row("age", sa.BigInteger(), comment="the start time, the least number where it is not known"),
    _row("start_journal", Text()),
    _row("start_number", sa.BigInteger(), comment="0 while the start is not known"),
    _row("end_journal", Text()),
    _row("end_number", sa.BigInteger(), comment="0 while the end is not known"),
    _row("lifecycle_journal", Text()),
    _row("lifecycle_number", sa.BigInteger(), comment="0 for a run never deleted"),
    sa.Index("runs_newest", "age"),
    sa.Index("runs_by_experiment", "experiment", "age", "deleted_time"),
    sa.Index("runs_by_id", "run_head"),
    sa.Index("runs_by_name", "name_head"),
    sa.Index("runs_by_parent", "parent_head"),
)
_is_deleted = runs.c.deleted_time.is_not(None)
sa.Index("runs_deleted", runs.c.deleted_time, sqlite_where=_is_deleted, postgresql_where=_is_deleted)
is_unfinished: Final = runs.c.status != sa.literal_column(f"'{FINISHED}'")
"""That a run is among the few whose status is looked for: that of nearly all of them is the other one."""
sa.Index(
    "runs_unfinished",
    *(runs.c.status, runs.c.age),
    sqlite_where=is_unfinished,
    postgresql_where=is_unfinished,
    mysql_length={"status": 16},
)


def _of_runs(name: str, keys: list[sa.Column[Any]], *columns: sa.schema.SchemaItem) -> sa.Table:
    """A table of what runs have; its primary key begins with the run."""
    run = _row("run", sa.BigInteger())
    constraint = sa.PrimaryKeyConstraint("run", *(key.name for key in keys))
    return sa.Table(name, metadata, run, *keys, *columns, constraint, sqlite_with_rowid=False)


params = _of_runs(
    "params",
    [_row("key", sa.BigInteger())],
    _row("value", Text()),
    _row("head", _head()),
    _row("sort", sa.BigInteger(), comment="code of the number it reads as"),
    _row("journal", sa.BigInteger()),
    sa.Index("params_by_value", "key", "sort", "head", "run"),
)

tags = _of_runs(
    "tags",
    [_row("key", sa.BigInteger())],
    _row("value", Text()),
    _row("head", _head()),
    _row("journal", sa.BigInteger()),
    sa.Index("tags_by_value", "key", "head", "run"),
)

removed_tags = _of_runs("removed_tags", [_row("key", sa.BigInteger())], _row("journal", sa.BigInteger()))
"""Tags that were taken away: one that was set before, and is told later, does not come back."""

metrics = _of_runs(
    "metrics",
    [_row("key", sa.BigInteger())],
    sa.Column("value", _double()),
    sa.Column("sort", sa.BigInteger(), comment="code of the value, nothing for NaN"),
    _row("step", sa.BigInteger()),
    _row("timestamp", sa.BigInteger()),
    _row("journal", sa.BigInteger()),
    sa.Index("metrics_by_value", "key", "sort", "run"),
)
"""The last value of each metric."""

points = _of_runs(
    "points",
    [_row(key, sa.BigInteger()) for key in ("key", "step", "timestamp", "journal", "number", "position")],
    sa.Column("value", _double()),
    sa.Column("sort", sa.BigInteger()),
)
"""Every value of each metric."""

datasets = _of_runs(
    "datasets",
    [_row("hash", _digest())],
    _row("name", Text()),
    _row("context", Text()),
    _row("digest", Text()),
    _row("body", Text(), comment="JSON"),
    _row("journal", sa.BigInteger()),
    _row("number", sa.BigInteger()),
)

artifacts = _of_runs(
    "artifacts",
    [_row("hash", _digest())],
    _row("path", Text()),
    sa.Column("size", sa.BigInteger()),
    _row("digest", Text()),
    _row("journal", sa.BigInteger()),
    _row("number", sa.BigInteger()),
)
"""The files that events name; their content is elsewhere."""

models = _of_runs(
    "models",
    [_row("hash", _digest())],
    _row("path", Text()),
    _row("estimator_class", Text()),
    _row("serialization_format", Text()),
    sa.Column("size", sa.BigInteger()),
    sa.Column("registered_model_name", Text()),
    _row("digest", Text()),
    _row("journal", sa.BigInteger()),
    _row("number", sa.BigInteger()),
    sa.Column("model_id", Text(), comment="nothing where there is none"),
    sa.Column("details", Text(), comment="JSON, nothing where there are none"),
)

notes = _of_runs(
    "notes",
    [_row("hash", _digest())],
    _row("kind", Text()),
    _row("subject", Text()),
    _row("message", Text()),
    _row("count", sa.BigInteger()),
    _row("journal", sa.BigInteger()),
    _row("number", sa.BigInteger()),
)

facts = sa.Table(
    "facts",
    metadata,
    _row("process", sa.BigInteger()),
    _row("key", sa.BigInteger()),
    _row("value", Text(), comment="JSON"),
    sa.Column("text", Text(), comment="the value where it is a text"),
    _row("journal", sa.BigInteger()),
    sa.PrimaryKeyConstraint("process", "key"),
    sqlite_with_rowid=False,
)

experiment_facts = sa.Table(
    "experiment_facts",
    metadata,
    _row("experiment", sa.BigInteger()),
    _row("key", sa.BigInteger(), comment="0 in a row that says that the experiment was described"),
    _row("value", Text(), comment="JSON"),
    _row("journal", sa.BigInteger()),
    sa.PrimaryKeyConstraint("experiment", "key"),
    sqlite_with_rowid=False,
)

files = sa.Table(
    "files",
    metadata,
    _row("id", _number(), primary_key=True, autoincrement=True),
    _row("run_hash", _digest()),
    _row("run_id", Text()),
    _row("path", Text()),
    _row("size", sa.BigInteger()),
    _row("digest", sa.String(80)),
    _row("created", sa.BigInteger(), comment="milliseconds since 1970"),
    _row("state", sa.SmallInteger(), comment="0 while it is written, 1 for readers to see, 2 once it is replaced"),
    sa.Index("files_by_run", "run_hash", "state"),
    sa.Index("files_by_state", "state", "created"),
)
"""The artifacts that the database itself keeps."""

chunks = sa.Table(
    "chunks",
    metadata,
    _row("file", sa.BigInteger()),
    _row("number", sa.BigInteger()),
    _row("data", sa.LargeBinary().with_variant(mysql.LONGBLOB(), "mysql")),
    sa.PrimaryKeyConstraint("file", "number"),
)

registered_models = sa.Table(
    "registered_models",
    metadata,
    _row("id", _number(), primary_key=True, autoincrement=True),
    _row("hash", _digest(), unique=True),
    _row("name", Text()),
    _row("last_version", sa.BigInteger()),
    _row("created", sa.BigInteger(), comment="milliseconds since 1970"),
    _row("description", Text()),
    _row("state", sa.SmallInteger(), comment="1 while it is there, 0 once it is deleted"),
)
"""The names. One that is deleted stays as a row, so that its numbers are not given again."""

model_versions = sa.Table(
    "model_versions",
    metadata,
    _row("model", sa.BigInteger()),
    _row("version", sa.BigInteger()),
    _row("run_hash", _digest()),
    _row("run_id", Text()),
    _row("path", Text()),
    _row("digest", Text()),
    sa.Column("logged", _digest(), comment="of run and path, where the run itself named the model"),
    _row("created", sa.BigInteger(), comment="milliseconds since 1970"),
    _row("description", Text()),
    _row("state", sa.SmallInteger(), comment="1 while it is there, 0 once it is deleted"),
    sa.PrimaryKeyConstraint("model", "version"),
    sa.Index("model_versions_logged", "model", "logged", unique=True),
    sa.Index("model_versions_by_run", "run_hash", "state"),
)
"""The versions. One that is deleted stays as a row, so that what a run logged does not come back."""

model_tags = sa.Table(
    "model_tags",
    metadata,
    _row("model", sa.BigInteger()),
    _row("version", sa.BigInteger(), comment="0 for a tag of the registered model"),
    _row("hash", _digest()),
    _row("key", Text()),
    _row("value", Text()),
    sa.PrimaryKeyConstraint("model", "version", "hash"),
)

model_aliases = sa.Table(
    "model_aliases",
    metadata,
    _row("model", sa.BigInteger()),
    _row("hash", _digest()),
    _row("alias", Text()),
    _row("version", sa.BigInteger()),
    sa.PrimaryKeyConstraint("model", "hash"),
)

OF_RUNS: Final = (params, tags, removed_tags, metrics, points, datasets, artifacts, models, notes)
"""The tables of what runs have."""
