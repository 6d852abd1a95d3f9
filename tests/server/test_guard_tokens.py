"""Tokens: made once, kept as hashes, compared without haste, read again when the file changes."""

from __future__ import annotations

import ast
import asyncio
import hmac
import inspect
import json
import os
import re
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from exchanges import LOCAL, Asked, reached

from autotrack.errors import SettingsError
from autotrack.server.guard import slowing, tokens
from autotrack.server.options import ServerOptions
from autotrack.server.routing import READ, WRITE, Endpoint

ENDPOINTS = [Endpoint("GET", "/read", reached, READ), Endpoint("POST", "/write", reached, WRITE)]
on_posix = pytest.mark.skipif(os.name != "posix", reason="modes of files are POSIX's")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "tokens.txt"


def ask(asked: Asked, token: str, path: str = "/read", client: str = "127.0.0.1") -> int:
    method = "GET" if path == "/read" else "POST"
    return asked(method, path, [*LOCAL, ("authorization", f"Bearer {token}")], client=client).status


def test_the_file_tells_nobody_a_token(file: Path):
    made = [tokens.add(file, name, "read") for name in ("a", "b")]
    content = file.read_text()
    for token in made:
        secret = token.removeprefix(tokens.PREFIX)
        assert len(secret) >= 43, "256 bits"
        assert secret not in content
        assert secret[:8] not in content
    assert made[0] != made[1]
    assert len(set(re.findall(r"sha256:([0-9a-f]{32}):", content))) == 2, "each has a salt of its own"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [token for token in made if token in repr(tokens.read(file))] == []


def test_tokens_are_compared_in_a_time_that_tells_nothing(file: Path, monkeypatch: pytest.MonkeyPatch):
    made = [tokens.add(file, f"t{number}", "read") for number in range(5)]
    known = tokens.read(file)
    compared: list[int] = []
    real = hmac.compare_digest

    def counted(a: bytes, b: bytes) -> bool:
        compared.append(len(a))
        return real(a, b)

    monkeypatch.setattr(hmac, "compare_digest", counted)
    for shown in (made[0], made[4], "none of them"):
        compared.clear()
        tokens.find(known, shown.encode())
        assert compared == [32] * 5, "all are compared, whichever it is"


def test_no_secret_is_compared_by_equality():
    tree = ast.parse(inspect.getsource(tokens.find))
    equalities = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Compare)]
    assert not [text for text in equalities if "digest" in text or "shown" in text]


@on_posix
@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_may_write_to_is_refused(file: Path, mode: int):
    tokens.add(file, "a", "write")
    file.chmod(mode)
    with pytest.raises(SettingsError, match=r"others may write to it.*chmod 600"):
        tokens.read(file)


@on_posix
def test_a_file_that_others_may_read_is_remarked_on(file: Path):
    tokens.add(file, "a", "write")
    assert not tokens.is_open_to_others(file)
    file.chmod(0o640)
    assert tokens.is_open_to_others(file)
    assert len(tokens.read(file)) == 1


def test_a_line_of_another_form_is_named_and_not_shown(file: Path):
    token = tokens.add(file, "a", "read")
    for bad in (token, f"b write {token}", "a:b read 2026-01-01 sha256:00:00", "b admin x sha256:" + "0" * 97):
        file.write_text(f"# one\n{bad}\n")
        with pytest.raises(SettingsError, match="line 2") as error:
            tokens.read(file)
        assert token not in str(error.value)


def test_a_name_is_taken_once(file: Path):
    tokens.add(file, "a", "read")
    with pytest.raises(SettingsError, match="has a token named a"):
        tokens.add(file, "a", "write")
    file.write_text(file.read_text() * 2)
    with pytest.raises(SettingsError, match="second token named a"):
        tokens.read(file)


@pytest.mark.parametrize("name", ["", "a b", "a:b", "-a", "a\nb write", "ä", "x" * 65, "#a"])
def test_a_name_is_one_that_the_file_and_basic_authentication_can_carry(file: Path, name: str):
    with pytest.raises(SettingsError, match="name"):
        tokens.add(file, name, "read")
    assert not file.exists()


def test_tokens_that_are_made_at_the_same_time_are_all_kept(file: Path):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: tokens.add(file, f"t{number}", "read"), range(16)))
    assert len(tokens.read(file)) == 16
    assert [path.name for path in file.parent.glob(".tokens*")] == []


def test_a_change_of_the_file_holds_from_the_next_request_on(file: Path):
    first = tokens.add(file, "first", "read")
    asked = Asked(ENDPOINTS, token_file=str(file))
    try:
        assert ask(asked, first) == 299
        second = tokens.add(file, "second", "write")
        assert ask(asked, second, "/write") == 299
        tokens.remove(file, "first")
        assert ask(asked, first) == 401
        tokens.remove(file, "second")
        assert ask(asked, second) == 401
    finally:
        asked.close()


@pytest.mark.parametrize("damage", ["gone", "garbage", "open"])
def test_nobody_is_let_in_while_the_file_is_no_good(file: Path, damage: str, caplog: pytest.LogCaptureFixture):
    token = tokens.add(file, "a", "write")
    asked = Asked(ENDPOINTS, token_file=str(file))
    try:
        assert ask(asked, token) == 299
        content = file.read_text()
        match damage:
            case "gone":
                file.unlink()
            case "garbage":
                file.write_text(content + token + "\n")
            case _:
                file.chmod(0o666)
        assert ask(asked, token) == 503
        assert ask(asked, "other") == 503
        assert len(caplog.records) == 1, "it is said once"
        assert token not in caplog.text
        file.write_text(content)
        file.chmod(0o600)
        assert ask(asked, token) == 299
    finally:
        asked.close()


def test_wrong_tokens_wait_longer_each_time_and_right_ones_never(file: Path, monkeypatch: pytest.MonkeyPatch):
    token = tokens.add(file, "a", "write")
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    asked = Asked(ENDPOINTS, token_file=str(file))
    monkeypatch.setattr(slowing.asyncio, "sleep", sleep)
    try:
        assert [ask(asked, "wrong") for _ in range(8)] == [401] * 8
        assert pauses == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]
        assert ask(asked, token) == 299
        assert ask(asked, "wrong", client="192.0.2.1") == 401
        assert pauses[8:] == [0.05], "another client begins anew, and a right token waits for nothing"
        assert asked.site.board.text(())[0].decode().splitlines().count("autotrack_refused_tokens_total 9.0") == 1
    finally:
        asked.close()


def test_one_client_with_wrong_tokens_keeps_nobody_waiting(file: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(slowing, "LONGEST", 0.2)
    token = tokens.add(file, "a", "write")
    asked = Asked(ENDPOINTS, token_file=str(file))

    async def crowd() -> tuple[list[int], int, float]:
        wrong = [*LOCAL, ("authorization", "Bearer wrong")]
        storm = [asyncio.create_task(asked.ask("GET", "/read", wrong)) for _ in range(40)]
        await asyncio.sleep(0)
        began = time.perf_counter()
        right = await asked.ask("GET", "/read", [*LOCAL, ("authorization", f"Bearer {token}")])
        waited = not all(task.done() for task in storm)
        done = [answer.status for answer in await asyncio.gather(*storm)]
        assert waited, "the right token was answered first"
        return done, right.status, time.perf_counter() - began

    try:
        done, right, _ = asyncio.run(crowd())
        assert right == 299
        assert done.count(401) == slowing.MOST_WAITING
        assert done.count(429) == 40 - slowing.MOST_WAITING
    finally:
        asked.close()


def test_clients_that_failed_are_remembered_in_bounded_memory(monkeypatch: pytest.MonkeyPatch):
    async def sleep(seconds: float) -> None:
        pass

    monkeypatch.setattr(slowing.asyncio, "sleep", sleep)
    slow = slowing.Slowing()

    async def fail() -> None:
        for number in range(slowing.MOST_CLIENTS + 100):
            await slow.failed(str(number))

    asyncio.run(fail())
    assert len(slow._failures) == slowing.MOST_CLIENTS
    assert slow._waiting == {}


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.1"])
def test_others_reach_a_server_only_with_tokens(host: str):
    with pytest.raises(SettingsError, match=r"autotrack token add NAME --token-file"):
        ServerOptions(host=host).check()
    ServerOptions(host=host, token_file="tokens.txt").check()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.8.8.8", "::1"])
def test_this_machine_needs_none(host: str):
    ServerOptions(host=host).check()


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "autotrack", "token", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_the_command_prints_a_token_once_and_lists_and_removes_it(file: Path):
    made = run("add", "ci", "--scope", "write", "--token-file", str(file))
    token = made.stdout.strip()
    assert made.returncode == 0
    assert token.startswith(tokens.PREFIX)
    assert token not in made.stderr
    assert tokens.find(tokens.read(file), token.encode()) is not None
    listed = run("list", "--token-file", str(file), "--format", "json")
    assert token not in listed.stdout
    assert [(one["name"], one["scope"]) for one in json.loads(listed.stdout)] == [("ci", "write")]
    assert run("remove", "ci", "--token-file", str(file)).returncode == 0
    again = run("remove", "ci", "--token-file", str(file))
    assert again.returncode == 1
    assert "has no token named 'ci'" in again.stderr


def test_the_command_needs_none_of_the_servers_libraries():
    program = "import sys, autotrack.cli.token, autotrack.server.guard.tokens; print(sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert "starlette" not in loaded
    assert "uvicorn" not in loaded
