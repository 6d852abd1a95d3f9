"""What the rooms of this integration share: which run an estimator and its predictions belong to."""

from __future__ import annotations

import threading
import weakref
from typing import Any

from autotrack.capture.links import Links
from autotrack.capture.recorder import RunRecorder, Session
from autotrack.entities import SKIPPED
from autotrack.integrations.sklearn.evaluating.evaluation import FittedRun
from autotrack.integrations.sklearn.evaluating.predictions import Predictions
from autotrack.integrations.sklearn.preparing.preparation import Preparation
from autotrack.integrations.sklearn.searching.underway import Rounds


class Memory:
    """One process's memory of what was fitted and predicted. Nothing of the user's is kept alive by it.

    Attributes
    ----------
    session : the process's.
    fitted : estimator → `FittedRun`.
    predictions : the predictions seen lately.
    transformed : what fitted models that are no mere preparation made of data.
    displays : figure-drawing object → `Origin`.
    reports : what the latest run is told that was not recorded.
    rounds : what parameter searches are evaluating now.
    preparation : what data was split and transformed by.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self.fitted = Links()
        self.predictions = Predictions()
        self.transformed = Predictions()
        self.displays = Links()
        self.reports = Reports(session)
        self.rounds = Rounds()
        self.preparation = Preparation(self.fitted)

    def fitted_run(self, estimator: Any) -> FittedRun | None:
        """The run of a fitted estimator, where evaluations of it are wanted."""
        if not self.session.settings.log_post_training_metrics:
            return None
        found: FittedRun | None = self.fitted.get(estimator)
        return found

    def link(self, estimator: Any, fitted: FittedRun | None) -> None:
        """Link an estimator to its run, or to none after a fit that failed; a search's best estimator with it."""
        self.fitted.set(estimator, fitted)
        best = getattr(estimator, "__dict__", {}).get("best_estimator_")
        if best is not None:
            self.fitted.set(best, fitted)

    def clear(self) -> None:
        """Forget everything."""
        self.fitted.clear()
        self.predictions.clear()
        self.transformed.clear()
        self.displays.clear()
        self.rounds.clear()
        self.preparation.clear()
        self.reports.clear()


class Reports:
    """Notes, on the run that is active or finished last in this thread, of what came after it and was not recorded.

    Each subject is told once per run.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._lock = threading.Lock()
        self._told: weakref.WeakKeyDictionary[RunRecorder, set[str]] = weakref.WeakKeyDictionary()

    def wants(self, subject: str) -> bool:
        """Whether there is a run that was not told of this yet."""
        run = self._session.current_run()
        return run is not None and subject not in self._told.get(run, ())

    def skipped(self, subject: str, message: str) -> None:
        """Tell it, if it was not told yet."""
        run = self._session.current_run()
        if run is None:
            return
        with self._lock:
            told = self._told.setdefault(run, set())
            if subject in told:
                return
            told.add(subject)
        run.note(SKIPPED, subject, message)
        run.flush()

    def clear(self) -> None:
        """Forget what was told."""
        with self._lock:
            self._told.clear()
