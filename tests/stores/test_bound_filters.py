"""No filter reaches SQL as text: every value and every key of the user's is bound."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from autotrack.events import Entry
from autotrack.stores import open_store
from autotrack.stores.local import index
from benchmarks.fuzz.targets import sample_events

MARK = "zq7marker"
"""Stands in every literal and key of the filters below, and in no statement of ours."""


class Filters:
    """Random filters whose texts, numbers and keys all tell where they came from."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)

    def text(self) -> str:
        odd = self.draw.choice(("", "'", '"', "%", "\0", "\ud800", "; DROP TABLE runs; --", "?", ":a", "é"))
        return f"{MARK}{odd}{self.draw.randint(0, 9)}"

    def number(self) -> str:
        return self.draw.choice(("7391{}", "-7391{}.5", "7391{}e3")).format(self.draw.randint(100, 999))

    def field(self) -> tuple[str, bool]:
        key = self.text().replace('"', '""')
        kind = self.draw.choice(
            ("metrics", "params", "params", "tags", "name", "user", "start_time", "datasets", "models")
        )
        if kind in ("metrics", "tags", "params"):
            return f'{kind}."{key}"', kind == "metrics" or (kind == "params" and self.draw.random() < 0.5)
        if kind in ("datasets", "models"):
            return {"datasets": "datasets.digest", "models": "models.path"}[kind], False
        return kind, kind == "start_time"

    def comparison(self) -> str:
        field, numeric = self.field()
        literals = [self.number() if numeric else "'" + self.text().replace("'", "''") + "'" for _ in range(3)]
        kinds = [f"{field} {self.draw.choice(('=', '!=', '<', '>='))} {literals[0]}", f"{field} is not null"]
        kinds.append(f"{field} not in ({', '.join(literals)})")
        if not numeric:
            kinds.append(f"{field} {self.draw.choice(('like', 'not ilike'))} {literals[0]}")
        return self.draw.choice(kinds)

    def filter(self) -> str:
        parts = [self.comparison() for _ in range(self.draw.randint(1, 4))]
        return f" {self.draw.choice(('and', 'or'))} ".join(f"not ({part})" if len(part) % 2 else part for part in parts)

    def orders(self) -> list[str]:
        fields = [self.field()[0] for _ in range(2)]
        return [f"{field} desc" for field in fields if not field.startswith(("datasets", "models"))]


def search(store: Any, seed: int) -> None:
    """Apply what a store is to know, and search it with many filters."""
    store.apply([Entry("20260101T000000-a", number, event) for number, event in enumerate(sample_events(), 1)])
    filters = Filters(seed)
    for _ in range(300):
        store.search_runs(filters.filter(), filters.orders(), 5, experiment=filters.text())
        store.find_runs(filters.text())
        store.metric_history("a" * 32, filters.text())


def assert_no_literal_in(statements: Iterable[str]) -> None:
    told = list(statements)
    assert any("WHERE" in statement for statement in told)
    for statement in told:
        assert MARK not in statement
        assert "7391" not in statement


def test_no_literal_or_key_stands_in_a_statement_of_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    statements: set[str] = set()

    class Watched(sqlite3.Connection):
        def execute(self, sql: str, *bound: Any) -> sqlite3.Cursor:
            statements.add(sql)
            return super().execute(sql, *bound)

        def executemany(self, sql: str, bound: Any) -> sqlite3.Cursor:
            statements.add(sql)
            return super().executemany(sql, bound)

        def cursor(self, *arguments: Any) -> Any:
            raise AssertionError("a statement that is not watched")

    connect = sqlite3.connect
    monkeypatch.setattr(index.sqlite3, "connect", lambda *a, **k: connect(*a, factory=Watched, **k))
    store = open_store(tmp_path / "store")
    search(store, 0)
    store.close()
    assert len(statements) > 100
    assert_no_literal_in(statements)


def test_no_literal_or_key_stands_in_a_statement_of_a_database(tmp_path: Path) -> None:
    sqlalchemy = pytest.importorskip("sqlalchemy")
    statements: set[str] = set()

    def note(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        statements.add(statement)

    sqlalchemy.event.listen(sqlalchemy.Engine, "before_cursor_execute", note)
    try:
        store = open_store(f"sqlite:///{tmp_path}/runs.db")
        search(store, 1)
        store.close()
    finally:
        sqlalchemy.event.remove(sqlalchemy.Engine, "before_cursor_execute", note)
    assert len(statements) > 30
    assert_no_literal_in(statements)
