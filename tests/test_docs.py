"""The documents tell the truth: their code runs, and every option, command and public name stands in them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from sklearn.cluster import KMeans
from sklearn.datasets import load_breast_cancer
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.naive_bayes import GaussianNB
from sklearn.tree import DecisionTreeRegressor

import autotrack
from autotrack.cli.app import app
from autotrack.integrations import KNOWN
from autotrack.settings import OPTIONS, Settings

ROOT = Path(autotrack.__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = sorted((ROOT / "docs").glob("*.md"))


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


def run(code: str, folder: Path) -> None:
    (folder / "page.py").write_text(code, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "page.py"], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_readmes_python_runs_from_top_to_bottom(tmp_path):
    run("\n".join(blocks(README, "python")), tmp_path)
    assert len(autotrack.search_runs(store=tmp_path / ".autotrack")) >= 2


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_the_python_in_the_docs_runs(path, tmp_path):
    run("\n".join(blocks(path.read_text(encoding="utf-8"), "python")), tmp_path)


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_stands_in_the_readme(option):
    assert f"| `{option}` |" in README
    assert re.search(rf"^ *{option} : ", Settings.__doc__, flags=re.MULTILINE)


@pytest.mark.parametrize("name", [*app.list_commands(None), *KNOWN])
def test_every_command_and_integration_stands_in_the_readme(name):
    assert f"`autotrack {name}`" in README or f"`{name}`" in README


@pytest.mark.parametrize("name", [name for name in autotrack.__all__ if name.islower()])
def test_every_public_function_stands_in_the_documents(name):
    documents = README + "".join(path.read_text(encoding="utf-8") for path in PAGES)
    assert re.search(rf"\b{name}\b", documents)


def test_links_between_the_documents_lead_somewhere():
    for document in [ROOT / "README.md", *PAGES]:
        for target in re.findall(r"\]\(([^)#]+?)\)", document.read_text(encoding="utf-8")):
            assert "://" in target or (document.parent / target).exists(), f"{document.name}: {target}"


def test_the_commands_of_the_readme_exist():
    assert set(re.findall(r"^\$ autotrack (\w+)", README, flags=re.MULTILINE)) <= set(app.list_commands(None))
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^\$ make (\w+)", README, flags=re.MULTILINE):
        assert f"\n{target}:" in makefile


def test_every_training_metric_of_common_models_stands_on_the_page_of_what_is_recorded(logged):
    page = (ROOT / "docs" / "recording.md").read_text(encoding="utf-8")
    X, y = load_breast_cancer(return_X_y=True)
    models = [
        GaussianNB(),
        DecisionTreeRegressor(max_depth=3),
        KMeans(2, n_init=1),
        PCA(3),
        IsolationForest(n_estimators=20),
    ]
    for model in models:
        model.fit(X, y)
    autotrack.flush()
    for name in [type(model).__name__ for model in models]:
        run = autotrack.get_run(name)
        recorded = {*run.metrics, *run.plots} - {"fit_seconds"}
        assert recorded, name
        assert {key for key in recorded if f"`{key}`" not in page} <= {"training_noise_variance"}, name
