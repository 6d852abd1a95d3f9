"""What every test stands on: a store of its own, autologging off behind it, and no error swallowed in silence."""

from __future__ import annotations

import os

# Two cores run several tests at once: a BLAS that takes both for each of them slows all down.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ.setdefault("MPLBACKEND", "Agg")

import gc
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from browser import chromium
from services import (
    mariadb,
    mariadb_uri,
    mlflow_server,
    mlflow_uri,
    postgres,
    postgres_uri,
    s3_server,
    s3_uri,
)

import autotrack
from autotrack import autologging, owners, settings, spool
from autotrack.capture import guard

__all__ = [
    "chromium",
    "mariadb",
    "mariadb_uri",
    "mlflow_server",
    "mlflow_uri",
    "postgres",
    "postgres_uri",
    "s3_server",
    "s3_uri",
]


if hasattr(os, "register_at_fork"):
    # What a library with threads of its own left behind (a session of onnxruntime) waits for ever for them when it is
    # collected in a child that a test forks.
    os.register_at_fork(after_in_child=gc.disable)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "allow_swallowed: this test provokes errors of ours that are swallowed on purpose"
    )


@pytest.fixture(autouse=True)
def _clean(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A working folder of its own, no settings from outside, and everything switched off and empty behind the test."""
    for name in list(os.environ):
        if name.startswith("AUTOTRACK_") and name != "AUTOTRACK_REQUIRE_SERVICES":
            monkeypatch.delenv(name)
    monkeypatch.setenv("AUTOTRACK_CACHE_DIR", str(tmp_path / ".cache"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AUTOTRACK_SPOOL", str(tmp_path / "spool"))
    swallowed: list[tuple[str, Exception]] = []

    def listen(doing: str, error: Exception) -> None:
        swallowed.append((doing, error))

    guard.on_error.append(listen)
    guard.forget()
    yield
    autotrack.end_run()
    autotrack.flush()
    autotrack.autolog(disable=True)
    settings.set_store(None)
    _end_shippers(tmp_path / "spool")
    guard.on_error.remove(listen)
    patches = autologging._patches
    assert patches is None or len(patches) == 0, "a patch was left behind"
    if swallowed and "allow_swallowed" not in request.keywords:
        doing, error = swallowed[0]
        raise AssertionError(f"autotrack swallowed an error of its own: could not {doing}") from error


def _end_shippers(spools: Path) -> None:
    """Leave no process behind that sends what this test has spooled."""
    for found in spool.every(spools):
        session = autologging._session
        if session is not None:
            for uri in [uri for uri, sink in session._sinks.items() if getattr(sink, "_folder", None) == found.folder]:
                del session._sinks[uri]
        deadline = time.monotonic() + 20
        while found.is_tended():
            status = found.status()
            if status is not None and owners.is_here(status.owner):
                os.kill(status.owner.pid, signal.SIGKILL)
            assert time.monotonic() < deadline, f"a process goes on with {found.folder}"
            time.sleep(0.01)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """The folder of a store that autologging writes to (it is not on yet)."""
    return tmp_path / ".autotrack"


@pytest.fixture
def logged(store: Path) -> Path:
    """Autologging is on and writes to a folder of this test's own."""
    autotrack.autolog(store=store)
    return store


Script = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """Run a text as a script in a process of its own, in this test's folder."""

    def run(
        code: str,
        *args: str,
        name: str = "script.py",
        env: dict[str, str] | None = None,
        check: bool = True,
        command: tuple[str, ...] = (sys.executable,),
    ) -> subprocess.CompletedProcess[str]:
        (tmp_path / name).write_text(textwrap.dedent(code))
        done = subprocess.run(
            [*command, str(tmp_path / name), *args],
            cwd=tmp_path,
            env={**os.environ, **(env or {})},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if check:
            assert done.returncode == 0, done.stderr
        return done

    return run
