"""Artifacts in the database itself, held against the contract of every place for artifacts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from autotrack.stores.artifacts.base import ArtifactStorage
from autotrack.stores.database.address import read
from autotrack.stores.database.chunks import DatabaseArtifacts
from autotrack.stores.database.engine import Database
from autotrack.testing import ArtifactStorageContract


class TestChunksInSQLite(ArtifactStorageContract):
    @pytest.fixture
    def storage(self, tmp_path: Path) -> Iterator[ArtifactStorage]:
        database = Database(read(f"sqlite:///{tmp_path}/runs.db"))
        yield DatabaseArtifacts(database)
        database.close()


class TestChunksInPostgreSQL(ArtifactStorageContract):
    @pytest.fixture
    def storage(self, postgres_uri: str) -> Iterator[ArtifactStorage]:
        database = Database(read(postgres_uri))
        yield DatabaseArtifacts(database)
        database.close()
