"""Keyword > environment > pyproject > default, and errors that name the thing, the value and the way out."""

from __future__ import annotations

import os

import pytest

import autotrack
from autotrack import settings


def test_a_keyword_wins_over_the_environment_over_pyproject_over_the_default(tmp_path, monkeypatch):
    assert settings.resolve({}).max_metric_rows == 100_000
    (tmp_path / "pyproject.toml").write_text("[tool.autotrack]\nmax_metric_rows = 3\nlog_models = false\n")
    assert settings.resolve({}).max_metric_rows == 3
    monkeypatch.setenv("AUTOTRACK_MAX_METRIC_ROWS", "2")
    assert settings.resolve({}).max_metric_rows == 2
    assert settings.resolve({"max_metric_rows": 1}).max_metric_rows == 1
    assert settings.resolve({}).log_models is False


def test_the_store_is_found_in_the_same_order(tmp_path, monkeypatch):
    assert settings.store_uri() == str(tmp_path / ".autotrack")
    (tmp_path / "pyproject.toml").write_text("[tool.autotrack]\nstore = 'from-pyproject'\n")
    assert settings.store_uri() == str(tmp_path / "from-pyproject")
    monkeypatch.setenv("AUTOTRACK_STORE", "from-environment")
    assert settings.store_uri() == str(tmp_path / "from-environment")
    autotrack.set_store("from-call")
    assert settings.store_uri() == str(tmp_path / "from-call")
    with autotrack.use_store("memory:x"):
        assert settings.store_uri() == "memory:x"
        with autotrack.use_store("deeper"):
            assert settings.store_uri() == str(tmp_path / "deeper")
        assert settings.store_uri() == "memory:x"
    autotrack.set_store(None)
    assert settings.store_uri() == str(tmp_path / "from-environment")


def test_the_nearest_folder_upwards_is_the_default(tmp_path, monkeypatch):
    (tmp_path / ".autotrack").mkdir()
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a" / "b")
    assert settings.store_uri() == str(tmp_path / ".autotrack")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"log_model": True}, r"autolog\(\) has no option 'log_model'; did you mean log_models"),
        ({"log_metrics": True}, r"no option 'log_metrics': it is one of MLflow's .*leave it out"),
        ({"zzz": 1}, r"no option 'zzz'; the options are store, experiment"),
        ({"log_models": "maybe"}, "log_models='maybe': expected true or false"),
        ({"max_metric_rows": 0}, "max_metric_rows=0: expected a whole number from 1 up"),
        ({"max_metric_rows": "many"}, "max_metric_rows='many'"),
        ({"max_metric_rows": float("inf")}, "max_metric_rows=inf: expected a whole number"),
        ({"max_tuning_runs": -1}, "max_tuning_runs=-1: expected a whole number from 0 up"),
        ({"serialization_format": "joblib"}, "'joblib': expected one of cloudpickle, pickle, skops"),
        ({"registered_model_name": ""}, "registered_model_name='': a registered model needs a name"),
        ({"progress": "perhaps"}, "progress='perhaps': expected true or false"),
        ({"extra_tags": ["a"]}, "extra_tags=.*mapping"),
        ({"integrations": ["sklern"]}, "integrations=.*sklern.*sklearn, matplotlib"),
        ({"integrations": 5}, "integrations=5: expected a list"),
        ({"store": ""}, "store='': a store is a URI or a folder"),
        ({"store": 7}, "store=7"),
        ({"experiment": " "}, "experiment=' '"),
        ({"pos_label": True}, "pos_label=True"),
    ],
)
def test_a_bad_option_is_refused_with_the_way_out(options, message):
    with pytest.raises(autotrack.SettingsError, match=message):
        autotrack.autolog(**options)
    assert not autotrack.is_enabled()


def test_a_bad_environment_variable_is_named(monkeypatch):
    monkeypatch.setenv("AUTOTRACK_LOG_MODELS", "perhaps")
    with pytest.raises(autotrack.SettingsError, match="AUTOTRACK_LOG_MODELS='perhaps'"):
        autotrack.autolog()


def test_a_bad_key_in_pyproject_is_named(tmp_path):
    (tmp_path / "pyproject.toml").write_text("[tool.autotrack]\nstor = 'x'\n")
    with pytest.raises(autotrack.SettingsError, match=r"\[tool.autotrack\] in pyproject.toml has no option 'stor'"):
        autotrack.autolog()


def test_tags_and_names_can_be_written_in_the_environment(monkeypatch):
    monkeypatch.setenv("AUTOTRACK_EXTRA_TAGS", "team=blue, stage=dev")
    monkeypatch.setenv("AUTOTRACK_INTEGRATIONS", "sklearn")
    found = settings.resolve({})
    assert found.extra_tags == {"team": "blue", "stage": "dev"}
    assert found.integrations == ("sklearn",)


def test_a_store_that_cannot_be_written_to_is_refused_at_once():
    with pytest.raises(autotrack.StoreError, match="redis://somewhere"):
        autotrack.autolog(store="redis://somewhere")


def test_a_relative_store_means_the_folder_of_now(tmp_path):
    autotrack.set_store("mine")
    (tmp_path / "elsewhere").mkdir()
    os.chdir(tmp_path / "elsewhere")
    assert settings.store_uri() == str(tmp_path / "mine")
