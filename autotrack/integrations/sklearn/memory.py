"""What the rooms of this integration share: which run an estimator and its predictions belong to."""

from __future__ import annotations

from typing import Any

from autotrack.capture.recorder import Links, Session
from autotrack.integrations.sklearn.evaluation import FittedRun
from autotrack.integrations.sklearn.predictions import Predictions
from autotrack.integrations.sklearn.preparation import Preparation


class Memory:
    """One process's memory of what was fitted and predicted. Nothing of the user's is kept alive by it.

    Attributes
    ----------
    session : the process's.
    fitted : estimator → `FittedRun`.
    predictions : the predictions seen lately.
    preparation : what data was split and transformed by.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self.fitted = Links()
        self.predictions = Predictions()
        self.preparation = Preparation(self.fitted)

    def fitted_run(self, estimator: Any) -> FittedRun | None:
        """The run of a fitted estimator, where evaluations of it are wanted."""
        if not self.session.settings.log_post_training_metrics:
            return None
        found: FittedRun | None = self.fitted.get(estimator)
        return found

    def clear(self) -> None:
        """Forget everything."""
        self.fitted.clear()
        self.predictions.clear()
        self.preparation.clear()
