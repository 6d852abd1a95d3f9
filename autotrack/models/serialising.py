"""Writing a model's own file, in each of its formats."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from autotrack import digests
from autotrack.errors import ModelError
from autotrack.models.formats import CLOUDPICKLE, MODEL_FILES, PICKLE, SKOPS
from autotrack.models.mlmodel import Flavor
from autotrack.settings import NATIVE_FORMATS

_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
HASHED: Final = 256 * 1024
"""Bytes of a model's file that are hashed while the user waits, in about a quarter of a millisecond."""


class Written(NamedTuple):
    """A model's file.

    Parameters
    ----------
    form : its format.
    modules : those that it names.
    size : in bytes.
    digest : empty where the file is larger than `HASHED`.
    types : those that have to be trusted by name.
    flavor : what an ``MLmodel`` says of a library's own file; ``None`` for any other.
    """

    form: str
    modules: set[str]
    size: int
    digest: str
    types: tuple[str, ...] = ()
    flavor: Flavor | None = None


def write_serialised(folder: str, model: Any, form: str, remark: Callable[[str], None]) -> Written:
    """Write the model's file into the folder, in this format or, where it is none of the library's, as a pickle."""
    if form in NATIVE_FORMATS:
        from autotrack.models import native

        why = native.obstacle(model, form)
        if why is None and native.is_native(model, form):
            return _write_native(folder, model, form)
        if why is not None:
            remark(why)
        form = CLOUDPICKLE
    path = f"{folder}/{MODEL_FILES[form]}"
    if form == SKOPS:
        return _write_skops(path, model, remark)
    return _write_plain(path, model, remark) if form == PICKLE else _write_pickle(path, model)


def _write_native(folder: str, model: Any, form: str) -> Written:
    from autotrack.models import native

    path = f"{folder}/{MODEL_FILES[form]}"
    native.save(path, model)
    size = os.stat(path).st_size
    modules = {form} if native.is_booster(model, form) else {form, "sklearn"}
    digest = digests.of_file(path) if size <= HASHED else ""
    return Written(form, modules, size, digest, flavor=native.flavor(model, form))


def _write_pickle(path: str, model: Any) -> Written:
    from autotrack.models.pickling import RecordingPickler

    pickler, sink = _dump(path, model, RecordingPickler)
    return Written(CLOUDPICKLE, pickler.modules, sink.size, sink.digest)


def _write_plain(path: str, model: Any, remark: Callable[[str], None]) -> Written:
    from autotrack.models.pickling import PlainPickler

    pickler, sink = _dump(path, model, PlainPickler, "; serialization_format='cloudpickle' takes more")
    if pickler.script_names:
        remark(
            f"the pickle of this {type(model).__name__} only names what the script itself defines "
            f"({', '.join(sorted(pickler.script_names))}): no other program can load it. Move that to a module of its "
            "own, or leave serialization_format at 'cloudpickle', which takes it along"
        )
    return Written(PICKLE, pickler.modules, sink.size, sink.digest)


def _write_skops(path: str, model: Any, remark: Callable[[str], None]) -> Written:
    from autotrack.models.skops_file import dump, unknown_types

    dumped = dump(model)
    write_file(path, dumped.data)
    if unknown := unknown_types(dumped.types):
        remark(
            f"the skops file of this {type(model).__name__} holds types that have to be trusted by name when it is "
            f"loaded: load_model(…, trusted_types={unknown})"
        )
    digest = digests.of_bytes(dumped.data) if len(dumped.data) <= HASHED else ""
    return Written(SKOPS, dumped.modules, len(dumped.data), digest, dumped.types)


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


def write_file(path: str, data: bytes) -> None:
    """Write a file that is not there yet."""
    fd = os.open(path, _FLAGS, 0o666)
    try:
        written = os.write(fd, data)
        while written < len(data):
            written += os.write(fd, data[written:])
    finally:
        os.close(fd)
