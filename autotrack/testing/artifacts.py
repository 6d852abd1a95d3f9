"""The part of the store contract that is about artifacts."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from autotrack.digests import of_bytes, of_folder
from autotrack.entities import Artifact, LoggedModel
from autotrack.errors import ArtifactNotFound, StoreError
from autotrack.events import ArtifactLogged, ModelLogged
from autotrack.stores.base import Store
from autotrack.testing.samples import ESCAPES, Contract, Journal, raises, started


class ArtifactsContract(Contract):
    """What a store guarantees of artifacts; `StoreContract` includes it."""

    def put_artifact(self, store: Store, run_id: str, path: str, content: bytes) -> None:
        """Put a file among a run's artifacts, as a writer does before it logs it."""
        with TemporaryDirectory() as folder:
            source = Path(folder, "source")
            source.write_bytes(content)
            store.put_artifact(run_id, path, source)

    def test_artifacts_are_listed_folder_by_folder(self, store: Store) -> None:
        run_id, digest = "a" * 32, of_bytes(b"123")
        journal = Journal()
        store.apply(journal.entries(started(run_id)))
        files = ("z.txt", "plots/roc.json", "plots/deep/x")
        for path in (*files, "model/MLmodel"):
            self.put_artifact(store, run_id, path, b"123")
        store.apply(
            journal.entries(
                *(ArtifactLogged(run_id, Artifact(path, 3, digest)) for path in files),
                ModelLogged(run_id, LoggedModel("model")),
            )
        )
        store = self.reopen(store)
        listed = [(artifact.path, artifact.is_dir) for artifact in store.artifacts(run_id)]
        assert listed == [("model", True), ("plots", True), ("z.txt", False)]
        below = store.artifacts(run_id, "plots")
        assert [(artifact.path, artifact.is_dir) for artifact in below] == [
            ("plots/deep", True),
            ("plots/roc.json", False),
        ]
        assert (below[1].size, below[1].digest) == (3, digest)
        assert [artifact.path for artifact in store.artifacts(run_id, "model")] == ["model/MLmodel"]
        for nothing in ("nothing", "z.txt", *ESCAPES):
            assert store.artifacts(run_id, nothing) == []
        assert store.artifact_path(run_id, "plots/roc.json").read_bytes() == b"123"
        assert (store.artifact_path(run_id, "model") / "MLmodel").is_file()

    def test_an_artifact_that_is_not_there_is_named_with_what_is(self, store: Store) -> None:
        run_id, journal = "a" * 32, Journal()
        store.apply(journal.entries(started(run_id)))
        self.put_artifact(store, run_id, "there.txt", b"")
        files = [ArtifactLogged(run_id, Artifact(path)) for path in ("there.txt", "lost.txt")]
        store.apply(journal.entries(*files, ModelLogged(run_id, LoggedModel("model"))))
        for path in ("never.txt", "lost.txt", "model"):
            with raises(ArtifactNotFound, path, "there.txt"):
                store.artifact_path(run_id, path)

    def test_no_path_leads_out_of_the_run(self, store: Store) -> None:
        store.apply(Journal().entries(started("a" * 32), started("b" * 32)))
        self.put_artifact(store, "b" * 32, "x", b"another run's")
        self.put_artifact(store, "a" * 32, "x", b"")
        for path in (
            *ESCAPES,
            f"../{'b' * 32}/x",
            str(store.artifact_path("b" * 32, "x")),
            "x/../../" + "b" * 32 + "/x",
        ):
            with raises(ArtifactNotFound):
                store.artifact_path("a" * 32, path)

            with raises(StoreError, ""):
                self.put_artifact(store, "a" * 32, path, b"not mine")
        assert store.artifact_path("b" * 32, "x").read_bytes() == b"another run's"

    def test_an_artifact_put_again_replaces_the_earlier_one(self, store: Store, tmp_path: Path) -> None:
        run_id, journal = "a" * 32, Journal()
        store.apply(journal.entries(started(run_id)))
        for content in (b"old, and longer", b"new", b"new"):
            self.put_artifact(store, run_id, "d/f.txt", content)
            logged = Artifact("d/f.txt", len(content), of_bytes(content))
            store.apply(journal.entries(ArtifactLogged(run_id, logged)))
        assert self.reopen(store).artifact_path(run_id, "d/f.txt").read_bytes() == b"new"
        for names in (("MLmodel", "gone"), ("MLmodel", "code/m.py")):
            folder = tmp_path / names[-1].replace("/", "-")
            for name in names:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_text(name)
            store.put_artifact(run_id, "model", folder)
            store.apply(journal.entries(ModelLogged(run_id, LoggedModel("model", digest=of_folder(folder)))))
        found = self.reopen(store).artifact_path(run_id, "model")
        assert sorted(path.relative_to(found).as_posix() for path in found.rglob("*") if path.is_file()) == [
            "MLmodel",
            "code/m.py",
        ]
        assert [artifact.path for artifact in store.artifacts(run_id)] == ["d", "model"]

    def test_a_source_that_cannot_be_read_leaves_nothing_behind(self, store: Store, tmp_path: Path) -> None:
        run_id = "a" * 32
        store.apply(Journal().entries(started(run_id)))
        with raises(StoreError, "missing"):
            store.put_artifact(run_id, "f.txt", tmp_path / "missing")
        folder = tmp_path / "model"
        folder.mkdir()
        (folder / "a").write_text("a")
        (folder / "z").symlink_to(tmp_path / "missing")
        with raises(StoreError, "model"):
            store.put_artifact(run_id, "model", folder)
        assert store.artifacts(run_id) == []
