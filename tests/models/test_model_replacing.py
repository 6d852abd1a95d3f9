"""A model that is replaced is there at every moment: who reads it, or is killed, never finds none."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sklearn.dummy import DummyRegressor

from autotrack import exchanging
from autotrack.models import write_model

REPLACE = """
import sys
from pathlib import Path
from sklearn.dummy import DummyRegressor
from autotrack.models import write_model
while True:
    write_model(Path(sys.argv[1]), DummyRegressor(), run_id="a" * 32, signature=None, created=1, replace=True)
"""


def replace_model(folder: Path) -> None:
    write_model(folder, DummyRegressor(), run_id="a" * 32, signature=None, created=1, replace=True)


@pytest.mark.skipif(exchanging._renameat2() is None, reason="the system cannot exchange two folders")
def test_a_model_is_there_all_the_time_while_another_takes_its_place(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    replace_model(folder)
    first = folder.stat().st_ino
    process = subprocess.Popen([sys.executable, "-c", REPLACE, str(folder)])
    try:
        deadline = time.monotonic() + 60
        while os.stat(folder).st_ino == first:
            assert time.monotonic() < deadline
        until = time.monotonic() + 0.5
        while time.monotonic() < until:
            os.stat(folder)  # raises where it is away
    finally:
        process.kill()
        process.wait()
    assert (folder / "MLmodel").is_file()


@pytest.mark.parametrize("can_exchange", [True, False])
def test_nothing_of_the_old_model_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, can_exchange: bool) -> None:
    if not can_exchange:
        monkeypatch.setattr(exchanging, "exchange", lambda one, other: False)
    folder = tmp_path / "model"
    replace_model(folder)
    (folder / "old").write_text("of the first")
    replace_model(folder)
    assert not (folder / "old").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
