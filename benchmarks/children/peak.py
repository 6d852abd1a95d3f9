"""``python -m benchmarks.children.peak VARIANT CASE``: one fit, and the most memory this process ever held."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks import cases, variants
from benchmarks.children.answers import open_answers


def main() -> None:
    answer = open_answers()
    variant = variants.by_name(sys.argv[1])
    variants.switch_on(variant)
    prepare, X, y = cases.by_name(sys.argv[2]).build()
    prepare()(X, y)
    variants.settle(variant)
    answer({"bytes": peak_bytes()})


def peak_bytes() -> int:
    """Peak resident memory of this process."""
    # Linux keeps in ru_maxrss what the parent held when it started us; the memory map's own mark starts afresh.
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    main()
