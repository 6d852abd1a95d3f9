"""Writing a run into MLflow's files, as far as they can hold it.

Only what changed of ours since the last time is written, so that what MLflow's users changed stays. Every file comes
in one step; folders that MLflow could not read half-made (inputs, outputs, models) come whole.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from autotrack.errors import ModelError
from autotrack.models.mlmodel import ModelInfo, read_mlmodel
from autotrack.plots.files import is_plots
from autotrack.stores.artifacts import folder as artifact_files
from autotrack.stores.mlflow import limits
from autotrack.stores.mlflow.data import MlflowDataset
from autotrack.stores.mlflow.folder import files
from autotrack.stores.mlflow.folder.found import point_of
from autotrack.stores.mlflow.folder.layout import (
    ARTIFACTS,
    DATASETS,
    INPUTS,
    METRICS,
    MODELS,
    OUTPUTS,
    PARAMS,
    TAGS,
    Layout,
    folder_name,
    listing,
    stamp,
    stamp_of,
    uri_of,
)
from autotrack.stores.mlflow.folder.written import Written, hash_of, load
from autotrack.stores.mlflow.translation import (
    MODEL_HISTORY,
    STATUS_NUMBERS,
    MlflowModel,
    MlflowRun,
    source_facts,
    translate,
)
from autotrack.stores.state import GONE, RunState

T = TypeVar("T")

_READY: Final = 2
"""MLflow's number of a logged model that is complete."""


def project(layout: Layout, run: Path, state: RunState, facts: Mapping[str, Any], offset: int) -> Path:
    """Bring MLflow's files of a run up to date; gives the run's folder, which moves with its experiment.

    The caller holds the lock of the run's sidecar, of which ``offset`` bytes made the state.

    Raises
    ------
    OSError
        When something cannot be written; doing it again goes on from there.
    """
    is_whole = state.started is not None
    files.remove_temporaries(run)
    if not is_whole and not (run / files.META).exists():
        return run  # MLflow has no runs without a start; it passes over this folder
    last = load(run) or Written()
    theirs = translated(run, state, facts)
    if is_whole and theirs.experiment != last.experiment:
        _forget_models(run, last)
        run = layout.move_run(run, theirs.experiment)
    for name in (PARAMS, METRICS, TAGS, ARTIFACTS):
        (run / name).mkdir(exist_ok=True)
    now = Written(offset, source_facts(facts), theirs.experiment if is_whole else "")
    tags = theirs.tags if is_whole else _own(theirs, state)
    now.removed_tags = {key: [*place] for key, (place, text) in state.tags.items() if text is GONE}
    removed = {key for key, place in now.removed_tags.items() if last.removed_tags.get(key) != place}
    _write_texts(run, PARAMS, theirs.params, theirs.keys["params"], last, now)
    _write_texts(run, TAGS, tags, theirs.keys["tags"], last, now, removed)
    lines, now.names[METRICS] = lines_of(theirs)
    _write_metrics(run, lines, last, now)
    _write_datasets(run, theirs, last, now)
    _write_models(run, theirs, lines, last, now)
    _draw(run, state, last, now)
    _write_meta(run, meta_of(run, theirs, state), last, now)
    now.save(run)
    return run


def translated(run: Path, state: RunState, facts: Mapping[str, Any]) -> MlflowRun:
    """The run of this folder in MLflow's terms."""
    parent = state.started[1].parent_run_id if state.started is not None else None
    return translate(
        state,
        facts,
        _mlmodels(run, state),
        run_id=run.name,
        parent_run_id=folder_name(parent) if parent else None,
    )


def meta_of(run: Path, theirs: MlflowRun, state: RunState) -> dict[str, Any]:
    """The fields of ``meta.yaml`` that tell the state of a run."""
    meta: dict[str, Any] = {}
    if state.started is not None:
        meta = {
            "artifact_uri": uri_of(run / ARTIFACTS),
            "end_time": theirs.end_time,
            "entry_point_name": "",
            "experiment_id": run.parent.name,
            "lifecycle_stage": theirs.lifecycle_stage,
            "run_id": run.name,
            "run_name": theirs.run_name,
            "source_name": "",
            "source_type": 4,
            "source_version": "",
            "start_time": theirs.start_time,
            "status": STATUS_NUMBERS[theirs.status],
            "tags": [],
            "user_id": theirs.user,
        }
    if state.ended is not None:
        meta |= {"end_time": theirs.end_time, "status": STATUS_NUMBERS[theirs.status]}
    if state.lifecycle is not None:
        meta |= {"lifecycle_stage": theirs.lifecycle_stage, "deleted_time": theirs.deleted_time}
    return meta


def _own(theirs: MlflowRun, state: RunState) -> dict[str, str]:
    """The tags that were set, without those that tell of the run as a whole: MLflow wrote these itself."""
    names = {limits.key_for(key) for key in state.tags.sorted_by_key()} - {MODEL_HISTORY}
    return {key: text for key, text in theirs.tags.items() if key in names}


def _mlmodels(run: Path, state: RunState) -> dict[str, ModelInfo]:
    found = {}
    for path in state.models:
        try:
            folder = artifact_files.find(run, ARTIFACTS, path, ())
            found[path] = read_mlmodel(folder)
        except (LookupError, ModelError):
            continue  # it is not there, or it is no model folder: the event tells enough
    return found


def placed(values: Mapping[str, T], keys: Mapping[str, str]) -> tuple[dict[str, T], dict[str, str]]:
    """Values by the names of their files, and our keys of those whose names differ.

    ``a`` cannot be a file where ``a/b`` makes it a folder.
    """
    folders = {name[:place] for name in values for place, char in enumerate(name) if char == "/"}
    found: dict[str, T] = {}
    names: dict[str, str] = {}
    for name, value in values.items():
        key = keys.get(name, name)
        file = limits.other_key(key) if name in folders else name
        found[file] = value
        if file != key:
            names[file] = key
    return found, names


def _write_texts(
    run: Path,
    group: str,
    values: Mapping[str, str],
    keys: Mapping[str, str],
    last: Written,
    now: Written,
    removed: Collection[str] = (),
) -> None:
    """Write the files of params or tags; whatever MLflow wrote under keys that were ``removed`` goes."""
    texts, now.names[group] = placed(values, keys)
    before, after = last.texts(group), now.texts(group)
    _remove(run / group, before, texts)
    if removed:
        gone = [name for name in listing(run / group) if last.key_of(group, name) in removed]
        _remove(run / group, dict.fromkeys(gone), texts)
        before = {name: about for name, about in before.items() if name not in gone}
    for name, text in texts.items():
        data = text.encode()
        hashed = hash_of(data)
        if name in before and before[name][0] == hashed:
            after[name] = before[name]
            continue
        try:
            about = files.write(run / group / name, data, run)
        except (NotADirectoryError, IsADirectoryError, FileExistsError) as error:
            now.problems.append(f"run {run.name}: {group}/{name} cannot be written for MLflow: {error.strerror}")
        else:
            after[name] = [hashed, *stamp_of(about)]


def _remove(folder: Path, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    for name in before:
        if name not in after:
            (folder / name).unlink(missing_ok=True)
            for parent in (folder / name).parents:
                if parent == folder:
                    break
                try:
                    parent.rmdir()
                except OSError:  # others are in it
                    break


def lines_of(theirs: MlflowRun) -> tuple[dict[str, list[str]], dict[str, str]]:
    """The lines of each metric's file, and our keys of those whose names differ."""
    texts = {
        key: [f"{point.timestamp} {point.value!r} {point.step}" for point in points]
        for key, points in theirs.metrics.items()
    }
    return placed(texts, theirs.keys["metrics"])


def _write_metrics(run: Path, lines: Mapping[str, list[str]], last: Written, now: Written) -> None:
    _remove(run / METRICS, last.metrics, lines)
    for name, ours in lines.items():
        text = "".join(line + "\n" for line in ours)
        hashed = hash_of(text.encode())
        if name in last.metrics and last.metrics[name][0] == hashed:
            now.metrics[name] = last.metrics[name]
            continue
        path = run / METRICS / name
        others: list[str] = []
        try:
            more = _added(path, text, last.metrics.get(name))
            if more is not None:
                _append(path, more.encode())
            else:
                there = path.read_bytes().decode("utf-8", "replace") if path.exists() else ""
                others = foreign_lines(there, ours)
                if others:
                    text = "".join(line + "\n" for line in sorted([*others, *ours], key=_step_and_time))
                files.write(path, text.encode(), run)
            about = path.stat()
        except (NotADirectoryError, IsADirectoryError, FileExistsError) as error:
            now.problems.append(f"run {run.name}: metrics/{name} cannot be written for MLflow: {error.strerror}")
        else:
            now.metrics[name] = [hashed, *stamp_of(about), len(others)]


def _added(path: Path, text: str, before: list[Any] | None) -> str | None:
    """What is to be appended to a metric's file; ``None`` where it is not as we left it, or has to be written anew."""
    if before is None or before[4] or stamp(path) != tuple(before[1:4]):
        return None
    size = int(before[2])  # of the file; all of it is ASCII
    return text[size:] if hash_of(text[:size].encode()) == before[0] else None


def foreign_lines(text: str, ours: list[str]) -> list[str]:
    """The lines of a metric's file that are none of ours."""
    left = Counter(ours)
    others = []
    for line in text.splitlines():
        if left[line] > 0:
            left[line] -= 1
        elif line.strip():
            others.append(line)
    return others


def _step_and_time(line: str) -> tuple[int, int]:
    point = point_of("", line)
    return (point.step, point.timestamp) if point is not None else (0, 0)


def _append(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    try:
        while data:
            data = data[os.write(descriptor, data) :]
    finally:
        os.close(descriptor)


def _write_datasets(run: Path, theirs: MlflowRun, last: Written, now: Written) -> None:
    wanted: dict[str, tuple[MlflowDataset, str]] = {}
    for dataset in theirs.datasets:
        number = hashlib.md5((dataset.name + dataset.digest).encode()).hexdigest()
        use = hashlib.md5((number + run.name).encode()).hexdigest()
        while use in wanted:  # MLflow has one use of a dataset by a run; ours may have two contexts
            use = hashlib.md5(use.encode()).hexdigest()
        wanted[use] = dataset, number
    for use in last.inputs:
        if use not in wanted:
            files.remove_folder(run / INPUTS / use, run)
    for use, (dataset, number) in wanted.items():
        about = {key: getattr(dataset, key) for key in ("name", "digest", "source_type", "source", "schema", "profile")}
        about_run = {
            "source_type": "DATASET",
            "source_id": number,
            "destination_type": "RUN",
            "destination_id": number,
            "tags": dataset.tags,
        }
        data = files.render_yaml(about_run)
        now.inputs[use] = hash_of(data)
        folder = run.parent / DATASETS / number
        if not (folder / files.META).exists():
            files.write_folder(folder, {files.META: files.render_yaml(about)}, run)
        if last.inputs.get(use) != now.inputs[use] or not (run / INPUTS / use).is_dir():
            files.write_folder(run / INPUTS / use, {files.META: data}, run)


def _write_models(run: Path, theirs: MlflowRun, lines: Mapping[str, list[str]], last: Written, now: Written) -> None:
    wanted = {model.model_id: model for model in theirs.models}
    for model_id in last.models:
        if model_id not in wanted:
            files.remove_folder(run / OUTPUTS / model_id, run)
            files.remove_folder(run.parent / MODELS / model_id, run)
    for number, (model_id, model) in enumerate(wanted.items()):
        # The run's metrics are the first model's.
        content = _model_files(run, model, lines if number == 0 else {})
        hashed = hash_of(repr(sorted(content.items())).encode())
        now.models[model_id] = hashed
        if last.models.get(model_id) != hashed or not (run.parent / MODELS / model_id).is_dir():
            files.write_folder(run.parent / MODELS / model_id, content, run)
        output = {
            "source_type": "RUN_OUTPUT",
            "source_id": model_id,
            "destination_type": "MODEL_OUTPUT",
            "destination_id": model_id,
            "tags": {},
            "step": 0,
        }
        now.outputs[model_id] = ""
        if not (run / OUTPUTS / model_id).is_dir():
            files.write_folder(run / OUTPUTS / model_id, {files.META: files.render_yaml(output)}, run)


def _model_files(run: Path, model: MlflowModel, metrics: Mapping[str, list[str]]) -> dict[str, bytes]:
    """A logged model of MLflow 3: what describes it. Its files stand among the run's artifacts."""
    meta = {
        "artifact_location": uri_of(run / ARTIFACTS).rstrip("/") + "/" + _quoted(model.path),
        "creation_timestamp": model.created,
        "experiment_id": run.parent.name,
        "last_updated_timestamp": model.created,
        "model_id": model.model_id,
        "model_type": None,
        "name": model.name,
        "source_run_id": run.name,
        "status": _READY,
        "status_message": None,
    }
    content = {files.META: files.render_yaml(meta)}
    for name, text in placed(model.params, {})[0].items():
        content[f"{PARAMS}/{name}"] = text.encode()
    for name, text in placed(model.tags, {})[0].items():
        content[f"{TAGS}/{name}"] = text.encode()
    for name, lines in metrics.items():
        content[f"{METRICS}/{name}"] = f"{lines[-1]} {run.name}\n".encode()
    return content


def _quoted(path: str) -> str:
    from urllib.parse import quote

    return quote(path)


def _forget_models(run: Path, last: Written) -> None:
    """Before a run moves to another experiment: its models stand in the old one's folder."""
    for model_id in last.models:
        files.remove_folder(run.parent / MODELS / model_id, run)


def _draw(run: Path, state: RunState, last: Written, now: Written) -> None:
    now.pictures = dict(last.pictures)
    if state.ended is None:
        return
    from autotrack.stores.mlflow.pictures import pictures_of

    for path, (_, artifact) in state.artifacts.items():
        known = artifact.digest or str(artifact.size)
        if not is_plots(path) or now.pictures.get(path, [""])[0] == known:
            continue
        try:
            content = artifact_files.find(run, ARTIFACTS, path, ()).read_bytes()
        except (LookupError, OSError):
            continue
        pictures = pictures_of(content)
        for name, data in pictures.drawn.items():
            files.write(run / ARTIFACTS / name, data, run)
        now.pictures[path] = [known, *(f"run {run.name}: {path}: {problem}" for problem in pictures.problems)]


def _write_meta(run: Path, meta: dict[str, Any], last: Written, now: Written) -> None:
    path = run / files.META
    now.meta = meta
    if last.meta == meta and path.exists():
        now.meta_stamp = last.meta_stamp
        return
    try:
        there = files.read_yaml(path)
    except (OSError, ValueError):
        there = {}
    if "run_id" not in there | meta:
        return  # MLflow wrote this run, and what it wrote is broken: no part of ours would make it whole
    wanted = there | {
        key: value for key, value in meta.items() if key not in there or last.meta.get(key, _NOTHING) != value
    }
    files.write(path, files.render_yaml(wanted), run)
    about = stamp(path)
    is_ours = about is not None and all(wanted.get(key) == value for key, value in meta.items())
    now.meta_stamp = list(about) if is_ours and about is not None else []


_NOTHING: Final = object()
