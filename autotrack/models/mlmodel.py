"""The ``MLmodel`` file: its text, as MLflow 3.17 writes it, and what we read from it."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Final

from autotrack.digests import open_file
from autotrack.errors import ModelError
from autotrack.models.signature import Signature

MLMODEL: Final = "MLmodel"
FORMAT: Final = "3.17.2"
"""The MLflow release whose folder format this is."""

PYTHON: Final = ".".join(str(part) for part in sys.version_info[:3])
_MAX_SIZE: Final = 64 * 2**20


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What a model folder says of itself; nothing of it was unpickled.

    Parameters
    ----------
    folder : where it stands.
    estimator_class : dotted name of the model's class; empty in a folder that others wrote.
    pickled_model : path of the model's file as the folder states it; not checked, see `autotrack.models.load_model`.
    serialization_format : ``cloudpickle``, ``pickle`` or ``skops``.
    python_version, sklearn_version : those that wrote it; empty where it does not say.
    local_modules : modules it needs that no distribution installs.
    size : bytes of the model itself, ``None`` where it does not say.
    flavors : all that the file says, by flavor.
    metadata : the file's own ``metadata``.
    example : what it says of its input example; read one with `autotrack.models.example_reading`.
    """

    folder: Path
    run_id: str = ""
    artifact_path: str = ""
    model_uuid: str = ""
    created: str = ""
    estimator_class: str = ""
    pickled_model: str = ""
    serialization_format: str = ""
    python_version: str = ""
    sklearn_version: str = ""
    local_modules: tuple[str, ...] = ()
    size: int | None = None
    signature: Signature | None = None
    flavors: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    example: Mapping[str, Any] = field(default_factory=dict)


def render_mlmodel(
    *,
    artifact_path: str,
    run_id: str,
    model_uuid: str,
    created: str,
    estimator_class: str,
    sklearn_version: str,
    predicts: bool,
    size: int,
    local_modules: tuple[str, ...],
    signature: Signature | None,
    example: Mapping[str, str],
    model_file: str = "model.pkl",
    serialization_format: str = "cloudpickle",
    skops_types: tuple[str, ...] = (),
) -> str:
    """The text of an ``MLmodel`` with a scikit-learn model, without the cost of a YAML library."""
    function = (
        f"""\
  python_function:
    env:
      conda: conda.yaml
      virtualenv: python_env.yaml
    loader_module: mlflow.sklearn
    model_path: {model_file}
    predict_fn: predict
    python_version: {quote(PYTHON)}
"""
        if predicts
        else ""
    )
    lines = [
        f"artifact_path: {quote(artifact_path)}\n",
        "flavors:\n",
        function,
        f"  sklearn:\n    code: null\n    pickled_model: {model_file}\n",
        f"    serialization_format: {serialization_format}\n    sklearn_version: {quote(sklearn_version)}\n",
        # MLflow opens a skops file only so. We never read it: a file must not say of itself that it can be trusted.
        f"    skops_trusted_types: [{', '.join(map(quote, skops_types))}]\n" if skops_types else "",
        f"metadata:\n  autotrack:\n    estimator_class: {quote(estimator_class)}\n",
        f"    local_modules: [{', '.join(map(quote, local_modules))}]\n",
        f"    python_version: {quote(PYTHON)}\n",
        f"mlflow_version: {FORMAT}\nmodel_id: null\nmodel_size_bytes: {size}\n",
        f"model_uuid: {quote(model_uuid)}\nrun_id: {quote(run_id)}\n",
    ]
    if example:
        lines.append("saved_input_example_info:\n")
        lines += [f"  {key}: {quote(value)}\n" for key, value in example.items()]
    if signature is not None:
        outputs = signature.outputs_json()
        lines.append(f"signature:\n  inputs: {quote(signature.inputs_json())}\n")
        lines.append(f"  outputs: {'null' if outputs is None else quote(outputs)}\n  params: null\n")
    lines.append(f"utc_time_created: {quote(created)}\n")
    return "".join(lines)


def quote(text: str) -> str:
    """A YAML scalar. JSON's is one, but for what YAML reads differently: surrogate pairs and DEL."""
    quoted = json.dumps(text)
    if text.isascii() and "\x7f" not in text:
        return quoted
    return '"' + "".join(_escape(char) for char in text) + '"'


def _escape(char: str) -> str:
    number = ord(char)
    if number == 0x7F:
        return "\\x7f"
    return f"\\U{number:08x}" if number > 0xFFFF else json.dumps(char)[1:-1]


def read_mlmodel(folder: Path) -> ModelInfo:
    """Read what a model folder says of itself, without unpickling anything.

    Raises
    ------
    ModelError
        When there is no ``MLmodel``, or it cannot be understood.
    """
    folder = Path(folder)
    path = folder / MLMODEL
    try:
        with open_file(path) as file:
            data = file.read(_MAX_SIZE + 1)
    except FileNotFoundError:
        there = "it does not exist" if not folder.exists() else _listing(folder)
        raise ModelError(f"{folder} is not a model folder: no {MLMODEL} in it ({there})") from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {error}") from error
    return parse_mlmodel(folder, data)


def parse_mlmodel(folder: Path, content: bytes) -> ModelInfo:
    """As `read_mlmodel`, of a file that was read already.

    Raises
    ------
    ModelError
        When it cannot be understood.
    """
    path = folder / MLMODEL
    if len(content) > _MAX_SIZE:
        raise ModelError(f"{path} is larger than {_MAX_SIZE >> 20} MiB: that is no MLmodel file")

    from autotrack.models.plain_yaml import parse

    try:
        data = parse(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ModelError(f"{path} cannot be read: {error}") from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path} is not valid YAML: {error}") from error
    flavors = data.get("flavors") if isinstance(data, dict) else None
    if not isinstance(flavors, dict) or not all(isinstance(flavor, dict) for flavor in flavors.values()):
        raise ModelError(f"{path} has no 'flavors': it is not an MLmodel file")
    return _info(folder, path, data, flavors)


def _info(folder: Path, path: Path, data: dict[str, Any], flavors: dict[str, dict[str, Any]]) -> ModelInfo:
    sklearn, function = flavors.get("sklearn", {}), flavors.get("python_function", {})
    metadata = data.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    ours = metadata.get("autotrack")
    ours = ours if isinstance(ours, dict) else {}
    local = ours.get("local_modules")
    example = data.get("saved_input_example_info")
    size = data.get("model_size_bytes")
    return ModelInfo(
        folder=folder,
        run_id=_text(data.get("run_id")),
        artifact_path=_text(data.get("artifact_path")),
        model_uuid=_text(data.get("model_uuid")),
        created=_text(data.get("utc_time_created")),
        estimator_class=_text(ours.get("estimator_class")),
        pickled_model=_text(sklearn.get("pickled_model")),
        serialization_format=_text(sklearn.get("serialization_format")),
        python_version=_text(function.get("python_version") or ours.get("python_version")),
        sklearn_version=_text(sklearn.get("sklearn_version")),
        local_modules=tuple(name for name in local if isinstance(name, str)) if isinstance(local, list) else (),
        size=size if isinstance(size, int) else None,
        signature=_signature(path, data.get("signature")),
        flavors=flavors,
        metadata=metadata,
        example=example if isinstance(example, dict) else {},
    )


def _signature(path: Path, data: Any) -> Signature | None:
    if not isinstance(data, dict):
        return None
    try:
        return Signature.from_json(data.get("inputs"), data.get("outputs"))
    except (ValueError, TypeError, RecursionError) as error:
        raise ModelError(f"the signature in {path} cannot be understood: {error}") from error


def _text(value: Any) -> str:
    return str(value) if isinstance(value, (str, int, float, date)) else ""


def _listing(folder: Path) -> str:
    try:
        names = sorted(entry.name for entry in folder.iterdir())
    except OSError as error:
        return str(error)
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"it holds {', '.join(names[:5])}{more}" if names else "it is empty"
