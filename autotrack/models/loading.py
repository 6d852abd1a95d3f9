"""Loading a model folder, ours or one that MLflow wrote."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from autotrack.errors import ModelError
from autotrack.models.formats import PICKLE, SKOPS, type_names
from autotrack.models.mlmodel import PYTHON, ModelInfo, read_mlmodel
from autotrack.models.packed import importable
from autotrack.settings import NATIVE_FORMATS, SERIALIZATION_FORMATS


class ModelVersionWarning(UserWarning):
    """A model was written by another Python or scikit-learn than the one that loads it."""


def load_model(folder: Path, *, trusted_types: Iterable[str | type] | None = None) -> Any:
    """Load the model of a folder. This runs what its pickle says: load only what you trust.

    A skops file runs nothing, but builds objects of the types that it names: those that skops trusts, the plain parts
    of scikit-learn listed in `autotrack.models.trusted`, and those trusted here. What the folder itself says
    of types to trust is not read: whoever made the file wrote that too.

    Parameters
    ----------
    folder : a model folder with MLflow's ``sklearn`` flavor.
    trusted_types : dotted names of types, or the types, that may be built from a skops file, even none. Then a pickle
        is refused, whatever the folder says it is; ``None`` for taking any format.

    Warns
    -----
    ModelVersionWarning
        Once, naming both, when Python (its minor release) or scikit-learn is not the one that wrote the model.

    Raises
    ------
    ModelError
        When it is no such folder, when it points out of itself, when a type in its skops file is not trusted, when it
        is a pickle although ``trusted_types`` are given, or when it cannot be loaded here.
    SettingsError
        When ``trusted_types`` is no list of names and types.
    """
    trusted = type_names(() if trusted_types is None else trusted_types)
    info = read_mlmodel(folder)
    path = _pickle_path(info)
    if trusted_types is not None and info.serialization_format not in (SKOPS, *NATIVE_FORMATS):
        raise ModelError(
            f"{info.folder} holds a pickle, which runs whatever stands in it: trusted_types has no hold on that, only "
            "on a skops file. Load it without trusted_types if you trust where it comes from"
        )
    try:
        file = path.open("rb")
    except OSError as error:
        raise ModelError(f"{info.folder} names {info.pickled_model!r}, which cannot be opened: {error}") from error
    with file:
        difference = _version_difference(info)
        if difference is None:
            return _read(file, path, info, trusted)
        with warnings.catch_warnings():
            _silence_sklearn()
            model = _read(file, path, info, trusted)
    warnings.warn(difference, ModelVersionWarning, stacklevel=2)
    return model


def _pickle_path(info: ModelInfo) -> Path:
    """The file to load, inside the folder and nowhere else."""
    if "sklearn" not in info.flavors and not info.serialization_format:
        known = ", ".join(sorted(map(str, info.flavors))) or "none"
        raise ModelError(f"{info.folder} has no sklearn flavor, which is the one that can be loaded (it has: {known})")
    if not info.pickled_model:
        raise ModelError(f"the flavor of {info.folder} names no pickled_model and no data")
    if (form := info.serialization_format or PICKLE) not in SERIALIZATION_FORMATS:
        known = ", ".join(SERIALIZATION_FORMATS)
        raise ModelError(f"{info.folder} is in the format {form!r}; what can be loaded is {known}")
    try:
        root = info.folder.resolve(strict=True)
        path = (root / info.pickled_model).resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise ModelError(f"{info.folder} names the model file {info.pickled_model!r}: {error}") from error
    if path == root or not path.is_relative_to(root):
        raise ModelError(f"{info.folder} names the model file {info.pickled_model!r}, which is outside of the folder")
    if not path.is_file():
        raise ModelError(f"{info.folder} names the model file {info.pickled_model!r}, which is not there")
    return path


def _read(file: Any, path: Path, info: ModelInfo, trusted: frozenset[str]) -> Any:
    install = f"pip install -r {info.folder / 'requirements.txt'}"
    is_skops = info.serialization_format == SKOPS
    try:
        if is_skops:
            from autotrack.models.skops_file import load

            return load(path, trusted)
        if info.serialization_format in NATIVE_FORMATS:
            from autotrack.models.native import load_native

            return load_native(info, path)
        with importable(info):
            return pickle.load(file)
    except ModelError:
        raise
    except ModuleNotFoundError as error:
        top = (error.name or "").partition(".")[0]
        if top in info.local_modules:
            way = f"{top!r} stood beside the script that trained it: put it on the path (PYTHONPATH)"
        else:
            way = install
        raise ModelError(
            f"{info.folder} needs the module {error.name!r}, which is not installed here: {way}"
        ) from error
    except Exception as error:
        verb = "loaded" if is_skops or info.serialization_format in NATIVE_FORMATS else "unpickled"
        raise ModelError(
            f"{info.folder} cannot be {verb}: {type(error).__name__}: {error}. It was written by {_versions(info)}, "
            f"this is {_versions_here()}: {install}"
        ) from error


def _version_difference(info: ModelInfo) -> str | None:
    minor = info.python_version.split(".")[:2]
    same_python = len(minor) < 2 or minor == PYTHON.split(".")[:2]
    if same_python and info.sklearn_version in ("", _sklearn_version()):
        return None
    return (
        f"the model in {info.folder} was written by {_versions(info)}, this is {_versions_here()}; its predictions may "
        f"differ. The environment that wrote it: pip install -r {info.folder / 'requirements.txt'}"
    )


def _versions(info: ModelInfo) -> str:
    return f"Python {info.python_version or '(unknown)'} and scikit-learn {info.sklearn_version or '(unknown)'}"


def _versions_here() -> str:
    return f"Python {PYTHON} and scikit-learn {_sklearn_version() or '(not installed)'}"


def _sklearn_version() -> str:
    """Empty where scikit-learn is not installed; then unpickling says so better."""
    try:
        import sklearn
    except ImportError:
        return ""
    return str(sklearn.__version__)


def _silence_sklearn() -> None:
    """Its own warning comes once per nested estimator, and says no more than ours."""
    try:
        from sklearn.exceptions import InconsistentVersionWarning
    except ImportError:
        return
    warnings.simplefilter("ignore", InconsistentVersionWarning)
