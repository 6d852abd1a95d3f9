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
from autotrack.models.formats import CLOUDPICKLE, MODEL_FILES, PICKLE, SKOPS, checked_format
from autotrack.models.mlmodel import MLMODEL, PYTHON, render_mlmodel
from autotrack.models.requirements import Requirements, find_requirements
from autotrack.models.signature import Signature

_TAKEN: Final = frozenset({errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR, errno.EISDIR})
_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
HASHED: Final = 256 * 1024
"""Bytes of a model's file that are hashed while the user waits, in about a quarter of a millisecond."""

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
        ``"skops"`` is a file that can be looked into before anything of it is built (needs the package skops).
    remark : told in a sentence what was left out, or what loading the model will ask for; ``None`` for a warning
        through ``logging``.
    replace : put it in the place of a model that stands there already.

    Returns
    -------
    LoggedModel
        With the digest of the whole folder, as `autotrack.digests.of_folder` takes it; where the model's file is larger
        than `HASHED`, the digest is left empty, to be taken when nobody waits.

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
            size, digest = _write(
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
    return LoggedModel(artifact_path, _class_name(model), form, size, digest=digest)


def warm_up() -> None:
    """Do what only the first `write_model` of a process pays for: import cloudpickle, look up versions."""
    import autotrack.models.pickling  # noqa: F401

    find_requirements(())


class _Written(NamedTuple):
    """The modules that the model's file names, its size, its digest where it was taken, and types to be trusted."""

    modules: set[str]
    size: int
    digest: str
    types: tuple[str, ...] = ()


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
) -> tuple[int, str]:
    write_file = _write_skops if form == SKOPS else _write_plain if form == PICKLE else _write_pickle
    modules, model_size, model_digest, types = write_file(f"{folder}/{MODEL_FILES[form]}", model, remark)
    if signature is not None and signature.library:
        modules.add(signature.library)
    requirements = find_requirements(modules, serialization_format=form)
    environment = _environment_files(requirements)
    example_info: dict[str, str] = {}
    files = dict(environment.digests)
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
    ).encode()
    _write_file(f"{folder}/requirements.txt", environment.requirements)
    _write_file(f"{folder}/conda.yaml", environment.conda)
    _write_file(f"{folder}/python_env.yaml", _PYTHON_ENV)
    _write_file(f"{folder}/{MLMODEL}", mlmodel)
    size = model_size + len(environment.requirements) + len(environment.conda) + len(_PYTHON_ENV) + len(mlmodel)
    if not model_digest:
        return size, ""
    files[MLMODEL] = digests.of_bytes(mlmodel)
    files[MODEL_FILES[form]] = model_digest
    return size, digests.of_digests(files)


def _write_pickle(path: str, model: Any, remark: Callable[[str], None]) -> _Written:
    from autotrack.models.pickling import RecordingPickler

    pickler, sink = _dump(path, model, RecordingPickler)
    return _Written(pickler.modules, sink.size, sink.digest)


def _write_plain(path: str, model: Any, remark: Callable[[str], None]) -> _Written:
    from autotrack.models.pickling import PlainPickler

    pickler, sink = _dump(path, model, PlainPickler, "; serialization_format='cloudpickle' takes more")
    if pickler.script_names:
        remark(
            f"the pickle of this {type(model).__name__} only names what the script itself defines "
            f"({', '.join(sorted(pickler.script_names))}): no other program can load it. Move that to a module of its "
            "own, or leave serialization_format at 'cloudpickle', which takes it along"
        )
    return _Written(pickler.modules, sink.size, sink.digest)


def _write_skops(path: str, model: Any, remark: Callable[[str], None]) -> _Written:
    from autotrack.models.skops_file import dump, unknown_types

    dumped = dump(model)
    _write_file(path, dumped.data)
    if unknown := unknown_types(dumped.types):
        remark(
            f"the skops file of this {type(model).__name__} holds types that have to be trusted by name when it is "
            f"loaded: load_model(…, trusted_types={unknown})"
        )
    digest = digests.of_bytes(dumped.data) if len(dumped.data) <= HASHED else ""
    return _Written(dumped.modules, len(dumped.data), digest, dumped.types)


def _dump(path: str, model: Any, make_pickler: Callable[[Any], Any], hint: str = "") -> tuple[Any, Any]:
    """The pickler when it is done, and the sink that it wrote to."""
    from autotrack.models.pickling import Sink

    fd = os.open(path, _FLAGS, 0o666)
    try:
        sink = Sink(fd, HASHED)
        pickler = make_pickler(sink)
        try:
            pickler.dump(model)
        except OSError as error:
            if error is sink.error:
                raise
            raise _unpicklable(model, pickler.last, error, hint) from error
        except Exception as error:
            raise _unpicklable(model, pickler.last, error, hint) from error
    finally:
        os.close(fd)
    return pickler, sink


def _unpicklable(model: Any, last: Any, error: Exception, hint: str) -> ModelError:
    from autotrack.models.pickling import find_path

    message = f"{type(model).__name__} cannot be pickled: {error}"
    if last is not model and (path := find_path(model, last)) is not None:
        message += f" (at {type(model).__name__}{path}, a {type(last).__module__}.{type(last).__qualname__})"
    return ModelError(message + hint)


def _write_example(folder: str, data: Any, remark: Callable[[str], None]) -> tuple[dict[str, str], int, dict[str, str]]:
    """What the ``MLmodel`` says of it, its size, and the digests of its files."""
    from autotrack.models.example import FILE, SERVING_FILE, render_example

    try:
        example = render_example(data)
        text, serving_text = example.text.encode(), example.serving_text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        remark(f"the input example is left out of the model: {error}")
        return {}, 0, {}
    _write_file(f"{folder}/{FILE}", text)
    _write_file(f"{folder}/{SERVING_FILE}", serving_text)
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


def _write_file(path: str, data: bytes) -> None:
    fd = os.open(path, _FLAGS, 0o666)
    try:
        written = os.write(fd, data)
        while written < len(data):
            written += os.write(fd, data[written:])
    finally:
        os.close(fd)


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
