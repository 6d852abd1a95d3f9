"""One run, to look at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autotrack.entities import Artifact, Dataset, LoggedModel, Metric, Note, Run
from autotrack.events import dataset_to_json, number_to_json
from autotrack.query import text
from autotrack.query.report import CaptureReport, capture_report
from autotrack.stores.base import Store, View

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class RunView:
    """A recorded run.

    It is the run as it was when it was looked up; artifacts, children and metric histories are read when asked for.
    What was recorded stays as it is: only its tags can be set, and it can be deleted and restored. Get one from
    `autotrack.get_run`.
    """

    __slots__ = ("_keeper", "_run", "_store")

    def __init__(self, run: Run, store: Store, keeper: object = None) -> None:
        self._run = run
        self._store = store
        self._keeper = keeper  # closes the store behind the last view of it

    @property
    def store(self) -> Store:
        """The store that it was found in."""
        return self._store

    @property
    def run_id(self) -> str:
        return self._run.run_id

    @property
    def name(self) -> str:
        return self._run.name

    @property
    def status(self) -> str:
        """``RUNNING``, ``FINISHED``, ``FAILED``, ``KILLED``; ``BROKEN`` where it cannot be read."""
        return self._run.status

    @property
    def experiment(self) -> str:
        return self._run.experiment

    @property
    def experiment_id(self) -> str:
        return self._run.experiment_id

    @property
    def start_time(self) -> datetime | None:
        """In UTC."""
        return text.utc(self._run.start_time)

    @property
    def end_time(self) -> datetime | None:
        """In UTC; ``None`` while the run goes on."""
        return text.utc(self._run.end_time)

    @property
    def duration(self) -> float | None:
        """Seconds from start to end."""
        return self._run.duration

    @property
    def params(self) -> dict[str, str]:
        return dict(self._run.params)

    @property
    def metrics(self) -> dict[str, float]:
        """The last value of each metric; see `metric_history` for all of them."""
        return dict(self._run.metrics)

    @property
    def tags(self) -> dict[str, str]:
        return dict(self._run.tags)

    @property
    def datasets(self) -> list[Dataset]:
        """What the run saw of its data: name, columns, shape, digest; never the data itself."""
        return list(self._run.datasets)

    @property
    def models(self) -> list[LoggedModel]:
        """The models among the artifacts; `model` loads one."""
        return list(self._run.models)

    @property
    def notes(self) -> list[Note]:
        """Sentences about the run, in the order in which they came up; `capture_report` sorts them."""
        return list(self._run.notes)

    @property
    def capture_report(self) -> CaptureReport:
        """What was captured, what was skipped and why, what was warned of, what looked wrong in the data."""
        return capture_report(self._run)

    @property
    def environment(self) -> dict[str, Any]:
        """The program that made the run: script, arguments, git, packages, machine."""
        return dict(self._run.process)

    @property
    def error(self) -> str | None:
        """Why the run did not finish."""
        return self._run.error

    @property
    def broken(self) -> str | None:
        """What of the run could not be read; ``None`` for a sound one."""
        return self._run.broken

    @property
    def parent_run_id(self) -> str | None:
        return self._run.parent_run_id

    def refreshed(self) -> RunView:
        """The run as it is now.

        Raises
        ------
        RunNotFound
            When it is no longer there.
        """
        return RunView(self._store.get_run(self.run_id), self._store, self._keeper)

    @property
    def deleted_time(self) -> datetime | None:
        """When it was deleted, in UTC; ``None`` for an active run."""
        return text.utc(self._run.deleted_time)

    def delete(self) -> list[str]:
        """Delete the run and those made inside it; see `autotrack.delete_runs`. Gives back the ids of all of them."""
        from autotrack.query import editing

        deleted = editing.delete_runs(self.run_id, store=self._store)
        self._run = self._store.get_run(self.run_id)
        return deleted

    def restore(self) -> list[str]:
        """Undo `delete`; see `autotrack.restore_runs`."""
        from autotrack.query import editing

        restored = editing.restore_runs(self.run_id, store=self._store) if self._run.deleted_time is not None else []
        self._run = self._store.get_run(self.run_id)
        return restored

    def set_tag(self, key: str, value: str) -> None:
        """Set a tag of the recorded run.

        Raises
        ------
        SettingsError
            When the key or the value is no text.
        """
        from autotrack.query import editing

        editing.set_tags(self._store, self.run_id, {key: value})
        self._run = self._store.get_run(self.run_id)

    @property
    def children(self) -> list[RunView]:
        """The runs that were made inside this one, newest first."""
        view: View = "active" if self._run.deleted_time is None else "all"
        found = self._store.search_runs(f"attributes.parent_run_id = '{self.run_id}'", view=view)
        return [RunView(run, self._store, self._keeper) for run in found]

    @property
    def artifacts(self) -> list[str]:
        """Every file of the run, as a path relative to the run's artifacts."""
        return [artifact.path for artifact in self.artifact_files()]

    def artifact_files(self) -> list[Artifact]:
        """As `artifacts`, with sizes and digests."""
        return sorted(self._walk(""), key=lambda artifact: artifact.path)

    def artifact_path(self, path: str) -> Path:
        """Where a file or folder of the run stands on this machine's disk; fetched first where need be.

        Raises
        ------
        ArtifactNotFound
            When the run has no such artifact.
        """
        return self._store.artifact_path(self.run_id, path)

    @property
    def plots(self) -> list[str]:
        """The names of the run's plots: those of held-out data first, then those of the training data."""
        from autotrack.query import plots

        return list(plots.read(self).plots)

    def plot(self, name: str, *, size: tuple[float, float] | None = None) -> Figure:
        """Draw a plot as a matplotlib figure. It belongs to no pyplot window: show it in a notebook or save it.

        Parameters
        ----------
        name : one of `plots`. ``"roc_curve"`` is short for the one of held-out data, else ``"training_roc_curve"``.
            The name of a metric that has several steps, such as ``"loss"``, draws those.
        size : width and height in inches; what suits the plot when left out.

        Raises
        ------
        PlotError
            When the run has no such plot, several are meant, or it cannot be drawn.
        """
        from autotrack.plots.drawing import draw

        return draw(self.plot_data(name), size=size)

    def plot_data(self, name: str) -> dict[str, Any]:
        """What a plot shows, as plain lists and numbers; `autotrack.plots.data` says what each kind has.

        Raises
        ------
        PlotError
            When the run has no such plot, or several are meant.
        """
        from autotrack.query import plots

        return plots.find(self, name)[1]

    def metric_history(self, key: str) -> list[Metric]:
        """Every point of one metric, by step, then time; empty where there is none."""
        return self._store.metric_history(self.run_id, key)

    def model(
        self, path: str = "model", *, trusted: bool = False, trusted_types: Iterable[str | type] | None = None
    ) -> Any:
        """The fitted model that the run recorded. A pickle is loaded only from a place that you trust.

        ``trusted`` and ``trusted_types`` as for `autotrack.load_model`.

        Raises
        ------
        ModelRefused
            When it is a pickle from a place that is not trusted.
        ModelError
            When the run has no such model, or it cannot be loaded here.
        """
        from autotrack.query.loading import load_from_run

        return load_from_run(self, path, trusted_types, trusted=trusted)

    def to_dict(self) -> dict[str, Any]:
        """The run as a mapping of JSON types, with `search_runs`' names. Times in ISO 8601, NaN as ``"NaN"``."""
        run = self._run
        return summary(run) | {
            "error": run.error,
            "datasets": [dataset_to_json(dataset) for dataset in run.datasets],
            "models": [
                {
                    "path": model.path,
                    "estimator_class": model.estimator_class,
                    "serialization_format": model.serialization_format,
                    "size": model.size,
                    "registered_model_name": model.registered_model_name,
                }
                | ({"model_id": model.model_id} if model.model_id else {})
                for model in run.models
            ],
            "artifacts": [
                {"path": artifact.path, "size": artifact.size, "digest": artifact.digest}
                for artifact in self.artifact_files()
            ],
            "plots": self.plots,
            "capture_report": capture_report(run).to_dict(),
            "environment": dict(run.process),
        }

    def __repr__(self) -> str:
        run = self._run
        lines = [f"Run {text.plain(run.name)}  {run.status}  {run.run_id}"]
        begun = text.stamp(run.start_time)
        took = text.seconds(run.duration)
        when = f"{begun}, took {took}" if took else begun
        lines.append(f"  started   {when or 'at an unknown time'}; experiment {text.plain(run.experiment)}")
        params = [f"{text.plain(key)}={text.shortened(text.plain(value), 30)}" for key, value in run.params.items()]
        metrics = [f"{text.plain(key)}={text.number(run.metrics[key])}" for key in by_interest(run.metrics)]
        for label, items in (("params", params), ("metrics", metrics)):
            if items:
                lines.append(f"  {label:<9} {_some(items)}")
        if run.deleted_time is not None:
            lines.append(f"  deleted   on {text.stamp(run.deleted_time)}")
        if run.datasets:
            lines.append(f"  data      {_some([_dataset(dataset) for dataset in run.datasets])}")
        if run.models:
            lines.append(f"  models    {_some([text.plain(model.path) for model in run.models])}")
        if run.error:
            lines.append(f"  error     {text.shortened(text.plain(last_line(run.error)), 100)}")
        if run.broken:
            lines.append(f"  broken    {text.shortened(text.plain(run.broken), 100)}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        from autotrack.query.notebook import html

        return html(self._run)

    def _walk(self, folder: str) -> Iterator[Artifact]:
        for artifact in self._store.artifacts(self.run_id, folder):
            if artifact.is_dir:
                yield from self._walk(artifact.path)
            else:
                yield artifact


def summary(run: Run) -> dict[str, Any]:
    """What a listing tells of a run, as JSON types."""
    return {
        "run_id": run.run_id,
        "run_name": run.name,
        "experiment": run.experiment,
        "experiment_id": run.experiment_id,
        "status": run.status,
        "start_time": text.iso(run.start_time),
        "end_time": text.iso(run.end_time),
        "duration": run.duration,
        "parent_run_id": run.parent_run_id,
        "broken": run.broken,
        "deleted_time": text.iso(run.deleted_time),
        "metrics": {key: number_to_json(value) for key, value in run.metrics.items()},
        "params": dict(run.params),
        "tags": dict(run.tags),
    }


def by_interest(metrics: Any) -> list[str]:
    """Metric names: those on held-out data first, then ``training_score``, how the fit went, the training metrics."""

    def rank(key: str) -> tuple[int, str]:
        if is_about_the_fit(key):
            return (2, key)
        if not key.startswith("training_"):
            return (0, key)
        return (1 if key == "training_score" else 3, key)

    return sorted(metrics, key=rank)


def is_about_the_fit(key: str) -> bool:
    """Whether a metric tells how a fit went (times, iterations, ranks) rather than how good the model is."""
    return key.endswith("_time") or key.startswith(("fit_seconds", "rank_")) or key in ("n_iter", "rows_seen")


def last_line(error: str) -> str:
    """The line of a traceback that says what went wrong."""
    lines = [line for line in error.splitlines() if line.strip()]
    return lines[-1].strip() if lines else ""


def _dataset(dataset: Dataset) -> str:
    shape = " × ".join("?" if length is None else f"{length:,}" for length in dataset.shape)
    return f"{text.plain(dataset.name) or 'unnamed'} ({dataset.context}{', ' if shape else ''}{shape})"


def _some(items: list[str], width: int = 100) -> str:
    line, count = "", 0
    for item in items:
        longer = f"{line}, {item}" if line else item
        if line and len(longer) > width:
            break
        line, count = longer, count + 1
    return line if count == len(items) else f"{line}, … ({len(items)} in all)"
