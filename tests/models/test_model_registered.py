"""Models under a registered name: what it is kept in, and how it is loaded by it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV

import autotrack
from autotrack.cli.app import app
from autotrack.errors import ModelError, SettingsError
from autotrack.stores import open_store


def fit(alpha: float) -> Ridge:
    return Ridge(alpha=alpha).fit([[0.0], [1.0], [2.0]], [0.0, 1.0, 3.0])


@pytest.fixture
def named(store: Path) -> Path:
    """Three models named ``price`` with alpha 1, 2, 3, and one without a name."""
    autotrack.autolog(store=store)
    fit(0.5)
    autotrack.autolog(store=store, registered_model_name="price")
    for alpha in (1.0, 2.0, 3.0):
        fit(alpha)
    autotrack.flush()
    return store


def test_every_run_s_model_carries_the_name(named: Path) -> None:
    (model,) = autotrack.get_run("latest").models
    assert model.registered_model_name == "price"
    assert autotrack.get_run("latest").to_dict()["models"][0]["registered_model_name"] == "price"
    with_and_without = [run.models[0].registered_model_name for run in open_store(str(named)).search_runs()]
    assert with_and_without == ["price", "price", "price", None]
    assert len(autotrack.search_runs("models.registered_model_name = 'price'")) == 3


def test_show_tells_the_name(named: Path) -> None:
    text = CliRunner().invoke(app, ["show", "--store", str(named)])
    assert "registered as price" in " ".join(text.output.split())
    data = CliRunner().invoke(app, ["show", "--store", str(named), "--format", "json"])
    assert json.loads(data.output)["models"][0]["registered_model_name"] == "price"


@pytest.mark.parametrize(("version", "alpha"), [("1", 1.0), ("2", 2.0), ("3", 3.0), ("03", 3.0), ("latest", 3.0)])
def test_a_version_is_loaded_by_its_number(version: str, alpha: float, named: Path) -> None:
    assert autotrack.load_model(f"models:/price/{version}").alpha == alpha
    assert autotrack.load_model(f"models:/price/{version}", store=named).alpha == alpha


def test_the_latest_is_of_a_run_that_finished(store: Path) -> None:
    autotrack.autolog(store=store)

    def record(alpha: float, *, fails: bool) -> None:
        with autotrack.start_run() as run:
            with autotrack.disabled():
                model = fit(alpha)
            run.log_model(model, registered_model_name="m")
            if fails:
                raise RuntimeError("after the model was recorded")

    with pytest.raises(RuntimeError):
        record(1.0, fails=True)
    with pytest.raises(ModelError, match=r"no run that finished has a model 'm'; load one of its version 1 by number"):
        autotrack.load_model("models:/m/latest")
    record(2.0, fails=False)
    with pytest.raises(RuntimeError):
        record(3.0, fails=True)

    assert autotrack.load_model("models:/m/latest").alpha == 2.0
    assert autotrack.load_model("models:/m/3").alpha == 3.0


def test_names_with_blanks_quotes_and_slashes(store: Path) -> None:
    for number, name in enumerate(["my model", "it's", "team/price", "prix \N{EURO SIGN}"], 1):
        autotrack.autolog(store=store, registered_model_name=name)
        fit(float(number))
        assert autotrack.load_model(f"models:/{name}/1").alpha == number


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("models:/price/4", r"'price' has no version 4 .*it has versions 1 to 3"),
        ("models:/price/0", r"has no version 0"),
        ("models:/prize/1", r"no model 'prize' is registered .*there are price.*registered_model_name="),
        ("models:/price@champion", r"there are no aliases yet; .*models:/churn/3"),
        ("models:/price", r"names no version of a registered model"),
        ("models:/", r"names no version of a registered model"),
        ("models:/price/Production", r"'Production' is no version"),
        ("models:/price/-1", r"'-1' is no version"),
    ],
)
def test_what_cannot_be_loaded_is_said_with_what_there_is(uri: str, message: str, named: Path) -> None:
    with pytest.raises(ModelError, match=message):
        autotrack.load_model(uri)


def test_the_children_of_a_search_do_not_register(store: Path) -> None:
    autotrack.autolog(store=store, registered_model_name="best")
    X, y = [[float(i)] for i in range(12)], [0, 1] * 6
    GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0, 10.0]}, cv=2).fit(X, y)
    autotrack.flush()

    runs = open_store(str(store)).search_runs("models.registered_model_name = 'best'")
    assert [run.parent_run_id for run in runs] == [None]
    assert [model.path for model in runs[0].models if model.registered_model_name] == ["model"]
    assert isinstance(autotrack.load_model("models:/best/latest"), GridSearchCV)


@pytest.mark.parametrize("name", ["", "  "])
def test_an_empty_name_is_refused(name: str, logged: Path) -> None:
    fit(1.0)
    with pytest.raises(SettingsError, match="a registered model needs a name"):
        autotrack.log_model(Ridge(), "other", registered_model_name=name)
    with pytest.raises(SettingsError, match="a registered model needs a name"):
        autotrack.autolog(registered_model_name=name)


def test_a_name_is_kept_in_a_memory_store_too() -> None:
    autotrack.autolog(store="memory:registered", registered_model_name="m")
    fit(4.0)
    loaded: Any = autotrack.load_model("models:/m/latest")
    assert loaded.alpha == 4.0
