"""Whether a store holds what it must after a trial: each fault is told in a sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from autotrack import digests
from autotrack.entities import FINISHED, KILLED, Run
from autotrack.stores.base import Maintained, Store
from benchmarks.soak import work

_MEASURED: Final = ("seconds", "_time")
"""Metrics that are times have other values in every run."""


@dataclass(slots=True)
class Verdict:
    """What was found.

    Parameters
    ----------
    kills : so many processes were killed.
    returned : so many fits, or runs by hand, had returned.
    runs : so many of them and of others are in the store, candidates of searches not counted.
    candidates : child runs of searches.
    killed : runs with the status KILLED.
    whole_though_killed : FINISHED runs whose fit had not returned when the kill came.
    models : so many model folders were read and have their digest.
    notes : what ``fsck`` tells that is no damage.
    faults : what must not be, a sentence each.
    """

    kills: int = 0
    returned: int = 0
    runs: int = 0
    candidates: int = 0
    killed: int = 0
    whole_though_killed: int = 0
    models: int = 0
    notes: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def line(self) -> str:
        """The numbers, in a line."""
        return (
            f"{self.kills:,} kills, {self.returned:,} returned, {self.runs:,} runs and {self.candidates:,} candidates "
            f"there: {self.killed:,} KILLED, {self.whole_though_killed:,} whole though killed; "
            f"{self.models:,} models read, {len(self.notes):,} notes, {len(self.faults):,} faults"
        )


def judge(store: Store, returned: Sequence[int], kills: int, every: int | None = 1) -> Verdict:
    """Hold a store against what was told.

    Parameters
    ----------
    store : nobody writes to it any more.
    returned : the numbers of the fits and runs that had returned.
    kills : so many processes were killed, each with one run under way at the most.
    every : every so-maniest run is a fit; ``None`` for none.
    """
    found = Verdict(kills, len(returned))
    faults = found.faults
    runs = store.search_runs()
    mine = [run for run in runs if run.parent_run_id is None]
    found.runs, found.candidates = len(mine), len(runs) - len(mine)
    labels = {run.run_id: _label(run) for run in mine}
    by_label = {label: run for run in mine if (label := labels[run.run_id]) is not None}
    counted = Counter(label for label in labels.values() if label is not None)
    faults += [f"{label} is there {count} times" for label, count in counted.items() if count > 1]
    faults += [f"{label} had returned and is not there" for label in returned if label not in by_label]
    known = set(returned)
    under_way = [run for run in mine if labels[run.run_id] not in known]
    if len(under_way) > kills:
        faults.append(f"{len(under_way)} runs had not returned, of {kills} processes that were killed")
    fits = [label for label in sorted(known & set(by_label), reverse=True) if every and work.is_fit(label, every)]
    # Of each kind the first fit that returned: others are as that one.
    control = {work.kind_of(label): by_label[label] for label in fits}
    for run in mine:
        label = labels[run.run_id]
        is_fit = every is not None and label is not None and work.is_fit(label, every)
        like = control.get(work.kind_of(label)) if is_fit and label is not None else None
        if run.status == FINISHED:
            found.whole_though_killed += label not in known
            faults += _about_whole(store, run, label, like)
            found.models += len(run.models)
        elif run.status == KILLED and label not in known:
            found.killed += 1
            if label is not None and like is not None and set(run.params) - set(like.params):
                faults.append(f"{_name(run, label)} has params that its kind has not")
        else:
            faults.append(f"{_name(run, label)} is {run.status}, and had {'' if label in known else 'not '}returned")
    faults += _about_candidates([run for run in runs if run.parent_run_id is not None], mine)
    faults += [f"problem: {problem}" for problem in store.problems()]
    if isinstance(store, Maintained):
        for finding in store.check():
            told = f"fsck: {finding.subject}: {finding.message}"
            (found.notes if finding.is_note else faults).append(told)
    return found


def _label(run: Run) -> int | None:
    for key in (work.LABEL, *dict.fromkeys(work.KINDS.values())):
        value = run.params.get(key, "")
        if value.isdecimal():
            return int(value)
    return None


def _name(run: Run, label: int | None) -> str:
    return f"{run.run_id} ({label})"


def _about_whole(store: Store, run: Run, label: int | None, like: Run | None) -> Iterator[str]:
    """What is missing in a run that ended."""
    name = _name(run, label)
    if label is None:
        yield f"{name} is FINISHED without the param that tells which it is"
        return
    if run.broken:
        yield f"{name} is broken: {run.broken}"
    if run.end_time is None or run.start_time is None or run.end_time < run.start_time:
        yield f"{name} began at {run.start_time} and ended at {run.end_time}"
    if work.LABEL in run.params:
        yield from _about_plain(store, run, label)
        return
    if like is None:
        yield f"{name}: no run of its kind is there to be held against"
        return
    for what, here, there in (
        ("params", run.params, like.params),
        ("tags", run.tags, like.tags),
        ("metrics", run.metrics, like.metrics),
    ):
        if set(here) != set(there):
            yield f"{name} has other {what} than its kind: {sorted(set(here) ^ set(there))}"
    for key, value in run.metrics.items():
        if value != like.metrics.get(key) and not any(part in key for part in _MEASURED):
            yield f"{name} has {key} = {value}, its kind has {like.metrics.get(key)}"
    if [data.digest for data in run.datasets] != [data.digest for data in like.datasets]:
        yield f"{name} has other datasets than its kind"
    if [model.path for model in run.models] != [model.path for model in like.models]:
        yield f"{name} has the models {[model.path for model in run.models]}"
    for model in run.models:
        folder = store.artifact_path(run.run_id, model.path)
        if not model.digest or digests.of_folder(folder) != model.digest:
            yield f"{name}: the digest of {model.path} is not {model.digest!r}"


def _about_plain(store: Store, run: Run, label: int) -> Iterator[str]:
    if dict(run.params) != {work.LABEL: str(label), "twice": str(2 * label)}:
        yield f"{_name(run, label)} has the params {dict(run.params)}"
    told = [(point.step, point.value) for point in store.metric_history(run.run_id, "m")]
    if told != [(step, float(label + step)) for step in range(work.STEPS)]:
        yield f"{_name(run, label)} has the metric {told}"


def _about_candidates(candidates: Sequence[Run], parents: Sequence[Run]) -> Iterator[str]:
    known = {run.run_id for run in parents}
    seen: Counter[tuple[str | None, str]] = Counter()
    for run in candidates:
        seen[run.parent_run_id, run.params.get("alpha", "")] += 1
        if run.parent_run_id not in known:
            yield f"candidate {run.run_id}: its search is not there"
        if run.status != FINISHED:
            yield f"candidate {run.run_id} is {run.status}"
    for (parent, alpha), count in seen.items():
        if count > 1:
            yield f"the search {parent} has the candidate {alpha} {count} times"
