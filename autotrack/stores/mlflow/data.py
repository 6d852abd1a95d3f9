"""Datasets: ours as MLflow has them, and MLflow's as ours."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from autotrack.digests import PREFIX, of_bytes
from autotrack.entities import Dataset
from autotrack.events import dataset_to_json
from autotrack.stores.mlflow import limits

CONTEXT_TAG: Final = "mlflow.data.context"
DIGEST_TAG: Final = "autotrack.digest"
"""Tag of a dataset's use by a run: our whole digest, as MLflow's field is too short for it."""

_DIGITS: Final = 32
_ENCODER: Final = json.JSONEncoder(default=str)

_TYPES: Final = {
    "bool": "boolean",
    "boolean": "boolean",
    "int8": "integer",
    "int16": "integer",
    "int32": "integer",
    "uint8": "integer",
    "uint16": "integer",
    "int64": "long",
    "uint32": "long",
    "float16": "float",
    "float32": "float",
    "float64": "double",
    "double": "double",
    "float": "double",
    "str": "string",
    "string": "string",
    "object": "string",
    "category": "string",
    "binary": "binary",
}
_OUR_DTYPES: Final = {
    "boolean": "bool",
    "integer": "int32",
    "long": "int64",
    "float": "float32",
    "double": "float64",
    "string": "object",
    "datetime": "datetime64[ns]",
}


@dataclass(frozen=True, slots=True)
class MlflowDataset:
    """A dataset as MLflow keeps it, with the tags of its use by a run; ``source``, ``schema``, ``profile`` are JSON."""

    name: str
    digest: str
    source_type: str
    source: str
    schema: str | None = None
    profile: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


def dataset_for(dataset: Dataset, source_tags: Mapping[str, str]) -> MlflowDataset:
    """Our dataset as MLflow has it.

    Parameters
    ----------
    source_tags : the tags ``mlflow.user`` and ``mlflow.source.*`` of the run: the data came from its code.
    """
    tags = {CONTEXT_TAG: limits.cut(dataset.context, limits.MAX_INPUT_TAG)}
    if dataset.digest:
        tags[DIGEST_TAG] = limits.cut(dataset.digest, limits.MAX_INPUT_TAG)
    return MlflowDataset(
        name=limits.name_for(dataset.name or "dataset", limits.MAX_DATASET_NAME),
        digest=_digest(dataset),
        source_type="code",
        source=_source(tuple(source_tags.items())),
        schema=_json(_schema(dataset), limits.MAX_DATASET_SCHEMA),
        profile=_json(_profile(dataset), limits.MAX_DATASET_PROFILE),
        tags=tags,
    )


def dataset_from(data: MlflowDataset) -> Dataset:
    """MLflow's dataset as ours; what cannot be understood of its JSON is left out."""
    profile, schema = _mapping(data.profile), _mapping(data.schema)
    ours = profile.get("autotrack")
    ours = ours if isinstance(ours, dict) else {}
    columns = ours.get("columns") if isinstance(ours.get("columns"), list) else _columns(schema)
    target = ours.get("target")
    kind = ours.get("kind")
    return Dataset(
        name=data.name,
        context=data.tags.get(CONTEXT_TAG, ""),
        kind=kind if isinstance(kind, str) else data.source_type,
        digest=data.tags.get(DIGEST_TAG, data.digest),
        shape=_shape(profile, schema),
        columns=tuple(column for column in columns or [] if isinstance(column, dict)),
        target=target if isinstance(target, dict) else {},
    )


@lru_cache(maxsize=64)
def _source(tags: tuple[tuple[str, str], ...]) -> str:
    """The runs of one script share it."""
    return _json({"tags": dict(tags)}, limits.MAX_DATASET_SOURCE) or "{}"


def _digest(dataset: Dataset) -> str:
    if dataset.digest.startswith(PREFIX) and len(dataset.digest) > len(PREFIX) + _DIGITS:
        return dataset.digest[len(PREFIX) :][:_DIGITS]
    if dataset.digest and len(dataset.digest) <= limits.MAX_DATASET_DIGEST:
        return limits.clean(dataset.digest)
    # MLflow takes two datasets of one name and digest for one: without a digest of the content the description counts.
    described = of_bytes(json.dumps(dataset_to_json(dataset), sort_keys=True, default=str).encode())
    return f"about-{described[len(PREFIX) :][:16]}"


def _schema(dataset: Dataset) -> dict[str, Any] | None:
    named = [column for column in dataset.columns if isinstance(column.get("name"), str | int)]
    if named and len(named) == len(dataset.columns):
        specs = [
            {"type": _type(str(column.get("dtype", ""))), "name": column["name"], "required": not column.get("missing")}
            for column in named
        ]
        return {"mlflow_colspec": specs}
    if len(dataset.columns) == 1 and dataset.shape:
        shape = [-1, *(-1 if n is None else n for n in dataset.shape[1:])]
        features = [_tensor(str(dataset.columns[0].get("dtype", "")), shape)]
        targets = None
        if dataset.target.get("dtype") and isinstance(dataset.target.get("shape"), list | tuple):
            targets = json.dumps([_tensor(str(dataset.target["dtype"]), [-1, *dataset.target["shape"][1:]])])
        return {"mlflow_tensorspec": {"features": json.dumps(features), "targets": targets}}
    return None


def _tensor(dtype: str, shape: list[Any]) -> dict[str, Any]:
    return {"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": shape}}


def _type(dtype: str) -> str:
    lower = dtype.lower()
    if lower.startswith(("datetime", "timestamp", "date")):
        return "datetime"
    return _TYPES.get(lower.partition("[")[0], "string" if lower.startswith("str") else "any")


def _profile(dataset: Dataset) -> dict[str, Any]:
    profile: dict[str, Any] = {}
    if dataset.shape and dataset.shape[0] is not None:
        profile["num_rows"] = dataset.shape[0]
        if all(n is not None for n in dataset.shape):
            elements = 1
            for n in dataset.shape:
                elements *= n or 0
            profile["num_elements"] = elements
    about = dataset_to_json(dataset)
    profile["autotrack"] = {key: about[key] for key in ("kind", "shape", "columns", "target", "digest") if about[key]}
    return profile


def _json(data: Any, limit: int) -> str | None:
    """As text, or nothing where MLflow would not take it: JSON cannot be cut."""
    if data is None:
        return None
    text = _ENCODER.encode(data)
    return text if len(text) <= limit else None


def _mapping(text: str | None) -> dict[str, Any]:
    try:
        data = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def _columns(schema: dict[str, Any]) -> list[dict[str, Any]]:
    specs = schema.get("mlflow_colspec")
    if isinstance(specs, list):
        columns = [spec for spec in specs if isinstance(spec, dict)]
        return [
            {"name": column.get("name"), "dtype": _OUR_DTYPES.get(str(column.get("type")), str(column.get("type")))}
            for column in columns
        ]
    spec = _tensor_spec(schema)
    return [{"name": None, "dtype": str(spec.get("dtype", ""))}] if spec else []


def _tensor_spec(schema: dict[str, Any]) -> dict[str, Any]:
    tensors = schema.get("mlflow_tensorspec")
    features = tensors.get("features") if isinstance(tensors, dict) else None
    try:
        specs = json.loads(features) if isinstance(features, str) else features
    except (ValueError, RecursionError):
        return {}
    first = specs[0] if isinstance(specs, list) and specs else None
    spec = first.get("tensor-spec") if isinstance(first, dict) else None
    return spec if isinstance(spec, dict) else {}


def _shape(profile: dict[str, Any], schema: dict[str, Any]) -> tuple[int | None, ...]:
    ours = profile.get("autotrack")
    for given in (ours.get("shape") if isinstance(ours, dict) else None, profile.get("features_shape")):
        if isinstance(given, list) and all(n is None or isinstance(n, int) for n in given):
            return tuple(given)
    rows = profile.get("num_rows")
    if not isinstance(rows, int):
        return ()
    columns = schema.get("mlflow_colspec")
    return (rows, len(columns)) if isinstance(columns, list) else (rows,)
