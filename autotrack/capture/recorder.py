"""Observations become events: one `RunRecorder` per run being written, one `Session` per process."""

from __future__ import annotations

import os
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from autotrack import digests
from autotrack.capture import environment, guard, scope
from autotrack.capture.progress import is_wanted
from autotrack.capture.sinks import Sink, now, write_file
from autotrack.capture.worker import PAUSE, Worker
from autotrack.entities import FAILED, FINISHED, KILLED, SKIPPED, Artifact, Dataset, LoggedModel, Metric, Note
from autotrack.events import (
    ArtifactLogged,
    DatasetLogged,
    Event,
    MetricsLogged,
    ModelLogged,
    NoteLogged,
    ParamsLogged,
    ProcessDescribed,
    RunEnded,
    RunStarted,
    TagsSet,
)
from autotrack.journal import new_id
from autotrack.settings import Settings, store_uri

_ERROR_CHARACTERS: Final = 20_000
_READ_SECONDS: Final = 30.0
_READ_PATIENCE: Final = 1.0
"""Seconds that a read waits for what was just recorded: at the most, and while the store cannot be reached."""


class RunRecorder:
    """Writes one run. Methods gather events; `flush` appends them as one batch.

    Parameters
    ----------
    session : the process's.
    sink : where the run's events and files go.
    run_id : 32 hexadecimal digits.
    name : for people.
    experiment : the one that the run belongs to.

    Attributes
    ----------
    step : the step of metrics whose step is not given; moved on where one model is fitted again and again.
    before_end : called once when the run is about to end; gives back a status and reason that stand in for FINISHED,
        or ``None``.
    """

    def __init__(self, session: Session, sink: Sink, run_id: str, name: str, experiment: str) -> None:
        self.session = session
        self.sink = sink
        self.run_id = run_id
        self.name = name
        self.experiment = experiment
        self.ended = False
        self.step = 0
        self.before_end: Callable[[], tuple[str, str | None] | None] | None = None
        self._events: list[Event] = []
        self._models: dict[str, LoggedModel] = {}
        self._pid = os.getpid()
        self._claimed = False
        self._lock = threading.RLock()

    def claim(self) -> bool:
        """Whether the caller is the first fit in this run, which writes to the run itself and not to a child."""
        with self._lock:
            if self._claimed or self._pid != os.getpid():
                return False
            self._claimed = True
            return True

    @property
    def is_ours(self) -> bool:
        """Whether this process opened the run; false in a forked child."""
        return self._pid == os.getpid()

    def add(self, event: Event) -> None:
        """Gather an event."""
        with self._lock:
            self._events.append(event)

    def params(self, params: Mapping[Any, Any]) -> None:
        """Gather params; values become strings, one that cannot be printed costs only itself."""
        if params:
            self.add(ParamsLogged(self.run_id, {text(key): text(value) for key, value in params.items()}))

    def metrics(self, metrics: Mapping[Any, Any], step: int | None = None, timestamp: int | None = None) -> None:
        """Gather metrics of one step, the current one by default; a value that is no number costs only itself."""
        step = self.step if step is None else step
        at = now() if timestamp is None else timestamp
        points = []
        for key, value in metrics.items():
            try:
                points.append(Metric(text(key), number(value), step, at))
            except Exception:  # noqa: BLE001 - a value of the user's may raise anything when it is asked
                continue
        if points:
            self.add(MetricsLogged(self.run_id, tuple(points)))

    def tags(self, tags: Mapping[Any, Any]) -> None:
        """Gather tags; values become strings."""
        if tags:
            self.add(TagsSet(self.run_id, {text(key): text(value) for key, value in tags.items()}))

    def describe(self, X: Any, y: Any, *, name: str, context: str) -> Dataset | None:
        """Fingerprint data, without gathering anything; ``None`` when that failed."""
        with guard.shield("fingerprint the data"):
            # Only now: it loads numpy, which autolog() itself must not.
            from autotrack.capture.fingerprint import describe

            return describe(X, y, name=name, context=context)
        return None

    def dataset(self, data: Dataset) -> None:
        """Gather that the run saw this data."""
        self.add(DatasetLogged(self.run_id, data))
        if not data.digest:
            self.note(SKIPPED, "dataset", f"{data.name} is of a type that is not known ({data.kind}): it has no digest")

    def artifact_path(self, path: str) -> Path:
        """Where an artifact of this run goes on this machine's disk."""
        return self.sink.artifact_folder(self.run_id) / path

    def artifact(self, path: str, data: bytes) -> None:
        """Write a file among the run's artifacts and gather the event.

        Raises
        ------
        OSError
            When it cannot be written.
        """
        model = next((self._models[folder] for folder in self._models if path.startswith(folder + "/")), None)
        if model is not None:
            self.replacing_model(model.path)
        place = self.artifact_path(path)
        if place.exists():
            # As with a model: killed between the two, a process would leave a file that does not match its digest.
            self.add(ArtifactLogged(self.run_id, Artifact(path, None)))
            self.flush()
        write_file(place, data)
        self.add(ArtifactLogged(self.run_id, Artifact(path, len(data), digests.of_bytes(data))))
        if model is not None:
            self.model(replace(model, digest=""))

    def model(self, model: LoggedModel) -> None:
        """Gather that a model folder now stands among the run's artifacts; one without a digest gets it later."""
        with self._lock:
            self._models[model.path] = model
            self.add(ModelLogged(self.run_id, model))
        if not model.digest:
            self.session.worker.submit(partial(self._digest, model), delay=PAUSE)

    def replacing_model(self, path: str) -> None:
        """Tell that a model folder is about to be replaced or added to, before it is.

        A process that is killed between the two would else leave a model that does not match its digest.
        """
        with self._lock:
            model = self._models.pop(path, None)
            if model is not None and model.digest:
                self.add(ModelLogged(self.run_id, replace(model, digest="")))
                self.flush()

    def _digest(self, model: LoggedModel) -> None:
        """Take the digest of a model folder and log it, unless the folder is another one by then."""
        if self._models.get(model.path) is not model:
            return
        try:
            digest = digests.of_folder(self.artifact_path(model.path))
        except OSError:  # replaced by another model, or deleted
            return
        with self._lock:
            if self.is_ours and self._models.get(model.path) is model:
                self._models[model.path] = model = replace(model, digest=digest)
                self.add(ModelLogged(self.run_id, model))
                self.flush()

    def note(self, kind: str, subject: str, message: str, count: int = 1) -> None:
        """Gather a sentence about the run; ``kind`` is one of those in `autotrack.entities`."""
        self.add(NoteLogged(self.run_id, Note(kind, subject, message, count)))

    def attempt(self, subject: str, doing: str) -> guard.shield:
        """A shield whose failure also stands in the run's report: ``subject`` was not recorded, and why."""
        return _Attempt(self, subject, doing)

    def past_child(
        self,
        name: str,
        *,
        start: int,
        end: int,
        status: str,
        params: Mapping[str, str],
        metrics: Iterable[Metric],
        tags: Mapping[str, str],
        datasets: Iterable[Dataset] = (),
        notes: Iterable[Note] = (),
        error: str | None = None,
    ) -> str:
        """Gather a whole child that is over already, to be written with this run's next batch; gives its id.

        ``start`` and ``end`` in milliseconds since the epoch. The options' tags are not set on it.
        """
        child = new_id()
        process = self.session.process_id
        events: list[Event] = [RunStarted(child, name, start, self.experiment, self.run_id, process)]
        events += [TagsSet(child, tags), ParamsLogged(child, params), MetricsLogged(child, tuple(metrics))]
        events += [DatasetLogged(child, dataset) for dataset in datasets]
        events += [NoteLogged(child, note) for note in notes]
        events.append(RunEnded(child, status, end, error))
        with self._lock:
            self._events += events
        return child

    def end(self, status: str, error: BaseException | str | None = None) -> None:
        """End the run, once, and flush. A forked child never ends its parent's run."""
        if not self.is_ours:
            return
        with self._lock:
            finish, self.before_end = self.before_end, None
        if finish is not None:
            with guard.shield("finish a run"):
                instead = finish()
                if instead is not None and status == FINISHED:
                    status, error = instead
        with self._lock:
            if self.ended:
                return
            self.ended = True
            self.add(RunEnded(self.run_id, status, now(), error_text(error)))
        self.flush()
        self.session.run_ended(self)

    def reopen(self) -> None:
        """Go on with a run that has ended: its next end replaces the earlier one, and stands if there is no next."""
        with self._lock:
            self.ended = False
        self.session.run_reopened(self)

    def end_by(self, error: BaseException | None) -> None:
        """End the run as its code ended: FINISHED, KILLED by Ctrl-C, FAILED by anything else."""
        if error is None:
            self.end(FINISHED)
        elif isinstance(error, (KeyboardInterrupt, GeneratorExit)):
            self.end(KILLED, error)
        else:
            self.end(FAILED, error)

    def flush(self) -> None:
        """Append what was gathered as one batch."""
        with self._lock:
            events, self._events = self._events, []
            if events:
                self.sink.append(events)


class _Attempt(guard.shield):
    __slots__ = ("_run", "_subject")

    def __init__(self, run: RunRecorder, subject: str, doing: str) -> None:
        super().__init__(doing)
        self._run = run
        self._subject = subject

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> bool:
        if isinstance(error, Exception):
            self._run.note(SKIPPED, self._subject, f"could not {self.doing}: {type(error).__name__}: {text(error)}")
        return super().__exit__(kind, error, tb)


class Session:
    """What this process knows: its settings, sinks, open runs and background worker.

    Parameters
    ----------
    open_sink : makes the sink for a store's URI.
    """

    def __init__(self, open_sink: Callable[[str], Sink]) -> None:
        self.settings = Settings()
        self.worker = Worker()
        self._open_sink = open_sink
        self._sinks: dict[str, Sink] = {}
        self._lock = threading.RLock()
        self.process_id = new_id()
        self._described: set[str] = set()
        self._open: dict[str, RunRecorder] = {}
        self._thread = threading.local()
        self.watch_end: Callable[[], None] = lambda: None
        """Called when runs that outlive the call in which they were opened were opened or ended."""
        self.left_out: dict[str, str] = {}
        """What no run of this process can record, and why: it stands in the report of each."""

    def start_run(
        self,
        name: str,
        *,
        experiment: str | None = None,
        parent: RunRecorder | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> RunRecorder:
        """Open a run in the store in force and tell the start (not flushed yet)."""
        sink = parent.sink if parent is not None else self._sink()
        run = RunRecorder(self, sink, new_id(), name, experiment or self.settings.experiment)
        run.add(
            RunStarted(
                run.run_id,
                name,
                now(),
                run.experiment,
                parent.run_id if parent is not None else None,
                self.process_id,
            )
        )
        run.tags({**self.settings.extra_tags, **(tags or {})})
        for subject, message in self.left_out.items():
            run.note(SKIPPED, subject, message)
        with self._lock:
            self._open[run.run_id] = run
        return run

    def run_ended(self, run: RunRecorder) -> None:
        """Called by a run that ended: it is now the last one of this thread."""
        with self._lock:
            self._open.pop(run.run_id, None)
        self.run_touched(run)

    def run_reopened(self, run: RunRecorder) -> None:
        """Called by a run that goes on."""
        with self._lock:
            self._open[run.run_id] = run

    def run_touched(self, run: RunRecorder) -> None:
        """This run is now the last one of this thread."""
        self._thread.last = run

    def current_run(self) -> RunRecorder | None:
        """The active run, else the one that last finished in this thread."""
        active = scope.active_run.get()
        return active if active is not None else getattr(self._thread, "last", None)

    def forget_last_run(self) -> None:
        """Forget which run finished last in this thread."""
        self._thread.last = None

    def open_runs(self) -> Iterable[RunRecorder]:
        """The runs that this process opened and that have not ended."""
        with self._lock:
            return list(self._open.values())

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until all that was seen is in its store; false when ``timeout`` seconds were not enough.

        Without a timeout a store that cannot be reached is not waited for.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        if not self.worker.drain(timeout):
            return False
        flushed = True
        for sink in self._all_sinks():
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            flushed = sink.flush(left) and flushed
        return flushed

    def before_read(self) -> None:
        """Have all that was seen in its store before one is read; while it cannot be reached, wait shortly only."""
        self.worker.drain()
        for sink in self._all_sinks():
            sink.flush(_READ_SECONDS, _READ_PATIENCE)

    def close(self) -> None:
        """Finish the worker's tasks and close the sinks."""
        self.worker.drain()
        for sink in self._all_sinks():
            sink.close()

    def at_exit(self) -> None:
        """`close`, and wait a while for stores that are somewhere else."""
        self.close()
        for sink in self._all_sinks():
            sink.at_exit(is_wanted(self.settings.progress))

    def _all_sinks(self) -> list[Sink]:
        with self._lock:
            return list(self._sinks.values())

    def after_fork(self) -> None:
        """In a forked child: a process of its own, with a journal, a worker and no open runs of its own."""
        self._lock = threading.RLock()
        self.process_id = new_id()
        self._described.clear()
        self._open.clear()
        self.worker.after_fork()
        for sink in self._sinks.values():
            sink.after_fork()

    def _sink(self) -> Sink:
        uri = store_uri()
        with self._lock:
            sink = self._sinks.get(uri)
            if sink is None:
                sink = self._sinks[uri] = self._open_sink(uri)
            if uri not in self._described:
                self._described.add(uri)
                self._describe(sink)
        return sink

    def _describe(self, sink: Sink) -> None:
        facts = environment.quick_facts()
        process_id = self.process_id
        sink.append([ProcessDescribed(process_id, facts)])

        def tell_the_rest() -> None:
            sink.append([ProcessDescribed(process_id, environment.slow_facts(facts["script"], facts["cwd"]))])

        self.worker.submit(tell_the_rest)


def text(value: Any) -> str:
    """The value as a string, whatever it is."""
    if type(value) is str:
        return value
    try:
        return str(value)
    except Exception as error:  # noqa: BLE001 - a __str__ of the user's
        return f"<{type(value).__name__} that cannot be printed: {type(error).__name__}>"


def number(value: Any) -> float:
    """The value as a float: Python and numpy scalars, 0-d arrays and tensors of any library, Decimal, Fraction, bool.

    Raises
    ------
    TypeError, ValueError, OverflowError
        When it is none of them.
    """
    if type(value) is float:
        return value
    if isinstance(value, (str, bytes, bytearray)):
        raise TypeError(f"a metric is a number, not the text {value!r}")
    if getattr(value, "ndim", 0) != 0:
        raise TypeError(f"a metric is one number, not an array of shape {value.shape}")
    if isinstance(value, complex) or getattr(getattr(value, "dtype", None), "kind", "") == "c":
        raise TypeError(f"a metric is a real number, not {value!r}")
    if hasattr(type(value), "__float__") or hasattr(type(value), "__index__"):
        return float(value)
    item = getattr(value, "item", None)
    if callable(item):  # a 0-d array of a library whose arrays are no floats by themselves
        inner = item()
        if isinstance(inner, (int, float)):
            return float(inner)
    raise TypeError(f"a metric is a number, not a {type(value).__name__}")


def error_text(error: BaseException | str | None) -> str | None:
    """The traceback as text, its end where it is very long."""
    if error is None or isinstance(error, str):
        return error
    try:
        full = "".join(traceback.format_exception(error)).rstrip()
    except Exception:  # noqa: BLE001 - a __str__ of the user's exception
        full = type(error).__name__
    return full if len(full) <= _ERROR_CHARACTERS else "…" + full[-_ERROR_CHARACTERS:]
