"""What MLflow's files of one run say."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from autotrack.entities import LoggedModel, Metric
from autotrack.stores.mlflow.data import MlflowDataset
from autotrack.stores.mlflow.folder import files
from autotrack.stores.mlflow.folder.layout import (
    ARTIFACTS,
    DATASETS,
    INPUTS,
    METRICS,
    MODELS,
    OUTPUTS,
    PARAMS,
    TAGS,
    Stamp,
    listing,
    stamp,
)

Stamps = dict[str, Stamp]

_MAX_TEXT: Final = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Stamped:
    """When the files of a run were changed; equal stamps mean that nothing was."""

    meta: Stamp | None
    params: Stamps
    metrics: Stamps
    tags: Stamps
    others: tuple[Any, ...]


def stamped(run: Path) -> Stamped:
    """Look at the files of a run without opening one."""
    return Stamped(
        stamp(run / files.META),
        listing(run / PARAMS),
        listing(run / METRICS),
        listing(run / TAGS),
        tuple(stamp(run / name) for name in (INPUTS, OUTPUTS)),
    )


@dataclass(slots=True)
class RunFiles:
    """The content of a run's files. ``problems`` names what of them could not be read.

    ``models`` holds the logged models of MLflow 3 with the folders in which their files stand.
    """

    meta: dict[str, Any] = field(default_factory=dict)
    broken: str | None = None
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    points: list[Metric] = field(default_factory=list)
    datasets: list[MlflowDataset] = field(default_factory=list)
    models: list[tuple[LoggedModel, Path]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def read_run(run: Path, there: Stamped) -> RunFiles:
    """Read all files of a run that MLflow wrote."""
    found = RunFiles()
    found.meta, found.broken = read_meta(run)
    if found.broken is not None:
        found.problems.append(f"run {run.name}: {found.broken}")
    for folder, names, texts in ((PARAMS, there.params, found.params), (TAGS, there.tags, found.tags)):
        for name in names:
            text = read_text(run / folder / name, found.problems)
            if text is not None:
                texts[name] = text
    for name in there.metrics:
        found.points += read_points(run / METRICS / name, name, found.problems)
    read_datasets(run, found)
    read_models(run, found)
    return found


def read_meta(run: Path) -> tuple[dict[str, Any], str | None]:
    """The run's ``meta.yaml``, or an empty mapping and why it cannot be read."""
    try:
        return files.read_yaml(run / files.META), None
    except FileNotFoundError:
        return {}, f"it has no {files.META}"
    except (OSError, ValueError) as error:
        return {}, f"its {files.META} cannot be read: {error}"


def read_text(path: Path, problems: list[str]) -> str | None:
    """The text of a param or tag."""
    try:
        if path.stat().st_size > _MAX_TEXT:
            problems.append(f"{path} is larger than {_MAX_TEXT >> 20} MiB")
            return None
        return path.read_bytes().decode("utf-8", "replace")
    except OSError as error:
        problems.append(f"{path} cannot be read: {error}")
        return None


def read_points(path: Path, key: str, problems: list[str]) -> list[Metric]:
    """The points of a metric's file, in the order of its lines."""
    text = read_text(path, problems)
    points = []
    for number, line in enumerate((text or "").splitlines(), 1):
        point = point_of(key, line)
        if point is not None:
            points.append(point)
        elif line.strip():
            problems.append(f"{path}: line {number} is no point of a metric: {line[:100]!r}")
    return points


def point_of(key: str, line: str) -> Metric | None:
    """The point of a line ``timestamp value [step [dataset digest]]``."""
    parts = line.split()
    if len(parts) not in (2, 3, 5):
        return None
    try:
        return Metric(key, float(parts[1]), int(parts[2]) if len(parts) > 2 else 0, int(parts[0]))
    except ValueError:
        return None


def read_datasets(run: Path, found: RunFiles, names: set[str] | None = None) -> None:
    """Read the datasets of a run, or those of its inputs that have these names."""
    for path in _folders(run / INPUTS, names):
        use = _meta(path, found.problems)
        if use.get("source_type") != "DATASET" or not _is_name(use.get("source_id")):
            continue
        about = _meta(run.parent / DATASETS / use["source_id"], found.problems)
        tags = use.get("tags")
        if about:
            found.datasets.append(
                MlflowDataset(
                    name=_text(about.get("name")) or "",
                    digest=_text(about.get("digest")) or "",
                    source_type=_text(about.get("source_type")) or "",
                    source=_text(about.get("source")) or "",
                    schema=_text(about.get("schema")),
                    profile=_text(about.get("profile")),
                    tags={str(key): str(text) for key, text in tags.items()} if isinstance(tags, dict) else {},
                )
            )


def read_models(run: Path, found: RunFiles, names: set[str] | None = None) -> None:
    """Read the logged models of a run, or those of its outputs that have these names."""
    made = []
    for path in _folders(run / OUTPUTS, names):
        output = _meta(path, found.problems)
        model_id = output.get("destination_id")
        if output.get("destination_type") != "MODEL_OUTPUT" or not _is_name(model_id):
            continue
        folder = run.parent / MODELS / str(model_id)
        about = _meta(folder, found.problems)
        name = _text(about.get("name"))
        if name and about.get("lifecycle_stage") != "deleted":
            created = about.get("creation_timestamp")
            made.append((created if isinstance(created, int) else 0, name, folder))
    for _, name, folder in sorted(made):
        found.models = [(model, place) for model, place in found.models if model.path != name]
        found.models.append((LoggedModel(name), folder / ARTIFACTS))


def _meta(folder: Path, problems: list[str]) -> dict[str, Any]:
    try:
        return files.read_yaml(folder / files.META)
    except (OSError, ValueError) as error:
        problems.append(f"{folder / files.META} cannot be read: {error}")
        return {}


def _folders(parent: Path, names: set[str] | None) -> list[Path]:
    try:
        return sorted(path for path in parent.iterdir() if path.is_dir() and (names is None or path.name in names))
    except OSError:
        return []


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and value not in ("", ".", "..") and not any(char in value for char in "/\\\0")


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
