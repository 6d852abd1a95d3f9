"""``python -m benchmarks.children.fits VARIANT``: stays alive and does one fit for each line ``CASE`` that it reads.

The answer tells what the caller of ``fit`` waited for (``seconds``), how long its thread was busy (``thread_seconds``,
which other programs on the machine hardly disturb) and how long a background went on after it (``background_seconds``).
The line ``end`` asks how many runs and models were recorded.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks import cases, variants
from benchmarks.children.answers import open_answers


def main() -> None:
    answer = open_answers()
    variant = variants.by_name(sys.argv[1])
    variants.switch_on(variant)
    answer({"ready": os.getpid()})
    built: tuple[str, cases.Problem] | None = None
    for fits, line in enumerate(sys.stdin):
        name = line.strip()
        if name == "end":
            models = sum(1 for _ in Path.cwd().rglob("MLmodel"))
            answer({"fits": fits, "runs": variants.recorded_runs(variant), "models": models})
            return
        if built is None or built[0] != name:
            built = None  # gives up the last case's data before this one's is made
            built = name, cases.by_name(name).build()
        answer(_timed(variant, *built[1]))


def _timed(variant: variants.Variant, make: Any, X: Any, y: Any) -> dict[str, float]:
    model = make()
    busy, started = time.thread_time(), time.perf_counter()
    model.fit(X, y)
    ended, busy_until = time.perf_counter(), time.thread_time()
    # The background's work would else disturb whoever is next.
    variants.settle(variant)
    return {
        "seconds": ended - started,
        "thread_seconds": busy_until - busy,
        "background_seconds": time.perf_counter() - ended,
    }


if __name__ == "__main__":
    main()
