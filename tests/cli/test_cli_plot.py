"""``autotrack plot``, the plots in ``autotrack show``, and plots of a run looked up in Python."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from matplotlib.figure import Figure

import autotrack
from autotrack.entities import Metric
from autotrack.errors import PlotError
from autotrack.events import MetricsLogged
from autotrack.plots import data
from autotrack.plots.data import Series
from autotrack.plots.files import to_json

ROC = data.roc_curve([Series("", [0, 0.2, 1], [0, 0.9, 1])], subtitle="SVC, test data")
MATRIX = data.confusion_matrix([[3, 1], [0, 4]], ["no", "yes"])


@pytest.fixture
def plot(call: Callable[..., Result], tmp_path: Path) -> Callable[..., Result]:
    def run(*arguments: str) -> Result:
        return call("plot", "--store", str(tmp_path / "store"), "--out", str(tmp_path / "out"), *arguments)

    return run


@pytest.fixture
def look(tmp_path: Path) -> Callable[[], autotrack.RunView]:
    return lambda: autotrack.get_run("latest", store=tmp_path / "store")


def training(recorder: Any, **more: bytes) -> None:
    content = to_json({"training_roc_curve": ROC, "training_confusion_matrix": MATRIX, "feature_importances": {}})
    files = {f"plots/{name}.json": text for name, text in more.items()}
    recorder.run("abcd", "SVC", files={"plots/training.json": content, "plots/figure.png": b"x"} | files)


def held_out(*names: str) -> dict[str, bytes]:
    return {name: to_json({name: ROC}) for name in names}


def test_one_plot_is_drawn(recorder: Any, plot: Callable[..., Result], tmp_path: Path) -> None:
    training(recorder)
    result = plot("latest", "training_roc_curve")
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{tmp_path}/out/training_roc_curve.png\n"
    assert (tmp_path / "out" / "training_roc_curve.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("format_", "beginning"), [("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_other_formats(
    recorder: Any, plot: Callable[..., Result], tmp_path: Path, format_: str, beginning: bytes
) -> None:
    training(recorder)
    assert plot("abcd", "confusion_matrix", "--format", format_).exit_code == 0
    assert (tmp_path / "out" / f"training_confusion_matrix.{format_}").read_bytes().startswith(beginning)


def test_all_plots_are_drawn_and_what_cannot_be_is_said(
    recorder: Any, plot: Callable[..., Result], tmp_path: Path
) -> None:
    training(recorder, broken=b"{", **held_out("roc_curve_X_test"))
    result = plot()
    assert result.exit_code == 1
    assert [Path(line).name for line in result.stdout.splitlines()] == [
        "roc_curve_X_test.png",
        "training_roc_curve.png",
        "training_confusion_matrix.png",
    ]
    assert "Not drawn: plots/broken.json cannot be read: it is no JSON" in result.stderr
    assert "Not drawn: feature_importances: a plot of kind None cannot be drawn" in result.stderr


def test_names_of_plots_lead_out_of_no_folder(recorder: Any, plot: Callable[..., Result], tmp_path: Path) -> None:
    content = to_json({"../../evil": ROC, "a/b": ROC, "a:b": ROC, "A?b": ROC, "..": ROC, "x" * 500: ROC})
    recorder.run("abcd", files={"plots/training.json": content})
    result = plot()
    assert result.exit_code == 0, result.output
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == sorted(["_.._evil.png", "a_b.png", "a_b-2.png", "A_b-3.png", "plot.png", "x" * 100 + ".png"])
    assert not list(tmp_path.glob("*.png"))


def test_a_short_name_means_held_out_data_first(recorder: Any, look: Callable[[], autotrack.RunView]) -> None:
    training(recorder)
    assert look().plot_data("roc_curve") == look().plot_data("training_roc_curve")
    training(recorder, **held_out("roc_curve_X_test"))
    assert look().plot_data("roc_curve")["subtitle"] == "SVC, test data"
    assert look().plots == [
        "roc_curve_X_test",
        "training_roc_curve",
        "training_confusion_matrix",
        "feature_importances",
    ]
    training(recorder, **held_out("roc_curve_X_test", "roc_curve-2_X_valid"))
    with pytest.raises(PlotError, match="may be any of these plots of run abcd.*roc_curve-2_X_valid, roc_curve_X_test"):
        look().plot("roc_curve")


def test_a_metric_of_several_steps_is_a_plot_too(recorder: Any, look: Callable[[], autotrack.RunView]) -> None:
    run_id = recorder.run("abcd", "MLPClassifier", metrics={"loss": 0.9, "once": 1.0})
    recorder.apply(MetricsLogged(run_id, tuple(Metric("loss", 0.9 / step, step, 0) for step in (1, 2, 3))))
    plot = look().plot_data("loss")
    assert plot["series"][0]["x"] == [0, 1, 2, 3]
    assert plot["series"][0]["y"] == [0.9, 0.9, 0.45, 0.3]
    assert look().plots == []
    with pytest.raises(PlotError, match="has no plots"):
        look().plot("once")


def test_a_plot_becomes_a_figure_of_the_size_asked_for(recorder: Any, look: Callable[[], autotrack.RunView]) -> None:
    training(recorder)
    figure = look().plot("confusion_matrix", size=(3, 2))
    assert isinstance(figure, Figure)
    assert tuple(figure.get_size_inches()) == (3, 2)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("rocs", "did you mean 'training_roc_curve'"),
        ("confusion", "did you mean 'training_confusion_matrix'"),
        ("zzz", "It has training_roc_curve, training_confusion_matrix, feature_importances"),
        ("", "It has training_roc_curve"),
    ],
)
def test_an_unknown_plot(recorder: Any, plot: Callable[..., Result], name: str, hint: str) -> None:
    training(recorder)
    result = plot("latest", name)
    assert result.exit_code == 1
    assert hint in result.stderr


def test_a_plot_named_without_its_run(recorder: Any, plot: Callable[..., Result]) -> None:
    training(recorder)
    result = plot("roc_curve")
    assert result.exit_code == 1
    assert "autotrack plot latest roc_curve" in result.stderr


def test_a_run_without_plots_says_why(recorder: Any, plot: Callable[..., Result], tmp_path: Path) -> None:
    recorder.run("abcd", "KMeans", files={"plots/figure.png": b"x"})
    for arguments in ((), ("latest", "roc_curve")):
        result = plot(*arguments)
        assert result.exit_code == 1
        assert "run abcd00000000 (KMeans) has no plots: log_plots was off" in result.stderr
    assert not (tmp_path / "out").exists()


def test_only_a_broken_file(recorder: Any, plot: Callable[..., Result]) -> None:
    recorder.run("abcd", "SVC", files={"plots/training.json": b'{"version": 7, "plots": {}}'})
    result = plot("latest", "roc_curve")
    assert "no plots that can be read\nplots/training.json cannot be read: it is of version 7" in result.stderr


def test_a_malformed_plot(recorder: Any, plot: Callable[..., Result]) -> None:
    content = to_json({"it": {"kind": "roc_curve", "series": [{"name": "without numbers"}]}})
    recorder.run("abcd", "SVC", files={"plots/training.json": content})
    result = plot("latest", "it")
    assert result.exit_code == 1
    assert "the roc_curve plot is malformed" in result.stderr


def test_show_lists_plots(recorder: Any, call: Callable[..., Result], tmp_path: Path) -> None:
    training(recorder, broken=b"{")
    where = ("--store", str(tmp_path / "store"))
    text = call("show", *where).stdout
    assert "Plots\n  training_roc_curve         ROC curve, SVC, test data\n" in text
    assert "plots/broken.json cannot be read" in text
    assert '.plot("training_roc_curve")' in text
    assert json.loads(call("show", "--format", "json", *where).stdout)["plots"] == [
        "training_roc_curve",
        "training_confusion_matrix",
        "feature_importances",
    ]


def test_help_lists_the_command(call: Callable[..., Result]) -> None:
    assert "Draw the plots of a run into files." in call("--help").stdout
    assert "autotrack plot latest roc_curve --out figures" in call("plot", "--help").stdout
