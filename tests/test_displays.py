"""Figures that scikit-learn's Display classes draw become artifacts; the user's figure and pyplot never notice."""

from __future__ import annotations

import io

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure
from sklearn.calibration import CalibrationDisplay
from sklearn.datasets import load_iris
from sklearn.inspection import DecisionBoundaryDisplay, PartialDependenceDisplay
from sklearn.linear_model import Ridge
from sklearn.metrics import (
    ConfusionMatrixDisplay,
    DetCurveDisplay,
    PrecisionRecallDisplay,
    PredictionErrorDisplay,
    RocCurveDisplay,
    confusion_matrix,
    roc_curve,
)
from sklearn.model_selection import LearningCurveDisplay
from sklearn.tree import DecisionTreeClassifier

import autotrack

X, y = load_iris(return_X_y=True)
X, y = X[50:, :2], y[50:] - 1
test_X, test_y = X[::2], y[::2]


@pytest.fixture(autouse=True)
def _no_figures():
    plt.close("all")
    yield
    plt.close("all")


@pytest.fixture
def model(logged):
    return DecisionTreeClassifier(max_depth=3, random_state=0).fit(X, y)


def pictures():
    autotrack.flush()
    run = autotrack.get_run("latest")
    return [path for path in run.artifacts if path.endswith(".png")]


def image(path):
    autotrack.flush()
    return plt.imread(autotrack.get_run("latest").artifact_path(path))


def drawn(figure):
    png = io.BytesIO()
    figure.savefig(png)
    return png.getvalue()


FROM_ESTIMATOR = {
    ConfusionMatrixDisplay: (),
    RocCurveDisplay: (),
    PrecisionRecallDisplay: (),
    DetCurveDisplay: (),
    CalibrationDisplay: (),
}


@pytest.mark.parametrize("cls", FROM_ESTIMATOR, ids=lambda cls: cls.__name__)
def test_a_figure_from_an_estimator_is_an_artifact_of_its_run(model, cls):
    cls.from_estimator(model, test_X, test_y)
    assert pictures() == [f"{cls.__name__}_test_X.png"]
    assert image(pictures()[0]).shape == (480, 640, 4)
    assert autotrack.get_run("latest").datasets[-1].name == "test_X"


@pytest.mark.parametrize("cls", FROM_ESTIMATOR, ids=lambda cls: cls.__name__)
def test_a_figure_from_predictions_is_an_artifact_of_their_run(model, cls):
    made = model.predict(test_X) if cls is ConfusionMatrixDisplay else model.predict_proba(test_X)[:, 1]
    DecisionTreeClassifier(max_depth=1).fit(X, y)
    cls.from_predictions(test_y, made)
    assert pictures() == []
    autotrack.flush()
    first = autotrack.get_run(autotrack.search_runs()["run_id"].iloc[-1])
    assert f"{cls.__name__}_test_X.png" in first.artifacts


def test_figures_of_regressors_and_of_inspection_are_artifacts(logged):
    model = Ridge().fit(X, y)
    PredictionErrorDisplay.from_estimator(model, test_X, test_y, random_state=0)
    PredictionErrorDisplay.from_predictions(test_y, model.predict(test_X), random_state=0)
    PartialDependenceDisplay.from_estimator(model, test_X, [0, 1])
    DecisionBoundaryDisplay.from_estimator(DecisionTreeClassifier().fit(X, y), test_X, response_method="predict")
    assert pictures() == ["DecisionBoundaryDisplay_test_X.png"]
    found = autotrack.get_run("Ridge").artifacts
    for name in ("PartialDependenceDisplay", "PredictionErrorDisplay", "PredictionErrorDisplay-2"):
        assert f"{name}_test_X.png" in found


def test_a_display_made_by_hand_of_what_a_metric_gave_is_recognised(model):
    ConfusionMatrixDisplay(confusion_matrix(test_y, model.predict(test_X))).plot()
    fpr, tpr, _ = roc_curve(test_y, model.predict_proba(test_X)[:, 1])
    RocCurveDisplay(fpr=fpr, tpr=tpr).plot()
    RocCurveDisplay(fpr=np.array([0.0, 1.0]), tpr=np.array([0.0, 1.0])).plot()
    assert pictures() == ["ConfusionMatrixDisplay_test_X.png", "RocCurveDisplay_test_X.png"]


def test_a_display_plotted_again_is_a_picture_of_its_own(model):
    display = ConfusionMatrixDisplay.from_estimator(model, test_X, test_y)
    display.plot(cmap="Greys")
    assert pictures() == ["ConfusionMatrixDisplay-2_test_X.png", "ConfusionMatrixDisplay_test_X.png"]
    assert not np.array_equal(image(pictures()[0]), image(pictures()[1]))


def test_the_whole_figure_is_drawn_where_an_axes_was_given(model):
    _, (left, right) = plt.subplots(1, 2, figsize=(4, 2))
    left.plot([1, 2])
    RocCurveDisplay.from_estimator(model, test_X, test_y, ax=right)
    assert image("RocCurveDisplay_test_X.png").shape == (200, 400, 4)
    outer = plt.figure(figsize=(5, 2))
    RocCurveDisplay.from_estimator(model, test_X, test_y, ax=outer.subfigures(1, 2)[0].subplots())
    assert image("RocCurveDisplay-2_test_X.png").shape == (200, 500, 4)


@pytest.mark.parametrize("layout", [None, "tight", "constrained"])
@pytest.mark.parametrize("draw", [RocCurveDisplay.from_estimator, DetCurveDisplay.from_estimator], ids=["roc", "det"])
def test_the_users_figure_is_the_same_as_without_us_and_so_is_pyplot(store, draw, layout):
    def session():
        plt.close("all")
        model = DecisionTreeClassifier(max_depth=3, random_state=0).fit(X, y)
        figure, axes = plt.subplots(layout=layout)
        plt.figure()
        draw(model, test_X, test_y, ax=axes)
        state = (plt.get_fignums(), plt.gcf().number, figure.stale, axes.stale, dict(mpl.rcParams))
        axes.set_title("mine")
        axes.set_xlabel("changed " * 3)
        return state, drawn(figure), np.random.get_state()[1].tolist()

    bare = session()
    autotrack.autolog(store=store)
    observed = session()
    assert observed == bare
    assert pictures()


def test_the_figure_is_kept_as_it_was_when_it_was_drawn(model):
    display = RocCurveDisplay.from_estimator(model, test_X, test_y)
    with autotrack.disabled():
        expected = drawn(RocCurveDisplay.from_estimator(model, test_X, test_y).figure_)
    display.ax_.clear()
    plt.close(display.figure_)
    autotrack.flush()
    assert np.array_equal(image("RocCurveDisplay_test_X.png"), plt.imread(io.BytesIO(expected)))


@pytest.mark.allow_swallowed
def test_a_figure_that_cannot_be_copied_is_noted(model):
    class Stubborn(Figure):
        def __reduce_ex__(self, protocol):
            raise TypeError("not this one")

    figure = Stubborn()
    RocCurveDisplay.from_estimator(model, test_X, test_y, ax=figure.add_subplot())
    assert pictures() == []
    (note,) = autotrack.get_run("latest").notes
    assert (note.kind, note.subject) == ("skipped", "RocCurveDisplay")
    assert "not this one" in note.message


def test_a_figure_full_of_points_is_not_drawn_again(model):
    _, axes = plt.subplots()
    axes.plot(np.zeros(1_500_000), np.zeros(1_500_000))
    RocCurveDisplay.from_estimator(model, test_X, test_y, ax=axes)
    assert pictures() == []
    assert [note.subject for note in autotrack.get_run("latest").notes] == ["RocCurveDisplay"]


def test_a_display_of_an_estimator_or_array_without_a_run_is_noted(model):
    with autotrack.disabled():
        other = DecisionTreeClassifier().fit(X, y)
    RocCurveDisplay.from_estimator(other, test_X, test_y)
    ConfusionMatrixDisplay.from_predictions(test_y, 1 - test_y)
    LearningCurveDisplay.from_estimator(DecisionTreeClassifier(), X, y, cv=2, random_state=0, shuffle=True)
    assert pictures() == []
    assert {note.subject: note.message for note in autotrack.get_run("latest").notes} == {
        "RocCurveDisplay": "RocCurveDisplay.from_estimator was called on an estimator whose fit was not recorded",
        "ConfusionMatrixDisplay": "ConfusionMatrixDisplay.from_predictions was called on "
        "arrays that are no known prediction of a model",
        "LearningCurveDisplay": "LearningCurveDisplay.from_estimator was called on "
        "an estimator whose fit was not recorded",
    }


def test_without_plots_there_are_no_pictures(store):
    autotrack.autolog(store=store, log_plots=False)
    RocCurveDisplay.from_estimator(DecisionTreeClassifier().fit(X, y), test_X, test_y)
    assert pictures() == []


def test_the_classes_are_their_own_again_when_it_is_off(store):
    before = {name: vars(RocCurveDisplay)[name] for name in ("from_estimator", "from_predictions", "plot")}
    autotrack.autolog(store=store)
    assert vars(RocCurveDisplay)["from_estimator"] is not before["from_estimator"]

    class Own(RocCurveDisplay):
        pass

    assert isinstance(Own.from_predictions([0, 1], [0.1, 0.9]), Own)
    autotrack.autolog(disable=True)
    assert all(vars(RocCurveDisplay)[name] is value for name, value in before.items())
