"""The nouns: what a store keeps and gives back. Frozen, and free of third-party types."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

RUNNING: Final = "RUNNING"
FINISHED: Final = "FINISHED"
FAILED: Final = "FAILED"
KILLED: Final = "KILLED"
BROKEN: Final = "BROKEN"
"""Status of an entry of which so little can be read that its status is unknown."""

RUN_STATUSES: Final = (RUNNING, FINISHED, FAILED, KILLED)

ACTIVE: Final = "active"
DELETED: Final = "deleted"
LIFECYCLE_STAGES: Final = (ACTIVE, DELETED)
"""A deleted run is out of sight and can be restored, until garbage is collected."""

DEFAULT_EXPERIMENT: Final = "Default"

PENDING: Final = "PENDING"
"""Status, among the details of a logged model, of one whose folder is still being written."""

CANDIDATE: Final = "search_candidate"
"""Tag of a child run that a parameter search tried: its number, which is its row in ``cv_results.csv``, from 0."""

HIDDEN_TAGS: Final = "autotrack.mlflow."
"""Begins the names of tags in which the server keeps what MLflow has and autotrack has no place for; nobody is shown
them."""

STAGE_TAG: Final = HIDDEN_TAGS + "stage"
"""Such a tag: the stage that a client of MLflow gave a version."""


def shown_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """The tags that people and clients see."""
    return {key: value for key, value in tags.items() if not key.startswith(HIDDEN_TAGS)}


@dataclass(frozen=True, slots=True)
class Metric:
    """One value of one metric.

    ``value`` may be NaN or infinite and is kept as it is; ``timestamp`` is in milliseconds since the epoch.
    """

    key: str
    value: float
    step: int = 0
    timestamp: int = 0


@dataclass(frozen=True, slots=True)
class Dataset:
    """What is known of the data that a run saw; never the data itself.

    Parameters
    ----------
    name : the variable's name in the script, where it could be told.
    context : ``"train"`` or ``"eval"``.
    kind : the type of the data, e.g. ``"pandas.DataFrame"``.
    digest : hash of the whole content, ``"<algorithm>:<hex>"``; empty where it could not be taken.
    shape : rows first; ``None`` where a length is unknown.
    columns : one mapping per column with ``name``, ``dtype`` and, where known, ``missing`` (a count).
    target : summary of ``y``, empty without one.
    source : what another tool told of it, as it told it: texts by MLflow's names (``source_type``, ``source``,
        ``schema``, ``profile``); empty for data that was seen here.
    """

    name: str
    context: str
    kind: str
    digest: str
    shape: tuple[int | None, ...] = ()
    columns: tuple[Mapping[str, Any], ...] = ()
    target: Mapping[str, Any] = field(default_factory=dict)
    source: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file of a run. ``path`` is relative to the run's artifacts, with forward slashes; ``size`` in bytes."""

    path: str
    size: int | None = None
    digest: str = ""
    is_dir: bool = False


@dataclass(frozen=True, slots=True)
class LoggedModel:
    """A model folder among a run's artifacts. ``path`` is relative to them; ``size`` is the folder's, in bytes.

    ``registered_model_name`` is the name under which `autotrack.load_model` finds it as ``models:/NAME/…``. ``digest``
    is that of the whole folder (`autotrack.digests.of_folder`), empty where it was not taken. ``model_id`` is the id
    under which an MLflow client logged it, empty for others. ``details`` is what such a client told of it, JSON types
    by MLflow's names: ``name``, ``model_type``, ``status``, ``params``, ``tags``, ``metrics`` ….
    """

    path: str
    estimator_class: str = ""
    serialization_format: str = ""
    size: int | None = None
    registered_model_name: str | None = None
    digest: str = ""
    model_id: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_pending(self) -> bool:
        """Whether the client that logs it has not said yet that its folder is whole: it may not be there."""
        return self.details.get("status") == PENDING


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One version of a registered model. What it points to never changes; how it is described may.

    Parameters
    ----------
    name : of the registered model.
    version : counted from 1; a number is never given again.
    run_id, path : the run it comes from, and the model folder among that run's artifacts.
    digest : of that folder, as `LoggedModel.digest`; empty where it is not known. What is loaded has it.
    created_time : in milliseconds since the epoch.
    description : a text for people, empty without one.
    aliases : names that point to this version now, sorted.
    stage : MLflow's former stages, read from where there are any: ``"Staging"``, ``"Production"``, ``"Archived"``.
    """

    name: str
    version: int
    run_id: str
    path: str
    digest: str = ""
    created_time: int | None = None
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    stage: str = ""


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    """A name under which versions of a model are kept.

    ``aliases`` tells for each alias the version it points to. ``latest_version`` is the greatest number of a version
    that is there, ``None`` without one. ``created_time`` is in milliseconds since the epoch.
    """

    name: str
    latest_version: int | None = None
    created_time: int | None = None
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, int] = field(default_factory=dict)


SKIPPED: Final = "skipped"
"""Kind of a note: something was not recorded, and why."""
WARNING: Final = "warning"
"""Kind of a note: a library warned during the fit."""
CHECK: Final = "check"
"""Kind of a note: a finding about the data that the user should look at."""


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence about a run.

    Parameters
    ----------
    kind : ``"skipped"``, ``"warning"`` or ``"check"``.
    subject : what it is about, in a word or two: ``"model"``, ``"ConvergenceWarning"``.
    message : the sentence.
    count : how often it happened.
    """

    kind: str
    subject: str
    message: str
    count: int = 1


@dataclass(frozen=True, slots=True)
class Run:
    """One run as a store gives it back.

    Times are in milliseconds since the epoch. ``metrics`` holds the last value of each metric (by step, then time).
    ``process`` describes the program that made the run: script, arguments, git, packages, machine. ``broken`` says
    what of the run could not be read, and is ``None`` for a sound one. ``deleted_time`` is ``None`` for an active run.
    """

    run_id: str
    name: str
    experiment: str
    status: str
    start_time: int | None = None
    end_time: int | None = None
    parent_run_id: str | None = None
    process_id: str = ""
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    datasets: tuple[Dataset, ...] = ()
    models: tuple[LoggedModel, ...] = ()
    notes: tuple[Note, ...] = ()
    process: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None
    broken: str | None = None
    deleted_time: int | None = None

    @property
    def lifecycle_stage(self) -> str:
        """``"active"`` or ``"deleted"``."""
        return ACTIVE if self.deleted_time is None else DELETED

    @property
    def experiment_id(self) -> str:
        return experiment_id(self.experiment)

    @property
    def duration(self) -> float | None:
        """Seconds from start to end, ``None`` while either is unknown."""
        if self.start_time is None or self.end_time is None:
            return None
        return (self.end_time - self.start_time) / 1000


@dataclass(frozen=True, slots=True)
class Experiment:
    """A named group of runs; ``run_count`` counts the active runs in it.

    ``facts`` is what was told of the experiment itself (`autotrack.events.ExperimentDescribed`): nothing for most.
    """

    experiment_id: str
    name: str
    run_count: int = 0
    facts: Mapping[str, Any] = field(default_factory=dict)


def experiment_id(name: str) -> str:
    """The id that MLflow-like tools ask for.

    It is a pure function of the name, so that processes that never talk to each other agree on it:
    ``"0"`` for the default experiment, else 18 decimal digits.
    """
    if name == DEFAULT_EXPERIMENT:
        return "0"
    number = int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()[:8], "big")
    return str(10**17 + number % (9 * 10**17))
