"""A database whose artifacts are elsewhere: the whole contract of stores, on a bucket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from autotrack.digests import of_bytes
from autotrack.entities import Artifact
from autotrack.errors import StoreError
from autotrack.events import ArtifactLogged
from autotrack.stores import open_store
from autotrack.stores.base import Store
from autotrack.testing import StoreContract
from autotrack.testing.samples import Journal, started


class TestSqliteWithS3Artifacts(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path, s3_uri: str) -> Iterator[Store]:
        store = open_store(f"sqlite:///{tmp_path}/runs.db?artifacts={s3_uri}/runs")
        yield store
        store.close()

    def reopen(self, store: Store) -> Store:
        store.close()
        return open_store(store.uri)


def test_what_was_changed_in_the_bucket_is_refused(tmp_path: Path, s3_uri: str) -> None:
    from autotrack.stores.artifacts import open_artifacts

    store = open_store(f"sqlite:///{tmp_path}/runs.db?artifacts={s3_uri}/runs")
    (tmp_path / "f").write_bytes(b"content")
    store.put_artifact("a" * 32, "f", tmp_path / "f")
    logged = Artifact("f", 7, of_bytes(b"content"))
    store.apply(Journal().entries(started("a" * 32), ArtifactLogged("a" * 32, logged)))
    assert store.artifact_path("a" * 32, "f").read_bytes() == b"content"
    (tmp_path / "f").write_bytes(b"another")
    open_artifacts(f"{s3_uri}/runs").put("a" * 32, "f", tmp_path / "f")
    assert store.artifact_path("a" * 32, "f").read_bytes() == b"content", "what was logged is still at hand"
    for kept in (tmp_path / ".cache").rglob("f"):
        kept.unlink()
    with pytest.raises(StoreError, match="artifact 'f' of run 'a+' is not what was logged") as caught:
        store.artifact_path("a" * 32, "f")
    assert of_bytes(b"another") in str(caught.value)
    store.close()
