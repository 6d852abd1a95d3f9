"""Artifacts over the API: files put, listed and fetched, whole or in parts, whatever their size."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from asking import Client

from autotrack import digests
from autotrack.server.app import App
from autotrack.server.rest.streaming import PIECE, disposition, media_type
from autotrack.stores import open_store

PROXY = "/api/2.0/mlflow-artifacts/"


def _put(api: Client, run: str, path: str, content: bytes) -> None:
    answer = api.ask("PUT", f"{PROXY}artifacts/0/{run}/artifacts/{path}", content=content)
    assert (answer.status_code, answer.json()) == (200, {})


def _names(answer: dict[str, list[dict[str, object]]]) -> list[object]:
    return [file["path"] for file in answer["files"]]


def test_a_file_is_put_listed_and_fetched(api: Client) -> None:
    run = api.run()
    _put(api, run, "notes/a b.txt", b"hello")
    _put(api, run, "top.bin", b"")
    listed = api.get("artifacts/list", run_id=run)
    assert listed["root_uri"] == f"mlflow-artifacts:/0/{run}/artifacts"
    assert listed["files"] == [{"path": "notes", "is_dir": True}, {"path": "top.bin", "is_dir": False, "file_size": 0}]
    assert _names(api.get("artifacts/list", run_id=run, path="notes")) == ["notes/a b.txt"]
    below = api.ask("GET", f"{PROXY}artifacts", params={"path": f"0/{run}/artifacts/notes"}).json()
    assert below == {"files": [{"path": "a b.txt", "is_dir": False, "file_size": 5}]}
    for path in (f"{PROXY}artifacts/0/{run}/artifacts/notes/a b.txt", f"/get-artifact?run_id={run}&path=notes/a b.txt"):
        assert api.ask("GET", path).content == b"hello"
    assert api.ask("GET", f"{PROXY}artifacts/0/{run}/artifacts/top.bin").content == b""


def test_size_and_digest_are_recorded_with_the_file(api: Client) -> None:
    run = api.run()
    _put(api, run, "data.bin", b"x" * 1000)
    (artifact,) = api.store.artifacts(run)
    assert (artifact.size, artifact.digest) == (1000, digests.of_bytes(b"x" * 1000))
    _put(api, run, "data.bin", b"y")
    (artifact,) = api.store.artifacts(run)
    assert (artifact.size, artifact.digest) == (1, digests.of_bytes(b"y"))


def test_the_old_way_of_putting_a_file(api: Client) -> None:
    run = api.run()
    where = f"/ajax-api/2.0/mlflow/upload-artifact?run_uuid={run}&path=images/one.png"
    assert api.ask("POST", where, content=b"png").status_code == 200
    assert api.store.artifact_path(run, "images/one.png").read_bytes() == b"png"


def test_a_file_is_a_download_that_no_browser_runs(api: Client) -> None:
    run = api.run()
    _put(api, run, "page.html", b"<script>alert(1)</script>")
    headers = api.ask("GET", f"/get-artifact?run_id={run}&path=page.html").headers
    assert headers["content-disposition"] == 'attachment; filename="page.html"'
    assert headers["content-type"].startswith("text/plain")
    assert headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in headers["content-security-policy"]


@pytest.mark.parametrize(
    ("wanted", "content", "range_"),
    [
        ("bytes=0-3", b"0123", "bytes 0-3/10"),
        ("bytes=7-", b"789", "bytes 7-9/10"),
        ("bytes=-2", b"89", "bytes 8-9/10"),
        ("bytes=8-100", b"89", "bytes 8-9/10"),
        ("bytes=0-1,3-4", b"0123456789", None),
        ("bytes=5-2", b"0123456789", None),
        ("lines=0-1", b"0123456789", None),
    ],
)
def test_a_part_of_a_file(api: Client, wanted: str, content: bytes, range_: str | None) -> None:
    run = api.run()
    _put(api, run, "ten", b"0123456789")
    answer = api.ask("GET", f"{PROXY}artifacts/0/{run}/artifacts/ten", headers={"range": wanted})
    assert answer.content == content
    assert answer.status_code == (206 if range_ else 200)
    assert answer.headers.get("content-range") == range_
    assert answer.headers["content-length"] == str(len(content))


def test_a_part_behind_the_end_is_refused_and_one_of_a_changed_file_is_the_whole(api: Client) -> None:
    run = api.run()
    where = f"{PROXY}artifacts/0/{run}/artifacts/ten"
    _put(api, run, "ten", b"0123456789")
    beyond = api.ask("GET", where, headers={"range": "bytes=10-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, "bytes */10")
    tag = api.ask("GET", where).headers["etag"]
    assert api.ask("GET", where, headers={"range": "bytes=1-1", "if-range": tag}).content == b"1"
    assert api.ask("GET", where, headers={"range": "bytes=1-1", "if-range": '"other"'}).content == b"0123456789"


def test_asking_for_the_head_alone(api: Client) -> None:
    run = api.run()
    _put(api, run, "ten", b"0123456789")
    answer = api.ask("HEAD", f"{PROXY}artifacts/0/{run}/artifacts/ten")
    assert (answer.status_code, answer.content, answer.headers["content-length"]) == (200, b"", "10")


def test_a_file_of_several_pieces(api: Client) -> None:
    run = api.run()
    content = bytes(range(256)) * (PIECE // 128) + b"end"
    _put(api, run, "large", content)
    assert api.ask("GET", f"{PROXY}artifacts/0/{run}/artifacts/large").content == content
    part = api.ask("GET", f"{PROXY}artifacts/0/{run}/artifacts/large", headers={"range": f"bytes={PIECE - 2}-"})
    assert part.content == content[PIECE - 2 :]


def test_what_is_not_there(api: Client) -> None:
    run = api.run()
    _put(api, run, "folder/file", b"x")
    for path, status in (("missing", 404), ("folder", 400), ("folder/missing", 404), ("", 400)):
        answer = api.ask("GET", f"{PROXY}artifacts/0/{run}/artifacts/{path}")
        assert answer.status_code == status, path
        assert "/tmp" not in answer.text  # nothing is told of where the store keeps its files
    assert api.ask("GET", f"{PROXY}artifacts/0/{'0' * 32}/artifacts/x").status_code == 404
    below_a_file = api.ask("PUT", f"{PROXY}artifacts/0/{run}/artifacts/folder/file/more", content=b"x")
    assert below_a_file.status_code == 400 or _names(api.get("artifacts/list", run_id=run, path="folder/file"))


def test_nothing_is_put_into_a_deleted_run(api: Client) -> None:
    run = api.run()
    api.post("runs/delete", run_id=run)
    answer = api.ask("PUT", f"{PROXY}artifacts/0/{run}/artifacts/x", content=b"x")
    assert answer.status_code == 400
    assert "restore" in answer.json()["message"]
    assert api.store.artifacts(run) == []


def test_a_packed_file_is_refused(api: Client) -> None:
    run = api.run()
    where = f"{PROXY}artifacts/0/{run}/artifacts/x"
    assert api.ask("PUT", where, content=b"x", headers={"content-encoding": "gzip"}).status_code == 415


def test_single_files_are_not_deleted(api: Client) -> None:
    run = api.run()
    _put(api, run, "x", b"x")
    answer = api.ask("DELETE", f"{PROXY}artifacts/0/{run}/artifacts/x")
    assert answer.status_code == 501
    assert "autotrack gc" in answer.json()["message"]
    assert len(api.store.artifacts(run)) == 1


def test_clients_are_told_to_send_files_whole(api: Client) -> None:
    for call in ("create", "complete", "abort"):
        answer = api.ask("POST", f"{PROXY}mpu/{call}/0/{'a' * 32}/artifacts/x", json={"path": "x"})
        assert answer.status_code == 501
        assert answer.json()["message"].startswith("Multipart upload is not supported for the current artifact")
    assert api.ask("GET", f"{PROXY}presigned/0/{'a' * 32}/artifacts/x").status_code == 501


def test_an_upload_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "store"))
    api = Client(store)
    run = api.run()
    messages = [{"type": "http.request", "body": b"x" * (PIECE + 10), "more_body": True}, {"type": "http.disconnect"}]
    sent: list[object] = []

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    path = f"{PROXY}artifacts/0/{run}/artifacts/x"
    scope = {"type": "http", "method": "PUT", "path": path, "query_string": b"", "headers": []}
    asyncio.run(App(api.site, rooms=("autotrack.server.rest",))(scope, receive, send))
    assert sent == []
    assert store.artifacts(run) == []
    assert [path for path in (tmp_path / "store" / "artifacts").rglob("*") if path.is_file()] == []
    api.close()
    store.close()


def test_an_upload_stands_private_until_it_is_whole(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "store"))
    api = Client(store)
    run = api.run()
    modes: list[int] = []

    async def content() -> AsyncIterator[bytes]:
        yield b"x" * PIECE
        yield b"y"
        modes.extend(path.stat().st_mode & 0o777 for path in (tmp_path / "store" / "artifacts" / run).iterdir())
        assert store.artifacts(run) == []

    assert api.ask("PUT", f"{PROXY}artifacts/0/{run}/artifacts/x", content=content()).status_code == 200
    assert modes == [0o600]
    assert [path.name for path in (tmp_path / "store" / "artifacts" / run).iterdir()] == ["x"]
    api.close()
    store.close()


def test_names_and_kinds_of_downloads() -> None:
    assert disposition('ü"\r\n.txt') == "attachment; filename=\"____.txt\"; filename*=UTF-8''%C3%BC%22%0D%0A.txt"
    kinds = {name: media_type(name).partition(";")[0] for name in ("a.svg", "a.js", "a.json", "a.png", "a.csv", "a.gz")}
    assert [kinds[name] for name in ("a.json", "a.png", "a.csv")] == ["application/json", "image/png", "text/csv"]
    assert {kinds["a.svg"], kinds["a.js"], kinds["a.gz"]} <= {"text/plain", "application/octet-stream"}


def test_memory_does_not_grow_with_a_file(tmp_path: Path) -> None:
    """150 MB go in and out of a process; what it holds at the most is measured before and after."""
    script = textwrap.dedent("""
        import asyncio, json, resource, sys
        from autotrack.entities import Metric
        from autotrack.events import Entry, RunStarted
        from autotrack.server.app import App
        from autotrack.server.site import Site
        from autotrack.stores import open_store

        store = open_store(sys.argv[1])
        store.apply([Entry("20260101T000000.000000-0", 1, RunStarted("a" * 32, "run", 1))])
        app = App(Site(store), rooms=("autotrack.server.rest",))
        piece = bytes(64 * 1024)

        async def ask(method, pieces):
            left, count = pieces, 0

            async def receive():
                nonlocal left
                if method == "GET" and left < 0:
                    await asyncio.sleep(3600)
                left -= 1
                return {"type": "http.request", "body": piece if left >= 0 else b"", "more_body": left > 0}

            async def send(message):
                nonlocal count
                count += len(message.get("body", b""))
                assert message.get("status", 200) == 200, message

            path = "/api/2.0/mlflow-artifacts/artifacts/0/" + "a" * 32 + "/artifacts/big"
            scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": []}
            await app(scope, receive, send)
            return count

        def peak():
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

        async def main():
            await ask("PUT", 64)
            await ask("GET", 0)
            before = peak()
            await ask("PUT", 2400)
            size = await ask("GET", 0)
            print(json.dumps([before, peak(), size]))

        asyncio.run(main())
    """)
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "store")], capture_output=True, text=True, check=True
    )
    before, after, size = json.loads(done.stdout)
    assert size == 2400 * 64 * 1024
    assert after - before < 30, f"{before} MB before, {after} MB after"
