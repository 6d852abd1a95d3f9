"""Artifacts in an object store: what broken-off uploads, meddlers, other writers and dead servers do to them."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotrack.digests import of_bytes, of_file, of_folder
from autotrack.entities import Artifact, LoggedModel
from autotrack.errors import ArtifactNotFound, StoreError
from autotrack.stores.artifacts.object_layout import key_of, manifest_key, path_of
from autotrack.stores.artifacts.object_store import ObjectArtifacts
from autotrack.testing.storages import files_of, tree, written

LARGE = 48 * 1024 * 1024


class Raw:
    """The bucket as another client sees it."""

    def __init__(self, uri: str) -> None:
        import boto3

        self._bucket = uri.removeprefix("s3://")
        self._client = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"])

    def get(self, key: str) -> bytes:
        return bytes(self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read())

    def put(self, key: str, data: bytes) -> None:
        self._client.put_object(Bucket=self._bucket, Key=key, Body=data)

    def delete(self, key: str) -> None:
        self._client.delete_object(Bucket=self._bucket, Key=key)

    def names(self) -> list[str]:
        return [found["Key"] for found in self._client.list_objects_v2(Bucket=self._bucket).get("Contents", [])]

    def parts_wait(self) -> bool:
        return bool(self._client.list_multipart_uploads(Bucket=self._bucket).get("Uploads"))


@pytest.fixture
def storage(s3_uri: str) -> ObjectArtifacts:
    return ObjectArtifacts(s3_uri, timeout=10)


@pytest.fixture
def raw(s3_uri: str) -> Raw:
    return Raw(s3_uri)


def sparse(path: Path, size: int = LARGE, mark: bytes = b"") -> Path:
    """A large file of which little stands on disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(mark)
        file.truncate(size)
        file.seek(size // 2)
        file.write(b"in the middle")
    return path


def kill_in_the_middle(storage: ObjectArtifacts, raw: Raw, path: str, source: Path) -> None:
    """Have a process put something, and kill it when parts of a large file are on the server."""
    program = (
        "import sys; from pathlib import Path; from autotrack.stores.artifacts import open_artifacts\n"
        "open_artifacts(sys.argv[1]).put('run', sys.argv[2], Path(sys.argv[3]))"
    )
    process = subprocess.Popen([sys.executable, "-c", program, storage.uri, path, str(source)])
    try:
        while not raw.parts_wait():
            assert process.poll() is None, "it was done before it could be killed"
            time.sleep(0.005)
    finally:
        process.kill()
    assert process.wait() == -signal.SIGKILL
    assert raw.parts_wait()


# Broken-off uploads


def test_an_upload_of_a_file_that_is_killed_leaves_what_was_there(
    storage: ObjectArtifacts, raw: Raw, tmp_path: Path
) -> None:
    large = sparse(tmp_path / "large")
    kill_in_the_middle(storage, raw, "f", large)
    assert storage.listing("run", "", []) == []
    assert raw.names() == []
    storage.put("run", "f", written(tmp_path / "old", b"old"))
    kill_in_the_middle(storage, raw, "f", large)
    assert storage.fetch("run", "f", []).read_bytes() == b"old"
    storage.put("run", "f", large)
    assert of_file(storage.fetch("run", "f", [])) == of_file(large)


def test_an_upload_of_a_folder_that_is_killed_shows_nothing_and_goes_on(
    storage: ObjectArtifacts, raw: Raw, tmp_path: Path
) -> None:
    folder = tree(tmp_path / "model", *(f"small{number}" for number in range(8)))
    sparse(folder / "z" / "large")
    kill_in_the_middle(storage, raw, "model", folder)
    assert [key for key in raw.names() if key.startswith("run/model/small")], "nothing was uploaded yet"
    for path in ("", "model"):
        assert storage.listing("run", path, []) == []
    for path in ("", "model", "model/small0"):
        with pytest.raises(ArtifactNotFound):
            storage.fetch("run", path, [])
    assert {item.kind for item in storage.garbage(0)} == {"partial"}
    assert storage.garbage() == [], "it might still be under way"
    storage.put("run", "model", folder)
    assert of_folder(storage.fetch("run", "model", [LoggedModel("model", digest=of_folder(folder))])) == of_folder(
        folder
    )
    assert {f"run/model/{name}" for name in files_of(folder)} < set(raw.names())
    assert storage.garbage(0) == []


def test_a_folder_that_is_not_wholly_replaced_stays_the_old_one(
    storage: ObjectArtifacts, raw: Raw, tmp_path: Path
) -> None:
    old, new = tree(tmp_path / "old", "MLmodel", "gone"), tree(tmp_path / "new", "MLmodel")
    sparse(new / "model.pkl")
    storage.put("run", "model", old)
    kill_in_the_middle(storage, raw, "model", new)
    assert of_folder(storage.fetch("run", "model", [])) == of_folder(old)
    garbage = storage.garbage(0)
    assert all("/.autotrack/" in item.place and item.run_id == "run" for item in garbage)
    storage.put("run", "model", new)
    assert files_of(storage.fetch("run", "model", [])) == ["MLmodel", "model.pkl"]
    storage.collect(storage.garbage(0))
    assert storage.garbage(0) == []
    assert of_folder(storage.fetch("run", "model", [])) == of_folder(new)


def test_what_a_killed_writer_left_does_not_become_part_of_another_folder(
    storage: ObjectArtifacts, raw: Raw, tmp_path: Path
) -> None:
    first = tree(tmp_path / "first", "a", "b")
    sparse(first / "z")
    kill_in_the_middle(storage, raw, "model", first)
    second = tree(tmp_path / "second", "b", "c")
    storage.put("run", "model", second)
    storage.put("run", "model/d", second / "c")
    assert files_of(storage.fetch("run", "model", [])) == ["b", "c", "d"]
    storage.collect(storage.garbage(0))
    assert files_of(ObjectArtifacts(storage.uri).fetch("run", "model", [])) == ["b", "c", "d"]
    assert not [key for key in raw.names() if key.endswith("model/a")]


# Other writers and readers


def test_a_reader_sees_one_version_or_the_other(storage: ObjectArtifacts, tmp_path: Path) -> None:
    folders = [tree(tmp_path / str(number), "same", f"only{number}") for number in range(3)]
    for number, folder in enumerate(folders):
        (folder / "same").write_text(f"of {number}")
    known = {of_folder(folder) for folder in folders}
    storage.put("run", "model", folders[0])
    stop = threading.Event()

    def write(folder: Path) -> None:
        writer = ObjectArtifacts(storage.uri)
        while not stop.is_set():
            writer.put("run", "model", folder)

    with ThreadPoolExecutor(3) as pool:
        writers = [pool.submit(write, folder) for folder in folders]
        try:
            for _ in range(25):
                assert of_folder(storage.fetch("run", "model", [])) in known
                assert len(storage.listing("run", "model", [])) == 2
        finally:
            stop.set()
        for writer in writers:
            writer.result()
    storage.collect(storage.garbage(0))
    assert of_folder(storage.fetch("run", "model", [])) in known


def test_many_writers_into_one_folder_lose_nothing(storage: ObjectArtifacts, tmp_path: Path) -> None:
    storage.put("run", "d", tree(tmp_path / "d", "first"))
    file = written(tmp_path / "file", b"x")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: ObjectArtifacts(storage.uri).put("run", f"d/{number}", file), range(8)))
    assert files_of(storage.fetch("run", "d", [])) == [*map(str, range(8)), "first"]


def test_other_tools_find_files_under_their_own_names(storage: ObjectArtifacts, raw: Raw, tmp_path: Path) -> None:
    storage.put("run", "d/odd name#?.txt", written(tmp_path / "f", b"file"))
    storage.put("run", "model", tree(tmp_path / "model", "MLmodel"))
    assert raw.get("run/d/odd name#?.txt") == b"file"
    assert raw.get("run/model/MLmodel") == b"MLmodel"
    assert sorted(key for key in raw.names() if ".autotrack" not in key) == [
        "run/d/odd name#?.txt",
        "run/model/MLmodel",
    ]


def test_files_that_others_put_there_are_seen(storage: ObjectArtifacts, raw: Raw) -> None:
    for key in ("plain", "100%25", "%2e%2e", "d/x"):
        raw.put(f"run/{key}", key.encode())
    assert [a.path for a in storage.listing("run", "", [])] == ["%2e%2e", "100%25", "d", "plain"]
    assert storage.fetch("run", "%2e%2e", []).read_bytes() == b"%2e%2e"
    assert list(storage.runs()) == ["run"]


def test_the_same_folder_again_is_not_uploaded(storage: ObjectArtifacts, raw: Raw, tmp_path: Path) -> None:
    folder = tree(tmp_path / "model", "MLmodel", "model.pkl")
    storage.put("run", "model", folder)
    before = raw.names()
    raw.put("run/model/MLmodel", b"a mark that an upload would remove")
    storage.put("run", "model", folder)
    assert raw.names() == before
    assert raw.get("run/model/MLmodel") == b"a mark that an upload would remove"


# Meddlers


def test_an_object_that_was_changed_is_refused(storage: ObjectArtifacts, raw: Raw, tmp_path: Path) -> None:
    folder = tree(tmp_path / "model", "MLmodel", "model.pkl")
    storage.put("run", "model", folder)
    storage.put("run", "f", folder / "MLmodel")
    for key in ("run/model/model.pkl", "run/f"):
        raw.put(key, b"something else")
    with pytest.raises(StoreError) as caught:
        storage.fetch("run", "f", [Artifact("f", 7, of_bytes(b"MLmodel"))])
    for word in ("'run'", "'f'", of_bytes(b"MLmodel"), of_bytes(b"something else")):
        assert word in str(caught.value)
    for logged in ([LoggedModel("model", digest=of_folder(folder))], []):
        with pytest.raises(StoreError, match=r"'model' of run 'run' is not what was logged: its digest is sha256:"):
            storage.fetch("run", "model", logged)
    with pytest.raises(StoreError, match="not what was logged"):
        storage.fetch("run", "model/model.pkl", [])
    assert storage.fetch("run", "model/MLmodel", []).read_text() == "MLmodel"


def test_an_object_that_was_removed_is_missed(storage: ObjectArtifacts, raw: Raw, tmp_path: Path) -> None:
    storage.put("run", "model", tree(tmp_path / "model", "MLmodel", "model.pkl"))
    raw.delete("run/model/model.pkl")
    with pytest.raises(StoreError, match="'model' of run 'run' has files that are no longer in s3://"):
        storage.fetch("run", "model", [])


def test_a_manifest_that_cannot_be_read_is_named(storage: ObjectArtifacts, raw: Raw, tmp_path: Path) -> None:
    storage.put("run", "model", tree(tmp_path / "model", "MLmodel"))
    key = f"run/{manifest_key('model')}"
    manifest = json.loads(raw.get(key))
    for data, what in (
        (b"{", "no manifest"),
        (b"[]", "no manifest"),
        (json.dumps({**manifest, "files": {"model/x": {}}}).encode(), "no manifest"),
        (json.dumps({**manifest, "version": 2}).encode(), "version 2, which a later autotrack wrote"),
    ):
        raw.put(key, data)
        with pytest.raises(StoreError, match=what) as caught:
            storage.listing("run", "", [])
        assert key in str(caught.value)


@pytest.mark.parametrize("path", ["model/../../escaped", "/tmp/escaped", "model/a/../../../escaped"])
def test_a_manifest_leads_out_of_no_folder(storage: ObjectArtifacts, raw: Raw, tmp_path: Path, path: str) -> None:
    storage.put("run", "model", tree(tmp_path / "model", "MLmodel"))
    key = f"run/{manifest_key('model')}"
    manifest = json.loads(raw.get(key))
    entry = manifest["files"].pop("model/MLmodel")
    raw.put(key, json.dumps({**manifest, "files": {path: entry}}).encode())
    for asked in ("", "model", path):
        with pytest.raises((StoreError, ArtifactNotFound), match="no manifest|not a path inside"):
            storage.fetch("run", asked, [])
    raw.put(key, json.dumps({**manifest, "files": {"model/x": {**entry, "object": "../other/x"}}}).encode())
    with pytest.raises(StoreError, match="no manifest"):
        storage.fetch("run", "model/x", [])
    assert not list(tmp_path.rglob("escaped"))
    assert not Path("/tmp/escaped").exists()


# Large files


def test_large_files_pass_through_in_pieces(storage: ObjectArtifacts, tmp_path: Path) -> None:
    program = """
        import resource, sys
        from pathlib import Path
        from autotrack.stores.artifacts import open_artifacts

        def peak():
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

        storage, small, large = open_artifacts(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
        storage.put("run", "small", small)
        storage.fetch("run", "small", [])
        before = peak()
        storage.put("run", "large", large)
        sent = peak()
        storage.fetch("run", "large", [])
        print(sent - before, peak() - before)
    """
    small, large = written(tmp_path / "small", b"x"), sparse(tmp_path / "large", 200 * 1024 * 1024)
    command = [sys.executable, "-c", textwrap.dedent(program), storage.uri, str(small), str(large)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    sent, both = map(float, done.stdout.split())
    assert sent < 100, f"{sent} MB more to send 200 MB"
    assert both < 100, f"{both} MB more to fetch 200 MB"


# Servers that do not answer, and secrets


def test_a_server_that_is_not_there_is_an_error_in_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "PUBLICNAME")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "also-secret")
    source = written(tmp_path / "f", b"x")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        dead = f"http://user:secret-too@127.0.0.1:{_free_port()}"
        for endpoint in (dead, f"http://127.0.0.1:{silent.getsockname()[1]}"):
            monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
            storage = ObjectArtifacts("s3://bucket/prefix", timeout=1)
            asks: list[Callable[[], object]] = [
                lambda: storage.listing("run", "", []),  # noqa: B023
                lambda: storage.put("run", "f", source),  # noqa: B023
                lambda: storage.fetch("run", "f", []),  # noqa: B023
                lambda: list(storage.runs()),  # noqa: B023
                lambda: storage.remove("run"),  # noqa: B023
            ]
            for ask in asks[:2] if endpoint != dead else asks:
                with pytest.raises(StoreError, match="s3://bucket/prefix") as caught:
                    ask()
                assert "\n" not in str(caught.value)
                assert "secret" not in _whole_chain(caught.value)
                assert "PUBLICNAME" not in _whole_chain(caught.value)


def test_a_bucket_that_is_not_there_is_named(s3_uri: str) -> None:
    with pytest.raises(StoreError, match="NoSuchBucket: The specified bucket does not exist"):
        ObjectArtifacts(s3_uri + "x").listing("run", "", [])


def test_a_uri_with_secrets_is_refused_without_repeating_them() -> None:
    for uri in ("s3://key:secret@bucket/x", "az://container/x?sig=secret", "gs://secret@bucket"):
        with pytest.raises(StoreError, match="environment variables") as caught:
            ObjectArtifacts(uri)
        assert "secret" not in str(caught.value)


def test_a_uri_is_given_back_as_it_opens_the_storage(s3_uri: str) -> None:
    for uri, expected in ((s3_uri, s3_uri), (s3_uri + "/", s3_uri), (s3_uri + "//a/b c/", s3_uri + "/a/b c")):
        assert ObjectArtifacts(uri).uri == expected
    for uri in ("s3://", "s3:///x", "s3://b/../x", "s3:b"):
        with pytest.raises(StoreError, match="names no place in an object store; write s3"):
            ObjectArtifacts(uri)


def test_the_timeout_is_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{_free_port()}")
    monkeypatch.setenv("AUTOTRACK_OBJECT_STORE_TIMEOUT", "0.5")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "key")
    with pytest.raises(StoreError, match="retry_timeout: 500ms"):
        ObjectArtifacts("s3://bucket").put("run", "f", Path(__file__))
    for text in ("soon", "-1", "nan"):
        monkeypatch.setenv("AUTOTRACK_OBJECT_STORE_TIMEOUT", text)
        with pytest.raises(StoreError, match="AUTOTRACK_OBJECT_STORE_TIMEOUT"):
            ObjectArtifacts("s3://bucket")


def test_other_providers_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "c2VjcmV0")
    assert ObjectArtifacts("abfs://container/x").uri == "az://container/x"
    assert ObjectArtifacts("gs://bucket/x").uri == "gs://bucket/x"


def test_a_forked_child_is_told_and_does_not_wait_for_ever(s3_uri: str) -> None:
    program = """
        import os, sys
        from autotrack.errors import StoreError
        from autotrack.stores.artifacts import open_artifacts

        storage = open_artifacts(sys.argv[1])
        storage.listing("run", "", [])
        if os.fork() == 0:
            try:
                open_artifacts(sys.argv[1]).listing("run", "", [])
            except StoreError as error:
                print(error, flush=True)
            os._exit(0)
        os.wait()
        storage.listing("run", "", [])
    """
    command = [sys.executable, "-c", textwrap.dedent(program), s3_uri]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    assert "this process was forked" in done.stdout


# Names


@given(st.text(st.characters(exclude_characters="/\0"), min_size=1) | st.text("%0123456789abAB\\\n\ud800\udfffé"))
def test_every_name_has_a_key_and_comes_back(name: str) -> None:
    key = key_of(name)
    assert path_of(key) == name
    assert not re.search(r"[\x00-\x1f\x7f\\\ud800-\udfff]", key)
    assert "/" not in key


@given(st.text(st.characters(codec="utf-8", exclude_characters="/"), min_size=1) | st.text("%0123456789ABCDEFabc/."))
def test_a_key_that_is_not_ours_stands_for_itself_or_for_one_name(key: str) -> None:
    path = path_of(key)
    assert path == key or key_of(path) == key
    assert path.count("/") == key.count("/")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _whole_chain(error: BaseException | None) -> str:
    told = ""
    while error is not None:
        told += str(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return told
