"""The user's modules beside the script: packed into the model's folder, and imported from there where it is loaded."""

from __future__ import annotations

import importlib
import inspect
import pickle
import subprocess
import sys
import textwrap
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pytest
import yaml

import autotrack
from autotrack import digests
from autotrack.errors import ModelError
from autotrack.models import load_model, packed, packing, read_mlmodel, write_model

Script = Callable[..., "subprocess.CompletedProcess[str]"]

HELPERS = """
import math
from sklearn.base import BaseEstimator, TransformerMixin
import folder_settings_of_a_test as settings

class Times(TransformerMixin, BaseEstimator):
    def fit(self, X, y=None):
        return self

    def transform(self, X):
        from folder_later_of_a_test import shift
        return X * settings.FACTOR + shift
"""
TRAIN = """
import sys
import numpy as np
import autotrack
import folder_helpers_of_a_test, folder_unused_of_a_test
from folder_package_of_a_test.inner.deep import Plus
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline

autotrack.autolog()
X = np.arange(20.0).reshape(10, 2)
with autotrack.start_run() as run:
    model = make_pipeline(folder_helpers_of_a_test.Times(), Plus(), LinearRegression()).fit(X, X.sum(axis=1) ** 2)
np.save("predictions.npy", model.predict(X))
print(autotrack.get_run(run.run_id).artifact_path("model"))
"""
LOAD = """
import sys
import numpy as np
from autotrack import load_model
model = load_model(sys.argv[1], trusted=True)
print(np.abs(model.predict(np.arange(20.0).reshape(10, 2)) - np.load(sys.argv[2])).max())
"""
FILES = [
    "folder_helpers_of_a_test.py",
    "folder_later_of_a_test.py",
    "folder_package_of_a_test/__init__.py",
    "folder_package_of_a_test/inner/__init__.py",
    "folder_package_of_a_test/inner/deep.py",
    "folder_package_of_a_test/other.py",
    "folder_settings_of_a_test.py",
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A project of several files that was run as a script: the model's folder, and the script's."""
    project = tmp_path_factory.mktemp("project")
    inner = project / "folder_package_of_a_test" / "inner"
    for folder in (inner, inner.parent / "__pycache__", project / "folder_package_of_a_test" / "venv" / "lib"):
        folder.mkdir(parents=True)
    texts = {
        "train.py": TRAIN,
        "folder_helpers_of_a_test.py": HELPERS,
        "folder_settings_of_a_test.py": "FACTOR = 3.0\n",
        "folder_later_of_a_test.py": "shift = 0.5\n",
        "folder_unused_of_a_test.py": "SECRET = 'no part of the model'\n",
        "folder_package_of_a_test/__init__.py": "",
        "folder_package_of_a_test/other.py": "OTHER = 1.0\n",
        "folder_package_of_a_test/.env.py": "TOKEN = 'secret'\n",
        "folder_package_of_a_test/data.json": "{}",
        "folder_package_of_a_test/venv/lib/large.py": "",
        "folder_package_of_a_test/inner/__init__.py": "",
        "folder_package_of_a_test/inner/deep.py": (
            "from ..other import OTHER\nfrom sklearn.preprocessing import FunctionTransformer\n\n"
            "class Plus(FunctionTransformer):\n    def transform(self, X):\n        return X + OTHER\n"
        ),
    }
    for name, text in texts.items():
        (project / name).write_text(text)
    done = subprocess.run(
        [sys.executable, "train.py"], cwd=project, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "not packed" not in done.stderr
    return Path(done.stdout.strip()), project


def test_a_project_of_two_files_loads_in_another_folder(trained: tuple[Path, Path], script: Script) -> None:
    folder, project = trained
    files = sorted(path.relative_to(folder / "code").as_posix() for path in (folder / "code").rglob("*.*"))
    before = digests.of_folder(folder)

    done = script(LOAD, str(folder), str(project / "predictions.npy"), name="elsewhere.py")

    assert done.stdout.split() == ["0.0"]
    assert files == FILES
    assert digests.of_folder(folder) == before
    assert not list(folder.rglob("__pycache__"))


def test_what_the_folder_says_of_its_code(trained: tuple[Path, Path]) -> None:
    folder, project = trained
    info = read_mlmodel(folder)
    said = yaml.safe_load((folder / "MLmodel").read_text())

    assert info.flavors["sklearn"]["code"] == info.flavors["python_function"]["code"] == "code"
    assert info.local_modules == tuple(
        f"folder_{name}_of_a_test" for name in ("helpers", "later", "package", "settings")
    )
    assert said["model_size_bytes"] > sum(path.stat().st_size for path in (folder / "code").rglob("*.py"))
    run = autotrack.get_run("latest", store=project / ".autotrack")
    assert run.models[0].digest == digests.of_folder(folder)
    assert "scikit-learn==" in (folder / "requirements.txt").read_text()


# In one process: a model's modules beside others of their names.


@pytest.fixture
def clean() -> Iterator[None]:
    """Nothing of these tests' modules stays in the process."""
    yield
    forget()


def forget() -> None:
    """As if the process had never loaded one of these tests' models."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__module__ != packed.__name__]
    for name in [name for name in sys.modules if name.startswith("folder_")]:
        del sys.modules[name]
    packed._codes.clear()
    for name in [name for name in cloudpickle.list_registry_pickle_by_value() if name.startswith("folder_")]:
        cloudpickle.unregister_pickle_by_value(types.ModuleType(name))


@pytest.fixture
def write_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clean: None) -> Callable[..., Path]:
    """Write a model whose class stands in a module of this text, as a process would that is over then."""

    def write_it(name: str, **texts: str) -> Path:
        beside = tmp_path / f"project-{name}"
        beside.mkdir()
        for module, text in texts.items():
            (beside / f"folder_{module}.py").write_text(textwrap.dedent(text))
        with monkeypatch.context() as patched:
            patched.syspath_prepend(str(beside))
            model = importlib.import_module("folder_one").Model()
            folder = tmp_path / name
            write_model(folder, model, run_id="", signature=None, created=0)
        for module in [module for module in sys.modules if module.startswith("folder_")]:
            del sys.modules[module]
        importlib.invalidate_caches()
        return folder

    return write_it


def _text(value: int, more: str = "") -> str:
    return f"{more}\nclass Model:\n    def predict(self, X=None):\n        return {value}\n"


def test_where_no_such_module_is_here_the_models_own_stays(write_with: Callable[..., Path]) -> None:
    folder = write_with("a", one=_text(1))

    model = load_model(folder, trusted=True)

    assert model.predict() == 1
    assert sys.modules["folder_one"].Model is type(model)
    assert type(load_model(folder, trusted=True)) is type(model)
    assert "return 1" in inspect.getsource(type(model).predict)


def test_another_process_gets_the_models_classes_along(write_with: Callable[..., Path]) -> None:
    first, second = write_with("a", one=_text(1)), write_with("b", one=_text(2))

    shipped = [cloudpickle.dumps(load_model(folder, trusted=True)) for folder in (first, second)]

    forget()
    assert [pickle.loads(data).predict() for data in shipped] == [1, 2]
    assert "folder_one" not in sys.modules


def test_two_versions_of_one_module_live_side_by_side(write_with: Callable[..., Path]) -> None:
    first, second = write_with("a", one=_text(1)), write_with("b", one=_text(2))

    models = [load_model(path, trusted=True) for path in (first, second, first, second)]

    assert [model.predict() for model in models] == [1, 2, 1, 2]
    assert type(models[0]) is type(models[2])
    assert type(models[1]) is type(models[3])
    assert sys.modules["folder_one"].Model is type(models[0])


def test_a_module_of_the_programs_own_stays_what_it_is(
    write_with: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = "    def late(self):\n        import folder_two\n        from folder_two import B\n"
    later += "        return folder_two.A, B\n"
    folder = write_with("a", one="import folder_two\n" + _text(1) + later, two="A, B = 1, 1\n")
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "folder_one.py").write_text(_text(100))
    (mine / "folder_two.py").write_text("A, B = 200, 200\n")
    monkeypatch.syspath_prepend(str(mine))

    # It was not imported yet, it can be all the same.
    model = load_model(folder, trusted=True)
    assert "folder_one" not in sys.modules

    own = importlib.import_module("folder_one")
    two = importlib.import_module("folder_two")
    again = load_model(folder, trusted=True)

    assert own.Model().predict() == 100
    assert sys.modules["folder_one"] is own
    assert sys.modules["folder_two"] is two
    assert (model.predict(), again.predict()) == (1, 1)
    assert (model.late(), again.late()) == ((1, 1), (1, 1))
    assert two.A == 200
    assert sys.modules["folder_two"] is two


def test_a_module_with_the_same_sources_is_used(write_with: Callable[..., Path], monkeypatch: Any) -> None:
    folder = write_with("a", one=_text(1))
    monkeypatch.syspath_prepend(str(folder.parent / "project-a"))
    own = importlib.import_module("folder_one")

    assert type(load_model(folder, trusted=True)) is own.Model


def test_a_module_that_raises_leaves_nothing_behind(write_with: Callable[..., Path], monkeypatch: Any) -> None:
    folder = write_with("a", one=_text(1))
    (folder / "code" / "folder_one.py").write_text("import folder_nowhere\n")
    with pytest.raises(ModelError, match="needs the module 'folder_nowhere'"):
        load_model(folder, trusted=True)
    (folder / "code" / "folder_one.py").write_text("def")
    with pytest.raises(ModelError, match="SyntaxError"):
        load_model(folder, trusted=True)
    assert "folder_one" not in sys.modules


@pytest.mark.parametrize("name", ["../outside", "/etc", ".", "link", "a\0b"])
def test_code_outside_of_the_folder_is_not_read(name: str, write_with: Callable[..., Path], tmp_path: Path) -> None:
    folder = write_with("a", one=_text(1))
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "folder_one.py").write_text("raise SystemExit('it ran')")
    (folder / "link").symlink_to(outside)
    said = yaml.safe_load((folder / "MLmodel").read_text())
    said["flavors"]["sklearn"]["code"] = name
    (folder / "MLmodel").write_text(yaml.safe_dump(said))

    with pytest.raises(ModelError, match=r"names the code folder"):
        load_model(folder, trusted=True)


def test_links_and_byte_code_in_the_code_are_not_read(write_with: Callable[..., Path], tmp_path: Path) -> None:
    folder = write_with("a", one=_text(1))
    outside = tmp_path / "outside.py"
    outside.write_text("raise SystemExit('it ran')")
    source = folder / "code" / "folder_one.py"
    before = digests.of_folder(folder)
    (folder / "code" / "__pycache__").mkdir()
    (folder / "code" / "__pycache__" / f"folder_one.{sys.implementation.cache_tag}.pyc").write_bytes(b"\0" * 64)

    assert load_model(folder, trusted=True).predict() == 1
    assert digests.of_folder(folder) == before  # MLflow writes such a folder when it loads the model

    source.unlink()
    source.symlink_to(outside)
    forget()
    with pytest.raises(ModelError, match="'folder_one'"):
        load_model(folder, trusted=True)


# What is packed.


def _imported(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(folder))
    importlib.invalidate_caches()
    importlib.import_module(name)


def test_a_module_is_read_once_for_each_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clean: None) -> None:
    path = tmp_path / "folder_once.py"
    path.write_text("A = 1\n")
    _imported("folder_once", tmp_path, monkeypatch)
    first = packing.pack(["folder_once"])

    path.write_text("A = 22\n")
    assert packing.pack(["folder_once"]) == first
    importlib.invalidate_caches()
    importlib.reload(sys.modules["folder_once"])
    assert [file.data for file in packing.pack(["folder_once"]).files] == [b"A = 22\n"]


def test_what_is_not_packed_is_said_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clean: None
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "folder_target.py").write_text("")
    (tmp_path / "folder_link.py").symlink_to(elsewhere / "folder_target.py")
    (tmp_path / "folder_large.py").write_text("#" * (packing.MAX_BYTES + 1))
    many = tmp_path / "folder_many"
    many.mkdir()
    for n in range(packing.MAX_FILES + 1):
        (many / f"m{n}.py").touch()
    (many / "__init__.py").touch()
    names = ["folder_link", "folder_large", "folder_many", "folder_gone"]
    (tmp_path / "folder_gone.py").touch()
    for name in names:
        _imported(name, tmp_path, monkeypatch)
    (tmp_path / "folder_gone.py").unlink()

    found = packing.pack([*names, "folder_not_imported", "autotrack"])

    assert found.files == ()
    assert {name: why.replace(str(tmp_path), "") for name, why in found.left_out.items()} == {
        "autotrack": "a model must not need autotrack",
        "folder_gone": "it cannot be read: No such file or directory",
        "folder_large": "it is larger than 4 MiB",
        "folder_link": "/folder_link.py is a link to another folder",
        "folder_many": "it has more than 500 files",
        "folder_not_imported": "it is not imported",
    }


def test_a_package_without_an_init_gives_what_was_imported_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clean: None
) -> None:
    (tmp_path / "folder_space" / "deep").mkdir(parents=True)
    for name in ("one", "two", "deep/three"):
        (tmp_path / "folder_space" / f"{name}.py").write_text(f"NAME = '{name}'\n")
    _imported("folder_space.one", tmp_path, monkeypatch)
    assert [file.path for file in packing.pack(["folder_space"]).files] == ["folder_space/one.py"]
    importlib.import_module("folder_space.deep.three")
    assert [file.path for file in packing.pack(["folder_space"]).files] == [
        "folder_space/deep/three.py",
        "folder_space/one.py",
    ]


def test_a_package_that_holds_compiled_modules_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clean: None
) -> None:
    found = next(  # any module of a compiled file will do
        module
        for module in list(sys.modules.values())
        if str(getattr(module, "__file__", "")).endswith((".so", ".pyd"))
    )
    (tmp_path / "folder_compiled").mkdir()
    (tmp_path / "folder_compiled" / "__init__.py").touch()
    _imported("folder_compiled", tmp_path, monkeypatch)
    monkeypatch.setitem(sys.modules, "folder_compiled._speed", found)
    assert packing.pack(["folder_compiled"]).left_out == {"folder_compiled": "folder_compiled._speed is compiled"}


def test_what_packed_modules_import_is_required(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clean: None) -> None:
    (tmp_path / "folder_needs.py").write_text(
        "import joblib.parallel\nimport json\ntry:\n    import no_such_module_at_all\nexcept ImportError:\n    pass\n"
        "class Model:\n    pass\n"
    )
    _imported("folder_needs", tmp_path, monkeypatch)
    model = sys.modules["folder_needs"].Model()
    write_model(tmp_path / "model", model, run_id="", signature=None, created=0)
    names = [line.partition("==")[0] for line in (tmp_path / "model" / "requirements.txt").read_text().split()]
    assert names == ["cloudpickle", "joblib", "numpy", "scikit-learn"]


def test_a_model_without_such_modules_has_no_code(tmp_path: Path) -> None:
    from sklearn.linear_model import LinearRegression

    loaded = set(sys.modules)
    model = LinearRegression().fit(np.eye(3), [1, 2, 3])
    write_model(tmp_path / "model", model, run_id="", signature=None, created=0)
    assert not (tmp_path / "model" / "code").exists()
    assert "autotrack.models.native" not in set(sys.modules) - loaded
