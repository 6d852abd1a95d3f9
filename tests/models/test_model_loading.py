"""Loading a model folder, and everything that can be wrong with one."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier

from autotrack.errors import ModelError
from autotrack.models import ModelVersionWarning, load_model, read_mlmodel

Write = Callable[..., Path]


@pytest.fixture
def folder(classifier: Any, write: Write) -> Path:
    return write(classifier)


def edit(folder: Path, old: str, new: str) -> None:
    path = folder / "MLmodel"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


class Trap:
    """A pickle of this says that it was loaded."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize(
    "way",
    ["../outside.pkl", "{outside}", "../model/../outside.pkl", "link.pkl", "linked/outside.pkl", "..", ".", "a\\0b"],
)
def test_no_way_leads_out_of_the_folder(way: str, folder: Path, tmp_path: Path) -> None:
    outside = folder.parent / "outside.pkl"
    mark = tmp_path / "was loaded"
    outside.write_bytes(pickle.dumps(Trap(mark)))
    (folder / "link.pkl").symlink_to(outside)
    (folder / "linked").symlink_to(folder.parent)
    edit(folder, "pickled_model: model.pkl", f'pickled_model: "{way.format(outside=outside)}"')

    with pytest.raises(ModelError, match="names the model file"):
        load_model(folder, trusted=True)

    assert not mark.exists()


def test_a_link_to_a_folder_may_be_given(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    (folder / "inner").mkdir()
    (folder / "model.pkl").rename(folder / "inner" / "other.pkl")
    (folder / "model.pkl").symlink_to("inner/other.pkl")
    assert load_model(tmp_path / "link", trusted=True).n_iter_ > 0


def test_yaml_tags_run_nothing(folder: Path, tmp_path: Path) -> None:
    mark = tmp_path / "was loaded"
    edit(folder, "model_id: null", f"model_id: !!python/object/apply:os.mkdir ['{mark}']")
    with pytest.raises(ModelError, match="is not valid YAML"):
        load_model(folder, trusted=True)
    assert not mark.exists()


def test_what_is_missing_is_said(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no MLmodel in it \(it does not exist\)"):
        load_model(tmp_path / "nowhere", trusted=True)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ModelError, match=r"no MLmodel in it \(it is empty\)"):
        load_model(empty)
    with pytest.raises(ModelError, match=r"no MLmodel in it \(it holds model\)"):
        load_model(folder.parent, trusted=True)
    with pytest.raises(ModelError, match="cannot be read"):
        load_model(folder / "model.pkl", trusted=True)
    (folder / "model.pkl").unlink()
    with pytest.raises(ModelError, match=r"'model\.pkl', which is not there"):
        load_model(folder, trusted=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no 'flavors'"),
        ("- 1", "has no 'flavors'"),
        ("flavors: 3", "has no 'flavors'"),
        ("flavors: {sklearn: 3}", "has no 'flavors'"),
        ("flavors: {pytorch: {}, python_function: {}}", r"no sklearn flavor.*it has: python_function, pytorch"),
        ("flavors: {sklearn: {}}", "names no pickled_model"),
        ("flavors: {sklearn: {pickled_model: m, serialization_format: onnx}}", "in the format 'onnx'"),
        ("a: [1", "is not valid YAML"),
        ("a: \x07", "is not valid YAML"),
        ("flavors: {sklearn: {}}\nsignature: {inputs: '{}'}", "signature in .* cannot be understood"),
        ("flavors: {sklearn: {}}\nsignature: {inputs: 'x'}", "signature in .* cannot be understood"),
        ('flavors: {sklearn: {}}\nsignature: {inputs: \'[{"type": "tensor"}]\'}', "a tensor needs a dtype and a shape"),
    ],
)
def test_an_mlmodel_that_says_nothing_useful(text: str, message: str, folder: Path) -> None:
    (folder / "MLmodel").write_text(text)
    with pytest.raises(ModelError, match=message):
        load_model(folder, trusted=True)


def test_an_mlmodel_that_is_no_text(folder: Path) -> None:
    (folder / "MLmodel").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ModelError, match="cannot be read"):
        read_mlmodel(folder)


@pytest.mark.parametrize("data", [b"", b"nonsense", b"\x80\x05K\x01"])
def test_a_damaged_pickle(data: bytes, folder: Path) -> None:
    (folder / "model.pkl").write_bytes(data)
    with pytest.raises(
        ModelError, match=r"cannot be unpickled: .*written by Python .* and scikit-learn .*pip install -r"
    ):
        load_model(folder, trusted=True)


def test_a_class_that_is_gone(folder: Path) -> None:
    (folder / "model.pkl").write_bytes(b"\x80\x04csklearn.linear_model\nGoneRegression\n.")
    with pytest.raises(ModelError, match=r"cannot be unpickled: AttributeError: .*GoneRegression"):
        load_model(folder, trusted=True)


def test_a_missing_module_is_named(tmp_path: Path) -> None:
    (tmp_path / "features.py").write_text("def double(X):\n    return X * 2\n")
    script = """
import pathlib, features
from sklearn.preprocessing import FunctionTransformer
from autotrack.models import write_model
write_model(pathlib.Path("m"), FunctionTransformer(features.double), run_id="", signature=None, created=0)
"""
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)

    with pytest.raises(ModelError, match=r"'features'.*stood beside the script"):
        load_model(tmp_path / "m", trusted=True)

    edit(tmp_path / "m", '["features"]', "[]")
    with pytest.raises(
        ModelError, match=r"'features', which is not installed here: pip install -r .*requirements\.txt"
    ):
        load_model(tmp_path / "m", trusted=True)


def test_the_versions_are_compared(folder: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_model(folder, trusted=True)
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    edit(folder, f'python_version: "{python}', 'python_version: "3.2')

    with pytest.warns(ModelVersionWarning, match=rf"written by Python 3\.2\..*this is Python {python}") as caught:
        load_model(folder, trusted=True)

    assert len(caught) == 1
    assert caught[0].filename == __file__


def test_one_warning_for_a_forest(iris: Any, write: Write) -> None:
    import sklearn

    model = RandomForestClassifier(5, random_state=0).fit(*iris)
    folder = write(model)
    here = sklearn.__version__
    data = (folder / "model.pkl").read_bytes()
    other = "0" * len(here)
    (folder / "model.pkl").write_bytes(data.replace(here.encode(), other.encode()))
    edit(folder, f'sklearn_version: "{here}"', f'sklearn_version: "{other}"')

    filters = list(warnings.filters)
    with pytest.warns(ModelVersionWarning, match=f"scikit-learn {other}, this is .* scikit-learn {here}") as caught:
        loaded = load_model(folder, trusted=True)

    assert [warning.category for warning in caught] == [ModelVersionWarning]
    assert warnings.filters == filters
    np.testing.assert_array_equal(loaded.predict(iris[0]), model.predict(iris[0]))


def test_reading_runs_no_pickle(folder: Path, tmp_path: Path) -> None:
    (folder / "model.pkl").write_bytes(pickle.dumps(Trap(tmp_path / "was loaded")))
    assert read_mlmodel(folder).serialization_format == "cloudpickle"
    assert not (tmp_path / "was loaded").exists()
