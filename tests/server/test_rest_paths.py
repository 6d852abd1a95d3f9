"""No spelling of a path leads out of a run's artifacts: nothing else is read, listed, written or removed."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlencode

import pytest

from autotrack.entities import LoggedModel
from autotrack.events import Entry, ModelLogged, RunStarted
from autotrack.server.app import App
from autotrack.server.rest import locating, model_ids
from autotrack.server.site import Site
from autotrack.stores import open_store

RUN = "a" * 32
SECRET = b"a secret of the server"

UPWARDS = [
    "../secret.txt",
    "../../secret.txt",
    "../../../secret.txt",
    "files/../../../secret.txt",
    "files/./../../../secret.txt",
    "..",
    "../..",
    "files/..",
    "..\\..\\secret.txt",
    "\\..\\..\\secret.txt",
    "files\\..\\..\\..\\secret.txt",
    "%2e%2e%2f%2e%2e%2fsecret.txt",
    "%2E%2E/%2E%2E/secret.txt",
    ".%2e/.%2e/secret.txt",
    "..%5c..%5csecret.txt",
    "%252e%252e%252f%252e%252e%252fsecret.txt",
    "%25252e%25252e/%25252e%25252e/secret.txt",
    ";../../../secret.txt",
    "files;../../../secret.txt",
    "files;/../../secret.txt",
    "?../../../secret.txt",
    "files?/../../../secret.txt",
    "#../../../secret.txt",
    "files#/../../../secret.txt",
    "files%23/../../../secret.txt",
    ".. /.. /secret.txt",
    "..;/..;/secret.txt",
    "//host/share/secret.txt",
    "\\\\host\\share\\secret.txt",
    "C:\\secret.txt",
    "C:/secret.txt",
    "c:secret.txt",
    "file:///SECRET",
    "FILE:///SECRET",
    "file:SECRET",
    "File://localhost/SECRET",
    "file:/SECRET",
    "dbfs:/SECRET",
    "s3://bucket/secret.txt",
    "/SECRET",
    "%2fSECRET",
    "//SECRET",
    "secret.txt\0.png",
    "%00",
    "..%00/secret.txt",
    "files/\nnote",
    "files.",
    "files ",
    "files/. /x",
    "...",
]
"""``SECRET`` stands for the absolute path of the secret."""


class Server:
    """The API over a folder store beside which there is a secret."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.secret = folder / "secret.txt"
        self.secret.write_bytes(SECRET)
        (folder / "outside").mkdir()
        (folder / "outside" / "secret.txt").write_bytes(SECRET)
        self.store = open_store(str(folder / "store"))
        self.model_id = model_ids.id_of(RUN, "model")
        model = LoggedModel("model", model_id=self.model_id, details={"name": "model"})
        events = [RunStarted(RUN, "run", 1), ModelLogged(RUN, model)]
        self.store.apply([Entry("20260101T000000.000000-0", number, event) for number, event in enumerate(events, 1)])
        (folder / "note.txt").write_text("a note")
        for path in ("files/note.txt", "model/note.txt"):
            self.store.put_artifact(RUN, path, folder / "note.txt")
        for place in ("", "model"):
            root = folder / "store" / "artifacts" / RUN / place
            (root / "escape").symlink_to(folder / "outside")
            (root / "link.txt").symlink_to(self.secret)
        (self.folder / "store" / "artifacts" / RUN / "way").symlink_to(folder / "outside")
        (self.folder / "store" / "artifacts" / RUN / "door.txt").symlink_to(self.secret)
        self.site = Site(self.store)
        self.app = App(self.site, rooms=("autotrack.server.rest",))
        self.runner = asyncio.Runner()

    def close(self) -> None:
        self.runner.close()
        self.site.close()
        self.store.close()

    def ask(self, method: str, path: str, query: dict[str, str] | None = None, body: bytes = b"") -> tuple[int, bytes]:
        """A request whose path is sent as it is spelled, decoded once as any server does."""
        sent: list[Any] = []
        messages = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Any:
            if not messages:
                await asyncio.sleep(3600)
            return messages.pop(0)

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": method,
            "path": unquote(path),
            "raw_path": path.encode(),
            "query_string": urlencode(query or {}).encode(),
            "headers": [(b"host", b"testserver"), (b"content-type", b"application/json")],
            "server": ("testserver", 80),
            "client": ("127.0.0.1", 1),
            "scheme": "http",
        }
        self.runner.run(self.app(scope, receive, send))
        return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])

    def standing(self) -> dict[str, Any]:
        """Every file and folder, but for the store's own journals and index."""
        found: dict[str, Any] = {}
        for place, folders, names in os.walk(self.folder):
            if Path(place) == self.folder / "store":
                folders[:] = ["artifacts"]
                names = []
            for name in (*folders, *names):
                path = Path(place, name)
                content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
                found[str(path.relative_to(self.folder))] = (path.lstat().st_mode, path.lstat().st_mtime_ns, content)
        return found


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("paths"))
    yield made
    made.close()


def _requests(server: Server, spelled: str) -> list[tuple[str, str, dict[str, str], bytes]]:
    proxy = "/api/2.0/mlflow-artifacts"
    models = f"/api/2.0/mlflow/logged-models/{server.model_id}/artifacts"
    roots = [f"0/{RUN}/artifacts", f"0/models/{server.model_id}/artifacts"]
    asked: list[tuple[str, str, dict[str, str], bytes]] = [
        ("GET", "/get-artifact", {"run_id": RUN, "path": spelled}, b""),
        ("GET", "/api/2.0/mlflow/artifacts/list", {"run_id": RUN, "path": spelled}, b""),
        ("POST", "/ajax-api/2.0/mlflow/upload-artifact", {"run_uuid": RUN, "path": spelled}, b"mine"),
        ("GET", f"{models}/directories", {"artifact_directory_path": spelled}, b""),
        ("GET", f"{models}/files", {"artifact_file_path": spelled}, b""),
    ]
    for root in roots:
        for at in (f"{root}/{spelled}", spelled, f"{spelled}/{root}/files"):
            asked += [
                ("GET", f"{proxy}/artifacts/{at}", {}, b""),
                ("PUT", f"{proxy}/artifacts/{at}", {}, b"mine"),
                ("DELETE", f"{proxy}/artifacts/{at}", {}, b""),
                ("GET", f"{proxy}/artifacts", {"path": at}, b""),
            ]
    return asked


@pytest.mark.parametrize("spelled", UPWARDS, ids=repr)
def test_a_path_that_leads_elsewhere_is_refused(server: Server, spelled: str) -> None:
    spelled = spelled.replace("SECRET", str(server.secret).lstrip("/"))
    before = server.standing()
    for method, path, query, body in _requests(server, spelled):
        status, answer = server.ask(method, path, query, body)
        assert status in (400, 404), (method, path, query, answer)
        assert SECRET not in answer
    assert server.standing() == before


@pytest.mark.parametrize("spelled", ["escape/secret.txt", "link.txt", "escape"])
def test_a_link_in_the_store_leads_nowhere(server: Server, spelled: str) -> None:
    before = server.standing()
    for method, path, query, body in _requests(server, spelled):
        if method in ("PUT", "POST"):
            continue
        status, answer = server.ask(method, path, query, body)
        assert SECRET not in answer
        assert status in (400, 404, 501) or (b"files" in answer and b'"path"' not in answer), (method, path, answer)
    assert server.standing() == before


def test_a_file_that_is_put_where_a_link_stands_replaces_the_link(server: Server) -> None:
    proxy = f"/api/2.0/mlflow-artifacts/artifacts/0/{RUN}/artifacts"
    assert server.ask("PUT", f"{proxy}/way/secret.txt", body=b"mine")[0] == 400
    assert server.ask("PUT", f"{proxy}/way/new.txt", body=b"mine")[0] == 400
    assert server.ask("PUT", f"{proxy}/door.txt", body=b"mine")[0] == 200
    assert server.ask("GET", f"{proxy}/door.txt") == (200, b"mine")
    assert server.secret.read_bytes() == SECRET
    assert {path.name for path in (server.folder / "outside").iterdir()} == {"secret.txt"}


def test_what_the_run_has_is_found_by_the_same_addresses(server: Server) -> None:
    proxy = "/api/2.0/mlflow-artifacts/artifacts"
    assert server.ask("GET", f"{proxy}/0/{RUN}/artifacts/files/note.txt") == (200, b"a note")
    assert server.ask("GET", f"{proxy}/0/models/{server.model_id}/artifacts/note.txt") == (200, b"a note")
    status, listed = server.ask("GET", proxy, {"path": f"0/{RUN}/artifacts/files"})
    assert status == 200
    assert b'"note.txt"' in listed


@pytest.mark.parametrize(
    "path", ["a/b.txt", "50%.png", "a%20b", "notes 12.30.txt", "a;b", "a#b", "a&b=c", "über/ß.txt", "x..y", "12:30.txt"]
)
def test_names_that_only_look_odd_are_taken(path: str) -> None:
    assert locating.checked(path) == path


def test_the_whole_of_another_run_is_not_reached_through_an_experiment_that_it_is_not_in(server: Server) -> None:
    status, answer = server.ask("GET", f"/api/2.0/mlflow-artifacts/artifacts/1/{RUN}/artifacts/files/note.txt")
    assert status == 404
    assert b"experiment" in answer
