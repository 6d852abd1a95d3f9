"""From the tables of an earlier version of the index to those of this one.

The index can be made anew from the journals, which takes about a minute for a million runs. So a step stands here only
where it is cheap, such as a new column or index, and gives exactly what folding anew would; any other change of the
tables has none, and an index from before it is made anew.
"""

from __future__ import annotations

from typing import Final

from autotrack.stores.local.tables import SCHEMA_VERSION

STEPS: Final[dict[int, tuple[str, ...]]] = {
    # Up to 8: lines have a meaning now that they had not then, which only folding them anew tells.
}
"""Version → what makes of it the next one."""


def statements(version: int) -> list[str] | None:
    """What brings an index of this version up to date; ``None`` where it has to be made anew."""
    found: list[str] = []
    for step in range(version, SCHEMA_VERSION):
        if step not in STEPS:
            return None
        found += STEPS[step]
    return found
