"""Models under a registered name: what it is kept in, and how it is loaded by it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV

import autotrack
from autotrack.cli.app import app
from autotrack.errors import ModelError, SettingsError
from autotrack.events import ModelLogged
from autotrack.stores import open_store
from autotrack.testing.samples import Journal


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


def test_the_latest_is_the_greatest_version_however_its_run_ended(store: Path) -> None:
    autotrack.autolog(store=store)

    def record(alpha: float, *, fails: bool) -> None:
        with autotrack.start_run() as run:
            with autotrack.disabled():
                model = fit(alpha)
            run.log_model(model, registered_model_name="m")
            assert autotrack.load_model("models:/m/latest").alpha == alpha, "while its run goes on"
            if fails:
                raise RuntimeError("after the model was recorded")

    record(1.0, fails=False)
    with pytest.raises(RuntimeError):
        record(2.0, fails=True)

    assert autotrack.load_model("models:/m/latest").alpha == 2.0
    assert autotrack.load_model("models:/m/1").alpha == 1.0


def test_names_with_blanks_quotes_and_signs(store: Path) -> None:
    for number, name in enumerate(["my model", "it's", "a@b", "prix \N{EURO SIGN}"], 1):
        autotrack.autolog(store=store, registered_model_name=name)
        fit(float(number))
        autotrack.set_model_alias(name, "champion", 1)
        assert autotrack.load_model(f"models:/{name}/1").alpha == number
        assert autotrack.load_model(f"models:/{name}@champion").alpha == number


def test_a_name_with_a_slash_that_an_earlier_autotrack_took_is_counted(store: Path) -> None:
    autotrack.autolog(store=store)
    for alpha in (1.0, 2.0):
        fit(alpha)
    autotrack.flush()
    model = autotrack.get_run("latest").models[0]
    for run in reversed(open_store(str(store)).search_runs()):
        told = ModelLogged(run.run_id, replace(model, registered_model_name="team/price", digest=""))
        open_store(str(store)).apply(Journal("20990101T000000-" + run.run_id[:12]).entries(told))
    assert autotrack.load_model("models:/team/price/1").alpha == 1.0
    assert autotrack.load_model("models:/team/price/latest").alpha == 2.0
    with pytest.raises(ModelError, match="keeps no aliases .*only counted there"):
        autotrack.load_model("models:/team/price@champion")
    with pytest.raises(ModelError, match="has no version 3 .*versions 1 to 2"):
        autotrack.load_model("models:/team/price/3")
    assert autotrack.list_registered_models() == []


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("models:/price/4", r"'price' has no version 4 .*It has versions 1 to 3, and the aliases best → 2"),
        ("models:/price/0", r"has no version 0"),
        ("models:/prize/1", r"no model 'prize' is registered .*there are 'price'.*registered_model_name="),
        ("models:/price@champion", r"has no alias 'champion' .*the aliases best → 2"),
        ("models:/price", r"names no version .*models:/churn/3.*It has versions 1 to 3, and the aliases best → 2"),
        ("models:/prize", r"names no version .*no model 'prize' is registered"),
        ("models:/", r"names no version of a registered model"),
        ("models:/price/Production", r"no version in the stage 'Production' .*It has versions 1 to 3"),
        ("models:/price/-1", r"'-1' is no version: a number, 'latest' or a stage"),
        ("models:/price/best", r"'best' is no version.*'models:/price@best'"),
    ],
)
def test_what_cannot_be_loaded_is_said_with_what_there_is(uri: str, message: str, named: Path) -> None:
    autotrack.set_model_alias("price", "best", 2)
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


@pytest.mark.parametrize(
    ("name", "message"), [("", "needs a name"), ("  ", "needs a name"), ("a/b", "no '/' and no ':'"), ("a:b", "no '/'")]
)
def test_a_name_that_cannot_be_is_refused(name: str, message: str, logged: Path) -> None:
    fit(1.0)
    with pytest.raises(SettingsError, match=message):
        autotrack.log_model(Ridge(), "other", registered_model_name=name)
    with pytest.raises(SettingsError, match=message):
        autotrack.autolog(registered_model_name=name)


def test_a_name_is_kept_in_a_memory_store_too() -> None:
    autotrack.autolog(store="memory:registered", registered_model_name="m")
    fit(4.0)
    loaded: Any = autotrack.load_model("models:/m/latest")
    assert loaded.alpha == 4.0
