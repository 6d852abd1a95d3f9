"""The tables: made by migrations, the same as those the code speaks of, brought up to date, refused when too new."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from autotrack.errors import StoreError
from autotrack.events import ParamsLogged
from autotrack.stores import open_store
from autotrack.stores.database import schema, tables
from autotrack.stores.database.store import DatabaseStore
from autotrack.testing.samples import Journal, started


def engine_of(uri: str) -> sa.Engine:
    store = open_store(uri)
    assert isinstance(store, DatabaseStore)
    return store._database.engine


def test_the_migrations_make_the_tables_that_the_code_speaks_of(database_uri: str) -> None:
    with engine_of(database_uri).connect() as connection:
        options = {"version_table": schema.VERSION_TABLE, "compare_type": True}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), tables.metadata) == []
        assert schema.version(connection) == schema.REVISION


def test_the_newest_migration_is_the_one_that_the_code_speaks_of() -> None:
    script = ScriptDirectory.from_config(schema.config())
    assert script.get_heads() == [schema.REVISION]
    assert schema.known_revisions() == {revision.revision for revision in script.walk_revisions()}


def test_a_database_of_a_newer_version_is_refused_and_left_alone(database_uri: str) -> None:
    store = open_store(database_uri)
    store.apply(Journal().entries(started("a" * 32)))
    with engine_of(database_uri).begin() as connection:
        connection.exec_driver_sql(f"UPDATE {schema.VERSION_TABLE} SET version_num = '9999'")
    for use in (DatabaseStore.search_runs, lambda store: store.apply(Journal().entries(started("b" * 32)))):
        with pytest.raises(StoreError, match="made by a newer autotrack.*upgrade: pip install -U autotrack"):
            use(open_store(database_uri))
    with engine_of_unchecked(store).begin() as connection:
        connection.exec_driver_sql(f"UPDATE {schema.VERSION_TABLE} SET version_num = '{schema.REVISION}'")
    assert [run.run_id for run in open_store(database_uri).search_runs()] == ["a" * 32]


def engine_of_unchecked(store: object) -> sa.Engine:
    """The engine that was opened before."""
    assert isinstance(store, DatabaseStore)
    return store._database.engine


def test_an_older_database_is_brought_up_to_date_and_keeps_its_runs(
    database_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(database_uri)
    store.apply(Journal().entries(started("a" * 32), ParamsLogged("a" * 32, {"p": "1"})))
    before = store.get_run("a" * 32)
    store.close()
    newer = tmp_path / "migrations"
    (newer / "versions").mkdir(parents=True)
    for path in schema.MIGRATIONS.glob("*.*"):
        (newer / path.name).write_text(path.read_text())
    for path in (schema.MIGRATIONS / "versions").glob("[0-9]*.py"):
        (newer / "versions" / path.name).write_text(path.read_text())
    (newer / "versions" / "0999_stars.py").write_text(
        textwrap.dedent(
            f"""
            import sqlalchemy as sa
            from alembic import op
            revision, down_revision = "0999", "{schema.REVISION}"
            def upgrade():
                op.add_column("runs", sa.Column("stars", sa.Integer()))
                op.execute("UPDATE runs SET stars = 5")
            """
        )
    )
    monkeypatch.setattr(schema, "MIGRATIONS", newer)
    monkeypatch.setattr(schema, "REVISION", "0999")
    store = open_store(database_uri)
    assert store.get_run("a" * 32) == before
    with engine_of_unchecked(store).connect() as connection:
        assert connection.exec_driver_sql("SELECT stars FROM runs").scalars().all() == [5]
        assert schema.version(connection) == "0999"
    store.close()


def test_tables_of_somebody_else_are_not_touched(database_uri: str) -> None:
    store = open_store(database_uri)
    assert isinstance(store, DatabaseStore)
    engine = sa.create_engine(store._database.address.url)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE runs (x INTEGER)")
    with pytest.raises(StoreError, match="has a table runs that is not autotrack's"):
        store.search_runs()
    with engine.connect() as connection:
        assert sa.inspect(connection).get_table_names() == ["runs"]
    engine.dispose()


def test_opening_a_current_database_does_not_import_alembic(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/runs.db"
    open_store(uri).apply(Journal().entries(started("a" * 32)))
    program = "import sys; from autotrack.stores import open_store; "
    program += "assert len(open_store(sys.argv[1]).search_runs()) == 1; sys.exit('alembic' in sys.modules)"
    subprocess.run([sys.executable, "-c", program, uri], check=True)


def test_tables_that_a_killed_process_left_half_made_are_made_anew(mariadb_uri: str) -> None:
    """MySQL and MariaDB commit each table by itself."""
    engine = engine_of(mariadb_uri)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"DELETE FROM {schema.VERSION_TABLE}")
        connection.exec_driver_sql("DROP TABLE tags")
    store = open_store(mariadb_uri)
    store.apply(Journal().entries(started("a" * 32)))
    assert len(store.search_runs()) == 1
    store.close()
