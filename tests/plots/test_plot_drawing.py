"""Figures: every kind draws, whatever is in it, and nothing of matplotlib's state or the user's style matters."""

from __future__ import annotations

import warnings

import matplotlib as mpl
import matplotlib.style
import numpy as np
import pytest
from matplotlib.figure import Figure

from autotrack.errors import PlotError
from autotrack.plots import data, drawing
from autotrack.plots.data import Series
from autotrack.plots.drawing import draw
from autotrack.plots.files import from_json, to_json

NAN = float("nan")
LONG = "a rather long name of a class, with $x^2$ and a_line\nbreak"
MANY = [Series(f"{LONG} {k}", [0, 0.2, 1], [0, k / 20, 1]) for k in range(20)]

PLOTS = {
    "matrix": data.confusion_matrix([[3, 1], [0, 4]], ["no", "yes"]),
    "matrix of weights": data.confusion_matrix([[3.25, 1e-9], [0.0, 4e12]], [LONG, "_yes"]),
    "matrix, a class missing": data.confusion_matrix([[3, 1, 0], [0, 0, 0], [1, 1, 4]], "abc"),
    "matrix, many": data.confusion_matrix(np.arange(1600).reshape(40, 40), [f"{LONG} {k}" for k in range(40)]),
    "matrix, one": data.confusion_matrix([[7]], ["all"]),
    "matrix, none": data.confusion_matrix(np.zeros((0, 0)), []),
    "matrix, NaN": data.confusion_matrix([[NAN, 1.0], [0.0, np.inf]], "ab"),
    "roc": data.roc_curve([Series("", [0, 0.2, 1], [0, 0.9, 1])], positive="yes"),
    "roc, many": data.roc_curve(MANY),
    "roc, none": data.roc_curve([]),
    "roc, NaN": data.roc_curve([Series("", [NAN, NAN], [0, 1])]),
    "pr": data.precision_recall_curve([Series("", [1, 0.5, 0], [0.3, 1, 1], facts={"prevalence": 0.3})]),
    "pr, many": data.precision_recall_curve(MANY),
    "pr, one point": data.precision_recall_curve([Series("", [1], [1])]),
    "calibration": data.calibration_curve([0.1, 0.5, 0.9], [0.2, 0.4, 1], [5, 7, 100], positive=LONG, brier=0.1),
    "calibration, not counted": data.calibration_curve([0.1, 0.5, 0.9], [0.2, 0.4, 1]),
    "calibration, one": data.calibration_curve([0.0], [0.0], [3]),
    "calibration, none": data.calibration_curve([], [], []),
    "residuals": data.residuals(np.arange(50), np.sin(np.arange(50)), unit="€"),
    "residuals, one": data.residuals([1], [0]),
    "residuals, none": data.residuals([], []),
    "residuals, NaN": data.residuals([1, 2, 3], [NAN, np.inf, 1]),
    "errors": data.predicted_vs_actual(np.arange(5), np.arange(5) * 2, facts={"r2_score": NAN}),
    "errors, constant": data.predicted_vs_actual([3, 3], [3, 3]),
    "errors, none": data.predicted_vs_actual([NAN], [NAN]),
    "importances": data.feature_importances(list(range(60)), np.linspace(-1, 1, 60), std=np.ones(60)),
    "importances, NaN": data.feature_importances([LONG, "_b"], [NAN, 0]),
    "importances, none": data.feature_importances([], []),
    "learning": data.learning_curve(
        [Series("training", [10, 20], [1, 0.9], [0.1, 0]), Series("_v", [10, 20], [0, NAN])]
    ),
    "validation": data.validation_curve([Series("training", [1e-4, 1e-2, 1, 100], [1, 2, 3, 4])], param="svc__C"),
    "validation, words": data.validation_curve([Series("", ["rbf", LONG, None], [1, 2, 3])], param="kernel"),
    "iterations": data.iterations([Series("", np.arange(5_000), np.random.default_rng(0).random(5_000))]),
    "iterations, one": data.iterations([Series("", [1], [0.5], [0.1])]),
    "iterations, NaN": data.iterations([Series("", [1, 2], [NAN, np.inf])]),
    "lines": data.lines([Series(str(k), [1, 2], [k, k]) for k in range(30)], title=LONG, subtitle=LONG * 5, note=LONG),
    "lines, none": data.lines([]),
    "bars": data.bars(["fit", "score"], [1, -2], xlabel="seconds"),
    "heat": data.heat_map([1, 2, 3], [LONG, "b"], [[1, NAN, 2], [3, 3, 3]], xlabel="C", ylabel="kernel"),
    "heat, constant": data.heat_map([1], [1], [[2]], xlabel="C", ylabel="kernel"),
    "heat, none": data.heat_map([], [], [], xlabel="C", ylabel="kernel"),
    "scatter": data.scatter([1e-3, 1e-1, 10, 1e3], [1, 2, 3, 4], [1, 2, NAN, 3], xlabel="C", ylabel="degree"),
    "scatter, none": data.scatter([], [], xlabel="C", ylabel="degree"),
}


def rendered(figure):
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())


def texts(figure):
    return [text.get_text() for text in figure.findobj(mpl.text.Text) if text.get_text()]


@pytest.mark.parametrize("name", PLOTS)
def test_everything_draws_without_a_warning(name):
    plot = from_json(to_json({"it": PLOTS[name]}))["it"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", DeprecationWarning)  # between the libraries themselves
        figure = draw(plot)
        picture = rendered(figure)
    assert len(np.unique(picture.reshape(-1, 4), axis=0)) > 2
    assert (picture[[0, -1]] == 255).all(), "something is cut off by the figure's edge"
    assert (picture[:, [0, -1]] == 255).all(), "something is cut off by the figure's edge"


def test_every_kind_is_tried_here():
    assert {plot["kind"] for plot in PLOTS.values()} == set(drawing.KINDS)


@pytest.mark.parametrize("name", ["matrix", "roc, many", "calibration", "residuals", "importances", "heat"])
def test_a_style_of_the_users_hides_nothing(name):
    with matplotlib.style.context("dark_background"):
        figure = draw(PLOTS[name])
        picture = rendered(figure)
        assert (picture[0, 0] == 255).all()
        for text in figure.findobj(mpl.text.Text):
            inside_cell = text.get_text() and text.axes is not None and text in text.axes.texts
            if text.get_text() and not inside_cell:
                assert np.mean(mpl.colors.to_rgb(text.get_color())) < 0.5, text.get_text()


def test_the_state_of_matplotlib_is_untouched():
    import matplotlib.pyplot as plt

    before, numbers = dict(mpl.rcParams), plt.get_fignums()
    for name in ("matrix", "roc", "residuals", "heat"):
        draw(PLOTS[name])
    assert dict(mpl.rcParams) == before
    assert plt.get_fignums() == numbers


def test_a_figure_of_the_users_is_drawn_into():
    figure = Figure(figsize=(3, 3))
    assert draw(PLOTS["roc"], figure=figure) is figure
    assert tuple(figure.get_size_inches()) == (3, 3)
    assert figure.axes


def test_the_legend_tells_auc_and_the_class():
    assert "yes (AUC 0.850)" in texts(draw(PLOTS["roc"]))
    assert "chance (AP 0.300)" in texts(draw(PLOTS["pr"]))


def test_a_confusion_matrix_has_counts_and_percentages_that_can_be_read():
    figure = draw(data.confusion_matrix([[99_999, 1], [25, 75]], ["no", "yes"]))
    cells = {text.get_text(): text.get_color() for text in figure.axes[0].texts}
    assert set(cells) >= {"99,999\n>99.9%", "1\n<0.1%", "25\n25.0%", "75\n75.0%"}
    assert cells["99,999\n>99.9%"] == "white"
    assert cells["1\n<0.1%"] != "white"


def test_names_are_no_formulas():
    plot = data.feature_importances(["$price$", "a_b", "x^2"], [3, 2, 1])
    figure = draw(plot)
    rendered(figure)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == [r"\$price\$", "a_b", "x^2"]


@pytest.mark.parametrize("plot", [{"kind": "sankey"}, {}, {"kind": ["roc_curve"]}])
def test_a_plot_of_an_unknown_kind_is_refused(plot):
    with pytest.raises(PlotError, match="cannot be drawn; this version of autotrack draws confusion_matrix"):
        draw(plot)


@pytest.mark.parametrize(
    "plot",
    [
        {"kind": "roc_curve"},
        {"kind": "roc_curve", "series": [{"x": [1]}]},
        {"kind": "roc_curve", "series": [{"x": [1, 2], "y": [1]}]},
        {"kind": "confusion_matrix", "labels": ["a"], "counts": [[1, 2]]},
        {"kind": "residuals", "x": ["a"], "y": [1]},
        {"kind": "feature_importances", "names": None, "values": [1]},
    ],
)
def test_a_malformed_plot_is_refused(plot):
    with pytest.raises(PlotError, match="malformed"):
        draw(plot)
