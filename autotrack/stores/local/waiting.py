"""The models that runs logged under a registered name, and that the registry of the folder may not have yet.

The index names them, so that asking the registry does not look at every run; an index that is made anew names all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from autotrack.stores.local.index import Index
from autotrack.stores.local.sql import decode, encode
from autotrack.stores.registering import Logged

# CROSS, so that SQLite begins with the few that wait, and not with all runs in the order of their start.
_WAITING: Final = """
SELECT registered_model_name, run_id, path, digest, coalesce(end_time, start_time)
FROM unregistered CROSS JOIN models USING (run, path) CROSS JOIN runs ON runs.id = unregistered.run
CROSS JOIN journals ON journals.id = models.journal
WHERE registered_model_name IS NOT NULL AND start_time IS NOT NULL
ORDER BY start_time, start_journal, start_number, run_id, journals.journal_id, models.number
"""
_DONE: Final = """
DELETE FROM unregistered WHERE run = (SELECT id FROM runs WHERE run_id = ?) AND path = ? AND EXISTS (
    SELECT 1 FROM models
    WHERE models.run = unregistered.run AND models.path = unregistered.path AND registered_model_name = ?)
"""


def logged(index: Index) -> list[Logged]:
    """Those of runs whose start is recorded, in the order in which they become versions."""
    return [
        Logged(decode(name), decode(run_id), decode(path), decode(digest), time)
        for name, run_id, path, digest, time in index.connection.execute(_WAITING)
    ]


def done(index: Index, models: Sequence[Logged]) -> None:
    """The registry has these. One that was logged under another name meanwhile goes on waiting."""
    with index.writing():
        rows = [(encode(model.run_id), encode(model.path), encode(model.name)) for model in models]
        index.connection.executemany(_DONE, rows)
