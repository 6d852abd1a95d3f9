"""Loading a model folder, ours or one that MLflow wrote."""

from __future__ import annotations

import pickle
import sys
import warnings
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from autotrack.errors import ModelError, ModelRefused
from autotrack.models.callers import level_outside
from autotrack.models.files import ModelFiles
from autotrack.models.formats import CLOUDPICKLE, PICKLE, SKOPS, type_names
from autotrack.models.mlmodel import MAX_SIZE, MLMODEL, PYTHON, ModelInfo, parse_mlmodel, read_mlmodel
from autotrack.models.packed import importable
from autotrack.settings import NATIVE_FORMATS, SERIALIZATION_FORMATS

RUN_CODE: Final = (CLOUDPICKLE, PICKLE)
"""The formats whose files run whatever stands in them when they are loaded."""


class ModelVersionWarning(UserWarning):
    """A model was written by another Python, scikit-learn or other library than the one that loads it."""


class DigestMismatch(ModelError):
    """A model folder is not what was logged; ``found`` is its digest. Nothing of it was loaded."""

    def __init__(self, folder: Path, wanted: str, found: str) -> None:
        super().__init__(
            f"{folder} is not what was logged: its digest is {found}, the logged one {wanted}; it was changed or "
            "damaged since, and was not loaded"
        )
        self.found = found


def load_model(
    folder: Path,
    *,
    trusted: bool = False,
    doubt: str = "",
    digest: str = "",
    trusted_types: Iterable[str | type] | None = None,
) -> Any:
    """Load the model of a folder. Whoever calls this says whether the folder can be trusted.

    A pickle, and the modules that a folder brings along in ``code/``, run whatever stands in them: without ``trusted``
    a pickle is refused and the modules cannot be imported. A skops file runs nothing, but builds objects of the types
    that it names: those that skops trusts, the plain parts of scikit-learn listed in `autotrack.models.trusted`, and
    those trusted here. What the folder itself says of types to trust is not read: whoever made the file wrote that too.

    Parameters
    ----------
    folder : a model folder with MLflow's ``sklearn`` flavor.
    trusted : whether what the folder holds may run; `autotrack.load_model` finds out by where it comes from.
    doubt : where it comes from and why it is not trusted, for the error; a half sentence.
    digest : what `autotrack.digests.of_folder` has to give for it. It is taken before anything is loaded, and what is
        loaded is what was hashed: see `autotrack.models.files`. Empty where none is known.
    trusted_types : dotted names of types, or the types, that may be built from a skops file, even none. Then a pickle
        is refused even if ``trusted``, whatever the folder says it is; ``None`` for taking any format.

    Warns
    -----
    ModelVersionWarning
        Once, naming both, when Python (its minor release), scikit-learn or the library whose own format it is in is
        not the one that wrote the model.

    Raises
    ------
    ModelRefused
        When it is a pickle, and not trusted.
    ModelError
        When it is no such folder, has another digest, points out of itself, when a type in its skops file is not
        trusted, or when it cannot be loaded here.
    SettingsError
        When ``trusted_types`` is no list of names and types.
    """
    types = type_names(() if trusted_types is None else trusted_types)
    with ModelFiles(Path(folder)) as files:
        if digest and (found := files.digest()) != digest:
            raise DigestMismatch(files.folder, digest, found)
        info = _read_info(files)
        path = _find_file(files, info)
        form = info.serialization_format or PICKLE
        if form in RUN_CODE and (trusted_types is not None or not trusted):
            raise ModelRefused(_refusal(info, doubt, trusted_types is not None))
        difference = version_difference(info)
        with ExitStack() as stack:
            if form in RUN_CODE:
                stack.enter_context(importable(info))
            if difference is not None:
                stack.enter_context(warnings.catch_warnings())
                _silence_sklearn()
            model = _read(files, path, info, form, types)
    if difference is not None:
        warnings.warn(difference, ModelVersionWarning, stacklevel=level_outside())
    return model


def _read_info(files: ModelFiles) -> ModelInfo:
    if not files.is_hashed or not files.path(MLMODEL).is_file():
        return read_mlmodel(files.folder)
    return parse_mlmodel(files.folder, files.read(files.find(MLMODEL, "description"), MAX_SIZE))


def _find_file(files: ModelFiles, info: ModelInfo) -> str:
    """The file to load, inside the folder and nowhere else."""
    if "sklearn" not in info.flavors and not info.serialization_format:
        known = ", ".join(sorted(map(str, info.flavors))) or "none"
        raise ModelError(f"{info.folder} has no sklearn flavor, which is the one that can be loaded (it has: {known})")
    if not info.pickled_model:
        raise ModelError(f"the flavor of {info.folder} names no pickled_model and no data")
    if (form := info.serialization_format or PICKLE) not in SERIALIZATION_FORMATS:
        known = ", ".join(SERIALIZATION_FORMATS)
        raise ModelError(f"{info.folder} is in the format {form!r}; what can be loaded is {known}")
    found = files.find(info.pickled_model, "model file")
    if not files.path(found).is_file():
        raise ModelError(f"{info.folder} names the model file {info.pickled_model!r}, which is not there")
    return found


def _refusal(info: ModelInfo, doubt: str, has_types: bool) -> str:
    if has_types:
        return (
            f"{info.folder} holds a pickle, which runs whatever stands in it: trusted_types has no hold on that, only "
            "on a skops file. Load it without trusted_types if you trust where it comes from"
        )
    why = f"it comes from {doubt}" if doubt else "nobody has said that it can be trusted"
    return (
        f"{info.folder} holds a pickle, which runs whatever stands in it as soon as it is loaded, and {why}. If you "
        "trust that: load_model(…, trusted=True), on the command line --trusted; or name the place in trusted_sources "
        "(AUTOTRACK_TRUSTED_SOURCES, [tool.autotrack]). To look at it without loading it: autotrack models inspect. "
        "Models written with serialization_format='skops' load from anywhere"
    )


def _read(files: ModelFiles, found: str, info: ModelInfo, form: str, types: frozenset[str]) -> Any:
    install = f"pip install -r {info.folder / 'requirements.txt'}"
    try:
        if form == SKOPS:
            from autotrack.models.skops_file import load

            with files.open(found) as file:
                return load(file, files.path(found), types)
        if form in NATIVE_FORMATS:
            from autotrack.models.native import load_native

            return load_native(info, files.path(found))
        if (data := files.kept(found)) is not None:
            return pickle.loads(data)
        with files.open(found) as file:
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
        verb = "unpickled" if form in RUN_CODE else "loaded"
        raise ModelError(
            f"{info.folder} cannot be {verb}: {type(error).__name__}: {error}. It was written by {_versions(info)}, "
            f"this is {_versions_here()}: {install}"
        ) from error


def version_difference(info: ModelInfo) -> str | None:
    """What is said of a model that another Python or library wrote than those here; ``None`` where there is nothing."""
    minor = info.python_version.split(".")[:2]
    same_python = len(minor) < 2 or minor == PYTHON.split(".")[:2]
    wrote, here = _versions(info), _versions_here()
    is_same = same_python and info.sklearn_version in ("", _sklearn_version())
    for library, version in _library_versions(info).items():
        installed = _installed(library)
        is_same = is_same and version == installed
        wrote, here = f"{wrote}, {library} {version}", f"{here}, {library} {installed or '(not installed)'}"
    if is_same:
        return None
    return (
        f"the model in {info.folder} was written by {wrote}, this is {here}; its predictions may differ. The "
        f"environment that wrote it: pip install -r {info.folder / 'requirements.txt'}"
    )


_LIBRARIES: Final = {"xgboost": "xgb_version", "lightgbm": "lgb_version", "catboost": "catboost_version"}


def _library_versions(info: ModelInfo) -> dict[str, str]:
    """The library in whose own format the model's file is, and its version, where the folder names both."""
    found = info.flavors.get(info.serialization_format, {})
    version = found.get(_LIBRARIES.get(info.serialization_format, ""))
    return {info.serialization_format: version} if isinstance(version, str) and version else {}


def _installed(library: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(library)
    except PackageNotFoundError:
        return ""


def _versions(info: ModelInfo) -> str:
    return f"Python {info.python_version or '(unknown)'} and scikit-learn {info.sklearn_version or '(unknown)'}"


def _versions_here() -> str:
    return f"Python {PYTHON} and scikit-learn {_sklearn_version() or '(not installed)'}"


def _sklearn_version() -> str:
    """Empty where scikit-learn is not installed; then unpickling says so better."""
    module = sys.modules.get("sklearn")
    return str(getattr(module, "__version__", "")) or _installed("scikit-learn")


def _silence_sklearn() -> None:
    """Its own warning comes once per nested estimator, and says no more than ours."""
    try:
        from sklearn.exceptions import InconsistentVersionWarning
    except ImportError:
        return
    warnings.simplefilter("ignore", InconsistentVersionWarning)
