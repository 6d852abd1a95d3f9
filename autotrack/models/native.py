"""Models in their library's own file: XGBoost's, LightGBM's and CatBoost's. Loading one unpickles nothing.

Such a file holds a model of the library itself, not a pipeline that has one as a step, nor a subclass of the user's.
The readers of these files are compiled code that trusts its input: a file made with bad intent runs no Python, but may
crash the process.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from autotrack.errors import ModelError
from autotrack.models.formats import CATBOOST, LIGHTGBM, MODEL_FILES, XGBOOST
from autotrack.models.mlmodel import Flavor

if TYPE_CHECKING:
    from autotrack.models.mlmodel import ModelInfo

# The classes that a file may be loaded into, by the name that stands in the ``MLmodel``. No other is looked up.
_XGBOOST: Final = (
    "xgboost.core.Booster",
    *(f"xgboost.sklearn.XGB{kind}" for kind in ("Classifier", "RFClassifier", "Regressor", "RFRegressor", "Ranker")),
)
_LIGHTGBM: Final = ("lightgbm.basic.Booster",)
_CATBOOST: Final = tuple(f"catboost.core.CatBoost{kind}" for kind in ("", "Classifier", "Regressor", "Ranker"))
CLASSES: Final[Mapping[str, tuple[str, ...]]] = {XGBOOST: _XGBOOST, LIGHTGBM: _LIGHTGBM, CATBOOST: _CATBOOST}

_CATBOOST_FORMATS: Final = ("cbm", "json", "onnx")
_MAX_PARAMS: Final = 64 * 1024


def is_native(model: Any, form: str) -> bool:
    """Whether the model is one that this library's file holds."""
    return class_name(type(model)) in CLASSES[form]


def require_native(model: Any, form: str) -> None:
    """Refuse a model that is none of the library whose format this is; nothing of the other formats.

    Raises
    ------
    ModelError
        Naming both, and the format to take.
    """
    if form in CLASSES and not is_native(model, form) and obstacle(model, form) is None:
        raise ModelError(
            f"{class_name(type(model))} is no model of {form}'s own, so serialization_format={form!r} cannot hold it; "
            "serialization_format='cloudpickle' does"
        )


def is_booster(model: Any, form: str) -> bool:
    """Whether it is a model that loads without scikit-learn."""
    return form == CATBOOST or class_name(type(model)) == CLASSES[form][0]


def obstacle(model: Any, form: str) -> str | None:
    """Why a model of this library is pickled all the same; ``None`` for one that is none of its, and for no reason."""
    kind = type(model)
    if is_native(model, form):
        missing = getattr(model, "missing", None) if form == XGBOOST else None
        if missing is None or missing != missing:
            return None
        return f"XGBoost's own file does not say that {missing!r} stands for a missing value, so the model is pickled"
    if form == LIGHTGBM and _is_of(kind, "lightgbm.sklearn", "LGBMModel"):
        return (
            f"LightGBM's own file holds a booster and none of what {kind.__name__} adds to it, such as the names of "
            "classes, so the model is pickled; its booster_ can be logged in that format"
        )
    if any(class_name(base) in CLASSES[form] for base in kind.__mro__[1:]):
        return f"{kind.__name__} is not one of {form}'s own classes, which its file is read into, so it is pickled"
    return None


def flavor(model: Any, form: str) -> Flavor:
    """What the ``MLmodel`` says of this model, which `is_native`."""
    name, file = class_name(type(model)), MODEL_FILES[form]
    version = str(getattr(sys.modules.get(form), "__version__", ""))
    if form == XGBOOST:
        keys = {"data": file, "model_class": name, "model_format": "ubj", "xgb_version": version}
        return Flavor(form, keys, _params(model))
    if form == LIGHTGBM:
        # MLflow names a pickle's form here even where the model is none.
        return Flavor(form, {"data": file, "lgb_version": version, "model_class": name})
    keys = {"catboost_version": version, "data": file, "model_type": type(model).__name__, "save_format": "cbm"}
    return Flavor(form, keys)


def save(path: str, model: Any) -> None:
    """Write the model's file.

    Raises
    ------
    ModelError
        When its library refuses, as it does for a model that is not fitted.
    """
    try:
        model.save_model(path)
    except Exception as error:
        raise ModelError(f"{type(model).__name__} cannot be saved: {type(error).__name__}: {error}") from error


def load_native(info: ModelInfo, path: Path) -> Any:
    """Load a model from its library's own file.

    Parameters
    ----------
    info : what the folder says of it; ``serialization_format`` names the library.
    path : the file, inside the folder.

    Raises
    ------
    ModelError
        When the library is not installed, or the folder names a class that its file is not read into.
    Exception
        Whatever the library raises for a file that it cannot read.
    """
    form = info.serialization_format
    found = info.flavors[form]
    if form == CATBOOST:
        name = f"catboost.core.{found.get('model_type', 'CatBoost')}"
    else:
        name = str(found.get("model_class", CLASSES[form][0]))
    if name not in CLASSES[form]:
        known = ", ".join(CLASSES[form])
        raise ModelError(f"{info.folder} holds a {name}; of the library {form} can be loaded: {known}")
    try:
        module = import_module(form)
    except ImportError as error:
        if error.name is not None and error.name.partition(".")[0] != form:
            raise ModelError(f"the package {form} cannot be imported: {error}") from error
        raise ModelError(
            f"{info.folder} needs the package {form}, which is not installed here: pip install -r "
            f"{info.folder / 'requirements.txt'}"
        ) from error
    kind = getattr(module, name.rpartition(".")[2])
    if form == LIGHTGBM:
        return kind(model_file=str(path))
    if form == XGBOOST:
        model = kind(**_read_params(info)) if name != CLASSES[XGBOOST][0] else kind()
        model.load_model(str(path))
        return model
    if (written := found.get("save_format", "cbm")) not in _CATBOOST_FORMATS:
        raise ModelError(f"{info.folder} is in CatBoost's format {written!r}; {', '.join(_CATBOOST_FORMATS)} are read")
    model = kind()
    model.load_model(str(path), format=written)
    return model


def file_of(flavors: Mapping[str, Mapping[str, Any]]) -> tuple[str, str]:
    """The model's file and its format, of a folder without an sklearn flavor; two empty texts for no native one."""
    for name in CLASSES:
        found = flavors.get(name)
        if found is None:
            continue
        if name == LIGHTGBM and found.get("model_class", CLASSES[LIGHTGBM][0]) not in CLASSES[LIGHTGBM]:
            # Of LightGBM's estimators MLflow writes a pickle.
            return str(found.get("data") or ""), str(found.get("serialization_format") or "cloudpickle")
        return str(found.get("data") or (MODEL_FILES[CATBOOST] if name == CATBOOST else "")), name
    return "", ""


def class_name(kind: type) -> str:
    """Dotted name of a class."""
    return f"{kind.__module__}.{kind.__qualname__}"


def _is_of(kind: type, module: str, name: str) -> bool:
    base = getattr(sys.modules.get(module), name, None)
    return isinstance(base, type) and issubclass(kind, base)


def _params(model: Any) -> str:
    """What the estimator was made with; XGBoost's file keeps only what its booster knows."""
    if not hasattr(model, "get_params"):
        return ""
    plain = {
        name: value
        for name, value in model.get_params(deep=False).items()
        if type(value) in (bool, int, float, str) and value == value
    }
    text = json.dumps(plain)
    return text if len(text) <= _MAX_PARAMS else ""


def _read_params(info: ModelInfo) -> dict[str, Any]:
    ours = info.metadata.get("autotrack")
    text = ours.get("params") if isinstance(ours, dict) else None
    if not isinstance(text, str) or not 0 < len(text) <= _MAX_PARAMS:
        return {}
    params = json.loads(text)
    if not isinstance(params, dict):
        return {}
    return {name: value for name, value in params.items() if type(value) in (bool, int, float, str)}
