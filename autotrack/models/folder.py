"""Writing a model folder: inside the user's fit, so in a fraction of a millisecond, and whole or not at all."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

from autotrack import digests
from autotrack.entities import LoggedModel
from autotrack.errors import ModelError
from autotrack.exchanging import put_in_place
from autotrack.models.formats import CLOUDPICKLE, MODEL_FILES, checked_format
from autotrack.models.mlmodel import MLMODEL, PYTHON, render_mlmodel
from autotrack.models.requirements import Requirements, find_requirements
from autotrack.models.serialising import write_file, write_serialised
from autotrack.models.signature import Signature

CODE: Final = "code"
"""The folder of the user's own modules, which MLflow puts on the path when it loads the model."""

_TAKEN: Final = frozenset({errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR, errno.EISDIR})

_PYTHON_ENV: Final = (
    f"python: {PYTHON}\nbuild_dependencies:\n- pip\n- setuptools\n- wheel\ndependencies:\n- -r requirements.txt\n"
).encode()
_PYTHON_ENV_DIGEST: Final = digests.of_bytes(_PYTHON_ENV)

_logger = logging.getLogger(__name__)


def write_model(
    folder: Path,
    model: Any,
    *,
    run_id: str,
    signature: Signature | None,
    input_example: Any = None,
    created: datetime | int,
    artifact_path: str = "model",
    serialization_format: str = CLOUDPICKLE,
    remark: Callable[[str], None] | None = None,
    replace: bool = False,
) -> LoggedModel:
    """Write a fitted model as a folder that MLflow's tools read.

    It is written beside its place and renamed, so that a process that dies leaves no half of it there. An input example
    that cannot be written is left out.

    Parameters
    ----------
    folder : where it is to stand; nothing but an empty folder may be there. Folders above it are made where they are
        missing.
    model : the fitted estimator; pickled straight into the file.
    run_id : the run that the ``MLmodel`` names.
    signature : see `infer_signature`; ``None`` for none.
    input_example : a few rows of X; ``None`` for none.
    created : a datetime (a naive one is in UTC) or milliseconds since the epoch.
    artifact_path : path among the run's artifacts, with forward slashes.
    serialization_format : ``"cloudpickle"`` takes along what the script defines; ``"pickle"`` names it only;
        ``"skops"`` is a file that can be looked into before anything of it is built (needs the package skops);
        ``"xgboost"``, ``"lightgbm"`` and ``"catboost"`` are these libraries' own files, for models of their own
        classes. Any other model, such as a pipeline that has one as a step, is pickled with cloudpickle then.
    remark : told in a sentence what was left out, or what loading the model will ask for; ``None`` for a warning
        through ``logging``.
    replace : put it in the place of a model that stands there already.

    Returns
    -------
    LoggedModel
        With the digest of the whole folder, as `autotrack.digests.of_folder` takes it; where the model's file is larger
        than `autotrack.models.serialising.HASHED`, the digest is left empty, to be taken when nobody waits.

    Raises
    ------
    SettingsError
        For another ``serialization_format``.
    ModelError
        When the model cannot be serialised, naming what of it cannot, or the folder cannot be written. Then nothing
        is left behind.
    """
    form = checked_format(serialization_format)
    remark = remark or _warn
    target = os.fspath(folder)
    name = type(model).__name__
    temporary = f"{target}.tmp-{os.urandom(4).hex()}"
    try:
        _make_folder(temporary)
        try:
            written, size, digest = _write(
                temporary, model, form, run_id, signature, input_example, created, artifact_path, remark
            )
            (put_in_place if replace else os.rename)(temporary, target)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
    except ModelError:
        raise
    except OSError as error:
        if error.filename2 == target and error.errno in _TAKEN:
            raise ModelError(f"{target} exists already; a model is never written over anything") from error
        raise ModelError(f"{name} cannot be written to {target}: {error.strerror or error}") from error
    except Exception as error:
        raise ModelError(f"{name} cannot be written to {target}: {type(error).__name__}: {error}") from error
    return LoggedModel(artifact_path, _class_name(model), written, size, digest=digest)


def warm_up() -> None:
    """Do what only the first `write_model` of a process pays for: import cloudpickle, look up versions."""
    import autotrack.models.pickling  # noqa: F401

    find_requirements(())


def _warn(message: str) -> None:
    _logger.warning("%s", message)


def _write(
    folder: str,
    model: Any,
    form: str,
    run_id: str,
    signature: Signature | None,
    input_example: Any,
    created: datetime | int,
    artifact_path: str,
    remark: Callable[[str], None],
) -> tuple[str, int, str]:
    """The format that was written, the folder's size in bytes, and its digest."""
    form, modules, model_size, model_digest, types, native = write_serialised(folder, model, form, remark)
    if signature is not None and signature.library:
        modules.add(signature.library)
    requirements = find_requirements(modules, serialization_format=form)
    files: dict[str, str] = {}
    code = ""
    if requirements.local_modules:
        imports, code_size, files = _write_code(folder, requirements.local_modules, remark)
        model_size += code_size
        if files:
            code = CODE
            requirements = find_requirements(modules | imports, serialization_format=form)
    environment = _environment_files(requirements)
    example_info: dict[str, str] = {}
    files |= environment.digests
    if input_example is not None:
        example_info, example_size, example_digests = _write_example(folder, input_example, remark)
        model_size += example_size
        files |= example_digests
    mlmodel = render_mlmodel(
        artifact_path=artifact_path,
        run_id=run_id,
        model_uuid=os.urandom(16).hex(),
        created=_utc(created),
        estimator_class=_class_name(model),
        sklearn_version=str(getattr(sys.modules.get("sklearn"), "__version__", "")),
        predicts=_predicts(model),
        size=model_size,
        local_modules=requirements.local_modules,
        signature=signature,
        example=example_info,
        model_file=MODEL_FILES[form],
        serialization_format=form,
        skops_types=types,
        native=native,
        code=code,
    ).encode()
    write_file(f"{folder}/requirements.txt", environment.requirements)
    write_file(f"{folder}/conda.yaml", environment.conda)
    write_file(f"{folder}/python_env.yaml", _PYTHON_ENV)
    write_file(f"{folder}/{MLMODEL}", mlmodel)
    size = model_size + len(environment.requirements) + len(environment.conda) + len(_PYTHON_ENV) + len(mlmodel)
    if not model_digest:
        return form, size, ""
    files[MLMODEL] = digests.of_bytes(mlmodel)
    files[MODEL_FILES[form]] = model_digest
    return form, size, digests.of_digests(files)


def _write_code(
    folder: str, modules: tuple[str, ...], remark: Callable[[str], None]
) -> tuple[frozenset[str], int, dict[str, str]]:
    """What the packed modules import, their size, and the digests of their files."""
    from autotrack.models.packing import pack

    packed = pack(modules)
    size = 0
    taken: dict[str, str] = {}
    for file in packed.files:
        path = f"{folder}/{CODE}/{file.path}"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        write_file(path, file.data)
        size += len(file.data)
        taken[f"{CODE}/{file.path}"] = file.digest
    for name, why in sorted(packed.left_out.items()):
        remark(f"the model needs the module {name}, which is not packed with it: {why}")
    return packed.imports, size, taken


def _write_example(folder: str, data: Any, remark: Callable[[str], None]) -> tuple[dict[str, str], int, dict[str, str]]:
    """What the ``MLmodel`` says of it, its size, and the digests of its files."""
    from autotrack.models.example import FILE, SERVING_FILE, render_example

    try:
        example = render_example(data)
        text, serving_text = example.text.encode(), example.serving_text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        remark(f"the input example is left out of the model: {error}")
        return {}, 0, {}
    write_file(f"{folder}/{FILE}", text)
    write_file(f"{folder}/{SERVING_FILE}", serving_text)
    taken = {FILE: digests.of_bytes(text), SERVING_FILE: digests.of_bytes(serving_text)}
    return example.info, len(text) + len(serving_text), taken


class _Environment(NamedTuple):
    """The files that say what the model needs, and their digests by name."""

    requirements: bytes
    conda: bytes
    digests: dict[str, str]


@lru_cache(maxsize=256)
def _environment_files(requirements: Requirements) -> _Environment:
    conda = ["channels:", "- conda-forge", "dependencies:", f"- python={PYTHON}", "- pip", "- pip:"]
    conda += [f"  - {pin}" for pin in requirements.pins]
    conda.append("name: model-env")
    requirements_text = "".join(f"{pin}\n" for pin in requirements.pins).encode()
    conda_text = "\n".join(conda).encode() + b"\n"
    taken = {"requirements.txt": digests.of_bytes(requirements_text), "conda.yaml": digests.of_bytes(conda_text)}
    return _Environment(requirements_text, conda_text, {**taken, "python_env.yaml": _PYTHON_ENV_DIGEST})


def _make_folder(path: str) -> None:
    try:
        os.mkdir(path)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.mkdir(path)


def _predicts(model: Any) -> bool:
    try:
        return hasattr(model, "predict")
    except Exception:  # noqa: BLE001 - a ``__getattr__`` of the user's may raise anything for what is not there
        return False


def _class_name(model: Any) -> str:
    return f"{type(model).__module__}.{type(model).__qualname__}"


def _utc(created: datetime | int) -> str:
    if not isinstance(created, datetime):
        created = datetime.fromtimestamp(created / 1000, UTC)
    elif created.tzinfo is not None:
        created = created.astimezone(UTC)
    return created.replace(tzinfo=None).isoformat(" ", "microseconds")
