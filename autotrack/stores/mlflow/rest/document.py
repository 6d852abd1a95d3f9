"""The document that a run carries in its tags: what MLflow's own fields cannot say of it exactly.

It is JSON, compressed where it is long, in as many tags as it needs, or in a file of the run where it needs too many.
With it and MLflow's fields a run is read without a further request, and comes out as it went in.
"""

from __future__ import annotations

import base64
import json
import math
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from autotrack.digests import of_bytes
from autotrack.entities import DELETED, RUNNING, Artifact, Run
from autotrack.errors import StoreError
from autotrack.events import (
    DatasetLogged,
    ModelLogged,
    NoteLogged,
    from_json,
    number_from_json,
    number_to_json,
    to_json,
)
from autotrack.stores.state import Place

VERSION: Final = 1
PREFIX: Final = "autotrack."
ID_TAG: Final = "autotrack.run_id"
STATE_TAG: Final = "autotrack.state"
INEXACT_TAG: Final = "autotrack.inexact"
"""``"1"`` on a run that MLflow's own search may miss, because its fields are not exactly ours."""
DIRTY_TAG: Final = "autotrack.dirty"
"""``"1"`` while a run is being written with more than one request: its sidecars tell what it is."""
PROCESS_TAG: Final = "autotrack.process"
"""The process of the run, and behind it others that the run was said to be of before."""
PARENT_TAG: Final = "autotrack.parent_run_id"
FOLDER: Final = "autotrack"
"""The folder among a run's artifacts where what is ours lies."""

CHUNK: Final = 4_900
"""Older servers take 5,000 characters in a tag."""
MOST_CHUNKS: Final = 8
_PLAIN: Final = 3_000
_PARTS: Final = "of:"


@dataclass(frozen=True)
class Document:
    """What is known of a run beside MLflow's fields.

    Parameters
    ----------
    run : the run as it was written, but for params, metrics and tags that MLflow has exactly.
    at : how far each journal has been applied to this run.
    start : the place of the run's start.
    hidden : keys in MLflow that stand for others of ours, under ``params``, ``metrics`` and ``tags``.
    files : the artifacts that events name.
    model_ids : MLflow's ids of the logged models, by path.
    uneven : metrics whose history MLflow does not have exactly.
    told : what MLflow was told of name and status, so that a later change there is seen.
    homes : the experiments (MLflow's ids) where the facts of the run's process lie, and those of other processes that
        the run was said to be of.
    """

    run: Run
    at: Mapping[str, int]
    start: Place | None = None
    hidden: Mapping[str, list[str]] = field(default_factory=dict)
    files: tuple[Artifact, ...] = ()
    model_ids: Mapping[str, str] = field(default_factory=dict)
    uneven: tuple[str, ...] = ()
    told: Mapping[str, Any] = field(default_factory=dict)
    homes: Mapping[str, str] = field(default_factory=dict)

    @property
    def home(self) -> str:
        """The experiment where the facts of the run's process lie; blank where nothing is known of it."""
        return self.homes.get(self.run.process_id, "")


def to_text(document: Document) -> str:
    """The document as text of ASCII characters."""
    run = document.run
    data: dict[str, Any] = {
        "v": VERSION,
        "at": dict(document.at),
        "run": [run.run_id, run.name, run.experiment, run.status, run.start_time, run.end_time, run.parent_run_id]
        + [run.process_id, run.error, run.broken, run.deleted_time],
    }
    optional = {
        "start": None if document.start is None else list(document.start),
        "params": dict(run.params),
        "metrics": {key: number_to_json(value) for key, value in run.metrics.items()},
        "tags": dict(run.tags),
        "datasets": [_inner(to_json(DatasetLogged("", dataset))) for dataset in run.datasets],
        "models": [_inner(to_json(ModelLogged("", model))) for model in run.models],
        "notes": [_inner(to_json(NoteLogged("", note))) for note in run.notes],
        "hidden": {kind: list(keys) for kind, keys in document.hidden.items() if keys},
        "files": [[file.path, file.size, file.digest] for file in document.files if not file.is_dir],
        "model_ids": dict(document.model_ids),
        "uneven": list(document.uneven),
        "told": dict(document.told),
        "homes": dict(document.homes),
    }
    data |= {key: value for key, value in optional.items() if value}
    text = json.dumps(data, separators=(",", ":"))
    if len(text) > _PLAIN:
        text = "z:" + base64.b85encode(zlib.compress(text.encode(), 9)).decode()
    return text


def from_text(text: str) -> Document:
    """Undo `to_text`.

    Raises
    ------
    StoreError
        When it cannot be understood.
    """
    try:
        if text.startswith("z:"):
            text = zlib.decompress(base64.b85decode(text[2:])).decode()
        data = json.loads(text)
        if data["v"] > VERSION:
            raise StoreError(
                f"written in format {data['v']}; this autotrack reads up to {VERSION}, a newer one is needed"
            )
        return _document(data)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, zlib.error) as error:
        raise StoreError(f"cannot be understood ({type(error).__name__}: {error})") from error


def _document(data: dict[str, Any]) -> Document:
    (run_id, name, experiment, status, start_time, end_time, parent, process_id, error, broken, deleted) = data["run"]

    def events(name: str, kind: str, attribute: str) -> tuple[Any, ...]:
        read = (from_json({**item, "type": kind, "run_id": ""}) for item in data.get(name, ()))
        return tuple(getattr(event, attribute) for event in read)

    run = Run(
        run_id=run_id,
        name=name,
        experiment=experiment,
        status=status,
        start_time=start_time,
        end_time=end_time,
        parent_run_id=parent,
        process_id=process_id,
        params=data.get("params", {}),
        metrics={key: _number(value) for key, value in data.get("metrics", {}).items()},
        tags=data.get("tags", {}),
        datasets=events("datasets", DatasetLogged.type, "dataset"),
        models=events("models", ModelLogged.type, "model"),
        notes=events("notes", NoteLogged.type, "note"),
        error=error,
        broken=broken,
        deleted_time=deleted,
    )
    start = data.get("start")
    return Document(
        run=run,
        at={str(journal): int(number) for journal, number in data["at"].items()},
        start=None if start is None else Place(start[0], int(start[1])),
        hidden=data.get("hidden", {}),
        files=events_of_files(data.get("files", ())),
        model_ids=data.get("model_ids", {}),
        uneven=tuple(data.get("uneven", ())),
        told=data.get("told", {}),
        homes=data.get("homes", {}),
    )


def events_of_files(items: Any) -> tuple[Artifact, ...]:
    """Artifacts from their paths, sizes and digests."""
    return tuple(Artifact(str(path), None if size is None else int(size), str(digest)) for path, size, digest in items)


def to_tags(text: str, keep: Callable[[str, bytes], None], before: Mapping[str, str]) -> dict[str, str]:
    """The tags that carry a document.

    Parameters
    ----------
    keep : called with a path and bytes when the text is too long for tags, to put it among the run's artifacts.
    before : the run's tags of now: those that are not needed any more become blank.
    """
    if len(text) > CHUNK * MOST_CHUNKS:
        data = text.encode()
        path = f"{FOLDER}/state-{of_bytes(data)[7:39]}.txt"
        keep(path, data)
        text = f"in:{path}"
    chunks = [text[at : at + CHUNK] for at in range(0, len(text), CHUNK)]
    if len(chunks) > 1:
        # What another writer has left in the tags behind them is none of it.
        chunks[0] = f"{_PARTS}{len(chunks)}:{chunks[0]}"
    tags = {_chunk_tag(number): chunk for number, chunk in enumerate(chunks)}
    for number in range(len(chunks), MOST_CHUNKS):
        if before.get(_chunk_tag(number)):
            tags[_chunk_tag(number)] = ""
    return tags


def from_tags(tags: Mapping[str, str], fetch: Callable[[str], bytes]) -> Document | None:
    """The document in a run's tags; ``None`` where there is none (yet).

    Raises
    ------
    StoreError
        When it cannot be understood.
    """
    text = tags.get(STATE_TAG, "")
    if not text:
        return None
    if text.startswith(_PARTS):
        count, _, text = text.removeprefix(_PARTS).partition(":")
        if not count.isdecimal():
            raise StoreError(f"cannot be understood ({count!r} is no number of parts)")
        text += "".join(tags.get(_chunk_tag(number), "") for number in range(1, int(count)))
    if text.startswith("in:"):
        text = fetch(text[3:]).decode()
    return from_text(text)


def _number(value: Any) -> float:
    number = number_from_json(value)
    return math.nan if math.isnan(number) else number


def _chunk_tag(number: int) -> str:
    return STATE_TAG if number == 0 else f"{STATE_TAG}.{number}"


def _inner(data: dict[str, Any]) -> dict[str, Any]:
    del data["type"], data["run_id"]
    return data


def is_deleted(native: Mapping[str, Any]) -> bool:
    """Whether MLflow has this run in its trash."""
    return str(native["info"].get("lifecycle_stage", "")) == DELETED


def native_status(native: Mapping[str, Any]) -> str:
    """MLflow's status of a run."""
    return str(native["info"].get("status") or RUNNING)
