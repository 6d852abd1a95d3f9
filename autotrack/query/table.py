"""Runs as a table: `search_runs`, and the same rows without pandas."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, NoReturn

from autotrack.entities import Run
from autotrack.errors import SettingsError, StoreError
from autotrack.query.finding import list_runs
from autotrack.query.sources import StoreLike, reading
from autotrack.stores.base import ACTIVE_RUNS, Store, View

if TYPE_CHECKING:
    import pandas as pd

COLUMNS: Final = (
    "run_id",
    "experiment_id",
    "status",
    "artifact_uri",
    "start_time",
    "end_time",
    "run_name",
    "experiment",
    "duration",
    "parent_run_id",
    "broken",
    "deleted_time",
)
"""The columns that every result has."""

_EARLIEST: Final = -62_135_596_800_000
_LATEST: Final = 253_402_300_799_999
_NO_TIME: Final = -(2**63)
"""The years 1 to 9999 in milliseconds since the epoch, and numpy's "not a time"."""

KINDS: Final = ("metrics", "params", "tags")

_KEYWORDS: Final = ("filter", "order_by", "limit", "experiment", "view", "store")
_ELSEWHERE: Final = {
    "filter_string": "filter",
    "max_results": "limit",
    "experiment_ids": "experiment",
    "experiment_names": "experiment",
    "tracking_uri": "store",
    "run_view_type": "view",
}


def search_runs(
    filter: str | None = None,
    order_by: str | Iterable[str] | None = None,
    limit: int | None = None,
    *,
    experiment: str | None = None,
    view: View = ACTIVE_RUNS,
    store: StoreLike = None,
    **unknown: Any,
) -> pd.DataFrame:
    """The runs that a filter names, one row each, newest first.

    Parameters
    ----------
    filter : e.g. ``"metrics.r2_score > 0.5 and params.alpha = '0.1'"``; ``None`` for every run.
    order_by : one or several keys, e.g. ``"metrics.rmse"`` or ``["start_time DESC"]``.
    limit : how many at the most.
    experiment : the name of the one experiment to look in.
    view : ``"active"`` runs, ``"deleted"`` ones, or ``"all"``.
    store : a URI, a folder or an open store; the one in force when left out.

    Returns
    -------
    A DataFrame with the columns `COLUMNS` and one ``metrics.*``, ``params.*`` or ``tags.*`` for each key there is.
    Times are in UTC; ``duration`` is in seconds. A metric that is NaN looks like one that the run does not have; its
    ``metrics`` (`get_run`) tell them apart. A notebook shows the columns that tell the runs apart; all are there.

    Raises
    ------
    FilterError
        When the filter or an order cannot be understood.
    SettingsError
        For an unknown keyword or a value of the wrong kind.
    """
    for name in unknown:
        _refuse(name)
    from autotrack.query.notebook import show_frame

    with reading(store) as opened:
        frame = _frame(list_runs(filter, order_by, limit, experiment=experiment, view=view, store=opened), opened)
    show_frame(frame)
    return frame


def keys(runs: Sequence[Run], kind: str) -> list[str]:
    """The names of all metrics, params or tags of these runs, sorted."""
    return sorted({key for run in runs for key in getattr(run, kind)})


def _refuse(name: str) -> NoReturn:
    near = _ELSEWHERE.get(name) or next(iter(difflib.get_close_matches(name, _KEYWORDS, n=1)), None)
    hint = f"did you mean {near}?" if near else f"it takes {', '.join(_KEYWORDS)}"
    raise SettingsError(f"search_runs() has no keyword {name!r}; {hint}")


def _frame(runs: Sequence[Run], store: Store) -> pd.DataFrame:
    import numpy as np
    import pandas as pd

    def texts(values: Iterable[object]) -> pd.Series[Any]:
        # Not pandas' own string type: it may refuse what was recorded (lone surrogates), and differs between versions.
        return pd.Series(list(values), dtype=object)

    def numbers(values: Iterable[float | None]) -> pd.Series[Any]:
        return pd.Series(list(values), dtype="float64")

    def times(values: Iterable[int | None]) -> pd.Series[Any]:
        # What `datetime` cannot hold is left empty; pandas 2 and 3 differ in what they make of it.
        known = [value if value is not None and _EARLIEST <= value <= _LATEST else _NO_TIME for value in values]
        return pd.Series(np.array(known, dtype="int64").view("datetime64[ms]")).dt.tz_localize("UTC")

    data: dict[str, pd.Series[Any]] = {
        "run_id": texts(run.run_id for run in runs),
        "experiment_id": texts(run.experiment_id for run in runs),
        "status": texts(run.status for run in runs),
        "artifact_uri": texts(artifact_uri(store, run.run_id) for run in runs),
        "start_time": times(run.start_time for run in runs),
        "end_time": times(run.end_time for run in runs),
        "run_name": texts(run.name for run in runs),
        "experiment": texts(run.experiment for run in runs),
        "duration": numbers(run.duration for run in runs),
        "parent_run_id": texts(run.parent_run_id for run in runs),
        "broken": texts(run.broken for run in runs),
        "deleted_time": times(run.deleted_time for run in runs),
    }
    for kind in KINDS:
        columns: dict[str, list[Any]] = {}
        for index, run in enumerate(runs):
            for key, value in getattr(run, kind).items():
                column = columns.get(key)
                if column is None:
                    column = columns[key] = [None] * len(runs)
                column[index] = value
        make = numbers if kind == "metrics" else texts
        data |= {f"{kind}.{key}": make(columns[key]) for key in sorted(columns)}
    frame = pd.DataFrame(dict(enumerate(data.values())))
    frame.columns = pd.Index(list(data), dtype=object)  # names are texts, as above
    return frame


def artifact_uri(store: Store, run_id: str) -> str | None:
    """Where the run's artifacts are, if the store can tell without fetching them."""
    tell = getattr(store, "artifact_folder", None)  # no promise of the protocol: only stores with folders have it
    try:
        return str(tell(run_id)) if callable(tell) else None
    except StoreError:
        return None
