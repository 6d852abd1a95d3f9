"""The root of the reading half: look runs up, look at them, load their models.

Nothing here imports the writing half, pandas or any other third-party package before it is needed.
"""

from __future__ import annotations

from autotrack.query.finding import experiments, get_run, list_runs
from autotrack.query.loading import load_model
from autotrack.query.sources import before_read
from autotrack.query.table import search_runs
from autotrack.query.view import RunView

__all__ = ["RunView", "before_read", "experiments", "get_run", "list_runs", "load_model", "search_runs"]
