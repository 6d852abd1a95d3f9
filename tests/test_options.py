"""Every option of `autolog()`: documented in one place, and both its settings do what they say.

``store``, ``experiment`` (`tests/test_settings.py`), ``log_plots``, ``max_tuning_runs`` and ``progress`` have tests
beside what they switch.
"""

from __future__ import annotations

import ast
import logging
import re
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.metrics import f1_score, precision_score, r2_score
from sklearn.preprocessing import FunctionTransformer

import autotrack
from autotrack.models import read_mlmodel
from autotrack.query.view import RunView
from autotrack.settings import OPTIONS, Settings

ROOT = Path(autotrack.__file__).parent.parent
PAGE = (ROOT / "docs" / "options.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")

X = np.arange(12.0).reshape(-1, 2)
y = np.array([0.0, 1.0, 3.0, 4.0, 5.0, 9.0])
classes = np.array(["no", "no", "no", "yes", "no", "yes"])


@pytest.fixture
def fit(store: Path) -> Callable[..., RunView]:
    """Fit a model with these options, and give its run."""

    def fit_it(model: Any = None, target: Any = y, **options: Any) -> RunView:
        autotrack.autolog(store=store, **options)
        (Ridge() if model is None else model).fit(X, target)
        autotrack.flush()
        return autotrack.get_run("latest")

    return fit_it


def documented() -> dict[str, tuple[str, str]]:
    """Option → its default as the page writes it, and what the page says of it."""
    found = re.findall(
        r"^## `(\w+)`\n\nDefault: (.*?); environment `AUTOTRACK_(\w+)`\.\n\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S
    )
    assert all(variable == name.upper() for name, _, variable, _ in found)
    return {name: (default, body) for name, default, _, body in found}


def test_every_option_is_documented_in_the_order_of_the_settings() -> None:
    assert tuple(documented()) == OPTIONS
    assert re.findall(r"^## `(\w+)`", PAGE, re.M) == list(OPTIONS)


@pytest.mark.parametrize("name", OPTIONS)
def test_both_settings_and_the_default_are_documented(name: str) -> None:
    default, body = documented()[name]
    assert len(re.findall(r"^- \S", body, re.M)) >= 2
    row = re.search(rf"^\| `{name}` \| (.*?) \|", README, re.M)
    assert row is not None
    assert row[1] == default
    if re.fullmatch(r"`[^`]*`", default):
        assert ast.literal_eval(default.strip("`")) == getattr(Settings(), name)
    else:
        assert not getattr(Settings(), name), "a default in words is for an empty one"


def test_log_models(fit: Callable[..., RunView]) -> None:
    assert [model.path for model in fit(log_models=True).models] == ["model"]
    run = fit(log_models=False)
    assert run.models == []
    assert not [path for path in run.artifacts if path.startswith("model/")]
    assert "training_r2_score" in run.metrics


def test_log_model_signatures(fit: Callable[..., RunView]) -> None:
    signature = read_mlmodel(fit(log_model_signatures=True).artifact_path("model")).signature
    assert signature is not None
    assert "float64" in signature.inputs_json()
    assert read_mlmodel(fit(log_model_signatures=False).artifact_path("model")).signature is None


def test_log_input_examples(fit: Callable[..., RunView]) -> None:
    assert "model/input_example.json" not in fit(log_input_examples=False).artifacts
    run = fit(log_input_examples=True)
    assert run.artifact_path("model/input_example.json").read_text() == str(X[:5].tolist())


def test_log_datasets(fit: Callable[..., RunView]) -> None:
    (dataset,) = fit(log_datasets=True).datasets
    assert (dataset.shape, dataset.context) == ((6, 2), "train")
    assert fit(log_datasets=False).datasets == []


def test_log_post_training_metrics(store: Path) -> None:
    found = []
    for wanted in (True, False):
        autotrack.autolog(store=store, log_post_training_metrics=wanted)
        model = Ridge().fit(X, y)
        model.score(X, y)
        r2_score(y, model.predict(X))
        autotrack.flush()
        run = autotrack.get_run("latest")
        found.append({key for key in run.metrics if not key.startswith("training_")} - {"fit_seconds"})
    assert found == [{"Ridge_score_X", "r2_score_X"}, set()]


def test_max_metric_rows(fit: Callable[..., RunView]) -> None:
    few, all_ = fit(max_metric_rows=3), fit(max_metric_rows=6)
    assert few.tags["training_metrics_rows"].startswith("3 of 6")
    assert "training_metrics_rows" not in all_.tags
    assert all_.metrics["training_r2_score"] == pytest.approx(r2_score(y, Ridge().fit(X, y).predict(X)), abs=1e-12)
    assert few.metrics["training_r2_score"] != all_.metrics["training_r2_score"]


@pytest.mark.parametrize("label", ["yes", "no"])
def test_pos_label(label: str, fit: Callable[..., RunView]) -> None:
    model = LogisticRegression(C=0.01)
    weighted = fit(model, classes, pos_label=None).metrics
    binary = fit(model, classes, pos_label=label).metrics
    with autotrack.disabled(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        predicted = model.predict(X)
        for name, score in {"precision_score": precision_score, "f1_score": f1_score}.items():
            assert weighted[f"training_{name}"] == pytest.approx(score(classes, predicted, average="weighted"))
            assert binary[f"training_{name}"] == pytest.approx(score(classes, predicted, pos_label=label))


def test_extra_tags(fit: Callable[..., RunView]) -> None:
    assert "team" not in fit().tags
    tags = fit(extra_tags={"team": "pricing", "number": 3}).tags
    assert (tags["team"], tags["number"], tags["estimator_name"]) == ("pricing", "3", "Ridge")


def test_registered_model_name(fit: Callable[..., RunView]) -> None:
    assert fit(registered_model_name=None).models[0].registered_model_name is None
    assert fit(registered_model_name="price").models[0].registered_model_name == "price"
    assert isinstance(autotrack.load_model("models:/price/latest"), Ridge)


@pytest.mark.parametrize(
    ("form", "file"), [("cloudpickle", "model.pkl"), ("pickle", "model.pkl"), ("skops", "model.skops")]
)
def test_serialization_format(form: str, file: str, fit: Callable[..., RunView]) -> None:
    if form == "skops":
        pytest.importorskip("skops")
    run = fit(serialization_format=form)
    assert run.models[0].serialization_format == form
    assert f"model/{file}" in run.artifacts
    np.testing.assert_array_equal(run.model().predict(X), Ridge().fit(X, y).predict(X))
    with autotrack.start_run() as by_hand:
        by_hand.log_model(Ridge().fit(X, y), "mine")
        by_hand.log_model(Ridge().fit(X, y), "other", serialization_format="pickle")
    forms = {model.path: model.serialization_format for model in autotrack.get_run(by_hand.run_id).models}
    assert forms == {"model": form, "mine": form, "other": "pickle"}


class InScript(Ridge):
    """Looks as if the script had defined it."""


@pytest.mark.parametrize("form", ["cloudpickle", "pickle"])
def test_a_pickle_that_loads_nowhere_else_is_said_on_the_run_and_once_on_stderr(
    form: str, fit: Callable[..., RunView], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(InScript, "__module__", "__main__")
    monkeypatch.setattr(sys.modules["__main__"], "InScript", InScript, raising=False)
    with caplog.at_level(logging.WARNING, logger="autotrack"):
        run = fit(InScript(), serialization_format=form)
        InScript().fit(X, y)
    said = [note.message for note in run.notes if note.subject == "model"]
    expected = int(form == "pickle")
    assert len(said) == expected
    assert caplog.text.count("only names what the script itself defines (InScript)") == expected


def test_skops_that_is_not_installed_is_said_at_once(monkeypatch: pytest.MonkeyPatch, store: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(autotrack.SettingsError, match=r"pip install 'autotrack\[skops\]'"):
        autotrack.autolog(store=store, serialization_format="skops")


def test_exclusive(store: Path) -> None:
    for exclusive in (False, True):
        autotrack.autolog(store=store, exclusive=exclusive)
        with autotrack.start_run(f"by hand {exclusive}") as run:
            Ridge(alpha=2.0).fit(X, y)
            Ridge(alpha=3.0).fit(X, y)
        Ridge(alpha=4.0).fit(X, y)
        autotrack.flush()
        view = autotrack.get_run(run.run_id)
        assert view.params.get("alpha") == (None if exclusive else "2.0")
        assert [child.params["alpha"] for child in view.children] == ([] if exclusive else ["3.0"])
        assert bool(view.models) is not exclusive
        assert autotrack.get_run("latest").params["alpha"] == "4.0"


def test_integrations(store: Path, tmp_path: Path) -> None:
    for names, with_model, with_figure in (
        (None, True, True),
        (["sklearn"], True, False),
        (["matplotlib"], False, True),
        ([], False, False),
    ):
        options = {} if names is None else {"integrations": names}
        autotrack.autolog(store=store, **options)
        with autotrack.start_run() as run:
            LinearRegression().fit(X, y)
            Figure().savefig(tmp_path / "figure.png")
        autotrack.flush()
        view = autotrack.get_run(run.run_id)
        assert bool(view.models) is with_model
        assert ("figure.png" in view.artifacts) is with_figure
        autotrack.autolog(disable=True)


@pytest.mark.allow_swallowed
@pytest.mark.parametrize("silent", [False, True])
def test_silent(
    silent: bool, fit: Callable[..., RunView], caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """It silences us, and neither the user's warnings nor his logging."""

    class Loud(FunctionTransformer):
        def fit(self, X: Any, y: Any = None) -> Any:
            warnings.warn("mine", UserWarning, stacklevel=2)
            logging.getLogger("user").warning("mine too")
            print("and mine")
            return self

        def predict(self, X: Any) -> Any:
            return X

    with caplog.at_level(logging.WARNING), pytest.warns(UserWarning, match="mine"):
        run = fit(Loud(lambda X: X), serialization_format="pickle", silent=silent)

    ours = [record for record in caplog.records if record.name.startswith("autotrack")]
    assert bool(ours) is not silent
    assert [record.getMessage() for record in caplog.records if record.name == "user"] == ["mine too"]
    assert capfd.readouterr() == ("and mine\n", "")
    assert [note.subject for note in run.notes if note.kind == "skipped"] == ["model"]
    assert run.status == "FINISHED"


@pytest.mark.parametrize("pos_label", [1, "1"])
def test_pos_label_names_a_class_by_value_or_by_its_text(fit, pos_label):
    run = fit(LogisticRegression(), [2, 1, 1, 2, 1, 2], pos_label=pos_label)
    with autotrack.disabled():
        predicted = run.model().predict(X)
        expected = f1_score([2, 1, 1, 2, 1, 2], predicted, pos_label=1)
    assert run.metrics["training_f1_score"] == pytest.approx(expected, abs=1e-12)
    assert run.tags["positive_class"] == "1"


def test_a_pos_label_that_is_no_class_is_told(fit):
    run = fit(LogisticRegression(), classes, pos_label="perhaps")
    assert "training_f1_score" not in run.metrics
    (note,) = run.capture_report.skipped
    assert note.message == "pos_label='perhaps' is no class of the target ('no', 'yes')"
