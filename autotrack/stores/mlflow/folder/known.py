"""What a store has read of a run, and of the processes that made runs; read again when files changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from autotrack.entities import BROKEN, DEFAULT_EXPERIMENT, Artifact, Metric, Run
from autotrack.events import Entry, Event, ExperimentDescribed, ProcessDescribed
from autotrack.stores.mlflow.folder import files, found, projection, sidecar, written
from autotrack.stores.mlflow.folder.layout import LOCK, ExperimentFolder, Layout, Stamp, stamp
from autotrack.stores.mlflow.folder.reading import Changes, Told, read_foreign, read_joined
from autotrack.stores.mlflow.translation import source_facts
from autotrack.stores.state import NO_START, Latest, Place, RunState, clamp

_NOTHING: Final = Place("", 0)


class Processes:
    """The facts of processes, from ``.autotrack.jsonl`` at the top of the folder."""

    def __init__(self, root: Path) -> None:
        self._path = root / sidecar.PROCESSES
        self._facts: dict[str, Latest] = {}
        self._stamp: Stamp | None = None
        self._log = sidecar.Log(self._path, self._fold)

    def of(self, process_id: str) -> dict[str, Any]:
        """What is known of a process."""
        self._refresh()
        facts = self._facts.get(process_id)
        return {} if facts is None else facts.sorted_by_key()

    def apply(self, entries: Sequence[Entry]) -> list[str]:
        """Take in entries; gives the ids of the processes that they are about.

        Raises
        ------
        OSError
            When they cannot be written.
        """
        if not self._path.exists():
            with files.locked(self._path.with_name(LOCK)):
                if not self._path.exists():
                    files.write(self._path, sidecar.header(about="processes"), self._path.parent)
        with sidecar.Held(self._path) as held:
            if not self._log.refresh(held.descriptor):
                self._forget()
                self._log.refresh(held.descriptor)
            self._log.append(held.descriptor, entries)
        return [entry.event.process_id for entry in entries if isinstance(entry.event, ProcessDescribed)]

    def problems(self) -> list[str]:
        """What could not be read."""
        self._refresh()
        return list(self._log.problems)

    def _refresh(self) -> None:
        now = stamp(self._path)
        if now == self._stamp:
            return
        self._stamp = now
        if now is None or not self._log.refresh():
            self._forget()
            if now is not None:
                self._log.refresh()

    def _forget(self) -> None:
        self._facts.clear()
        self._log = sidecar.Log(self._path, self._fold)

    def _fold(self, place: Place, event: Event) -> None:
        if isinstance(event, ProcessDescribed):
            self._facts.setdefault(event.process_id, Latest()).put_all(place, event.facts)


class Known:
    """One run's folder: our record of it, where there is one, and what MLflow's files tell.

    Parameters
    ----------
    path : the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.run_id = path.name
        self.state: RunState | None = None
        self.is_stale = False
        self.told = Told(Run(path.name, "", DEFAULT_EXPERIMENT, BROKEN, broken=NO_START))
        self._seen: tuple[Any, ...] | None = None
        self._last: written.Written | None = None
        self._last_stamp: Stamp | None = None
        self._unreadable = ""
        self.unwritten = ""
        self._begin()

    @property
    def is_empty(self) -> bool:
        """Whether only the beginning of a record is there, and nothing of the run: it was made this moment."""
        return self.state is None and bool(self.log.header) and self._seen is not None and self._seen[1].meta is None

    @property
    def age(self) -> tuple[bool, int, Place, str]:
        """Runs sorted by this, the greatest first, are sorted newest first."""
        if self.state is not None and self.state.started is not None:
            return self.state.age
        start = self.told.run.start_time
        return (start is not None, clamp(start or 0), _NOTHING, self.run_id)

    def history(self, key: str) -> list[Metric]:
        """Every point of one metric, by step, then time."""
        own = [] if self.state is None else self.state.history(key)
        others = [point for point in self.told.points if point.key == key]
        return sorted([*own, *others], key=lambda point: (point.step, point.timestamp)) if others else own

    def logged(self) -> list[Artifact]:
        """The artifacts and model folders that events name."""
        return [] if self.state is None else self.state.logged()

    def problems(self) -> list[str]:
        """What could not be read, or not be written for MLflow."""
        unwritten = [] if self._last is None else self._last.all_problems()
        others = [text for text in (self._unreadable, self.unwritten) if text]
        return [*self.log.problems, *self.told.problems, *unwritten, *others]

    def refresh(self, layout: Layout, processes: Processes) -> None:
        """Read what changed. What cannot be read is one of the `problems`."""
        there = found.stamped(self.path)
        experiment = layout.experiment(self.path.parent)
        last_stamp = stamp(self.path / written.NAME)
        self._read_on()
        facts = {} if self.state is None else processes.of(self.state.process_id)
        seen = (self.log.offset, there, experiment, last_stamp, facts)
        if seen == self._seen:
            return
        if last_stamp != self._last_stamp or self._last is None:
            self._last, self._last_stamp = written.load(self.path), last_stamp
        self._tell(there, experiment, facts)
        self._seen = seen

    def _read_on(self) -> None:
        self._unreadable = ""
        try:
            if not self.log.refresh():
                self._begin()
                self.log.refresh()
        except FileNotFoundError:
            if self.state is not None:
                self._begin()
        except OSError as error:
            self._unreadable = f"{self.log.path} cannot be read: {error}"

    def _tell(self, there: found.Stamped, experiment: ExperimentFolder, facts: Mapping[str, Any]) -> None:
        state, last = self.state, self._last
        self.is_stale = False
        if state is None:
            self.told = read_foreign(self.path, there, experiment)
            return
        self.run_id = state.run_id
        if state.started is None and there.meta is None:
            self.told = Told(state.run(facts))
            return
        told = source_facts(facts)
        self.is_stale = last is None or last.offset != self.log.offset or there.meta is None or last.facts != told
        if state.started is None:
            self.is_stale = last is None or last.offset != self.log.offset
            self.told = read_joined(self.path, there, experiment, state, last)
        elif last is None:
            self.told = Told(state.run(facts))
        else:
            changes = Changes(self.path, there, state, facts, last, stale=self.is_stale)
            self.told = changes.of(state.run(facts), experiment)

    def project(self, layout: Layout, processes: Processes, *, again: bool = False) -> Path:
        """Bring MLflow's files up to date, unless they are; the caller holds the record's lock and has read it.

        Raises
        ------
        OSError
            When they cannot be written.
        """
        if self.state is None:
            return self.path
        facts = processes.of(self.state.process_id)
        last = written.load(self.path)
        is_current = last is not None and last.offset == self.log.offset and last.facts == source_facts(facts)
        if is_current and not again and (self.path / files.META).exists():
            return self.path
        return projection.project(layout, self.path, self.state, facts, self.log.offset)

    def _begin(self) -> None:
        self.state = None
        self.log = sidecar.Log(self.path / sidecar.RUN, self._fold)
        self._seen = None

    def _fold(self, place: Place, event: Event) -> None:
        if self.state is None:
            self.state = RunState(str(self.log.header.get("run_id", self.path.name)))
        if not isinstance(event, ProcessDescribed | ExperimentDescribed) and event.run_id == self.state.run_id:
            self.state.fold(place, event)
