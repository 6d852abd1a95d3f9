"""Applying entries: folded in memory first, then written, each row once, in one transaction.

Whoever writes holds the rows of the journals and runs that he writes of. So no two apply one journal at a time, and
what is read of a run decides safely which of two values for one key stays. Rows are locked in the order of their
digests; where two still wait for each other, the database ends one of them and it is tried again.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from autotrack.entities import experiment_id
from autotrack.events import Entry
from autotrack.stores.database import merging, tables
from autotrack.stores.database.codes import digest, digests, escape
from autotrack.stores.database.engine import Again, Database
from autotrack.stores.database.inserting import Row, escaped, gives_ids, insert, insert_new, insert_one
from autotrack.stores.database.listing import Listing
from autotrack.stores.database.names import CHUNK, Names, chunked
from autotrack.stores.database.registry_rows import register_logged
from autotrack.stores.database.replacing import replace
from autotrack.stores.state import Place, RunState, State, clamp

_RUNS: Final = tables.runs.c
_RUN_COLUMNS: Final = tuple(column.name for column in tables.runs.columns)
_HELD_RUNS: Final = Listing(*tables.runs.columns, by=_RUNS.hash, locked=True)
_ATTEMPTS: Final = 200


@dataclass
class _Batch:
    """Entries that are not applied yet, folded, with the numbers of what they name."""

    state: State
    last: dict[str, tuple[int, int]]
    """Of each journal: the number applied last, and the one applied last after this batch."""
    journals: dict[str, int] = field(default_factory=dict)
    names: dict[str, int] = field(default_factory=dict)
    experiments: dict[str, int] = field(default_factory=dict)
    first_id: int = 0
    ids: int = 0


class Writer:
    """What writes entries into a database.

    Parameters
    ----------
    names, experiments : shared with what reads.
    """

    def __init__(self, database: Database, names: Names, experiments: Names) -> None:
        self._database = database
        self._names = names
        self._experiments = experiments

    def apply(self, entries: Iterable[Entry]) -> None:
        """See `Store.apply`."""
        by_journal: dict[str, list[Entry]] = {}
        for entry in entries:
            by_journal.setdefault(entry.journal_id, []).append(entry)
        if self._apply_fresh(by_journal):
            return
        for attempt in range(_ATTEMPTS):
            batch = self._prepare(by_journal)
            if not batch.last:
                return
            try:
                self._database.write(partial(self._write, batch=batch))
                return
            except Again:
                if attempt + 1 == _ATTEMPTS:
                    raise self._database.error(RuntimeError("too many others write the same"), "written to") from None
                time.sleep(random.SystemRandom().random() * 0.01 * min(attempt, 20))

    # All in one transaction: a whole journal that nobody else knows, about runs that are there

    def _apply_fresh(self, by_journal: dict[str, list[Entry]]) -> bool:
        """Apply what needs no numbers but the journal's own, as a server does with each request; false for others."""
        if len(by_journal) != 1 or not gives_ids(self._database.dialect):
            return False
        [entries] = by_journal.values()
        if entries[0].number != 1:
            return False
        batch = _fold(by_journal, {})
        if not batch.last or any(run.started is not None for run in batch.state.runs.values()):
            return False
        try:
            return self._database.write(partial(self._write_fresh, batch=batch))
        except Again:
            return False

    def _write_fresh(self, connection: Connection, batch: _Batch) -> bool:
        [(name, (_, last))] = batch.last.items()
        batch.names, batch.experiments, missing = self._numbered(connection, batch.state)
        if any(missing.values()):
            return False
        number = insert_one(
            connection, tables.journals, ("hash", "journal_id", "last_number"), (digest(name), escape(name), last)
        )
        if number is None:
            return False
        batch.journals = {name: number}
        self._write_contents(connection, batch)
        return True

    # Before the transaction: what shall be written, and numbers for it

    def _prepare(self, by_journal: dict[str, list[Entry]]) -> _Batch:
        batch, missing = self._database.read(lambda connection: self._look_up(connection, by_journal))
        if any(missing.values()):
            # Journals that are new are begun with their first entries.
            self._database.write(lambda connection: self._number(connection, batch, missing))
            batch, missing = self._database.read(lambda connection: self._look_up(connection, by_journal, batch))
            if any(missing.values()):
                return self._prepare(by_journal)
        return batch

    def _look_up(
        self, connection: Connection, by_journal: dict[str, list[Entry]], before: _Batch | None = None
    ) -> tuple[_Batch, dict[str, list[str]]]:
        """The batch, and what has no number yet."""
        rows = _journals(connection, by_journal)
        if before is not None and all(rows.get(name, (0, 0))[1] == last for name, (last, _) in before.last.items()):
            batch = before
        else:
            batch = _fold(by_journal, {name: last for name, (_, last) in rows.items()})
        batch.names, batch.experiments, missing = self._numbered(connection, batch.state)
        missing["runs"] = [] if batch.ids else _missing_runs(connection, batch.state.runs)
        return batch, missing

    def _numbered(
        self, connection: Connection, state: State
    ) -> tuple[dict[str, int], dict[str, int], dict[str, list[str]]]:
        """The numbers of names and of experiments, and those that have none."""
        names = set(state.facts)
        for facts in state.facts.values():
            names.update(facts)
        for facts in state.experiments.values():
            names.update(facts)
        experiments = set(state.experiments)
        for run in state.runs.values():
            names.update(run.params, run.tags, run.points, (run.process_id,))
            experiments.add(merging.experiment(run))
        known, known_experiments = self._names.ids(connection, names), self._experiments.ids(connection, experiments)
        missing = {
            "names": [name for name in names if name not in known],
            "experiments": [name for name in experiments if name not in known_experiments],
        }
        return known, known_experiments, missing

    def _number(self, connection: Connection, batch: _Batch, missing: dict[str, list[str]]) -> None:
        """Give numbers to what has none: committed before it is used, and of no meaning until then."""
        rows: list[Row] = [(key, escape(name)) for key, name in digests(missing["names"]).items()]
        insert_new(connection, tables.names, ("hash", "text"), rows)
        rows = [(key, escape(name), experiment_id(name)) for key, name in digests(missing["experiments"]).items()]
        insert_new(connection, tables.experiments, ("hash", "text", "experiment_id"), rows)
        if missing["runs"]:
            batch.ids = len(missing["runs"])
            batch.first_id = _take_ids(connection, batch.ids)

    # Within the transaction

    def _write(self, connection: Connection, batch: _Batch) -> None:
        journals = tables.journals.c
        hashes = digests(batch.last)
        new: list[Row] = [(key, escape(name), 0) for key, name in hashes.items() if not batch.last[name][0]]
        insert_new(connection, tables.journals, ("hash", "journal_id", "last_number"), new)
        batch.journals = {}
        for chunk in chunked(hashes, CHUNK):
            query = sa.select(journals.id, journals.hash, journals.last_number).where(journals.hash.in_(chunk))
            for number, key, last in connection.execute(query.order_by(journals.hash).with_for_update()):
                name = hashes[bytes(key)]
                if last == batch.last[name][0]:
                    batch.journals[name] = int(number)
        if len(batch.journals) != len(batch.last):
            raise Again
        self._write_contents(connection, batch)
        change = sa.update(tables.journals).where(journals.id == sa.bindparam("this"))
        connection.execute(
            change.values(last_number=sa.bindparam("last")),
            [{"this": batch.journals[name], "last": last} for name, (_, last) in batch.last.items()],
        )

    def _write_contents(self, connection: Connection, batch: _Batch) -> None:
        self._write_facts(connection, batch)
        self._write_experiment_facts(connection, batch)
        self._write_runs(connection, batch)

    def _write_facts(self, connection: Connection, batch: _Batch) -> None:
        if not batch.state.facts:
            return
        processes = sorted(batch.names[process] for process in batch.state.facts)
        _lock(connection, tables.names.c.id, processes)
        new = merging.Rows(processes)
        for process, facts in batch.state.facts.items():
            number = batch.names[process]
            for key, (place, fact) in facts.items():
                text = escape(fact) if isinstance(fact, str) else None
                row = (number, batch.names[key], json.dumps(fact), text, batch.journals[place.journal_id])
                new.take(row, place.journal_id)
        replace(connection, [{tables.facts: new}])

    def _write_experiment_facts(self, connection: Connection, batch: _Batch) -> None:
        if not batch.state.experiments:
            return
        described = sorted(batch.experiments[name] for name in batch.state.experiments)
        _lock(connection, tables.experiments.c.id, described)
        new = merging.Rows(described)
        for name, facts in batch.state.experiments.items():
            number = batch.experiments[name]
            # Of any journal: that it was described stays so.
            new.take((number, 0, "null", next(iter(batch.journals.values()))), "")
            for key, (place, fact) in facts.items():
                row = (number, batch.names[key], json.dumps(fact), batch.journals[place.journal_id])
                new.take(row, place.journal_id)
        replace(connection, [{tables.experiment_facts: new}])

    def _write_runs(self, connection: Connection, batch: _Batch) -> None:
        hashes = digests(batch.state.runs)
        existing: dict[str, dict[str, Any]] = {}
        for chunk in chunked(hashes, CHUNK):
            rows = (dict(zip(_RUN_COLUMNS, row)) for row in _HELD_RUNS.rows(connection, chunk))
            existing |= {row["run_id"]: row for row in rows}
        ids = {run_id: int(row["id"]) for run_id, row in existing.items()}
        number = batch.first_id
        # In the order in which they came, so that what is read together stands together.
        for run_id in batch.state.runs:
            if run_id not in ids:
                ids[run_id], number = number, number + 1
        if number - batch.first_id > batch.ids:
            raise Again  # a run was removed meanwhile
        new: list[Row] = []
        changed: list[dict[str, Any]] = []
        for key, run_id in hashes.items():
            run = batch.state.runs[run_id]
            row = merging.run_row(run, existing.get(run_id), batch.experiments, batch.names)
            if run_id not in existing:
                full = {"id": ids[run_id], "hash": key, "run_id": run_id, "run_head": merging.head_of(run_id), **row}
                new.append(escaped(tables.runs, tuple(full[name] for name in _RUN_COLUMNS)))
            elif row:
                changed.append({"this": ids[run_id], **row})
        try:
            insert(connection, tables.runs, new)
        except sa.exc.IntegrityError as error:
            raise Again from error  # somebody else has begun one of them meanwhile
        if changed:
            names = [name for name in changed[0] if name != "this"]
            change = sa.update(tables.runs).where(_RUNS.id == sa.bindparam("this"))
            connection.execute(change.values({name: sa.bindparam(name) for name in names}), changed)
        known = {ids[run_id] for run_id in existing}
        numbers = merging.Numbers(batch.names, batch.journals)
        replace(connection, merging.named_rows(batch.state, ids, numbers, known))
        for family in merging.hashed_rows(batch.state, ids, numbers, known):
            replace(connection, [family])
        named = [
            ids[run_id]
            for run_id, run in batch.state.runs.items()
            if (run.started is not None and run_id in existing) or _names_models(run)
        ]
        if named:
            register_logged(connection, named)


def _names_models(run: RunState) -> bool:
    """Whether these entries name registered models."""
    return any(model.registered_model_name is not None for _, model in run.models.values())


def _lock(connection: Connection, column: Any, numbers: Collection[int]) -> None:
    """Hold the rows of these numbers."""
    for chunk in chunked(numbers, CHUNK):
        connection.execute(sa.select(column).where(column.in_(chunk)).order_by(column).with_for_update()).all()


def _journals(connection: Connection, names: Iterable[str]) -> dict[str, tuple[int, int]]:
    journals = tables.journals.c
    found: dict[str, tuple[int, int]] = {}
    for chunk in chunked(digests(names), CHUNK):
        query = sa.select(journals.id, journals.journal_id, journals.last_number).where(journals.hash.in_(chunk))
        found |= {str(name): (int(number), int(last)) for number, name, last in connection.execute(query)}
    return found


def _fold(by_journal: dict[str, list[Entry]], applied: dict[str, int]) -> _Batch:
    state, last = State(), {}
    for name, entries in by_journal.items():
        before = reached = applied.get(name, 0)
        for entry in entries:
            number = clamp(entry.number)
            if number > reached:
                reached = number
                state.fold(Place(name, number), entry.event)
        if reached > before:
            last[name] = (before, reached)
    return _Batch(state, last)


def _missing_runs(connection: Connection, run_ids: Collection[str]) -> list[str]:
    hashes, found = digests(run_ids), set()
    for chunk in chunked(hashes, CHUNK):
        found |= {
            bytes(key) for key in connection.execute(sa.select(_RUNS.hash).where(_RUNS.hash.in_(chunk))).scalars()
        }
    return [run_id for key, run_id in hashes.items() if key not in found]


def _take_ids(connection: Connection, count: int) -> int:
    """The first of as many numbers for runs."""
    insert_new(connection, tables.counters, ("name", "last"), [("runs", 0)])
    counters = tables.counters.c
    connection.execute(sa.update(tables.counters).where(counters.name == "runs").values(last=counters.last + count))
    last = connection.execute(sa.select(counters.last).where(counters.name == "runs")).scalar_one()
    return int(last) - count + 1
