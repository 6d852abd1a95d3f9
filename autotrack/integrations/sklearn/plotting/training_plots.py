"""The plots of one fit, all in one file: each further file would cost the user time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from autotrack.capture.recorder import RunRecorder
from autotrack.integrations.sklearn import estimators
from autotrack.integrations.sklearn.fitting.training import PREFIX, TrainingPass
from autotrack.integrations.sklearn.plotting import curves
from autotrack.integrations.sklearn.plotting.importances import feature_importances
from autotrack.plots.files import Plot, path_of, to_json

FILE: Final = path_of("training")


class TrainingPlots:
    """What plots need that must be read before the fit returns; `write` may come later, in another thread.

    Parameters
    ----------
    run : gets a note of each plot that failed.
    estimator : fitted.
    X : what it was fitted on; it is not kept.
    pos_label : the positive class, or None.
    """

    def __init__(self, run: RunRecorder, estimator: Any, X: Any, pos_label: Any) -> None:
        self._run = run
        self._name = estimators.run_name(estimator)
        self._pos_label = pos_label
        self._importances: Callable[[], Plot] | None = None
        with run.attempt("feature importances", "read the feature importances of the fitted model"):
            self._importances = feature_importances(estimator, X, self._name)

    def write(self, taken: TrainingPass | None, metrics: Mapping[str, float]) -> None:
        """Work the other plots out and write the file, if there are any plots."""
        plots: dict[str, Plot] = {}
        if taken is not None:
            rows = f", {taken.rows:,} of {taken.total:,} rows" if taken.rows < taken.total else ""
            seen = curves.Seen(
                taken.task,
                taken.y_true,
                taken.y_pred,
                taken.probabilities,
                taken.decisions,
                taken.classes,
                taken.sample_weight,
                taken.positive_label(self._pos_label),
                f"{self._name}, training data{rows}",
                {name.removeprefix(PREFIX): value for name, value in metrics.items()},
            )
            plots = curves.plots(seen, PREFIX, self._run.attempt)
        if self._importances is not None:
            with self._run.attempt("feature importances", "make the plot of the feature importances"):
                plots["feature_importances"] = self._importances()
        if plots:
            self._run.artifact(FILE, to_json(plots))
