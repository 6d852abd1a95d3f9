"""Two findings about a model's evaluation data that nobody asks for and everybody wants to know.

Each is a plain fact that is proved, or nothing is said: a transformer was fitted on data that includes the test rows;
rows of the test data also stand in the training data. Evaluating training data on purpose is no finding.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, Final

from autotrack.capture.recorder import RunRecorder
from autotrack.entities import CHECK, Dataset
from autotrack.integrations.sklearn.evaluating.evaluation import UNKNOWN
from autotrack.integrations.sklearn.preparing.lineage import Lineage, Made
from autotrack.integrations.sklearn.preparing.preparation import Split, Step, learnt, steps_of

PREPROCESSING: Final = "preprocessing"
SHARED_ROWS: Final = "shared rows"


class DataChecks:
    """What is known of one model's training data, to look at its evaluation data with.

    Parameters
    ----------
    run : the model's.
    lineage : what is known of data at large.
    estimator : the fitted model; not kept alive.
    X : the training data; not kept alive.
    made : where it came from, if known.
    data : its fingerprint; without one nothing is checked.
    """

    def __init__(
        self, run: RunRecorder, lineage: Lineage, estimator: Any, X: Any, made: Made | None, data: Dataset | None
    ) -> None:
        self.made = made
        self._run = run
        self._lineage = lineage
        self._data = data
        self._X = _weakly(X)
        self._estimator = _weakly(estimator)
        self._mark = _weakly(learnt(estimator))

    def look_at(self, X: Any, data: Dataset) -> None:
        """Gather what is found in data that the model predicts or scores for the first time.

        Parameters
        ----------
        X : the data.
        data : its fingerprint.
        """
        train = self._data
        if train is None or not train.digest or not data.digest or data.digest == train.digest:
            return
        # A model may have been fitted again where nobody looked: inside a pipeline.
        if self._mark() is not learnt(self._estimator()):
            return
        with self._run.attempt("data checks", "check the evaluation data"):
            made = self._lineage.of(X)
            if made is not None and self.made is not None:
                for message in leaks(self.made, made, _called(data)):
                    self._run.note(CHECK, PREPROCESSING, message)
                if made.within(self.made):
                    if is_test_part(made, self.made):
                        self._run.note(CHECK, SHARED_ROWS, _all_shared(train, data))
                    return
            shared = self._shared(X, train, data)
            if shared:
                self._run.note(CHECK, SHARED_ROWS, shared)

    def _shared(self, X: Any, train: Dataset, data: Dataset) -> str | None:
        known = self._X()
        if known is None or known is X or len(data.shape) not in (1, 2) or data.shape[1:] != train.shape[1:]:
            return None
        # Only now: what most scripts never evaluate.
        from autotrack.capture.fingerprint import describe
        from autotrack.capture.shared_rows import shared_rows

        found = shared_rows(known, X)
        # The training data may have been written to since the fit. That is looked at only where it matters.
        if found is None or describe(known, name=train.name, context=train.context).digest != train.digest:
            return None
        return (
            f"{'' if found.all_seen else 'at least '}{found.count:,} of {found.total:,} rows of {_called(data)} also "
            f"stand in {train.name} (the same values in {_all_columns(found.columns)})"
        )


def leaks(train: Made, evaluated: Made, name: str) -> list[str]:
    """A sentence for each transformer that learnt from rows that it and the model are now evaluated on.

    Parameters
    ----------
    train : where the training data came from.
    evaluated : where the evaluation data came from.
    name : what the script calls the latter.
    """
    # Training data, a part of it, or more than it: no test set.
    if evaluated.within(train) or train.within(evaluated):
        return []
    went_through = {id(made.by) for made in steps_of(evaluated)}
    found = []
    for made in steps_of(train):
        step = made.by
        if not isinstance(step, Step) or not step.learns or step.on is None or id(step) not in went_through:
            continue
        if not evaluated.within(step.on):
            continue
        rows = evaluated.shape[0] if evaluated.shape else None
        which = f"all {rows:,} rows of {name}" if rows is not None else f"the rows of {name}"
        answers = ", with their targets" if step.supervised else ""
        before = (
            " before train_test_split" if any(isinstance(part.by, Split) for part in _since(evaluated, step.on)) else ""
        )
        found.append(
            f"{step.label} was fitted{before} on {_fitted_on(step)}, which includes {which}{answers}: "
            "fit it on the training rows only, or in a pipeline"
        )
    return found


def note_folds(run: RunRecorder, made: Made | None, name: str, *, supervised_only: bool = False) -> None:
    """Gather which transformers saw the test rows of each fold, where data is cross-validated that they were fitted on.

    Parameters
    ----------
    made : where the data came from.
    name : what the script calls it.
    supervised_only : only those that also saw the target.
    """
    if made is None:
        return
    with run.attempt("data checks", "check the cross-validated data"):
        for step in {id(part.by): part.by for part in steps_of(made)}.values():
            if not isinstance(step, Step) or not step.learns or step.on is None or not made.within(step.on):
                continue
            if step.supervised or not supervised_only:
                answers = ", with their targets" if step.supervised else ""
                run.note(
                    CHECK,
                    PREPROCESSING,
                    f"{step.label} was fitted on {_fitted_on(step)}, which includes the test rows "
                    f"of each fold of {name}{answers}: put it into a pipeline, and it is fitted in each fold",
                )


def is_test_part(evaluated: Made, train: Made) -> bool:
    """Whether data was split off the training data, or off a part of it, for testing."""
    return any(made.how == "test" for made in _since(evaluated, train))


def _since(made: Made, beginning: Made) -> list[Made]:
    """What was done to data since it held all the rows of its ancestor."""
    table, steps = beginning.table(), []
    step: Made | None = made
    while step is not None and step.table() is not table:
        steps.append(step)
        step = step.of
    return steps


def _weakly(thing: Any) -> Callable[[], Any]:
    try:
        return weakref.ref(thing)
    except TypeError:  # a list, or nothing
        return lambda: None


def _fitted_on(step: Step) -> str:
    shape = step.on.shape if step.on is not None else ()
    rows = f" ({shape[0]:,} rows)" if shape and shape[0] is not None else ""
    return f"{step.name or 'data'}{rows}"


def _called(data: Dataset) -> str:
    """What to call evaluation data: there is no name where the call computes it, ``score(scaler.transform(X), y)``."""
    return "the evaluation data" if data.name.startswith(UNKNOWN) else data.name


def _all_shared(train: Dataset, data: Dataset) -> str:
    rows = f"all {data.shape[0]:,} rows" if data.shape and data.shape[0] is not None else "all rows"
    return f"{rows} of {_called(data)} are among the rows of {train.name} that the model was fitted on"


def _all_columns(count: int) -> str:
    return f"all {count:,} columns" if count > 1 else "its column"
