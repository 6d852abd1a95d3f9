"""What people change of recorded runs afterwards: deleting and restoring them, and their tags.

A change is an event like any other, so every store takes it, and applying it again changes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from autotrack.entities import ACTIVE, DELETED, Run
from autotrack.errors import SettingsError, StoreError
from autotrack.events import Entry, Event, LifecycleSet, TagsDeleted, TagsSet
from autotrack.journal import new_journal_id
from autotrack.query.finding import descendants, find_deleted, find_run
from autotrack.query.sources import StoreLike, reading
from autotrack.stores.base import ALL_RUNS, DELETED_RUNS, Store, View

_FAR_SECONDS: Final = 10**9

References = str | Iterable[str]


def delete_runs(references: References = (), *, filter: str | None = None, store: StoreLike = None) -> list[str]:
    """Delete runs, and the runs that were made inside them. They are out of sight and can be restored.

    Parameters
    ----------
    references : one or several, each as for `autotrack.get_run`.
    filter : also the runs that it names, as for `autotrack.search_runs`.
    store : as for `autotrack.get_run`.

    Returns
    -------
    The ids of the runs that are deleted now and were not before.

    Raises
    ------
    RunNotFound, AmbiguousRun
        When a reference names no run, or several; then nothing is deleted.
    FilterError
        When the filter cannot be understood.
    SettingsError
        When neither references nor a filter is given.
    """
    with reading(store) as opened:
        runs = to_delete(opened, references, filter)
        set_stage(opened, runs, DELETED)
        return [run.run_id for run in runs]


def restore_runs(references: References = (), *, filter: str | None = None, store: StoreLike = None) -> list[str]:
    """Undo `delete_runs`: for these runs, for those that were made inside them, and for the runs they are inside of.

    Parameters as for `delete_runs`; references and filter look at deleted runs only.

    Raises
    ------
    As `delete_runs`.
    """
    with reading(store) as opened:
        runs = to_restore(opened, references, filter)
        set_stage(opened, runs, ACTIVE)
        return [run.run_id for run in runs]


def to_delete(store: Store, references: References, filter: str | None) -> list[Run]:
    """The active runs that `delete_runs` deletes, those that are meant before those inside them."""
    meant = _meant(store, references, filter, "active", find_run)
    return [run for run in _unique([*meant, *descendants(store, meant)]) if run.deleted_time is None]


def to_restore(store: Store, references: References, filter: str | None) -> list[Run]:
    """The deleted runs that `restore_runs` restores."""
    meant = _meant(store, references, filter, DELETED_RUNS, find_deleted)
    around: list[Run] = []
    parents = {run.parent_run_id for run in meant if run.parent_run_id is not None}
    while parents:
        found = [run for run in store_runs(store, parents) if run.run_id not in {run.run_id for run in around}]
        around += found
        parents = {run.parent_run_id for run in found if run.parent_run_id is not None}
    return [run for run in _unique([*meant, *around, *descendants(store, meant)]) if run.deleted_time is not None]


def store_runs(store: Store, run_ids: Iterable[str]) -> list[Run]:
    """The runs of these ids that there are, deleted or not."""
    quoted = ", ".join("'" + run_id.replace("'", "''") + "'" for run_id in sorted(run_ids))
    return store.search_runs(f"run_id IN ({quoted})", view=ALL_RUNS)


def set_stage(store: Store, runs: Sequence[Run], stage: str) -> None:
    """Delete or restore these runs, and no others.

    Raises
    ------
    StoreError
        When the store cannot be written to, or holds a later word on one of them.
    """
    if not runs:
        return
    now = time.time()
    # A clock that was set back must not make an earlier word of this one.
    deleted = max(run.deleted_time or 0 for run in runs) / 1000
    at = deleted + 1 if now < deleted < now + _FAR_SECONDS else now
    apply(store, [LifecycleSet(run.run_id, stage, int(now * 1000)) for run in runs], at)
    after = store.get_run(runs[-1].run_id)
    if after.lifecycle_stage != stage:
        raise StoreError(
            f"run {after.run_id} is still {after.lifecycle_stage} in {store.uri}: a later word than this one is "
            "recorded there, so a clock is or was wrong; compare this machine's with those that write to the store"
        )


def set_tags(store: Store, run_id: str, tags: Mapping[str, str]) -> None:
    """Set tags of a recorded run.

    Raises
    ------
    SettingsError
        When a key or value is no text.
    StoreError
        When the store cannot be written to.
    """
    for key, value in tags.items():
        if not isinstance(key, str) or not key or not isinstance(value, str):
            raise SettingsError(f"tag {key!r}={value!r}: expected a key that is not empty and a value, both text")
    apply(store, [TagsSet(run_id, dict(tags))])


def delete_tags(store: Store, run_id: str, keys: Iterable[str]) -> None:
    """Take tags of a recorded run away; nothing for those that it does not have.

    Raises
    ------
    SettingsError
        When a key is no text.
    StoreError
        When the store cannot be written to, or holds a later word on one of them.
    """
    wanted = tuple(dict.fromkeys(keys))
    for key in wanted:
        if not isinstance(key, str) or not key:
            raise SettingsError(f"tag {key!r}: expected a key that is not empty, a text")
    apply(store, [TagsDeleted(run_id, wanted)])
    left = [key for key in wanted if key in store.get_run(run_id).tags]
    if left:
        raise StoreError(
            f"run {run_id} still has the tag {left[0]!r} in {store.uri}: a later word than this one is recorded there, "
            "so a clock is or was wrong; compare this machine's with those that write to the store"
        )


def apply(store: Store, events: Sequence[Event], at: float | None = None) -> None:
    """Take events into a store, as a journal of their own."""
    journal = new_journal_id(at)
    store.apply([Entry(journal, number, event) for number, event in enumerate(events, 1)])


def _meant(
    store: Store, references: References, filter: str | None, view: View, find: Callable[[Store, str], Run]
) -> list[Run]:
    wanted = [references] if isinstance(references, str) else list(references)
    if not wanted and not (filter and filter.strip()):
        raise SettingsError("give the runs that are meant, or a filter that names them")
    found = [find(store, reference) for reference in wanted]
    if filter and filter.strip():
        found += store.search_runs(filter, view=view)
    return _unique(found)


def _unique(runs: Iterable[Run]) -> list[Run]:
    return list({run.run_id: run for run in runs}.values())
