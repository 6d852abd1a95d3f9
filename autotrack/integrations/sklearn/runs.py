"""Which run an observed call writes to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autotrack.capture import scope
from autotrack.capture.recorder import RunRecorder, Session
from autotrack.integrations.sklearn import estimators


def is_excluded(session: Session) -> bool:
    """Whether runs that are opened by hand are to be left alone, and we are inside one."""
    active = scope.active_run.get()
    return session.settings.exclusive and active is not None and not active.ended


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
