"""The models of a run: signature, estimators, how to load and to serve them. Nothing is unpickled."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from autotrack.digests import open_file
from autotrack.entities import LoggedModel, Run
from autotrack.errors import AutotrackError, ModelError
from autotrack.models import importing
from autotrack.models.estimators import Estimator, estimator_of
from autotrack.models.formats import PICKLE, SKOPS
from autotrack.models.inspecting_pickle import read_pickle
from autotrack.models.inspecting_skops import read_skops
from autotrack.models.loading import RUN_CODE
from autotrack.models.mlmodel import MLMODEL, ModelInfo, parse_mlmodel
from autotrack.models.signature import Signature, TensorSpec
from autotrack.models.symbols import Reading
from autotrack.server.places import told
from autotrack.stores.base import Store

LOOKED_INTO: Final = 16 * 2**20
"""Bytes of a model's file that a page looks into; a larger one has to be asked for."""

_ROWS: Final = 300
_EXAMPLE: Final = 2_000
_SMALL: Final = 2**20
_NUMBERS: Final = {"integer": 0, "long": 0, "float": 0.0, "double": 0.0, "boolean": False}


def describe(store: Store, run: Run, model: LoggedModel, *, deep: bool = True, uri: str = "") -> dict[str, Any]:
    """A model as JSON types; what cannot be read is told in ``problem``.

    Parameters
    ----------
    deep : look into the model's file for its estimators and what loading it imports, if that is no larger than
        `LOOKED_INTO`.
    uri : by which the snippets name it; its ``runs:/`` URI when left out.
    """
    found: dict[str, Any] = {
        "path": model.path,
        "estimator_class": model.estimator_class,
        "serialization_format": model.serialization_format,
        "size": model.size,
        "digest": model.digest,
        "registered_model_name": model.registered_model_name,
        "model_id": model.model_id,
        "signature": None,
        "requirements": [],
        "estimator": None,
        "loading": None,
        "problem": None,
        "flavors": [],
        "python_version": "",
        "sklearn_version": "",
    }
    info: ModelInfo | None = None
    try:
        info = _info(store, run, model)
        found |= {
            "flavors": [str(name) for name in info.flavors],
            "python_version": info.python_version,
            "sklearn_version": info.sklearn_version,
            "serialization_format": info.serialization_format or model.serialization_format,
            "signature": _signature(info.signature),
            "requirements": _requirements(store, run, model),
        }
        reading = look_into(store, run, model, info) if deep else None
        if reading is not None:
            tree = estimator_of(reading.root)
            found["estimator"] = None if tree is None else _tree(tree)
            found["loading"] = {
                "types": importing.grouped(reading.names),
                "dangers": importing.dangers(reading.names),
                "carries_code": importing.carries_code(reading.names),
                "trouble": reading.trouble,
            }
    except (AutotrackError, OSError, UnicodeDecodeError) as error:
        found["problem"] = told(error, store)
    found["snippets"] = snippets(uri or f"runs:/{run.run_id}/{model.path}", info, _payload(store, run, model, info))
    return found


def snippets(uri: str, info: ModelInfo | None, payload: tuple[str, bool]) -> dict[str, Any]:
    """How to load a model and to serve it; ``is_example`` tells whether the request's data are a real example."""
    flavors = list(info.flavors) if info is not None else ["sklearn"]
    flavor = next((name for name in flavors if name != "python_function"), "sklearn")
    module = flavor if flavor.isidentifier() else "pyfunc"
    body, is_example = payload
    told = json.dumps(uri)
    return {
        "autotrack": f"import autotrack\n\nmodel = autotrack.load_model({told})",
        "mlflow": f"import mlflow\n\nmodel = mlflow.{module}.load_model({told})",
        "serve": f"autotrack models serve {shlex.quote(uri)}",
        "request": (
            "curl http://127.0.0.1:5002/invocations -H 'Content-Type: application/json' \\\n"
            f"     -d {shlex.quote(body)}"
        ),
        "is_example": is_example,
    }


def changed_params(models: list[dict[str, Any]]) -> dict[str, bool]:
    """Of the params of the run's model, by their names with ``__``: whether each differs from its default."""
    tree = models[0]["estimator"] if models else None
    return dict(_changed(tree, "")) if tree else {}


def _changed(tree: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, bool]]:
    for name, param in tree["params"].items():
        if param["changed"] is not None:
            yield f"{prefix}{name}", param["changed"]
    for part in tree["parts"]:
        if part["label"]:
            yield from _changed(part, f"{prefix}{part['label']}__")


def _info(store: Store, run: Run, model: LoggedModel) -> ModelInfo:
    path = store.artifact_path(run.run_id, f"{model.path}/{MLMODEL}")
    return parse_mlmodel(path.parent, _read(path, _SMALL))


def _read(path: Path, most: int) -> bytes:
    """A file's content.

    Raises
    ------
    ModelError
        When it is larger.
    """
    with open_file(path) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ModelError(f"{path.name} is larger than {most >> 20} MiB")
    return content


def _requirements(store: Store, run: Run, model: LoggedModel) -> list[str]:
    try:
        text = _read(store.artifact_path(run.run_id, f"{model.path}/requirements.txt"), _SMALL).decode()
    except (AutotrackError, OSError):
        return []
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")][:_ROWS]


def _signature(signature: Signature | None) -> dict[str, Any] | None:
    if signature is None:
        return None
    sides: dict[str, Any] = {}
    for side, specs in (("inputs", signature.inputs), ("outputs", signature.outputs or ())):
        rows = []
        for spec in specs[:_ROWS]:
            if isinstance(spec, TensorSpec):
                kind = f"tensor {spec.dtype} ({', '.join('any' if n < 0 else str(n) for n in spec.shape)})"
                required = True
            else:
                kind = spec.type if isinstance(spec.type, str) else json.dumps(dict(spec.type))
                required = spec.required
            rows.append({"name": None if spec.name is None else str(spec.name), "type": kind, "required": required})
        sides[side] = rows
        sides[f"n_{side}"] = len(specs)
    return sides


def look_into(store: Store, run: Run, model: LoggedModel, info: ModelInfo) -> Reading | None:
    """What a model's file would make; ``None`` for a format that is not looked into, or a large file.

    Raises
    ------
    AutotrackError, OSError
        When the file is not there or cannot be read.
    """
    if not info.pickled_model:
        return None
    form = info.serialization_format or PICKLE
    path = store.artifact_path(run.run_id, f"{model.path}/{info.pickled_model}")
    if path.stat().st_size > LOOKED_INTO or (form != SKOPS and form not in RUN_CODE):
        return None
    with open_file(path) as file:
        return read_skops(file, path) if form == SKOPS else read_pickle(file)


def _tree(estimator: Estimator) -> dict[str, Any]:
    return {
        "class": estimator.name,
        "module": estimator.module,
        "label": estimator.label,
        "detail": estimator.detail,
        "params": {param.name: {"value": param.value, "changed": param.changed} for param in estimator.params},
        "fitted": {param.name: param.value for param in estimator.fitted},
        "parts": [_tree(part) for part in estimator.parts],
    }


def _payload(store: Store, run: Run, model: LoggedModel, info: ModelInfo | None) -> tuple[str, bool]:
    """A request's body, and whether its data are an example that was logged."""
    if info is None:
        return '{"dataframe_split": {"columns": [], "data": []}}', False
    named = info.example.get("serving_input_path")
    if isinstance(named, str) and named and not named.endswith(".gz"):
        try:
            path = store.artifact_path(run.run_id, f"{model.path}/{named}")
            known = json.loads(_read(path, _SMALL))
            text = json.dumps(_one_row(known))
            if len(text) <= _EXAMPLE:
                return text, True
        except (AutotrackError, OSError, ValueError, RecursionError):
            pass
    return _made_up(info.signature), False


def _one_row(known: Any) -> Any:
    split = known.get("dataframe_split") if isinstance(known, dict) else None
    if isinstance(split, dict) and isinstance(split.get("data"), list):
        return {"dataframe_split": {**split, "data": split["data"][:1]}}
    if isinstance(known, dict) and isinstance(known.get("inputs"), list):
        return {"inputs": known["inputs"][:1]}
    return known


def _made_up(signature: Signature | None) -> str:
    specs = signature.inputs if signature is not None else ()
    if len(specs) == 1 and isinstance(specs[0], TensorSpec):
        width = specs[0].shape[-1] if specs[0].shape else 1
        return json.dumps({"inputs": [[0.0] * min(max(width, 1), 100)]})
    columns = [str(spec.name) for spec in specs if spec.name is not None][:100]
    row = [
        _NUMBERS.get(spec.type, "…") if not isinstance(spec, TensorSpec) and isinstance(spec.type, str) else "…"
        for spec in specs[: len(columns)]
    ]
    return json.dumps({"dataframe_split": {"columns": columns, "data": [row]}}, ensure_ascii=False)
