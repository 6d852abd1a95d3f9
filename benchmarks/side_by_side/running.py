"""Running one script in fresh processes: alone, under MLflow's autolog, under autotrack."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.harness import environment

SCRIPTS: Final = Path(__file__).parent / "scripts"
_LIMIT: Final = 600.0
_LOG_CHARACTERS: Final = 2000

ALONE: Final = "alone"
AUTOTRACK: Final = "autotrack"
MLFLOW: Final = "mlflow"
VARIANTS: Final = (ALONE, AUTOTRACK, MLFLOW)

# The line that a user would put at the top of the script. There it finds all that a script imports later.
_FIRST_LINE: Final = {
    ALONE: "",
    AUTOTRACK: "import autotrack; autotrack.autolog(); ",
    MLFLOW: "import mlflow; mlflow.sklearn.autolog(); ",
}
_THEN: Final = (
    "import os.path, runpy, sys; del sys.argv[0]; sys.path[0] = os.path.dirname(sys.argv[0]); "
    "runpy.run_path(sys.argv[0], run_name='__main__')"
)


class ScriptFailed(Exception):
    """A script did not run to its end."""


@dataclass(frozen=True, slots=True)
class Stores:
    """Where both libraries write; each script has an experiment of its own in them."""

    folder: Path

    @property
    def autotrack(self) -> Path:
        return self.folder / "store"

    @property
    def mlflow(self) -> str:
        return f"sqlite:///{self.folder / 'mlflow.db'}"

    def prepare(self, experiment: str) -> None:
        """Make the experiment in MLflow's database, so that no script has to wait for its making."""
        from mlflow import MlflowClient

        logging.getLogger("mlflow").setLevel(logging.WARNING)
        client = MlflowClient(tracking_uri=self.mlflow)
        client.create_experiment(experiment, artifact_location=(self.folder / "mlruns" / experiment).as_uri())


@dataclass(frozen=True, slots=True)
class Ran:
    """How long a whole process took, in seconds, and what it printed."""

    seconds: float
    printed: str


def run(script: Path, variant: str, stores: Stores, threads: int = 1) -> Ran:
    """Run a script in a process of its own.

    Raises
    ------
    ScriptFailed
        When it ends with anything but 0, or takes longer than ten minutes.
    """
    folder = stores.folder / "work" / script.stem / variant
    folder.mkdir(parents=True, exist_ok=True)
    variables = environment(stores.folder, threads) | {
        "MLFLOW_TRACKING_URI": stores.mlflow,
        "MLFLOW_EXPERIMENT_NAME": script.stem,
        "AUTOTRACK_STORE": str(stores.autotrack),
        "AUTOTRACK_EXPERIMENT": script.stem,
    }
    started = time.perf_counter()
    try:
        done = subprocess.run(
            [sys.executable, "-c", _FIRST_LINE[variant] + _THEN, str(script.resolve())],
            cwd=folder,
            env=variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ScriptFailed(f"{script.stem} ({variant}) gave up after {_LIMIT:g} s") from None
    seconds = time.perf_counter() - started
    if done.returncode != 0:
        raise ScriptFailed(
            f"{script.stem} ({variant}) ended with {done.returncode}: {done.stderr.strip()[-_LOG_CHARACTERS:]}"
        )
    return Ran(seconds, done.stdout)


def scripts() -> list[Path]:
    """All scripts, by name."""
    return sorted(SCRIPTS.glob("*.py"))
