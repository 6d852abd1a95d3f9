"""``autotrack fsck`` of a folder: every line, every run, every artifact and the index, and mending what can be mended.

The truth is what the journals give when they are folded anew, into a second index beside the folder's own. A folder may
be written to meanwhile: what looks wrong and may be a write of just now is looked at again.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from autotrack import digests
from autotrack.entities import RUN_STATUSES, SKIPPED, Artifact, LoggedModel, Note, Run
from autotrack.errors import ArtifactNotFound
from autotrack.events import Entry, NoteLogged
from autotrack.journal import JOURNALS, new_journal_id
from autotrack.stores.artifacts import folder as artifact_files
from autotrack.stores.artifacts.folder import PARTIAL
from autotrack.stores.base import Finding
from autotrack.stores.local import compaction, rows, sweeping
from autotrack.stores.local.folding import fold
from autotrack.stores.local.index import Index
from autotrack.stores.local.lines import DAMAGED, UNREADABLE, FileCheck, check_file
from autotrack.stores.local.registry import REGISTRY
from autotrack.stores.local.registry_check import check_registry
from autotrack.stores.local.sql import decode, encode
from autotrack.stores.local.tables import SCHEMA_VERSION

QUARANTINE: Final = "quarantine"
_PAGE: Final = 200
_LOOKS: Final = 3
_BETWEEN_SECONDS: Final = 0.2

Tell = Callable[[str, int, int], None]


class Check:
    """One check of one folder.

    Parameters
    ----------
    folder : the store's folder.
    artifacts : the folder of its artifacts.
    stored : the file of its index.
    repair : mend what can be mended.
    reset : deletes the index, so that the next read makes it anew.
    apply : takes entries into the store.
    tell : is told what is being done, how much of it is done, and of how much.
    """

    def __init__(
        self,
        folder: Path,
        artifacts: Path,
        stored: Path,
        *,
        repair: bool,
        reset: Callable[[], object],
        apply: Callable[[Sequence[Entry]], None],
        tell: Tell | None,
    ) -> None:
        self.folder = folder
        self.artifacts = artifacts
        self.stored = stored
        self.repair = repair
        self.reset = reset
        self.apply = apply
        self.tell: Tell = tell or (lambda what, done, total: None)
        self.quarantine = folder / QUARANTINE / new_journal_id()

    def run(self) -> list[Finding]:
        """What is wrong.

        Raises
        ------
        OSError, sqlite3.Error
            When something cannot be read or written that has to be.
        """
        if not self.folder.is_dir():
            return []
        with tempfile.TemporaryDirectory(prefix="autotrack-fsck-") as place:
            checks = list(self._files())
            findings = [finding for check in checks for finding in check.findings]
            if self.repair and any(check.kind in (DAMAGED, UNREADABLE) for check in checks):
                findings = self._mend(checks, Path(place))
            fresh = Index(Path(place) / "fresh.db")
            try:
                fold(self.folder, fresh)
                about_index, stored = self._open_stored()
                try:
                    about_runs = list(self._runs(fresh, stored))
                finally:
                    if stored is not None:
                        stored.close()
                findings += self._with_index_repaired(about_index + about_runs)
                findings += check_registry(self.folder, fresh, self.quarantine, repair=self.repair)
                self._report([finding for finding in findings if finding.subject == REGISTRY and finding.repaired])
                findings += self._strays(fresh)
            finally:
                fresh.close()
        return findings

    # Journals

    def _files(self) -> Iterator[FileCheck]:
        names = sorted(os.listdir(self.folder / JOURNALS)) if (self.folder / JOURNALS).is_dir() else []
        for done, name in enumerate(names):
            self.tell("journals", done, len(names))
            try:
                yield check_file(self.folder / JOURNALS / name)
            except FileNotFoundError:  # packed or deleted meanwhile
                continue
            except OSError as error:
                yield FileCheck(name, "", (Finding(name, f"cannot be read ({error.strerror or error})"),))
        self.tell("journals", len(names), len(names))

    def _mend(self, checks: Sequence[FileCheck], place: Path) -> list[Finding]:
        findings: list[Finding] = []
        damaged = [check.name for check in checks if check.kind == DAMAGED and not check.is_alive]
        unreadable = [check.name for check in checks if check.kind == UNREADABLE]
        for name in damaged:
            self._keep(name, move=False)
        for name in unreadable:
            self._keep(name, move=True)
        if damaged:
            index = Index(place / "mending.db")
            try:
                compaction.mend(self.folder, index, damaged)
            finally:
                index.close()
        kept = f"the file as it was is kept in {self.quarantine.relative_to(self.folder).as_posix()}/"
        for check in checks:
            done = None
            if check.name in damaged:
                done = f"written anew without the unreadable lines; {kept}"
            elif check.name in unreadable:
                done = f"moved away; {kept}"
            for finding in check.findings:
                if check.is_alive and check.kind == DAMAGED and not finding.is_note:
                    message = f"{finding.message}; its process is alive: repair it once that has ended"
                    finding = replace(finding, message=message)
                findings.append(finding if done is None or finding.is_note else replace(finding, repaired=done))
        self._report([finding for finding in findings if finding.repaired is not None])
        self._note_losses([check for check in checks if check.name in damaged])
        self.reset()
        return findings

    def _keep(self, name: str, *, move: bool) -> None:
        self.quarantine.mkdir(parents=True, exist_ok=True)
        source, target = self.folder / JOURNALS / name, self.quarantine / name
        if move:
            os.rename(source, target)
        else:
            shutil.copy2(source, target)

    def _report(self, findings: Sequence[Finding]) -> None:
        if findings:
            lines = [f"{finding.subject}: {finding.message}\n    {finding.repaired}\n" for finding in findings]
            text = "".join(lines).encode("utf-8", "backslashreplace")
            with (self.quarantine / "report.txt").open("ab") as report:
                report.write(text)

    def _note_losses(self, checks: Sequence[FileCheck]) -> None:
        """A run that lost a line says so from now on."""
        lost: dict[str, int] = {}
        for check in checks:
            for finding in check.findings:
                if finding.run_id is not None:
                    lost[finding.run_id] = lost.get(finding.run_id, 0) + 1
        place = self.quarantine.relative_to(self.folder).as_posix()
        message = f"lines of its journal could not be read and were taken out; they are in {place}/ of the store"
        notes = [NoteLogged(run_id, Note(SKIPPED, "journal", message, count)) for run_id, count in lost.items()]
        if notes:
            journal = new_journal_id()
            self.apply([Entry(journal, number, note) for number, note in enumerate(notes, 1)])

    # The index

    def _open_stored(self) -> tuple[list[Finding], Index | None]:
        """What is wrong with the folder's own index; and it, brought up to date, where it can be read."""
        name = self.stored.name
        if not self.stored.is_file():
            return [], None
        self.tell("index", 0, 1)
        try:
            connection = sqlite3.connect(f"{self.stored.absolute().as_uri()}?mode=ro", uri=True, timeout=60)
            try:
                version = int(connection.execute("PRAGMA user_version").fetchone()[0])
                said = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(5)")]
            finally:
                connection.close()
            if said != ["ok"]:
                return [Finding(name, f"the index is damaged: {'; '.join(said)[:500]}")], None
            if version > SCHEMA_VERSION:
                message = f"the index is of a newer autotrack (tables {version}); this one leaves it alone"
                return [Finding(name, message, is_note=True)], None
            stored = Index(self.stored)
            try:
                fold(self.folder, stored)
            except BaseException:
                stored.close()
                raise
        except sqlite3.OperationalError as error:
            if "readonly" in str(error) or "unable to open" in str(error):
                return [
                    Finding(name, f"the index cannot be written, so it was not compared ({error})", is_note=True)
                ], None
            return [Finding(name, f"the index is damaged: {error}")], None
        except sqlite3.DatabaseError as error:
            return [Finding(name, f"the index is damaged: {error}")], None
        return [], stored

    def _with_index_repaired(self, findings: list[Finding]) -> list[Finding]:
        name = self.stored.name
        if not self.repair or not any(finding.subject == name and not finding.is_note for finding in findings):
            return findings
        self.reset()
        index = Index(self.stored)
        try:
            fold(self.folder, index)
        finally:
            index.close()
        done = "made anew from the journals"
        return [
            replace(finding, repaired=done) if finding.subject == name and not finding.is_note else finding
            for finding in findings
        ]

    # Runs

    def _runs(self, fresh: Index, stored: Index | None) -> Iterator[Finding]:
        keys = [int(row[0]) for row in fresh.connection.execute("SELECT id FROM runs ORDER BY run_id")]
        for start in range(0, len(keys), _PAGE):
            self.tell("runs", start, len(keys))
            page = keys[start : start + _PAGE]
            found = rows.runs(fresh.connection, page)
            if stored is not None:
                ids = [run.run_id for run in found]
                here, there = _content(fresh, ids), _content(stored, ids)
                for run_id in ids:
                    if here[run_id] != there.get(run_id):
                        yield from self._differences(run_id, fresh, stored)
            for key, run in zip(page, found, strict=True):
                yield from self._about(run, fresh)
                yield from self._artifacts(run, rows.logged_artifacts(fresh.connection, key), fresh)
        self.tell("runs", len(keys), len(keys))
        if stored is not None:
            yield from self._surplus(fresh, stored)
            yield from self._experiments(fresh, stored)

    def _differences(self, run_id: str, fresh: Index, stored: Index) -> Iterator[Finding]:
        for look in range(_LOOKS):
            if look:
                time.sleep(_BETWEEN_SECONDS)
            fold(self.folder, fresh)
            fold(self.folder, stored)
            if _content(fresh, [run_id]) == _content(stored, [run_id]):
                return
        yield Finding(
            self.stored.name, f"the index has run {run_id} otherwise than the journals tell it", run_id=run_id
        )

    def _surplus(self, fresh: Index, stored: Index) -> Iterator[Finding]:
        for row in stored.connection.execute("SELECT run_id FROM runs").fetchall():
            run_id = decode(row[0])
            if not _exists(fresh, run_id):
                fold(self.folder, fresh)
                if not _exists(fresh, run_id) and _exists(stored, run_id):
                    yield Finding(self.stored.name, f"the index has a run {run_id} that no journal tells of")

    def _experiments(self, fresh: Index, stored: Index) -> Iterator[Finding]:
        for look in range(_LOOKS):
            if look:
                time.sleep(_BETWEEN_SECONDS)
                fold(self.folder, fresh)
                fold(self.folder, stored)
            here, there = (rows.described(index.connection) for index in (fresh, stored))
            if repr(here) == repr(there):
                return
        yield Finding(self.stored.name, "the index has experiments described otherwise than the journals tell it")

    def _about(self, run: Run, fresh: Index) -> Iterator[Finding]:
        subject = f"run {run.run_id}"
        is_note = run.deleted_time is not None
        if run.start_time is None and _exists(fresh, run.run_id, "start_journal IS NULL AND name <> '(unreadable)'"):
            way_out = "" if is_note else f"; if nothing more is to come: autotrack delete {run.run_id}"
            yield Finding(subject, f"its start is not recorded{way_out}", run_id=run.run_id, is_note=is_note)
        elif run.start_time is not None and run.status not in RUN_STATUSES:
            yield Finding(subject, f"its status is {run.status!r:.100}", run_id=run.run_id, is_note=True)
        if run.parent_run_id is not None and not _exists(fresh, run.parent_run_id):
            fold(self.folder, fresh)
            if not _exists(fresh, run.parent_run_id):
                message = f"it was made inside the run {run.parent_run_id}, which is not there"
                yield Finding(subject, message, run_id=run.run_id, is_note=is_note)
        if run.start_time is not None and run.end_time is not None and run.end_time < run.start_time:
            yield Finding(subject, "it ended before it started: a clock was set", run_id=run.run_id, is_note=True)

    # Artifacts

    def _artifacts(self, run: Run, logged: Sequence[Artifact], fresh: Index) -> Iterator[Finding]:
        models = {model.path for model in run.models}
        files = [artifact for artifact in logged if artifact.path not in models]
        items: list[Artifact | LoggedModel] = [*files, *run.models]
        for item in items:
            message = self._wrong(run.run_id, item)
            for _ in range(_LOOKS):
                if message is None:
                    break
                # The file may have been written anew, and the event that tells so be under way.
                time.sleep(_BETWEEN_SECONDS)
                fold(self.folder, fresh)
                now = _logged_now(fresh, run.run_id, item)
                message = None if now is None else self._wrong(run.run_id, now)
            if message is not None:
                yield Finding(f"run {run.run_id}", message, run_id=run.run_id)

    def _wrong(self, run_id: str, item: Artifact | LoggedModel) -> str | None:
        """What is wrong with a file or model folder; ``None`` where it is as it was recorded."""
        what = "model" if isinstance(item, LoggedModel) else "artifact"
        try:
            place = artifact_files.find(self.artifacts, run_id, item.path, [])
        except ArtifactNotFound:
            is_to_come = isinstance(item, LoggedModel) and item.is_pending
            return None if is_to_come else f"{what} {item.path!r} was recorded, and is not on disk"
        try:
            if isinstance(item, LoggedModel):
                if not place.is_dir():
                    return f"model {item.path!r} is no folder"
                digest = digests.of_folder(place) if item.digest.startswith(digests.PREFIX) else item.digest
            else:
                if not place.is_file():
                    return f"artifact {item.path!r} is no file"
                size = place.stat().st_size
                if item.size is not None and size != item.size:
                    return f"artifact {item.path!r} has {size:,} bytes, and had {item.size:,} when it was recorded"
                digest = digests.of_file(place) if item.digest.startswith(digests.PREFIX) else item.digest
        except OSError as error:
            return f"{what} {item.path!r} cannot be read ({error.strerror or error})"
        if digest != item.digest:
            return f"{what} {item.path!r} is not what was recorded: its digest is another"
        return None

    # Everything else

    def _strays(self, fresh: Index) -> Iterator[Finding]:
        known = {JOURNALS, self.artifacts.name, ".gitignore", QUARANTINE, REGISTRY}
        for name in sorted(os.listdir(self.folder)):
            is_index = name.startswith(self.stored.stem) and ".db" in name
            if name not in known and not is_index and not PARTIAL.search(name):
                yield Finding(name, "does not belong to a store", is_note=True)
        for item in sweeping.loose(self.folder, self.artifacts, fresh):
            kind = "belongs to no run" if item.kind == "artifacts" else "is a write that broke off"
            yield Finding(item.place, f"{kind}: {item.kept or 'autotrack gc removes it'}", is_note=True)
        for place in sorted((self.folder / QUARANTINE).glob("*/report.txt")):
            if place.parent != self.quarantine:
                where = place.parent.relative_to(self.folder).as_posix()
                yield Finding(f"{where}/", "what an earlier repair took out; report.txt there tells", is_note=True)


def _content(index: Index, run_ids: Sequence[str]) -> dict[str, object]:
    """All that an index has of these runs, to be compared."""
    connection = index.connection
    places = ", ".join("?" * len(run_ids))
    query = f"SELECT id FROM runs WHERE run_id IN ({places})"
    keys = [int(row[0]) for row in connection.execute(query, [encode(run_id) for run_id in run_ids])]
    of_these = f"WHERE run IN ({', '.join(map(str, keys))}) GROUP BY run"
    query = f"SELECT run, count(*), total(value), total(step), total(timestamp) FROM points {of_these}"
    points = {row[0]: row[1:] for row in connection.execute(query)}
    query = (
        f"SELECT run, count(*), total(size), min(path), max(path), min(digest), max(digest) FROM artifacts {of_these}"
    )
    files = {row[0]: row[1:] for row in connection.execute(query)}
    runs = zip(keys, rows.runs(connection, keys), strict=True)
    # As text, in which a NaN equals itself.
    return {run.run_id: (repr(run), points.get(key), files.get(key)) for key, run in runs}


def _exists(index: Index, run_id: str, condition: str = "1") -> bool:
    query = f"SELECT 1 FROM runs WHERE run_id = ? AND {condition}"
    return index.connection.execute(query, (encode(run_id),)).fetchone() is not None


def _logged_now(index: Index, run_id: str, item: Artifact | LoggedModel) -> Artifact | LoggedModel | None:
    """What is recorded now of a file or model folder; ``None`` where its run is gone."""
    row = index.connection.execute("SELECT id FROM runs WHERE run_id = ?", (encode(run_id),)).fetchone()
    if row is None:
        return None
    if isinstance(item, LoggedModel):
        (run,) = rows.runs(index.connection, [row[0]])
        return next((model for model in run.models if model.path == item.path), None)
    logged = rows.logged_artifacts(index.connection, row[0])
    return next((artifact for artifact in logged if artifact.path == item.path and not artifact.is_dir), None)
