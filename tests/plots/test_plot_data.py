"""Plots as data: what the constructors keep, and that JSON gives it back."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autotrack.errors import PlotError
from autotrack.plots import data, points
from autotrack.plots.data import Series
from autotrack.plots.files import from_json, to_json

numbers = st.floats(allow_nan=True, allow_infinity=True, width=64)


def through_json(plot: data.Plot) -> data.Plot:
    return from_json(to_json({"it": plot}))["it"]


@settings(deadline=None)
@given(st.lists(numbers, min_size=1, max_size=40))
def test_any_numbers_survive_json(values):
    y = np.array(values)
    plot = through_json(data.lines([Series("loss", np.arange(len(y)), y, facts={"best": y[0]})]))
    [line] = plot["series"]
    assert line["x"] == list(range(len(y)))
    known = y[np.isfinite(y)]
    with np.errstate(all="ignore"):
        span = known.max() - known.min() or abs(known[0]) if len(known) else 0.0
    for kept, value in zip(line["y"], y, strict=True):
        if math.isfinite(value) and math.isfinite(span):
            assert kept == pytest.approx(value, rel=1e-5, abs=1e-5 * span)
        elif not math.isfinite(value):
            assert repr(kept) == repr(float(value))
    assert line["best"] == y[0] or math.isnan(y[0])


def test_rounded_numbers_are_short_and_close():
    rng = np.random.default_rng(0)
    for scale in (1e-30, 1e-7, 1.0, 123.456, 1e9, 1e30):
        values = rng.normal(size=300) * scale
        kept = points.rounded(values)
        assert np.abs(np.array(kept) - values).max() <= 1e-5 * np.ptp(values)
        assert max(len(repr(number)) for number in kept) <= 16
    far_off = 1e6 + rng.random(50)
    assert np.abs(np.array(points.rounded(far_off)) - far_off).max() < 1e-5


def test_names_that_look_like_numbers_stay_text():
    plot = through_json(data.confusion_matrix([[1, 0], [0, 2]], ["NaN", "Infinity"], title="NaN"))
    assert plot["labels"] == ["NaN", "Infinity"]
    assert plot["title"] == "NaN"
    assert plot["counts"] == [[1, 0], [0, 2]]


def test_a_long_curve_keeps_its_ends_shape_and_area():
    x = np.sort(np.random.default_rng(0).random(50_000))
    x[0], x[-1] = 0, 1
    y = x**0.2
    plot = data.roc_curve([Series("", x, y)])
    [line] = plot["series"]
    assert len(line["x"]) <= points.MOST
    assert (line["x"][0], line["y"][0], line["x"][-1], line["y"][-1]) == (0, 0, 1, 1)
    drawn = np.interp(x, line["x"], line["y"])
    assert np.abs(drawn - y).max() < 2 / points.MOST
    assert line["auc"] == pytest.approx(np.sum(np.diff(x) * (y[1:] + y[:-1])) / 2, abs=1e-12)


def test_points_on_a_straight_line_are_dropped():
    x = np.linspace(0, 1, 101)
    [line] = data.roc_curve([Series("", x, x)])["series"]
    assert line == {"name": "", "x": [0, 1], "y": [0, 1], "auc": pytest.approx(0.5)}


def test_average_precision_is_worked_out_from_either_direction():
    recall, precision = [1.0, 0.5, 0.5, 0.0], [0.5, 0.5, 1.0, 1.0]
    [falling] = data.precision_recall_curve([Series("", recall, precision)])["series"]
    [rising] = data.precision_recall_curve([Series("", recall[::-1], precision[::-1])])["series"]
    assert falling == rising
    assert falling["average_precision"] == pytest.approx(0.75)


def test_many_curves_share_the_points():
    x = np.linspace(0, 1, 5_000)
    plot = data.roc_curve([Series(str(k), x, x ** (1 / (k + 2))) for k in range(20)])
    assert sum(len(line["x"]) for line in plot["series"]) <= points.MOST


def test_many_points_are_sampled_with_their_extremes():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 20_000))
    x[777], y[778] = 50, -60
    plot = data.residuals(x, y)
    assert len(plot["x"]) == len(plot["y"]) <= points.MOST
    assert plot["of"] == 20_000
    assert 50 in plot["x"]
    assert -60 in plot["y"]
    assert "of 20,000 points" in plot["note"]


def test_sampling_keeps_no_rhythm():
    cycle = np.arange(24_000) % 24
    kept = np.bincount(cycle[points.sampled(24_000, 1_000)], minlength=24)
    assert kept.min() > 1_000 / 24 / 2


def test_a_confusion_matrix_of_many_classes_keeps_every_sample():
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 9, (80, 80))
    plot = data.confusion_matrix(counts, range(80))
    assert plot["labels"][-1] == "(other)"
    assert len(plot["labels"]) == len(plot["counts"]) == data.MATRIX_CLASSES + 1
    assert np.sum(plot["counts"]) == counts.sum()
    assert "of 80 classes" in plot["note"]
    place = plot["labels"].index(plot["labels"][3])
    true = int(plot["labels"][3])
    assert plot["counts"][place][place] == counts[true, true]


def test_importances_are_ordered_by_size_and_cut():
    values = np.arange(-50, 50)
    plot = data.feature_importances([f"f{k}" for k in range(100)], values, std=np.abs(values))
    assert plot["names"][:3] == ["f0", "f1", "f99"]
    assert plot["values"][:3] == [-50, -49, 49]
    assert plot["std"][:3] == [50, 49, 49]
    assert plot["of"] == 100
    assert len(plot["values"]) == len(plot["names"]) == data.FEATURES


def test_validation_over_words_and_over_powers():
    words = data.validation_curve([Series("validation", ["linear", "rbf", None], [1, 2, 3])], param="kernel")
    assert words["series"][0]["x"] == ["linear", "rbf", "None"]
    assert "log" not in words
    powers = data.validation_curve([Series("", [1e-6, 1e-4, 1e-2, 1], [1, 2, 3, 4])], param="C")
    assert powers["log"] is True
    assert powers["series"][0]["x"] == [1e-6, 1e-4, 1e-2, 1]
    assert "log" not in data.validation_curve([Series("", [1, 2, 3, 4], [1, 2, 3, 4])], param="depth")


@pytest.mark.parametrize("values", [[(10,), (10, 5)], [None, 3, "sqrt"], [True, False], np.array(["a", "b"]), "ab"])
def test_params_of_any_kind_are_places(values):
    plot = data.validation_curve([Series("", values, range(len(values)))], param="p")
    assert plot["series"][0]["x"] == [str(value) for value in values]


def test_a_heat_map_has_its_holes():
    plot = through_json(data.heat_map([1, 2], ["a", "b"], [[1, math.nan], [3, 4]], xlabel="C", ylabel="kernel"))
    assert math.isnan(plot["values"][0][1])
    assert plot["columns"] == ["1", "2"]
    with pytest.raises(ValueError, match="at most 1,000 cells"):
        data.heat_map(range(40), range(40), np.zeros((40, 40)), xlabel="", ylabel="")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"\xff", "no JSON"),
        (b"[]", "no plots"),
        (b'{"version": 1, "plots": []}', "no plots"),
        (b'{"version": 2, "plots": {}}', "version 2"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(content, reason):
    with pytest.raises(PlotError, match=reason):
        from_json(content)


def test_what_is_unknown_in_a_file_is_left_as_it_is():
    document = {"version": 1, "plots": {"new": {"kind": "sankey", "links": [1, "NaN"]}, "bad": 3}, "more": True}
    assert from_json(json.dumps(document)) == {"new": {"kind": "sankey", "links": [1, "NaN"]}}
