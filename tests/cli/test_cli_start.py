"""Starting: fast, helpful, and polite about mistakes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

import autotrack

HEAVY = ("numpy", "pandas", "sklearn", "matplotlib", "lark", "sqlite3", "rich", "wrapt", "asyncio", "autotrack.capture")


def modules_after(*arguments: str, cwd: Path) -> set[str]:
    code = (
        "import sys\nfrom autotrack.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\nprint(*sys.modules, file=sys.stderr)"
    )
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=cwd, timeout=60)
    return set(done.stderr.split())


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("runs", "--help"), ("run", "--help")])
def test_help_loads_nothing_heavy(arguments: tuple[str, ...], tmp_path: Path) -> None:
    assert modules_after(*arguments, cwd=tmp_path).isdisjoint(HEAVY)


def test_listing_loads_neither_pandas_nor_the_writing_half(tmp_path: Path) -> None:
    loaded = modules_after("runs", "--format", "json", cwd=tmp_path)
    assert loaded.isdisjoint({"numpy", "pandas", "sklearn", "matplotlib", "rich", "wrapt", "autotrack.capture"})


def test_python_m_autotrack(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "autotrack", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path, timeout=60)
    assert done.stdout == f"autotrack {autotrack.__version__}\n"


def test_help_names_every_command_with_examples(call: Callable[..., Result]) -> None:
    result = call("--help")
    assert result.exit_code == 0
    for command in ("run", "runs", "show", "compare"):
        assert f"autotrack {command}" in result.output
        assert call(command, "--help").output.count(f"autotrack {command}") >= 3


def test_unknown_command_names_near_ones(call: Callable[..., Result]) -> None:
    result = call("shwo")
    assert result.exit_code == 2
    assert "there is no command 'shwo'; did you mean show?" in result.stderr


def test_a_script_in_the_command_s_place_is_told_about_run(call: Callable[..., Result]) -> None:
    result = call("train.py")
    assert result.exit_code == 2
    assert "autotrack run train.py" in result.stderr


def test_errors_are_sentences_without_traceback(call: Callable[..., Result], tmp_path: Path) -> None:
    result = call("runs", "--filter", "metrics.a >> 1", "--store", str(tmp_path))
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert "Traceback" not in result.stderr


def test_a_reader_that_leaves_early_is_no_error(five: object, tmp_path: Path) -> None:
    command = f"{sys.executable} -m autotrack runs --format csv --store {tmp_path / 'store'} | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.startswith("run_id,")
    assert done.stderr == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_said_in_a_sentence(five: object, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "autotrack", "runs", "--store", str(tmp_path / "store"), "--format", "json"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")
    assert "No space left" in done.stderr


def test_a_terminal_without_unicode_gets_escapes(five: object, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "autotrack", "show", "44aa", "--store", str(tmp_path / "store")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=60)
    assert done.returncode == 0, done.stderr
