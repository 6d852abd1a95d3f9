"""Which run an observed call writes to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from autotrack.capture import scope
from autotrack.capture.recorder import RunRecorder, Session, text
from autotrack.capture.worker import PAUSE
from autotrack.entities import Dataset
from autotrack.integrations.sklearn import estimators


def is_excluded(session: Session) -> bool:
    """Whether runs that are opened by hand are to be left alone, and we are inside one."""
    active = scope.active_run.get()
    return session.settings.exclusive and active is not None and not active.ended


def finish(run: RunRecorder, is_own: bool, error: BaseException | None, later: Sequence[Callable[[], None]]) -> None:
    """A call that wrote to a run is over.

    Parameters
    ----------
    run, is_own : as `open_run` gave them; the call's own is ended, in another an error is a tag.
    error : what the call raised.
    later : what is still to be written, each a task that costs none of the others; it is done when that disturbs least.
    """
    if is_own:
        run.end_by(error)
    else:
        if error is not None:
            run.tags({"fit_error": f"{type(error).__name__}: {text(error)}"})
        run.flush()
    if later:
        run.session.worker.submit(partial(_one_by_one, run, later), delay=PAUSE)


def _one_by_one(run: RunRecorder, tasks: Sequence[Callable[[], None]]) -> None:
    for task in tasks:
        with run.attempt("artifacts", "finish recording a run in the background"):
            task()
    run.flush()


def training_data(run: RunRecorder, X: Any, y: Any, name: str) -> Dataset | None:
    """The fingerprint of what a model is fitted on, gathered; ``None`` where it is not wanted or failed."""
    if not run.session.settings.log_datasets:
        return None
    dataset = run.describe(X, y, name=name, context="train")
    if dataset is not None:
        run.dataset(dataset)
    return dataset


def open_run(
    session: Session, estimator: Any, name: str = "", tags: Mapping[str, str] | None = None
) -> tuple[RunRecorder, bool]:
    """The run that a call writes to, and whether it is the call's own to end.

    It is the active run for the first call in it, a child of that for every further one, else a run of its own.

    Parameters
    ----------
    session : the process's.
    estimator : what the call is about.
    name : the run's; empty for the estimator's.
    tags : tags besides those that name the estimator.
    """
    found = {**estimators.class_tags(estimator), **(tags or {})}
    active = scope.active_run.get()
    if active is not None and active.ended:
        active = None
    if active is not None and active.claim():
        active.tags(found)
        return active, False
    return session.start_run(name or estimators.run_name(estimator), parent=active, tags=found), True
