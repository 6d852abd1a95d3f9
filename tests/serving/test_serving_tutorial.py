"""The line of everybody's tutorial, typed into a shell against a server that a person started."""

from __future__ import annotations

import http.client
import json
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from peer_models import Peer, diabetes_peer

from benchmarks.serving.servers import AUTOTRACK, ModelServer

COLUMNS = ["age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6"]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Peer, ModelServer]]:
    folder = tmp_path_factory.mktemp("tutorial")
    peer = diabetes_peer(folder / "model")
    with ModelServer(AUTOTRACK, peer.folder, folder) as server:
        yield peer, server


def curl(server: ModelServer, body: str) -> tuple[int, dict[str, Any]]:
    """``curl -X POST …``, or the same request where there is no curl."""
    url = f"http://127.0.0.1:{server.port}/invocations"
    program = shutil.which("curl")
    if program is None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        connection.request("POST", "/invocations", body.encode(), {"Content-Type": "application/json"})
        response = connection.getresponse()
        status, said = response.status, response.read().decode()
        connection.close()
    else:
        line = [program, "-X", "POST", "-H", "Content-Type: application/json", "-d", body, url]
        # Its own settings, and a proxy, are not the server's concern.
        options = ["-q", "--silent", "--show-error", "--noproxy", "*", "--write-out", "\n%{http_code}"]
        done = subprocess.run(
            [line[0], *options, *line[1:]], capture_output=True, text=True, timeout=60, check=True
        ).stdout
        said, _, code = done.rpartition("\n")
        status = int(code)
    answer: dict[str, Any] = json.loads(said)
    return status, answer


def test_the_curl_line_answers_what_predict_says(served: tuple[Peer, ModelServer]) -> None:
    peer, server = served
    assert peer.X.columns.tolist() == COLUMNS
    row = peer.X.iloc[[0]]

    status, said = curl(server, json.dumps({"columns": COLUMNS, "data": row.to_numpy().tolist()}))

    assert status == 200
    assert said["predictions"] == pytest.approx(peer.model.predict(row).tolist(), rel=1e-12)


def test_columns_are_matched_by_name(served: tuple[Peer, ModelServer]) -> None:
    peer, server = served
    rows = peer.X.iloc[[3, 4]]
    turned = rows[COLUMNS[::-1]]

    status, said = curl(server, json.dumps({"columns": COLUMNS[::-1], "data": turned.to_numpy().tolist()}))

    assert status == 200
    assert said["predictions"] == pytest.approx(peer.model.predict(rows).tolist(), rel=1e-12)


@pytest.mark.parametrize("missing", ["age", "bp", "s6"])
def test_with_nine_columns_it_says_which_is_missing(served: tuple[Peer, ModelServer], missing: str) -> None:
    peer, server = served
    row = peer.X.iloc[[0]].drop(columns=missing)

    status, said = curl(server, json.dumps({"columns": row.columns.tolist(), "data": row.to_numpy().tolist()}))

    assert status == 400
    assert f"'{missing}'" in said["message"]
    assert (said["error"]["code"], said["error"]["columns"]) == ("missing_column", [missing])
