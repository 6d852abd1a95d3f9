"""A run as its folder tells it: from our record, from MLflow's files, and from what MLflow changed of ours."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from autotrack.entities import BROKEN, Metric, Run
from autotrack.stores.mlflow.data import dataset_from
from autotrack.stores.mlflow.folder import files, found
from autotrack.stores.mlflow.folder.layout import INPUTS, METRICS, OUTPUTS, PARAMS, TAGS, ExperimentFolder
from autotrack.stores.mlflow.folder.projection import foreign_lines, lines_of, meta_of, placed, translated
from autotrack.stores.mlflow.folder.written import Written, hash_of
from autotrack.stores.mlflow.limits import time_for
from autotrack.stores.mlflow.recognition import last_values, models_from, run_from, status_from
from autotrack.stores.mlflow.translation import MODEL_HISTORY, PARENT, RUN_NAME, STATUS_NUMBERS, MlflowRun
from autotrack.stores.state import RunState

_ELSEWHERE: Final = "its artifacts are at {uri}, not in this folder: they are not read"


@dataclass(slots=True)
class Told:
    """A run with all that its folder tells.

    Parameters
    ----------
    points : those points of metrics that are not in our record.
    models : folders of models that stand beside the run's artifacts, by path.
    """

    run: Run
    points: list[Metric] = field(default_factory=list)
    models: dict[str, Path] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def read_foreign(path: Path, there: found.Stamped, experiment: ExperimentFolder, run_id: str | None = None) -> Told:
    """A run that MLflow wrote."""
    content = found.read_run(path, there)
    run = run_from(
        content.meta,
        experiment=experiment.name,
        params=content.params,
        points=content.points,
        tags=content.tags,
        datasets=content.datasets,
        models=[model for model, _ in content.models],
        run_id=run_id or path.name,
    )
    if content.broken is not None:
        run = replace(run, status=BROKEN, broken=content.broken)
    problems = content.problems
    uri = content.meta.get("artifact_uri")
    if isinstance(uri, str) and not uri.rstrip("/").endswith(f"/{path.name}/artifacts"):
        problems.append(f"run {path.name}: {_ELSEWHERE.format(uri=uri)}")
    models = {model.path: folder for model, folder in content.models}
    return Told(run, content.points, models, problems)


def read_joined(
    path: Path, there: found.Stamped, experiment: ExperimentFolder, state: RunState, last: Written | None
) -> Told:
    """A run that MLflow wrote and to which entries of ours were applied; what MLflow changed afterwards stands."""
    told = read_foreign(path, there, experiment, state.run_id)
    last = last or Written()
    run, ours = told.run, state.run({})

    def joined(group: str, theirs: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
        texts, written = dict(theirs), set()
        for name, (hashed, *_) in last.texts(group).items():
            key = last.key_of(group, name)
            written.add(key)
            if name in texts:
                text = texts.pop(name)
                # The file may not hold all of what we wrote: where it is as we left it our own text counts.
                is_ours = hash_of(text.encode("utf-8", "replace")) == hashed
                texts[key] = own.get(key, text) if is_ours else text
        return _sorted(texts | {key: text for key, text in own.items() if key not in written})

    own_points = [point for key in state.points for point in state.history(key)]
    left = Counter(_as_line(point) for point in own_points)
    others = []
    for point in told.points:
        point = replace(point, key=last.key_of(METRICS, point.key))
        if left[_as_line(point)] > 0:
            left[_as_line(point)] -= 1
        else:
            others.append(point)
    told.points = others
    stage = "deleted" if run.deleted_time is not None else "active"
    is_ours = state.lifecycle is not None and last.meta.get("lifecycle_stage", stage) == stage
    datasets = {(dataset.name, dataset.context): dataset for dataset in (*run.datasets, *ours.datasets)}
    models = {model.path: model for model in (*run.models, *ours.models)}
    told.run = replace(
        run,
        params=joined(PARAMS, run.params, ours.params),
        tags=joined(TAGS, run.tags, ours.tags),
        metrics=last_values([*own_points, *others]),
        datasets=tuple(datasets.values()),
        models=tuple(models.values()),
        notes=ours.notes,
        error=ours.error,
        deleted_time=ours.deleted_time if is_ours else run.deleted_time,
    )
    return told


def _as_line(point: Metric) -> tuple[str, str, int, int]:
    return point.key, repr(point.value), point.step, time_for(point.timestamp)


class Changes:
    """What MLflow changed of a run that we wrote.

    A file is MLflow's when it is neither as we wrote it last nor as we would write it now: the latter is what a writer
    that was killed halfway leaves.
    """

    def __init__(
        self, path: Path, there: found.Stamped, state: RunState, facts: Mapping[str, Any], last: Written, *, stale: bool
    ) -> None:
        self._path = path
        self._there = there
        self._state = state
        self._facts = facts
        self._last = last
        self._stale = stale
        self.problems: list[str] = []

    @cached_property
    def _theirs(self) -> MlflowRun:
        return translated(self._path, self._state, self._facts)

    def of(self, run: Run, experiment: ExperimentFolder) -> Told:
        """The run with what was changed of it."""
        params, _ = self._texts(PARAMS, self._there.params, lambda: self._theirs.params)
        tags, removed = self._texts(TAGS, self._there.tags, lambda: self._theirs.tags)
        points = self._points()
        told = Told(run, points, problems=self.problems)
        changed: dict[str, Any] = self._meta()
        if experiment.problem is None and experiment.name != self._last.experiment:
            changed["experiment"] = experiment.name
        if params:
            changed["params"] = _sorted({**run.params, **params})
        if RUN_NAME in tags:
            changed["name"] = tags.pop(RUN_NAME)
        if PARENT in tags:
            changed["parent_run_id"] = tags.pop(PARENT)
        history = models_from(tags.pop(MODEL_HISTORY, ""))
        paths = {model.path for model in run.models}
        if any(model.path not in paths for model in history):  # MLflow 2 logged another model
            changed["models"] = (*run.models, *(model for model in history if model.path not in paths))
        if tags or removed:
            kept = {key: text for key, text in run.tags.items() if key not in removed}
            changed["tags"] = _sorted(kept | tags)
        if points:
            own = [point for key in self._state.points for point in self._state.history(key)]
            changed["metrics"] = last_values([*own, *points])
        self._inputs_and_outputs(run, told, changed)
        told.run = replace(run, **changed) if changed else run
        return told

    def _texts(
        self, group: str, there: found.Stamps, wanted: Callable[[], Mapping[str, str]]
    ) -> tuple[dict[str, str], set[str]]:
        before = self._last.texts(group)
        changed: dict[str, str] = {}
        for name, about in there.items():
            ours = before.get(name)
            if ours is not None and tuple(ours[1:4]) == about:
                continue
            text = found.read_text(self._path / group / name, self.problems)
            if text is None or (ours is not None and hash_of(text.encode("utf-8", "replace")) == ours[0]):
                continue
            if self._stale and placed(wanted(), {})[0].get(name) == text:
                continue
            changed[self._last.key_of(group, name)] = text
        removed = {self._last.key_of(group, name) for name in before if name not in there}
        return changed, removed

    def _points(self) -> list[Metric]:
        points: list[Metric] = []
        for name, about in self._there.metrics.items():
            ours = self._last.metrics.get(name)
            if ours is not None and tuple(ours[1:4]) == about and not ours[4]:
                continue
            text = found.read_text(self._path / METRICS / name, self.problems) or ""
            if ours is not None and hash_of(text.encode("utf-8", "replace")) == ours[0]:
                continue
            lines, keys = lines_of(self._theirs)
            key = keys.get(name, name)
            for line in foreign_lines(text, lines.get(name, [])):
                point = found.point_of(key, line)
                if point is not None:
                    points.append(point)
                else:
                    self.problems.append(f"{self._path / METRICS / name}: {line[:100]!r} is no point of a metric")
        return points

    def _meta(self) -> dict[str, Any]:
        if self._there.meta is None or list(self._there.meta) == self._last.meta_stamp:
            return {}
        try:
            meta = files.read_yaml(self._path / files.META)
        except (OSError, ValueError) as error:
            self.problems.append(f"{self._path / files.META} cannot be read: {error}")
            return {}
        now = meta_of(self._path, self._theirs, self._state) if self._stale else {}

        def changed(name: str) -> bool:
            ours = self._last.meta.get(name)
            return name in meta and meta[name] not in (ours, now.get(name, ours))

        found_changes: dict[str, Any] = {}
        if changed("run_name"):
            found_changes["name"] = str(meta["run_name"] or "")
        if changed("status") and meta["status"] in STATUS_NUMBERS.values():
            found_changes["status"] = status_from(meta["status"])
        if changed("end_time") and isinstance(meta["end_time"], int | None):
            found_changes["end_time"] = meta["end_time"]
        if changed("lifecycle_stage"):
            time = meta.get("deleted_time")
            when = time if isinstance(time, int) else self._there.meta[0] // 1_000_000
            found_changes["deleted_time"] = when if meta["lifecycle_stage"] == "deleted" else None
        return found_changes

    def _inputs_and_outputs(self, run: Run, told: Told, changed: dict[str, Any]) -> None:
        uses = _names(self._path / INPUTS) - self._last.inputs.keys()
        outputs = _names(self._path / OUTPUTS) - self._last.outputs.keys()
        if self._stale or not (uses or outputs):
            return
        content = found.RunFiles()
        found.read_datasets(self._path, content, uses)
        found.read_models(self._path, content, outputs)
        self.problems += content.problems
        if content.datasets:
            changed["datasets"] = (*run.datasets, *(dataset_from(dataset) for dataset in content.datasets))
        paths = {model.path for model in run.models}
        more = [(model, place) for model, place in content.models if model.path not in paths]
        if more:
            changed["models"] = (*changed.get("models", run.models), *(model for model, _ in more))
            told.models = {model.path: place for model, place in more}


def _names(folder: Path) -> set[str]:
    try:
        return set(os.listdir(folder))
    except OSError:
        return set()


def _sorted(texts: Mapping[str, str]) -> dict[str, str]:
    return {key: texts[key] for key in sorted(texts)}


def model_in(models: Mapping[str, Path], path: str) -> tuple[str, Path, str] | None:
    """The model beside a run's artifacts to which a path leads: its name, its folder, and the path inside of it."""
    for name, folder in models.items():
        if path == name or path.startswith(name + "/"):
            return name, folder, path[len(name) :].strip("/")
    return None
