"""The contract of `autotrack.stores.artifacts.base.ArtifactStorage`: what keeps the files of runs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from autotrack.digests import of_bytes, of_file, of_folder
from autotrack.entities import Artifact, LoggedModel
from autotrack.errors import ArtifactNotFound, StoreError
from autotrack.stores.artifacts.base import ArtifactStorage
from autotrack.testing.samples import ESCAPES, raises

ODD_NAMES: Final = (
    "two words",
    " blanks around ",
    "100%",
    "100%25",
    "%2e%2e",
    "%2Fetc%2Fpasswd",
    "a#b?c=d&e+f",
    "naïve 漢字 🎉",
    "quotes ' \" `",
    "~*[]{}<>|^$!",
    "two\nlines\x7f",
    "..dots..",
    ".hidden",
    "-r",
    "a.tmp-0123",
    "x" * 200,
)
"""Names that a file may have."""

ODD_RUNS: Final = ("", ".", "..", "../a", "a/b", "/a", "a\\b", "nul\0", "\ud800 alone")
"""Ids of runs that no place can be named after."""


class ArtifactStorageContract:
    """What every storage guarantees. Subclass it and supply the fixture ``storage``: an empty one for each test."""

    def reopen(self, storage: ArtifactStorage) -> ArtifactStorage:
        """The same storage opened again. Override it where a storage outlives its object."""
        return storage

    def test_it_is_a_storage_with_a_uri(self, storage: ArtifactStorage) -> None:
        assert isinstance(storage, ArtifactStorage)
        assert storage.uri
        assert list(storage.runs()) == []
        assert storage.listing("a", "", []) == []

    def test_a_file_comes_back_as_it_went_in(self, storage: ArtifactStorage, tmp_path: Path) -> None:
        contents = {"empty": b"", "one": b"\0\xff\r\n", "deep/er/two": b"x" * 70_000}
        for path, content in contents.items():
            storage.put("a", path, written(tmp_path / "source", content))
        storage = self.reopen(storage)
        for path, content in contents.items():
            found = storage.fetch("a", path, [Artifact(path, len(content), of_bytes(content))])
            assert (found.name, found.read_bytes()) == (path.rpartition("/")[2], content)
        assert [(a.path, a.size, a.is_dir) for a in storage.listing("a", "", [])] == [
            ("deep", None, True),
            ("empty", 0, False),
            ("one", 4, False),
        ]
        assert [a.path for a in storage.listing("a", "deep/er/", [])] == ["deep/er/two"]
        assert storage.listing("a", "one", []) == storage.listing("a", "nothing", []) == []

    def test_a_large_file_comes_back_as_it_went_in(self, storage: ArtifactStorage, tmp_path: Path) -> None:
        source = tmp_path / "source"
        with source.open("wb") as file:
            for number in range(21):
                file.write(bytes([number]) * 1_000_003)
        storage.put("a", "large", source)
        digest = of_file(source)
        assert of_file(self.reopen(storage).fetch("a", "large", [Artifact("large", None, digest)])) == digest

    def test_a_folder_comes_back_as_it_went_in(self, storage: ArtifactStorage, tmp_path: Path) -> None:
        folder = tree(tmp_path / "source", "MLmodel", "code/deep/m.py", "model.pkl")
        storage.put("a", "models/best", folder)
        found = self.reopen(storage).fetch("a", "models/best", [LoggedModel("models/best", digest=of_folder(folder))])
        assert (found.name, of_folder(found)) == ("best", of_folder(folder))
        for path in ("models", "models/best/code"):
            assert storage.fetch("a", path, []).is_dir()
        assert storage.fetch("a", "models/best/MLmodel", []).read_text() == "MLmodel"
        assert [a.path for a in storage.listing("a", "models/best", [])] == [
            "models/best/MLmodel",
            "models/best/code",
            "models/best/model.pkl",
        ]
        assert files_of(storage.fetch("a", "", [])) == [f"models/best/{file}" for file in files_of(folder)]

    def test_odd_names_are_listed_as_they_were(self, storage: ArtifactStorage, tmp_path: Path) -> None:
        folder = tmp_path / "source"
        folder.mkdir()
        for name in ODD_NAMES:
            written(folder / name, name.encode())
            storage.put("a", name, folder / name)
            storage.put("a", f"below/{name}/{name}", folder / name)
        storage.put("a", "folder", folder)
        storage = self.reopen(storage)
        assert [a.path for a in storage.listing("a", "", [])] == sorted([*ODD_NAMES, "below", "folder"])
        assert {a.path for a in storage.listing("a", "below", [])} == {f"below/{name}" for name in ODD_NAMES}
        assert {a.path for a in storage.listing("a", "folder", [])} == {f"folder/{name}" for name in ODD_NAMES}
        for name in ODD_NAMES:
            for path in (name, f"below/{name}/{name}", f"folder/{name}"):
                assert storage.fetch("a", path, []).read_bytes() == name.encode()
        assert of_folder(storage.fetch("a", "folder", [])) == of_folder(folder)

    def test_no_path_leads_out_of_the_run(self, storage: ArtifactStorage, tmp_path: Path) -> None:
        storage.put("a", "x", written(tmp_path / "mine", b"mine"))
        storage.put("b", "x", written(tmp_path / "other", b"another run's"))
        for path in (*ESCAPES, "../b/x", "x/../../b/x", "/b/x", str(storage.fetch("b", "x", []))):
            with raises(ArtifactNotFound):
                storage.fetch("a", path, [Artifact(path)])
            with raises(StoreError):
                storage.put("a", path, tmp_path / "mine")
            with raises(StoreError):
                storage.put("a", path, tree(tmp_path / "tree", "x"))
            assert storage.listing("a", path, []) == []
        assert storage.fetch("b", "x", []).read_bytes() == b"another run's"
        with raises(StoreError):
            storage.put("a", "", tmp_path / "mine")
        assert sorted(storage.runs()) == ["a", "b"]

    def test_odd_ids_of_runs_lead_nowhere(self, storage: ArtifactStorage, tmp_path: Path) -> None:
        source = written(tmp_path / "source", b"")
        storage.put("a", "b/x", source)
        for run_id in ODD_RUNS:
            with raises(StoreError):
                storage.put(run_id, "x", source)
            with raises(ArtifactNotFound):
                storage.fetch(run_id, "x", [Artifact("x")])
            assert storage.listing(run_id, "", []) == []
            assert storage.listing(run_id, "", [Artifact("x", 1)]) == [Artifact("x", 1)]
            storage.remove(run_id)
        assert storage.fetch("a", "b/x", []).is_file()
        assert list(storage.runs()) == ["a"]

    def test_what_was_logged_and_is_not_there_is_listed_and_named(
        self, storage: ArtifactStorage, tmp_path: Path
    ) -> None:
        storage.put("a", "there.txt", written(tmp_path / "source", b"123"))
        logged = [Artifact("there.txt", 7, "sha256:x"), Artifact("d/lost.txt", 5, "sha256:y")]
        assert storage.listing("a", "", logged) == [
            Artifact("d", is_dir=True),
            Artifact("there.txt", 3, "sha256:x"),
        ]
        assert storage.listing("a", "d", logged) == [Artifact("d/lost.txt", 5, "sha256:y")]
        for path in ("d/lost.txt", "never.txt", "there.txt/below"):
            with raises(ArtifactNotFound, path, "there.txt"):
                storage.fetch("a", path, logged)
        with raises(ArtifactNotFound, "model"):
            storage.fetch("a", "model", [LoggedModel("model")])

    def test_a_file_or_folder_takes_the_place_of_what_is_there(self, storage: ArtifactStorage, tmp_path: Path) -> None:
        first, second = tree(tmp_path / "first", "a", "b/c", "gone/d"), tree(tmp_path / "second", "a", "b")
        file = written(tmp_path / "file", b"a file")
        storage.put("a", "beside", file)
        for _ in range(2):
            for source in (first, file, second, second, first, second, file, file):
                storage.put("a", "x", source)
                found = storage.fetch("a", "x", [])
                assert found.is_dir() == source.is_dir()
                assert files_of(found) == files_of(source)
                assert [a.path for a in storage.listing("a", "", [])] == ["beside", "x"]
        for path in ("y/one", "y/two/three"):
            storage.put("a", path, file)
        storage.put("a", "y", second)
        assert files_of(self.reopen(storage).fetch("a", "y", [])) == ["a", "b"]

    def test_files_and_folders_can_be_put_into_a_folder(self, storage: ArtifactStorage, tmp_path: Path) -> None:
        storage.put("a", "model", tree(tmp_path / "first", "MLmodel", "code/m.py", "code/n.py"))
        storage.put("a", "model/new", written(tmp_path / "new", b"new"))
        storage.put("a", "model/MLmodel", written(tmp_path / "new", b"replaced"))
        storage.put("a", "model/code", tree(tmp_path / "second", "o.py"))
        found = self.reopen(storage).fetch("a", "model", [])
        assert files_of(found) == ["MLmodel", "code/o.py", "new"]
        assert (found / "MLmodel").read_bytes() == b"replaced"

    def test_nothing_can_be_put_below_a_file(self, storage: ArtifactStorage, tmp_path: Path) -> None:
        file = written(tmp_path / "file", b"a file")
        storage.put("a", "x", file)
        storage.put("a", "folder", tree(tmp_path / "tree", "y"))
        for path in ("x/below", "folder/y/below"):
            for source in (file, tmp_path / "tree"):
                with raises(StoreError, path.rpartition("/")[0]):
                    storage.put("a", path, source)
        assert storage.fetch("a", "x", []).read_bytes() == b"a file"
        assert files_of(storage.fetch("a", "folder", [])) == ["y"]

    def test_an_empty_folder_is_there(self, storage: ArtifactStorage, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        storage.put("a", "d/empty", tmp_path / "empty")
        assert storage.listing("a", "d", []) == [Artifact("d/empty", is_dir=True)]
        assert list(self.reopen(storage).fetch("a", "d/empty", []).iterdir()) == []

    def test_what_cannot_be_read_changes_nothing(self, storage: ArtifactStorage, tmp_path: Path) -> None:
        folder = tree(tmp_path / "folder", "a", "b")
        storage.put("a", "folder", folder)
        storage.put("a", "file", folder / "a")
        (folder / "c").symlink_to(tmp_path / "missing")
        (folder / "b").unlink()
        for path in ("folder", "file", "new"):
            with raises(StoreError, "missing"):
                storage.put("a", path, tmp_path / "missing")
            with raises(StoreError):
                storage.put("a", path, folder)
        assert files_of(storage.fetch("a", "folder", [])) == ["a", "b"]
        assert [a.path for a in storage.listing("a", "", [])] == ["file", "folder"]

    def test_what_is_not_what_was_logged_is_refused(self, storage: ArtifactStorage, tmp_path: Path) -> None:
        folder = tree(tmp_path / "folder", "MLmodel", "model.pkl")
        storage.put("run", "d/f", written(tmp_path / "f", b"content"))
        storage.put("run", "model", folder)
        other = of_bytes(b"other")
        for _ in range(2):
            with raises(StoreError, "'run'", "'d/f'", of_bytes(b"content"), other):
                storage.fetch("run", "d/f", [Artifact("d/f", 7, other)])
            with raises(StoreError, "'run'", "'model'", of_folder(folder), other):
                storage.fetch("run", "model", [LoggedModel("model", digest=other)])
            assert storage.fetch("run", "d/f", [Artifact("d/f", 7, of_bytes(b"content"))]).read_bytes() == b"content"
        for digest in ("", "md5:1", "sha256:1"):  # nothing that could be verified
            assert storage.fetch("run", "d/f", [Artifact("d/f", 7, digest)]).read_bytes() == b"content"

    def test_a_run_is_removed_and_no_other(self, storage: ArtifactStorage, tmp_path: Path) -> None:
        folder = tree(tmp_path / "folder", "a", "b/c")
        for run_id in ("a", "ab", "b"):
            storage.put(run_id, "model", folder)
            storage.put(run_id, "model", tree(tmp_path / "other", "x"))
            storage.put(run_id, "f", folder / "a")
        storage.remove("a")
        storage.remove("never")
        storage = self.reopen(storage)
        assert sorted(storage.runs()) == ["ab", "b"]
        assert storage.listing("a", "", []) == []
        with raises(ArtifactNotFound):
            storage.fetch("a", "f", [])
        assert files_of(storage.fetch("ab", "model", [])) == ["x"]

    def test_many_threads_write_and_read(self, storage: ArtifactStorage, tmp_path: Path) -> None:
        folders = [tree(tmp_path / str(number), "same", f"only{number}") for number in range(4)]
        whole = {tuple(files_of(folder)) for folder in folders}
        storage.put("a", "model", folders[0])

        def work(number: int) -> None:
            storage.put("a", f"d/{number}", folders[number % 4] / "same")
            assert storage.fetch("a", f"d/{number}", []).read_text() == "same"
            if number < 4:
                storage.put(f"run{number}", "model", folders[number])
                assert files_of(storage.fetch(f"run{number}", "model", [])) == files_of(folders[number])

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(16)))
        assert len(storage.listing("a", "d", [])) == 16
        assert tuple(files_of(storage.fetch("a", "model", []))) in whole

    def test_what_was_fetched_outlives_the_storage(self, storage: ArtifactStorage, tmp_path: Path) -> None:
        storage.put("a", "model", tree(tmp_path / "folder", "x"))
        found = [storage.fetch("a", path, []) for path in ("model", "model/x")]
        storage.close()
        assert files_of(found[0]) == ["x"]
        assert found[1].read_text() == "x"


def written(path: Path, content: bytes) -> Path:
    """A file with this content."""
    path.write_bytes(content)
    return path


def tree(folder: Path, *names: str) -> Path:
    """A folder with these files, in each of which its name stands."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def files_of(folder: Path) -> list[str]:
    """The files below a folder, by name; none for a file."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
