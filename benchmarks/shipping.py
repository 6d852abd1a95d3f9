"""What a loop of fits costs when its runs go to a store that is not a folder: one that is there, and one that is not.

Measured is the loop alone, without the process's start and end: what ships runs is a process of its own.
"""

from __future__ import annotations

import json
from typing import Final

from autotrack import spool
from benchmarks import variants
from benchmarks.harness import Plan, Workers, run, take_turns
from benchmarks.results import SECONDS, Result, Round
from benchmarks.variants import Variant

NAME: Final = "shipping"
FITS: Final = 300
TITLE: Final = f"{FITS} small fits in a row, sent to a store"


def measure(plan: Plan, workers: Workers) -> Result:
    """Many small fits in one process: alone, into a folder, sent to a database that is up, and to one that is down."""
    fits = 60 if plan.quick else FITS
    result = Result(NAME, f"{fits} small fits in a row, without start and end of the process", SECONDS)

    def once(variant: Variant) -> Round:
        _, printed = run(plan, variant, ["-m", "benchmarks.children.series", variant.name, str(fits)])
        return {SECONDS: sum(json.loads(printed)["seconds"]), "fits": fits}

    try:
        take_turns(plan, Result("shipping (warm-up)", "", SECONDS), variants.SHIPPING, 1, 0, once)
        take_turns(plan, result, variants.SHIPPING, plan.rounds_of(9), 0, once)
    finally:
        for variant in (variants.SHIPPED, variants.STORE_DOWN):
            for one in spool.every(plan.folder_of(variant) / variants.SPOOL):
                one.signal(spool.LEAVE)
    result.notes.append(
        "autotrack-shipped: a SQLite database, by SQLAlchemy; autotrack-store-down: a port nobody is on"
    )
    return result
