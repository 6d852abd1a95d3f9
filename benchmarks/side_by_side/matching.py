"""Which of our runs is which of theirs."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.side_by_side.records import Record


def pairs(
    theirs: Sequence[Record], ours: Sequence[Record]
) -> tuple[list[tuple[Record, Record]], list[Record], list[Record]]:
    """Pair runs of the same estimator class that have most in common; of equals, those at the same place.

    Returns
    -------
    tuple
        The pairs in their order, then what is left of theirs, and of ours.
    """
    candidates = []
    for class_name in {record.estimator_class for record in theirs}:
        of_them = [record for record in theirs if record.estimator_class == class_name]
        of_us = [record for record in ours if record.estimator_class == class_name]
        candidates += [
            (-_in_common(them, us), abs(i - j), theirs.index(them), ours.index(us))
            for i, them in enumerate(of_them)
            for j, us in enumerate(of_us)
        ]
    taken: dict[int, int] = {}
    for _, _, their_place, our_place in sorted(candidates):
        if their_place not in taken and our_place not in taken.values():
            taken[their_place] = our_place
    found = [(theirs[their_place], ours[our_place]) for their_place, our_place in sorted(taken.items())]
    return (
        found,
        [record for place, record in enumerate(theirs) if place not in taken],
        [record for place, record in enumerate(ours) if place not in taken.values()],
    )


def _in_common(them: Record, us: Record) -> int:
    """How many params and metrics are alike, and a point for each child that both may have."""
    params = sum(us.params.get(key) == value for key, value in them.params.items())
    metrics = sum(us.metrics.get(key) == value for key, value in them.metrics.items())
    return params + metrics + min(len(them.children), len(us.children))
