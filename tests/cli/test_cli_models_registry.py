"""``autotrack models register|list|show|alias|delete|diff``."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

import autotrack
from autotrack.cli import output
from autotrack.cli.app import app

Ask = Callable[..., str]


@pytest.fixture
def runs(store: Path) -> list[str]:
    """Two runs on different columns; the first was registered as ``iris`` while it was logged."""
    X, y = load_iris(return_X_y=True, as_frame=True)
    autotrack.autolog(store=store, registered_model_name="iris")
    LogisticRegression(max_iter=500, C=0.5).fit(X, y)
    autotrack.autolog(store=store, registered_model_name=None)
    LogisticRegression(max_iter=500, C=2.0).fit(X.iloc[:, :2], y)
    autotrack.flush()
    return [run.run_id for run in reversed(autotrack.open_store(str(store)).search_runs())]


@pytest.fixture
def models(call: Callable[..., Result], store: Path) -> Ask:
    def run(command: str, *arguments: str, code: int = 0, width: int = 160) -> str:
        result = call("models", command, *arguments, "--store", str(store), width=width)
        assert result.exit_code == code, result.output
        return result.output if code else result.stdout

    return run


def test_a_run_s_model_is_registered_listed_shown_and_loaded(runs: list[str], models: Ask) -> None:
    said = models("register", "latest", "iris", "--alias", "champion", "--description", "two columns", "--tag", "by=me")
    assert said == "Registered iris version 2, champion points to it: models:/iris/2\n"
    assert autotrack.load_model("models:/iris@champion").C == 2.0
    assert autotrack.load_model("models:/iris/1").C == 0.5

    listed = models("list").split()
    assert listed[:5] == ["name", "latest", "aliases", "created", "description"]
    assert listed[5:10] == ["iris", "2", "champion", "→", "2"]
    (row,) = json.loads(models("list", "--format", "json"))
    assert (row["name"], row["latest_version"], row["aliases"]) == ("iris", 2, {"champion": 2})
    header, row = csv.reader(io.StringIO(models("list", "--format", "csv")))
    assert dict(zip(header, row, strict=True))["aliases"] == "champion=2"

    text = models("show", "iris")
    assert text.startswith("iris\n")
    assert [line.split()[:2] for line in text.splitlines()[2:]][1] == ["2", "champion"]
    assert all(run_id[:8] in text for run_id in runs)
    assert "two columns" in text
    whole = json.loads(models("show", "iris", "--format", "json"))
    assert [version["run_id"] for version in whole["versions"]] == runs
    assert [version["tags"] for version in whole["versions"]] == [{}, {"by": "me"}]
    assert len(list(csv.reader(io.StringIO(models("show", "iris", "--format", "csv"))))) == 3

    for reference in ("iris/2", "iris@champion", "models:/iris/latest"):
        text = models("show", reference)
        for part in ("iris version 2", "two columns", "tag by", runs[1], "LogisticRegression", "training_score"):
            assert part in text
        assert "autotrack.load_model('models:/iris/2')" in text
        assert json.loads(models("show", reference, "--format", "json"))["version"] == 2


@pytest.mark.parametrize("how", ["{0}", "{0}:model", "runs:/{0}/model", "models:/iris/1", "iris/1"])
def test_ways_to_name_the_model_that_is_registered(how: str, runs: list[str], models: Ask) -> None:
    models("register", how.format(runs[0]), "other")
    (version,) = autotrack.list_model_versions("other")
    assert (version.run_id, version.path) == (runs[0], "model")
    assert version.digest.startswith("sha256:")


def test_what_cannot_be_registered_is_said(runs: list[str], models: Ask) -> None:
    assert "no run 'nothing'" in models("register", "nothing", "m", code=1)
    assert "has no model 'other'; it has 'model'" in models("register", "latest:other", "m", code=1)
    assert "without '/'" in models("register", "latest", "a/b", code=1)
    assert "would read as a version" in models("register", "latest", "m", "--alias", "v2", code=1)
    assert "write key=value" in models("register", "latest", "m", "--tag", "x", code=2)
    assert [model.name for model in autotrack.list_registered_models()] == ["iris"], "nothing was made"


def test_an_alias_moves_and_goes(runs: list[str], models: Ask) -> None:
    models("register", "latest", "iris")
    assert models("alias", "iris", "champion", "1") == "iris@champion is version 1 now.\n"
    assert models("alias", "iris", "champion", "latest") == "iris@champion is version 2 now.\n"
    assert models("alias", "iris", "old", "@champion") == "iris@old is version 2 now.\n"
    assert autotrack.get_registered_model("iris").aliases == {"champion": 2, "old": 2}
    assert models("alias", "iris", "old", "--delete") == "The alias old of iris is gone.\n"
    assert "has no alias 'old'" in models("alias", "iris", "old", "--delete", code=1)
    assert "has no version 7" in models("alias", "iris", "x", "7", code=1)
    assert "not both" in models("alias", "iris", "x", code=2)
    assert "not both" in models("alias", "iris", "x", "1", "--delete", code=2)


def test_deleting_asks_and_keeps_what_an_alias_names(
    runs: list[str], models: Ask, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models("register", "latest", "iris", "--alias", "champion")
    assert "give --yes" in models("delete", "iris/1", code=2)
    assert "champion" in models("delete", "iris/2", "--yes", code=1)
    assert "champion" in models("delete", "iris", "--yes", code=1)
    assert "by its number" in models("delete", "iris@champion", "--yes", code=2)

    monkeypatch.setattr(output, "can_ask", lambda: True)
    arguments = ["models", "delete", "iris/1", "--store", str(store)]
    refused = CliRunner().invoke(app, arguments, input="n\n")
    assert (refused.exit_code, len(autotrack.list_model_versions("iris"))) == (1, 2)
    assert "Deleted iris version 1." in CliRunner().invoke(app, arguments, input="y\n").output
    models("alias", "iris", "champion", "--delete")
    assert models("delete", "iris", "--yes") == "Deleted iris with 1 version.\n"
    assert "No model is registered" in models("list")
    assert len(autotrack.search_runs()) == 2


def test_a_diff_tells_what_two_models_differ_in(runs: list[str], models: Ask, store: Path) -> None:
    models("register", "latest", "iris")
    table = models("diff", "iris/1", "iris/2", width=90)
    for part in (
        "iris/1",
        "iris/2",
        "Params",
        "C",
        "0.5",
        "Metrics",
        "Signature",
        "input petal length (cm)",
        "Datasets",
    ):
        assert part in table
    assert table.count("Params") == 1, "side by side"
    assert "scikit-learn" not in table, "what is equal is left out"

    found = json.loads(models("diff", "iris/1", "iris/2", "--format", "json"))
    assert found["params"] == {"C": {"iris/1": "0.5", "iris/2": "2.0"}}
    assert found["signature"] == {
        f"input petal {what} (cm)": {"iris/1": "double", "iris/2": None} for what in ("length", "width")
    }
    assert found["model"]["digest"]["iris/1"] != found["model"]["digest"]["iris/2"]
    assert "training_score" in found["metrics"]
    assert "requirements" not in found
    assert [run["run_id"] for run in found["runs"]] == runs

    everything = json.loads(models("diff", "iris/1", "iris/2", "--all", "--format", "json"))
    assert everything["requirements"]["scikit-learn"]["iris/1"]
    assert everything["versions"]["python"]["iris/2"]
    assert everything["params"]["max_iter"] == {"iris/1": "500", "iris/2": "500"}
    header, *rows = csv.reader(io.StringIO(models("diff", "iris/1", f"{runs[1]}:model", "--format", "csv")))
    assert header == ["kind", "key", "iris/1", f"{runs[1][:8]}:model"]
    assert ["params", "C", "0.5", "2.0"] in rows


def test_a_diff_of_requirements_and_of_a_model_that_is_damaged(runs: list[str], models: Ask, store: Path) -> None:
    file = store / "artifacts" / runs[1] / "model" / "requirements.txt"
    file.write_text(file.read_text().replace("scikit-learn==", "scikit-learn==0.") + "extra  # a comment\n")
    found = json.loads(models("diff", f"runs:/{runs[0]}/model", runs[1], "--format", "json"))
    assert found["requirements"]["scikit-learn"][f"{runs[1][:8]}:model"].startswith("0.")
    assert found["requirements"]["extra"] == {f"{runs[0][:8]}:model": None, f"{runs[1][:8]}:model": "any"}
    file.unlink()
    file.with_name("MLmodel").write_text("!!python/object/apply:os.system ['false']")
    found = json.loads(models("diff", f"runs:/{runs[0]}/model", runs[1], "--format", "json"))
    assert "MLmodel" in found["signature"]["(cannot be read)"][f"{runs[1][:8]}:model"]
    assert "(cannot be read)" in found["requirements"]


def test_what_a_terminal_would_obey_is_escaped(runs: list[str], models: Ask) -> None:
    name = "evil\x1b[31m\nname"
    autotrack.register_model(f"runs:/{runs[0]}/model", name, description="d\x1b[2J", tags={"t\x1b": "v\x1b"})
    autotrack.register_model(f"runs:/{runs[1]}/model", name)
    for arguments in (("list",), ("show", name), ("show", f"{name}/1"), ("diff", f"{name}/1", f"{name}/2")):
        for form in ("table", "json"):
            assert "\x1b" not in models(*arguments, "--format", form)
    assert "\x1b" not in models("delete", name, "--yes")


def test_an_empty_store_has_no_models(models: Ask) -> None:
    assert "No model is registered" in models("list")
    assert json.loads(models("list", "--format", "json")) == []
    assert "no model is registered as 'm'" in models("show", "m", code=1)


def test_unknown_classes_are_compared_too(store: Path, models: Ask) -> None:
    autotrack.autolog(store=store, registered_model_name="m")
    X, y = load_iris(return_X_y=True)
    DecisionTreeClassifier(max_depth=2).fit(X, y)
    LogisticRegression(max_iter=500).fit(X, y)
    autotrack.flush()
    found = json.loads(models("diff", "m/1", "m/2", "--format", "json"))
    assert found["model"]["estimator_class"]["m/1"].endswith("DecisionTreeClassifier")
    assert found["params"]["max_depth"] == {"m/1": "2", "m/2": None}


def test_tags_that_a_server_keeps_for_itself_are_not_shown(runs: list[str], models: Ask, store: Path) -> None:
    with closing(autotrack.open_store(str(store))) as opened:
        opened.update_model_version("iris", 1, tags={"autotrack.mlflow.stage": "Staging", "by": "me"})
        opened.update_registered_model("iris", tags={"autotrack.mlflow.updated": "1"})
    for shown in (models("show", "iris"), models("show", "iris/1"), models("show", "iris", "--format", "json")):
        assert "autotrack.mlflow" not in shown
        assert "Staging" in shown
    assert "tag by" in models("show", "iris/1")
