"""Runs that a person opens and writes to by hand: ``with autotrack.start_run(): …`` and the ``log_*`` functions."""

from __future__ import annotations

import io
import json
import os
import posixpath
from collections.abc import Mapping
from contextvars import Token
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any

from autotrack.autologging import open_runs_watch, session
from autotrack.capture import guard, scope
from autotrack.capture.recorder import RunRecorder, number, text
from autotrack.capture.sinks import now
from autotrack.entities import FINISHED, RUN_STATUSES, SKIPPED
from autotrack.errors import AutotrackError, RunStateError
from autotrack.settings import registered_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class ActiveRun:
    """A run that is being written. As a context manager it ends with the block: FAILED where the block raised.

    Attributes
    ----------
    run_id : 32 hexadecimal digits.
    name : the run's name.
    """

    def __init__(self, recorder: RunRecorder) -> None:
        self._recorder = recorder
        self._token: Token[RunRecorder | None] | None = scope.active_run.set(recorder)
        open_runs_watch()

    @property
    def run_id(self) -> str:
        return self._recorder.run_id

    @property
    def name(self) -> str:
        return self._recorder.name

    def __repr__(self) -> str:
        state = "ended" if self._recorder.ended else "active"
        return f"<ActiveRun {self.name!r} {self.run_id[:8]} ({state})>"

    def __enter__(self) -> ActiveRun:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._leave()
        self._recorder.end_by(error)
        open_runs_watch()

    def end(self, status: str = FINISHED) -> None:
        """End the run.

        Parameters
        ----------
        status : ``"FINISHED"``, ``"FAILED"`` or ``"KILLED"``.

        Raises
        ------
        ValueError
            For another status.
        """
        if status not in RUN_STATUSES[1:]:
            raise ValueError(f"status={status!r}: a run ends as one of {', '.join(RUN_STATUSES[1:])}")
        self._leave()
        self._recorder.end(status)
        open_runs_watch()

    def log_param(self, key: str, value: Any) -> None:
        """Record one param; a later value of the same key replaces the earlier one."""
        self.log_params({key: value})

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Record params; values become strings."""
        _write_params(self._recorder, params)

    def log_metric(self, key: str, value: float, step: int = 0) -> None:
        """Record one point of a metric.

        Raises
        ------
        TypeError
            When the value is not a number.
        """
        self.log_metrics({key: value}, step)

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Record points of several metrics at one step. Raises ``TypeError`` when one is not a number."""
        _write_metrics(self._recorder, metrics, step)

    def set_tag(self, key: str, value: Any) -> None:
        """Set one tag; a later value of the same key replaces the earlier one."""
        self.set_tags({key: value})

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Set tags; values become strings."""
        _write_tags(self._recorder, tags)

    def log_artifact(self, local_path: str | os.PathLike[str], artifact_path: str = "") -> None:
        """Copy a file, or a folder with all in it, among the run's artifacts.

        Parameters
        ----------
        local_path : what to copy.
        artifact_path : the folder among the artifacts to put it in.

        Raises
        ------
        FileNotFoundError
            When there is nothing at ``local_path``.
        """
        _write_artifact(self._recorder, local_path, artifact_path)

    def log_text(self, text: str, artifact_file: str) -> None:
        """Write a text as the artifact ``artifact_file`` (UTF-8)."""
        _write_bytes(self._recorder, artifact_file, text.encode("utf-8", "surrogatepass"))

    def log_dict(self, dictionary: Mapping[str, Any] | list[Any], artifact_file: str) -> None:
        """Write JSON types as the artifact ``artifact_file``: YAML where it is named so, else JSON."""
        _write_bytes(self._recorder, artifact_file, _serialised(dictionary, artifact_file))

    def log_figure(self, figure: Figure, artifact_file: str) -> None:
        """Draw a matplotlib figure into the artifact ``artifact_file``; its extension names the format."""
        buffer = io.BytesIO()
        extension = posixpath.splitext(artifact_file)[1].lstrip(".") or "png"
        with scope.quietly():
            figure.savefig(buffer, format=extension)
        _write_bytes(self._recorder, artifact_file, buffer.getvalue())

    def log_model(
        self,
        model: Any,
        artifact_path: str = "model",
        *,
        X: Any = None,
        serialization_format: str | None = None,
        registered_model_name: str | None = None,
    ) -> None:
        """Write a fitted model as a model folder.

        Parameters
        ----------
        model : a scikit-learn estimator.
        artifact_path : where among the artifacts.
        X : data as the model takes it, of which a signature is made.
        serialization_format : ``"cloudpickle"``, ``"pickle"``, ``"skops"``, or ``"xgboost"``, ``"lightgbm"``,
            ``"catboost"`` for a model of that library's own; ``None`` for the one in the settings.
        registered_model_name : it becomes the next version of the registered model of this name, and is loaded as
            ``models:/NAME/latest``; ``None`` for none.

        Raises
        ------
        SettingsError
            For another format, or a name that no registered model can have.
        ModelError
            When it cannot be serialised, is none of the library whose format was asked for, or a model stands there
            already.
        """
        from autotrack.models import infer_signature, write_model
        from autotrack.models.native import require_native

        signature = infer_signature(X, None)[0] if X is not None else None
        path = _clean(artifact_path)
        if registered_model_name is not None:
            registered_model_name = registered_name(registered_model_name)
        run = self._recorder
        form = run.session.settings.serialization_format if serialization_format is None else serialization_format

        if serialization_format is not None:
            require_native(model, serialization_format)

        def remark(message: str) -> None:
            run.note(SKIPPED, path, message)
            guard.warn(f"says of the model: {message}")

        written = write_model(
            run.artifact_path(path),
            model,
            run_id=run.run_id,
            signature=signature,
            created=now(),
            artifact_path=path,
            serialization_format=form,
            remark=remark,
        )
        run.model(replace(written, registered_model_name=registered_model_name))
        run.flush()

    def _leave(self) -> None:
        token, self._token = self._token, None
        if token is not None:
            try:
                scope.active_run.reset(token)
            except ValueError:  # ended in another thread or task than it was started in
                pass
        if scope.active_run.get() is self._recorder:
            scope.active_run.set(None)


def start_run(
    name: str | None = None, *, experiment: str | None = None, tags: Mapping[str, Any] | None = None
) -> ActiveRun:
    """Open a run; inside an active run, a child of it.

    The first fit inside writes to this run, every further one becomes its child.

    Parameters
    ----------
    name : for people; ``None`` for the script's name.
    experiment : the experiment it belongs to; ``None`` for the one in the settings, or the parent's.
    tags : tags to set at once.

    Returns
    -------
    ActiveRun
        To be used in a ``with`` statement, or ended by its ``end()``.
    """
    parent = scope.active_run.get()
    if parent is not None and parent.ended:
        parent = None
    recorder = session().start_run(
        name or _script_name(), experiment=experiment, parent=parent, tags=dict(tags) if tags else None
    )
    recorder.flush()
    return ActiveRun(recorder)


def end_run(status: str = FINISHED) -> None:
    """End the run that `start_run` opened in this thread or task; without one, do nothing."""
    run = active_run()
    if run is not None:
        run.end(status)


def active_run() -> ActiveRun | None:
    """The run that `start_run` opened in this thread or task, else ``None``."""
    recorder = scope.active_run.get()
    return _view(recorder) if recorder is not None else None


def log_param(key: str, value: Any) -> None:
    """`ActiveRun.log_param` of the active run, else of the run that last finished in this thread."""
    _current().log_param(key, value)


def log_params(params: Mapping[str, Any]) -> None:
    """`ActiveRun.log_params` of the active run, else of the run that last finished in this thread."""
    _current().log_params(params)


def log_metric(key: str, value: float, step: int = 0) -> None:
    """`ActiveRun.log_metric` of the active run, else of the run that last finished in this thread."""
    _current().log_metric(key, value, step)


def log_metrics(metrics: Mapping[str, float], step: int = 0) -> None:
    """`ActiveRun.log_metrics` of the active run, else of the run that last finished in this thread."""
    _current().log_metrics(metrics, step)


def set_tag(key: str, value: Any) -> None:
    """`ActiveRun.set_tag` of the active run, else of the run that last finished in this thread."""
    _current().set_tag(key, value)


def set_tags(tags: Mapping[str, Any]) -> None:
    """`ActiveRun.set_tags` of the active run, else of the run that last finished in this thread."""
    _current().set_tags(tags)


def log_artifact(local_path: str | os.PathLike[str], artifact_path: str = "") -> None:
    """`ActiveRun.log_artifact` of the active run, else of the run that last finished in this thread."""
    _current().log_artifact(local_path, artifact_path)


def log_text(text: str, artifact_file: str) -> None:
    """`ActiveRun.log_text` of the active run, else of the run that last finished in this thread."""
    _current().log_text(text, artifact_file)


def log_dict(dictionary: Mapping[str, Any] | list[Any], artifact_file: str) -> None:
    """`ActiveRun.log_dict` of the active run, else of the run that last finished in this thread."""
    _current().log_dict(dictionary, artifact_file)


def log_figure(figure: Figure, artifact_file: str) -> None:
    """`ActiveRun.log_figure` of the active run, else of the run that last finished in this thread."""
    _current().log_figure(figure, artifact_file)


def log_model(
    model: Any,
    artifact_path: str = "model",
    *,
    X: Any = None,
    serialization_format: str | None = None,
    registered_model_name: str | None = None,
) -> None:
    """`ActiveRun.log_model` of the active run, else of the run that last finished in this thread."""
    _current().log_model(
        model,
        artifact_path,
        X=X,
        serialization_format=serialization_format,
        registered_model_name=registered_model_name,
    )


def _current() -> ActiveRun:
    recorder = session().current_run()
    if recorder is None:
        raise RunStateError(
            "there is no run to write to: open one by `with autotrack.start_run():`, "
            "or fit a model after `autotrack.autolog()`"
        )
    return _view(recorder)


def _view(recorder: RunRecorder) -> ActiveRun:
    view = ActiveRun.__new__(ActiveRun)
    view._recorder, view._token = recorder, None
    return view


def _script_name() -> str:
    import sys

    script = getattr(sys.modules.get("__main__"), "__file__", None)
    return os.path.splitext(os.path.basename(script))[0] if isinstance(script, str) else "run"


def _write_params(run: RunRecorder, params: Mapping[str, Any]) -> None:
    run.params(params)
    run.flush()


def _write_metrics(run: RunRecorder, metrics: Mapping[str, float], step: int) -> None:
    checked = {key: _real(key, value) for key, value in metrics.items()}
    try:
        at = int(step)
        if at != step:
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise TypeError(f"step={step!r}: expected a whole number") from None
    run.metrics(checked, at, now())
    run.flush()


def _real(key: Any, value: Any) -> float:
    """The value of a metric as a float.

    Raises
    ------
    TypeError
        For text, arrays of one dimension or more, and anything else that is no real number.
    """
    is_one = getattr(value, "ndim", 0) == 0
    if is_one and not hasattr(value, "__float__") and callable(getattr(value, "item", None)):
        value = value.item()  # a scalar of an array library
    kind = getattr(getattr(value, "dtype", None), "kind", "f")
    try:
        if not is_one or kind not in "biufO":
            raise TypeError
        return number(value)
    except (TypeError, ValueError, OverflowError) as error:
        shown = text(value)
        shown = shown if len(shown) <= 40 else shown[:39] + "…"
        what = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
        what += "" if is_one else f" of shape {getattr(value, 'shape', '?')}"
        raise TypeError(
            f"metric {key!r}: {shown!r} ({what}) is not a real number; a text goes into set_tag or log_text, an array "
            "into log_dict, or into log_metric one value at a time"
        ) from (error if str(error) else None)


def _write_tags(run: RunRecorder, tags: Mapping[str, Any]) -> None:
    run.tags(tags)
    run.flush()


def _write_bytes(run: RunRecorder, path: str, data: bytes) -> None:
    run.artifact(_clean(path), data)
    run.flush()


def _write_artifact(run: RunRecorder, local_path: str | os.PathLike[str], folder: str) -> None:
    source = os.fspath(local_path)
    if os.path.isfile(source):
        with open(source, "rb") as file:
            run.artifact(_clean(posixpath.join(folder, os.path.basename(source))), file.read())
    elif os.path.isdir(source):
        top = os.path.basename(os.path.abspath(source))
        for root, _, names in os.walk(source):
            for name in sorted(names):
                inner = os.path.relpath(os.path.join(root, name), source).replace(os.sep, "/")
                with open(os.path.join(root, name), "rb") as file:
                    run.artifact(_clean(posixpath.join(folder, top, inner)), file.read())
    else:
        raise FileNotFoundError(f"there is no file or folder {source!r} to log (looked from {os.getcwd()})")
    run.flush()


def _clean(path: str) -> str:
    """An artifact's path below the run's folder.

    Raises
    ------
    AutotrackError
        When it is empty or leaves the folder.
    """
    clean = posixpath.normpath(path.replace("\\", "/")) if path else ""
    if not clean or clean in (".", "..") or clean.startswith(("/", "../")) or "\0" in clean or ":" in clean[:2]:
        raise AutotrackError(
            f"artifact path {path!r}: expected a path below the run's artifacts, such as 'plots/roc.png'"
        )
    return clean


def _serialised(value: Any, path: str) -> bytes:
    if path.endswith((".yaml", ".yml")):
        import yaml

        return yaml.safe_dump(value, sort_keys=False, allow_unicode=True).encode()
    return json.dumps(value, indent=2, default=str).encode()
