"""``python -m benchmarks.fuzz``: see `benchmarks.fuzz`."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.fuzz.targets import ALL

MEMORY = Path("/dev/shm")  # a disk would be most of the time


def main(argv: Sequence[str] | None = None) -> int:
    """Fuzz, print what was found, and give the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz", description="Fuzz filters and journals.")
    parser.add_argument("--inputs", type=int, default=1_000_000, metavar="N", help="how many in all")
    parser.add_argument("--seed", type=int, default=0, help="the same seed makes the same inputs")
    parser.add_argument("--only", choices=[target.name for target in ALL], help="this target alone")
    options = parser.parse_args(argv)
    found = 0
    for make in ALL:
        if options.only in (None, make.name):
            share = 1.0 if options.only else make.share
            with tempfile.TemporaryDirectory(
                prefix="autotrack-fuzz-", dir=MEMORY if MEMORY.is_dir() else None
            ) as folder:
                problems = fuzz(make, Path(folder), round(options.inputs * share), f"{options.seed} {make.name}")
            found += len(problems)
            for problem in problems.values():
                print(problem)
    print(f"{found} findings")
    return int(found > 0)


def fuzz(make: Any, folder: Path, inputs: int, seed: str) -> dict[tuple[str, ...], str]:
    """Feed a target; what went wrong, one example for each place where it did, by the place."""
    target, draw = make(folder), random.Random(seed)
    problems: dict[tuple[str, ...], str] = {}
    counts: dict[tuple[str, ...], int] = {}
    slowest, slow_input, began = 0.0, "", time.monotonic()
    for _ in range(inputs):
        value = target.make(draw)
        start = time.perf_counter()
        try:
            target.run(value)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
            place = (type(error).__name__, *_places(error))
            counts[place] = counts.get(place, 0) + 1
            if place not in problems or len(repr(value)) < len(problems[place].splitlines()[0]):
                trace = "".join(traceback.format_exception(error, limit=-4))
                problems[place] = f"{target.name}: {value!r:.2000}\n{trace}"
        took = time.perf_counter() - start
        if took > slowest:
            slowest, slow_input = took, repr(value)
    seconds = time.monotonic() - began
    print(
        f"{target.name:10} {inputs:>9,} inputs in {seconds:.0f} s, {inputs / max(seconds, 1e-9):,.0f} a second; "
        f"the slowest took {slowest * 1000:.0f} ms: {slow_input:.100}",
        flush=True,
    )
    return {place: f"{counts[place]} × {problem}" for place, problem in problems.items()}


def _places(error: BaseException) -> list[str]:
    frames = traceback.extract_tb(error.__traceback__)[-2:]
    return [f"{frame.filename}:{frame.lineno}" for frame in frames]


if __name__ == "__main__":
    sys.exit(main())
