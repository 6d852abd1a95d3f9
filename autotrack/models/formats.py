"""The forms that a model's file may have: their names, their files, and what loading each of them takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from autotrack.errors import SettingsError
from autotrack.settings import NATIVE_FORMATS, SERIALIZATION_FORMATS

CLOUDPICKLE: Final = "cloudpickle"
PICKLE: Final = "pickle"
SKOPS: Final = "skops"

XGBOOST: Final = "xgboost"
LIGHTGBM: Final = "lightgbm"
CATBOOST: Final = "catboost"

MODEL_FILES: Final[Mapping[str, str]] = {
    CLOUDPICKLE: "model.pkl",
    PICKLE: "model.pkl",
    SKOPS: "model.skops",
    XGBOOST: "model.ubj",
    LIGHTGBM: "model.lgb",
    CATBOOST: "model.cb",
}

NEEDS: Final[Mapping[str, str]] = {
    CLOUDPICKLE: "cloudpickle",
    SKOPS: "skops",
    **{name: name for name in NATIVE_FORMATS},
}
"""The module that a file of the form cannot be loaded without, where there is one."""


def checked_format(value: Any) -> str:
    """The form of this name.

    Raises
    ------
    SettingsError
        For any other value.
    """
    if value not in SERIALIZATION_FORMATS:
        raise SettingsError(f"serialization_format={value!r}: expected one of {', '.join(SERIALIZATION_FORMATS)}")
    return str(value)


def type_names(types: Iterable[Any]) -> frozenset[str]:
    """Dotted names of types, given as such or as the types themselves.

    Raises
    ------
    SettingsError
        For anything else.
    """
    if isinstance(types, (str, type)) or not isinstance(types, Iterable):
        raise SettingsError(f"trusted_types={types!r}: expected a list of dotted names, such as ['features.Scaler']")
    names = set()
    for item in types:
        if isinstance(item, str):
            names.add(item)
        elif hasattr(item, "__module__") and hasattr(item, "__name__"):
            names.add(f"{item.__module__}.{item.__name__}")
        else:
            raise SettingsError(f"trusted_types: {item!r} is neither a dotted name nor a type")
    return frozenset(names)
