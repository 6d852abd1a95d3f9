"""The digest of a model folder: taken as it is written, or after; compared before anything is unpickled."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression, SGDClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

import autotrack
from autotrack import journal
from autotrack.digests import of_folder
from autotrack.entities import LoggedModel
from autotrack.errors import ModelError
from autotrack.events import ModelLogged
from autotrack.models import write_model
from autotrack.models.folder import HASHED

X = pd.DataFrame({"a": np.arange(60.0), "b": np.arange(60.0) % 7})
y = (X["a"] % 2).astype(int)


class Large(LinearRegression):  # type: ignore[misc]
    """A model whose file is too large to be hashed while somebody waits."""

    def fit(self, X: Any, y: Any) -> Large:
        super().fit(X, y)
        self.ballast_ = np.arange(HASHED // 8 + 1000, dtype=float)
        return self


def written(folder: Path, model: Any, **options: Any) -> LoggedModel:
    return write_model(folder, model, run_id="a" * 32, signature=None, created=0, **options)


@pytest.mark.parametrize("form", ["cloudpickle", "pickle", "skops"])
@pytest.mark.parametrize(
    "example", [None, X.head(3), X.head(3).to_numpy(), object()], ids=["none", "frame", "array", "odd"]
)
def test_the_digest_is_that_of_the_folder(form: str, example: Any, tmp_path: Path) -> None:
    if form == "skops":
        pytest.importorskip("skops")
    for number, model in enumerate((LogisticRegression(), make_pipeline(StandardScaler(), SGDClassifier()))):
        model.fit(X, y)
        folder = tmp_path / str(number)
        logged = written(folder, model, serialization_format=form, input_example=example, remark=lambda _: None)
        assert logged.digest == of_folder(folder)
        assert logged.digest.startswith("sha256:")
        assert logged.size == sum(file.stat().st_size for file in folder.iterdir())


@given(
    arrays=st.lists(st.integers(0, HASHED // 3), max_size=5),
    texts=st.lists(st.text(), max_size=5),
    form=st.sampled_from(["cloudpickle", "pickle"]),
)
@settings(max_examples=40, deadline=None)
def test_whatever_the_pickler_writes_the_digest_is_that_of_the_folder(
    tmp_path_factory: pytest.TempPathFactory, arrays: list[int], texts: list[str], form: str
) -> None:
    model = LinearRegression()
    model.texts_ = texts
    model.arrays_ = [np.ones(size, dtype=np.uint8) for size in arrays] + [np.ones((3, 4)).T]
    folder = tmp_path_factory.mktemp("digest") / "model"
    logged = written(folder, model, serialization_format=form)
    is_large = (folder / "model.pkl").stat().st_size > HASHED
    assert logged.digest == ("" if is_large else of_folder(folder))


def test_what_the_script_defines_is_hashed_too(tmp_path: Path) -> None:
    model = make_pipeline(FunctionTransformer(lambda X: X * 2), LinearRegression()).fit(X, y)
    assert written(tmp_path / "model", model).digest == of_folder(tmp_path / "model")


def test_every_fit_has_a_digest_at_once(logged: Path) -> None:
    LogisticRegression().fit(X, y)
    run = autotrack.get_run("latest")
    assert run.models[0].digest == of_folder(run.artifact_path("model"))


def test_a_large_model_has_its_digest_later(logged: Path) -> None:
    Large().fit(X, y)
    assert len(_digests(logged)) == 1
    autotrack.flush()
    run = autotrack.get_run("latest")
    assert run.models[0].digest == of_folder(run.artifact_path("model"))
    assert _digests(logged) == ["", run.models[0].digest]
    assert run.model().ballast_.sum() == Large().fit(X, y).ballast_.sum()


def test_a_model_logged_by_hand_has_a_digest(logged: Path) -> None:
    with autotrack.start_run("by hand") as run:
        run.log_model(LinearRegression().fit(X, y), "mine", registered_model_name="Mine")
        run.log_model(Large().fit(X, y), "large")
    autotrack.flush()
    view = autotrack.get_run("by hand")
    for model in view.models:
        assert model.digest == of_folder(view.artifact_path(model.path))
    assert autotrack.load_model("models:/Mine/latest").coef_.shape == (2,)


def test_a_file_that_is_added_to_a_model_counts(logged: Path) -> None:
    with autotrack.start_run("by hand") as run:
        run.log_model(LinearRegression().fit(X, y), "mine")
        run.log_text("a remark", "mine/remark.txt")
        run.log_text("another", "mine/deep/remark.txt")
        run.log_text("beside", "mine.txt")
    autotrack.flush()
    view = autotrack.get_run("by hand")
    mine = next(model for model in view.models if model.path == "mine")
    assert mine.digest == of_folder(view.artifact_path("mine"))
    assert view.model("mine").coef_.shape == (2,)


def test_a_step_of_a_warm_start_replaces_the_digest(logged: Path) -> None:
    forest = RandomForestClassifier(2, warm_start=True, random_state=0)
    for trees in (2, 4, 6):
        forest.set_params(n_estimators=trees).fit(X, y)
        run = autotrack.get_run("latest")
        assert run.models[0].digest == of_folder(run.artifact_path("model"))
        assert len(run.model().estimators_) == trees
    # Before a model is replaced, its digest is taken back: a process killed in between leaves none that is wrong.
    assert [bool(digest) for digest in _digests(logged)] == [True, False, True, False, True]


def test_a_partial_fit_loop_has_a_digest_in_the_end(logged: Path) -> None:
    model = SGDClassifier(random_state=0)
    for _ in range(3):
        model.partial_fit(X, y, classes=[0, 1])
    autotrack.autolog(disable=True)
    run = autotrack.get_run("latest", store=logged)
    assert run.models[0].digest == of_folder(run.artifact_path("model"))


class Trap:
    """Tells when it is unpickled."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.place),)


def test_a_model_that_was_changed_is_not_unpickled(logged: Path, tmp_path: Path) -> None:
    LogisticRegression().fit(X, y)
    run = autotrack.get_run("latest")
    folder = run.artifact_path("model")
    (folder / "model.pkl").write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    for load in (run.model, lambda: autotrack.load_model("runs:/latest/model"), autotrack.get_run("latest").model):
        with pytest.raises(ModelError, match="not what was logged") as caught:
            load()
        for word in (run.run_id, "'model'", run.models[0].digest, of_folder(folder)):
            assert word in str(caught.value)
    assert not (tmp_path / "sprung").exists()
    autotrack.load_model(folder, trusted=True)  # by its path, it is asked for as it is
    assert (tmp_path / "sprung").exists()


def test_other_files_of_the_model_are_compared_too(logged: Path) -> None:
    LogisticRegression().fit(X, y)
    run = autotrack.get_run("latest")
    folder = run.artifact_path("model")
    text = (folder / "MLmodel").read_bytes()
    for meddle in (
        lambda: (folder / "MLmodel").write_bytes(text + b"\n"),
        lambda: (folder / "requirements.txt").unlink(),
    ):
        meddle()
        with pytest.raises(ModelError, match="not what was logged"):
            run.model()
        (folder / "MLmodel").write_bytes(text)


def test_a_view_of_a_run_that_went_on_loads_its_new_model(logged: Path) -> None:
    forest = RandomForestClassifier(2, warm_start=True, random_state=0).fit(X, y)
    early = autotrack.get_run("latest")
    forest.set_params(n_estimators=5).fit(X, y)
    assert len(early.model().estimators_) == 5


def test_a_model_without_a_digest_loads(logged: Path) -> None:
    """Such as one whose process was killed before a large file was hashed."""
    code = (
        "import os, autotrack, numpy as np; from sklearn.linear_model import LinearRegression\n"
        "class Large(LinearRegression):\n"
        "    def fit(self, X, y):\n"
        "        super().fit(X, y); self.ballast_ = np.arange(10**6, dtype=float); return self\n"
        f"autotrack.autolog(store={str(logged)!r}); Large().fit(np.eye(3), [1, 2, 3]); os._exit(1)"
    )
    subprocess.run([sys.executable, "-c", code], check=False)
    run = autotrack.get_run("latest")
    assert run.models[0].digest == ""
    assert run.model().ballast_.shape == (10**6,)


def _digests(store: Path) -> list[str]:
    events = [entry.event for path in journal.journal_paths(store) for entry in journal.read(path).entries]
    return [event.model.digest for event in events if isinstance(event, ModelLogged)]
