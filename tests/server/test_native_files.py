"""Folders that are sent file by file: where their files wait, for how long, and which paths they may have."""

from __future__ import annotations

import os
import secrets
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from asking import Client

from autotrack.events import RunStarted
from autotrack.query.editing import apply
from autotrack.server.native.files import ENDPOINTS
from autotrack.server.routing import WRITE
from autotrack.stores import open_store

RUN = "a" * 32
API = "/api/2.0/autotrack/artifacts"


@pytest.fixture
def waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where uploads wait, for this test only."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    return tmp_path / "tmp" / f"autotrack-uploads-{os.getuid()}"


@pytest.fixture
def client(tmp_path: Path, waiting: Path) -> Iterator[Client]:
    store = open_store(str(tmp_path / "store"))
    apply(store, [RunStarted(RUN, "run", 1_000)])
    client = Client(store, rooms=("autotrack.server.native",))
    yield client
    client.close()
    store.close()


def stage(client: Client, upload: str, path: str, content: bytes = b"content") -> int:
    asked = f"{API}/staged?upload={upload}&path={quote(path, safe='')}"
    return client.ask("PUT", asked, content=content).status_code


def put(client: Client, upload: str, files: int | None) -> tuple[int, str]:
    told = {"run_id": RUN, "path": "folder", "upload": upload, "files": files}
    answer = client.ask("POST", f"{API}/put-staged", json=told)
    return answer.status_code, answer.text


def test_a_folder_is_put_once_and_a_request_that_comes_again_does_not_empty_it(client: Client, waiting: Path) -> None:
    upload = secrets.token_hex(16)
    assert [stage(client, upload, path) for path in ("a.txt", "below/b.txt", "a.txt")] == [200] * 3
    assert put(client, upload, 2)[0] == 200
    assert list(waiting.iterdir()) == []
    status, told = put(client, upload, 2)
    assert status == 400
    assert "0 of the upload's 2 files are here" in told
    assert [one.path for one in client.store.artifacts(RUN, "folder")] == ["folder/a.txt", "folder/below"]
    assert put(client, secrets.token_hex(16), 0)[0] == 200
    assert client.store.artifacts(RUN, "folder") == []


def test_what_is_left_of_an_upload_goes_after_a_day(client: Client, waiting: Path) -> None:
    left, going, new = (secrets.token_hex(16) for _ in range(3))
    for upload in (left, going):
        stage(client, upload, "below/a.txt")
        (waiting / upload / "below" / "a.txt").write_bytes(b"begun")
    (waiting / "body").write_bytes(b"of a request that broke off")
    before = time.time() - 86400 - 60
    for name in (left, "body"):
        os.utime(waiting / name, (before, before))
    os.utime(waiting / going, (before + 120, before + 120))
    assert stage(client, new, "a.txt") == 200
    assert {entry.name for entry in waiting.iterdir()} == {going, new}
    assert stage(client, going, "below/b.txt") == 200
    assert (waiting / going).stat().st_mtime > time.time() - 3600


@pytest.mark.parametrize("path", ["../x", "/x", "a/../../x", "a/..", "a\0b", "", ".", "n" * 300])
def test_a_path_that_leaves_the_upload_or_can_be_no_file_is_refused(client: Client, waiting: Path, path: str) -> None:
    assert stage(client, secrets.token_hex(16), path) == 400
    found = [entry for entry in waiting.parent.rglob("*") if entry.is_file()]
    assert found == []


def test_a_file_below_a_file_is_refused(client: Client) -> None:
    upload = secrets.token_hex(16)
    assert [stage(client, upload, path) for path in ("a", "a/b", "b/c", "b")] == [200, 400, 200, 400]
    assert put(client, upload, 2)[0] == 200


@pytest.mark.parametrize("upload", ["", "../" + "a" * 29, "A" * 32, "a" * 31, "a" * 33, "a" * 32 + "%0A"])
def test_an_upload_is_called_by_digits_alone(client: Client, waiting: Path, upload: str) -> None:
    assert stage(client, upload, "a.txt") == 400
    assert not waiting.exists()


def test_only_who_may_write_sends_files() -> None:
    scopes = {
        endpoint.path.rpartition("/")[2]: endpoint.scope for endpoint in ENDPOINTS if "put" in endpoint.path.lower()
    }
    scopes |= {endpoint.path: endpoint.scope for endpoint in ENDPOINTS if endpoint.method == "PUT"}
    assert scopes == {"put-staged": WRITE, f"{API}/file": WRITE, f"{API}/staged": WRITE}
