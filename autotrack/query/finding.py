"""From what a person types to the run that is meant."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Final, get_args

from autotrack.entities import CANDIDATE, Experiment, Run
from autotrack.errors import AmbiguousRun, RunNotFound, SettingsError
from autotrack.query import text
from autotrack.query.sources import Keeper, StoreLike, reading, source
from autotrack.query.view import RunView
from autotrack.stores.base import ACTIVE_RUNS, ALL_RUNS, DELETED_RUNS, Store, View

LATEST: Final = "latest"
SHORTEST_PREFIX: Final = 4
EXAMPLE: Final = "metrics.r2_score > 0.5 and params.alpha = '0.1'"
_ID: Final = re.compile(r"[0-9a-f]{32}")
_HEX: Final = re.compile(r"[0-9a-f]+")
_SHOWN: Final = 5
_PARENTS_AT_ONCE: Final = 200


def get_run(reference: str, *, store: StoreLike = None) -> RunView:
    """One run.

    Parameters
    ----------
    reference : its id, at least the first 4 characters of its id, its name, or ``"latest"`` for the newest started
        (a search, not the candidates that it tried). A deleted run is found by its whole id only.
    store : a URI, a folder or an open store; the one in force when left out.

    Raises
    ------
    RunNotFound
        When no run matches; the message says what there is.
    AmbiguousRun
        When more than one matches; the message lists them.
    """
    opened = source(store)
    keeper = None if opened is store else Keeper(opened)
    return RunView(find_run(opened, reference), opened, keeper)


def list_runs(
    filter: str | None = None,
    order_by: str | Iterable[str] | None = None,
    limit: int | None = None,
    *,
    experiment: str | None = None,
    view: View = ACTIVE_RUNS,
    store: StoreLike = None,
) -> list[Run]:
    """As `search_runs`, but gives the runs themselves rather than a DataFrame.

    Raises
    ------
    FilterError
        When the filter or an order cannot be understood.
    SettingsError
        When a value is of the wrong kind.
    """
    if filter is not None and not isinstance(filter, str):
        raise SettingsError(f"filter={filter!r}: expected text such as {EXAMPLE!r}")
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 0):
        raise SettingsError(f"limit={limit!r}: expected a whole number from 0 up, or None for all")
    if view not in get_args(View):
        raise SettingsError(f"view={view!r}: expected {', '.join(map(repr, get_args(View)))}")
    with reading(store) as opened:
        return opened.search_runs(filter, _orders(order_by), limit, experiment=experiment, view=view)


def experiments(store: StoreLike = None) -> list[Experiment]:
    """The experiments that have runs, by name."""
    with reading(store) as opened:
        return opened.experiments()


def find_run(store: Store, reference: str) -> Run:
    """The one run that is meant; errors as `get_run`."""
    wanted = reference.strip() if isinstance(reference, str) else ""
    if not wanted:
        raise RunNotFound(f"{reference!r} names no run; give an id, the beginning of one, a name or {LATEST!r}")
    if wanted == LATEST:
        newest = store.search_runs(None, (), 1)
        if not newest:
            raise RunNotFound(_nothing(store, wanted))
        return _not_a_candidate(store, newest[0])
    if _ID.fullmatch(wanted.lower()):
        try:
            return store.get_run(wanted.lower())
        except RunNotFound:
            pass  # a name may look like an id
    found = {run.run_id: run for run in store.find_runs(wanted)}
    if wanted != wanted.lower():
        found |= {run.run_id: run for run in store.find_runs(wanted.lower()) if run.run_id.startswith(wanted.lower())}
    meant = [run for run in found.values() if run.name == wanted or len(wanted) >= SHORTEST_PREFIX]
    if len(meant) == 1:
        return meant[0]
    if meant:
        raise AmbiguousRun(_too_many(store, wanted, meant))
    raise RunNotFound(_nothing(store, wanted, too_short=bool(found)))


def find_deleted(store: Store, reference: str) -> Run:
    """The one deleted run that is meant; errors as `get_run`."""
    wanted = reference.strip() if isinstance(reference, str) else ""
    if not wanted:
        raise RunNotFound(f"{reference!r} names no run; give an id, the beginning of one, a name or {LATEST!r}")
    if wanted == LATEST:
        found = store.search_runs(None, (), 1, view=DELETED_RUNS)
    else:
        found = deleted_like(store, wanted)
    if len(found) == 1:
        return found[0]
    if found:
        raise AmbiguousRun(_too_many(store, wanted, found))
    try:
        run = find_run(store, wanted)
    except RunNotFound:
        place = text.plain(store.uri)
        message = f"no deleted run {text.plain(wanted)!r} in {place}; those there are: autotrack runs --deleted"
        raise RunNotFound(message) from None
    raise RunNotFound(f"the run {run.run_id} is not deleted")


def deleted_like(store: Store, wanted: str) -> list[Run]:
    """The deleted runs of this name, or whose id begins with it."""
    quoted = wanted.replace("'", "''")
    condition = f"run_name = '{quoted}'"
    if len(wanted) >= SHORTEST_PREFIX and _HEX.fullmatch(wanted.lower()):
        condition += f" OR run_id LIKE '{wanted.lower()}%'"
    return store.search_runs(condition, view=DELETED_RUNS)


def descendants(store: Store, runs: Iterable[Run]) -> list[Run]:
    """The runs that were made inside these, at any depth, deleted or not; parents before their children."""
    found: dict[str, Run] = {}
    parents = [run.run_id for run in runs]
    seen = set(parents)
    while parents:
        children: list[Run] = []
        for start in range(0, len(parents), _PARENTS_AT_ONCE):
            ids = ", ".join(
                "'" + run_id.replace("'", "''") + "'" for run_id in parents[start : start + _PARENTS_AT_ONCE]
            )
            children += store.search_runs(f"parent_run_id IN ({ids})", view=ALL_RUNS)
        new = [run for run in children if run.run_id not in seen]  # a cycle, as damage may make one, ends here
        found |= {run.run_id: run for run in new}
        seen |= found.keys()
        parents = [run.run_id for run in new]
    return list(found.values())


def _not_a_candidate(store: Store, run: Run) -> Run:
    """The search itself, where the newest run is one of the candidates that it tried."""
    if CANDIDATE in run.tags and run.parent_run_id is not None:
        try:
            return store.get_run(run.parent_run_id)
        except RunNotFound:
            pass  # it was deleted; what it left behind is still the newest
    return run


def describe(run: Run) -> str:
    """A run in one line of a list of candidates."""
    parts = [run.run_id[:12], text.shortened(text.plain(run.name), 40), text.stamp(run.start_time), run.status]
    return "  " + "  ".join(part for part in parts if part)


def _orders(order_by: str | Iterable[str] | None) -> Sequence[str]:
    keys = [order_by] if isinstance(order_by, str) else list(order_by or ())
    if not all(isinstance(key, str) for key in keys):
        raise SettingsError(f"order_by={order_by!r}: expected keys such as 'metrics.r2_score DESC'")
    return keys


def _too_many(store: Store, wanted: str, found: Sequence[Run]) -> str:
    lines = [f"{text.plain(wanted)!r} matches {len(found)} runs in {text.plain(store.uri)}:"]
    lines += [describe(run) for run in found[:10]]
    if len(found) > 10:
        lines.append(f"  … and {len(found) - 10} more")
    lines.append("Give more of the id, or 'latest' for the newest run of all.")
    return "\n".join(lines)


def _nothing(store: Store, wanted: str, *, too_short: bool = False) -> str:
    name, place = repr(text.plain(wanted)), text.plain(store.uri)
    newest = store.search_runs(None, (), 200)
    deleted = [] if wanted == LATEST else deleted_like(store, wanted)
    if deleted:
        more = f" and {len(deleted) - 1} more" if len(deleted) > 1 else ""
        return (
            f"no run {name} in {place}; a deleted one{more} is called so: autotrack restore {deleted[0].run_id[:12]} "
            "brings it back, and its whole id shows it"
        )
    if not newest:
        return f"no run {name}: the store {place} is empty; run a script with autotrack.autolog() in it first"
    lines = [f"no run {name} in {place}"]
    if too_short:
        lines[0] += f"; the beginning of an id needs at least {SHORTEST_PREFIX} characters"
    near = difflib.get_close_matches(wanted, list(dict.fromkeys(run.name for run in newest)), n=3)
    if near and not too_short:
        lines[0] += f"; did you mean {' or '.join(repr(text.plain(name)) for name in near)}?"
    lines.append("The newest runs there:")
    lines += [describe(run) for run in newest[:_SHOWN]]
    return "\n".join(lines)
