"""What a model takes: named columns, columns by position, a tensor, texts, or anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final

from autotrack.models import ColumnSpec, ModelInfo, Signature, TensorSpec

ANY: Final = "any"
_MAX_STEPS: Final = 20


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the input.

    Parameters
    ----------
    name : as the model knows it: text or, for frames that had them, a whole number. ``None`` where it has none.
    type : ``boolean``, ``integer`` (32 bits), ``long``, ``float`` (32 bits), ``double``, ``string``, ``binary``,
        ``datetime``, ``any``, or ``array``, ``object``, ``map`` for MLflow's nested types.
    required : whether a request has to have it.
    nullable : whether values may be missing.
    """

    name: str | int | None
    type: str = ANY
    required: bool = True
    nullable: bool = False


@dataclass(frozen=True)
class InputSchema:
    """What a model takes.

    Exactly one of these holds: ``columns`` are known (with names, or by position), a ``tensor`` is known, or nothing is
    and both are ``None``.

    Parameters
    ----------
    columns : in the order that the model knows.
    tensor : dtype and shape, -1 for a free length.
    flat : the model takes a list of values, such as texts, and no table.
    source : ``"signature"``, ``"model"`` or ``""``: where it is known from.
    outputs : what the signature says of the predictions.
    missing : whether the model says that it takes missing values, where a tensor says nothing of them; for the
        description of the interface. The model itself decides about a request.
    """

    columns: tuple[Column, ...] | None = None
    tensor: TensorSpec | None = None
    flat: bool = False
    source: str = ""
    outputs: tuple[ColumnSpec | TensorSpec, ...] | None = field(default=None, compare=False)
    missing: bool = field(default=True, compare=False)

    @classmethod
    def of(cls, info: ModelInfo, model: Any) -> InputSchema:
        """From the signature of the folder, else from the fitted model, else nothing known."""
        signature = info.signature
        flat = takes_flat(model)
        if signature is not None and signature.inputs and (found := _from_signature(signature, flat)) is not None:
            return found if found.tensor is None else replace(found, missing=takes_missing(model))
        outputs = signature.outputs if signature is not None else None
        if flat:
            return cls((Column(None, "string", nullable=False),), flat=True, source="model", outputs=outputs)
        names, width = _names(model), _width(model)
        if names is not None:
            columns = tuple(Column(name, nullable=True) for name in names)
            return cls(columns, source="model", outputs=outputs)
        if width is not None:
            tensor = TensorSpec("any", (-1, width))
            return cls(tensor=tensor, source="model", outputs=outputs, missing=takes_missing(model))
        return cls(outputs=outputs)

    @cached_property
    def named(self) -> bool:
        """Whether columns have names."""
        return self.columns is not None and all(column.name is not None for column in self.columns)

    @cached_property
    def names(self) -> tuple[str | int | None, ...]:
        """The columns' names, in order."""
        return tuple(column.name for column in self.columns or ())

    @cached_property
    def places(self) -> Mapping[str, int]:
        """The place of a column by the name that a request gives it, which is always text."""
        return {str(column.name): place for place, column in enumerate(self.columns or ())}

    @cached_property
    def index(self) -> Any:
        """The columns as a pandas index, made once; a range where they have no names."""
        import pandas as pd

        columns = self.columns or ()
        return pd.Index(self.names) if self.named else pd.RangeIndex(len(columns))

    @cached_property
    def one_type(self) -> str | None:
        """The type that all columns have, ``None`` where they differ."""
        types = {column.type for column in self.columns or ()}
        return types.pop() if len(types) == 1 else None

    @cached_property
    def width(self) -> int | None:
        """Values in a row, where it is known."""
        if self.columns is not None:
            return len(self.columns)
        if self.tensor is not None and len(self.tensor.shape) == 2 and self.tensor.shape[1] >= 0:
            return self.tensor.shape[1]
        return None


def takes_flat(model: Any) -> bool:
    """Whether a model takes a list of values (texts), as scikit-learn's text vectorisers and pipelines of them do."""
    model = _first_step(model)
    try:
        from sklearn.utils import get_tags

        tags = get_tags(model).input_tags
        return bool(tags.string) and not tags.two_d_array
    except Exception:  # noqa: BLE001 - an older scikit-learn, or an object of the user's that has no tags
        kind = type(model)
        return kind.__module__ == "sklearn.feature_extraction.text" and hasattr(kind, "transform")


def takes_missing(model: Any) -> bool:
    """Whether a model, or the first step of a pipeline, says that it takes NaN; true where it says nothing."""
    model = _first_step(model)
    try:
        from sklearn.utils import get_tags
    except ImportError:  # before scikit-learn 1.6
        get_tags = None
    try:
        return bool(get_tags(model).input_tags.allow_nan if get_tags else model._get_tags()["allow_nan"])
    except Exception:  # noqa: BLE001 - an object of the user's that has no tags
        return True


def _first_step(model: Any) -> Any:
    """What sees the rows first in a pipeline or a search."""
    for _ in range(_MAX_STEPS):
        best = getattr(model, "best_estimator_", None)
        steps = getattr(model, "steps", None)
        if best is not None:
            model = best
        elif isinstance(steps, list) and steps:
            model = next((step for _, step in steps if step is not None and not isinstance(step, str)), None)
        else:
            break
    return model


def _from_signature(signature: Signature, flat: bool) -> InputSchema | None:
    inputs = signature.inputs
    if all(isinstance(spec, ColumnSpec) for spec in inputs):
        columns = tuple(_column(spec) for spec in inputs if isinstance(spec, ColumnSpec))
        if len({str(column.name) for column in columns if column.name is not None}) not in (0, len(columns)):
            return None  # two columns of one name, or names for a part of them: nothing to match by
        return InputSchema(columns, flat=flat and len(columns) == 1, source="signature", outputs=signature.outputs)
    if len(inputs) == 1 and isinstance(tensor := inputs[0], TensorSpec):
        return InputSchema(tensor=tensor, source="signature", outputs=signature.outputs)
    return None  # several tensors by name: no scikit-learn model takes them


def _column(spec: ColumnSpec) -> Column:
    kind = spec.type if isinstance(spec.type, str) else str(spec.type.get("type", ANY))
    return Column(spec.name, kind, spec.required, nullable=not spec.required or kind == ANY)


def _names(model: Any) -> list[str] | None:
    try:
        names = model.feature_names_in_
        listed = [str(name) for name in names]
    except Exception:  # noqa: BLE001 - a property of the user's may raise anything
        return None
    return listed if listed and len(set(listed)) == len(listed) else None


def _width(model: Any) -> int | None:
    try:
        width = int(model.n_features_in_)
    except Exception:  # noqa: BLE001 - as above
        return None
    return width if width > 0 else None
