"""Running the load generator, and what it found."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness import Trouble, environment
from benchmarks.load import Found, Job


@dataclass(frozen=True, slots=True)
class Load:
    """One server's answers to one kind of request in one round. Times are in seconds."""

    per_second: float
    p50: float
    p99: float
    worst: float
    requests: int
    client_share: float


def put_load(job: Job, folder: Path) -> Load:
    """Run the load generator in a process of its own.

    Raises
    ------
    Trouble
        When a request failed, a connection broke, or nothing was answered.
    """
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.load"],
        input=job.to_json(),
        cwd=folder,
        env=environment(folder, 1),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    if done.returncode:
        raise Trouble(f"the load generator failed: {done.stderr[-1000:]}")
    found = Found(**json.loads(done.stdout))
    if found.failures or found.broken:
        raise Trouble(f"{found.failures} requests failed ({found.first_failure}), {found.broken} connections broke")
    if not found.latencies:
        raise Trouble(f"nothing was answered in {job.seconds:g} s")
    ordered = sorted(found.latencies)
    return Load(
        len(ordered) / found.seconds,
        percentile(ordered, 0.5),
        percentile(ordered, 0.99),
        ordered[-1],
        len(ordered),
        found.client_seconds / found.seconds,
    )


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of all does not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
