"""``python -m benchmarks.children.fits VARIANT``: stays alive and does a case for each line ``CASE`` that it reads.

The answer tells what the caller waited for (``seconds``), how long its thread was busy (``thread_seconds``,
which other programs on the machine hardly disturb) and how long a background went on after it (``background_seconds``).
The line ``end`` asks how many runs and models were recorded.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import cases, variants
from benchmarks.children.answers import open_answers


def main() -> None:
    answer = open_answers()
    variant = variants.by_name(sys.argv[1])
    variants.switch_on(variant)
    answer({"ready": os.getpid()})
    built: tuple[str, cases.Problem] | None = None
    fits = 0
    for line in sys.stdin:
        name = line.strip()
        if name == "end":
            models = sum(1 for _ in Path.cwd().rglob("MLmodel"))
            answer({"fits": fits, "runs": variants.recorded_runs(variant), "models": models})
            return
        if built is None or built[0] != name:
            built = None  # gives up the last case's data before this one's is made
            built = name, cases.by_name(name).build()
        case = cases.by_name(name)
        in_a_row = 1 if variant.library == "mlflow" else case.fits
        fits += in_a_row if case.is_fit else 0
        answer(_timed(variant, in_a_row, case.repeats, *built[1]))


def _timed(variant: variants.Variant, in_a_row: int, repeats: int, prepare: Any, X: Any, y: Any) -> dict[str, float]:
    seconds, thread_seconds = [], []
    for _ in range(in_a_row):
        act = prepare()
        busy, started = time.thread_time(), time.perf_counter()
        act(X, y)
        ended, busy_until = time.perf_counter(), time.thread_time()
        seconds.append(ended - started)
        thread_seconds.append(busy_until - busy)
    # The background's work would else disturb whoever is next.
    ended = time.perf_counter()
    variants.settle(variant)
    return {
        "seconds": median(seconds) / repeats,
        "thread_seconds": median(thread_seconds) / repeats,
        "background_seconds": time.perf_counter() - ended,
    }


if __name__ == "__main__":
    main()
