"""Both servers over databases of one kind: starts, memory, writing, searching; and our pages over many runs."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks.harness import Trouble
from benchmarks.load import Job
from benchmarks.loads import put_load
from benchmarks.server import work
from benchmarks.server.servers import API, AUTOTRACK, Kind, TrackingServer

START: Final = "start to first answer"
MEMORY: Final = "resident memory of all processes"
LOG_BATCH: Final = "log-batch of a whole run, requests per second"
SEARCH: Final = "search: "
_ASKED: Final = 5
_SEARCHED: Final = 3
"""How often each search is asked in a round, of which the middle counts."""
_LONG: Final = 2.0
"""Seconds after which a search is not asked any more in a round: the first answer makes no difference then."""
_NEW_RUNS: Final = 1000


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured.

    Parameters
    ----------
    folder : where everything is written.
    kinds : the servers that take part.
    database : ``"sqlite"`` or ``"postgresql"``.
    workers : of each server.
    rounds, starts : how often.
    seconds : of writing in each round.
    connections : of the load generator.
    runs : in the databases that are searched.
    tables : numbers of runs for which our runs table is asked.
    table_store : where these are: ``"local"`` for a folder, ``"sqlite"`` or ``"postgresql"``.
    say : told what is going on.
    """

    folder: Path
    kinds: tuple[Kind, ...]
    database: str
    workers: int
    rounds: int
    starts: int
    seconds: float
    connections: int
    runs: int
    tables: tuple[int, ...]
    table_store: str
    say: Callable[[str], None]


@dataclass(slots=True)
class Result:
    """Values by measure, then server; one for each round. Seconds, bytes, requests per second."""

    values: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def add(self, measure: str, kind: Kind, value: float) -> None:
        self.values.setdefault(measure, {}).setdefault(kind.name, []).append(value)

    def of(self, measure: str, kind: Kind) -> list[float]:
        return self.values.get(measure, {}).get(kind.name, [])


class Databases:
    """Makes a database for each server and purpose."""

    def __init__(self, plan: Plan, postgres: Any) -> None:
        self._plan = plan
        self._postgres = postgres

    def new(self, name: str, store: str = "") -> str:
        """The URI of an empty database of the plan's kind, or of another; ``"local"`` is a folder."""
        store = store or self._plan.database
        if store == "postgresql":
            return str(self._postgres.create(name))
        return str(self._plan.folder / name) if store == "local" else f"sqlite:///{self._plan.folder / f'{name}.db'}"


@contextmanager
def databases(plan: Plan) -> Iterator[Databases]:
    """What makes them, with a PostgreSQL of our own where one is asked for."""
    with ExitStack() as stack:
        postgres = None
        if "postgresql" in (plan.database, plan.table_store):
            from benchmarks.stores.measure import postgres_server

            postgres = stack.enter_context(postgres_server())
        yield Databases(plan, postgres)


def measure(plan: Plan) -> Result:
    """All of it."""
    result = Result()
    with databases(plan) as made:
        for part in (_writing, _searching, _tables):
            try:
                part(plan, made, result)
            except Trouble as trouble:
                result.errors.append(f"{part.__name__.strip('_')}: {trouble}")
    return result


def _writing(plan: Plan, made: Databases, result: Result) -> None:
    """Starts over a database that is there, memory, and writing."""
    uris = {kind.name: made.new(f"writing_{kind.name}") for kind in plan.kinds}
    for kind in plan.kinds:
        kind.fill(uris[kind.name], 100)
    for number in range(plan.starts):
        plan.say(f"{START}: round {number + 1} of {plan.starts}")
        for kind in _turned(plan.kinds, number):
            server = TrackingServer(kind, uris[kind.name], plan.folder, workers=plan.workers)
            try:
                result.add(START, kind, server.start())
            finally:
                server.stop()
    servers: dict[str, TrackingServer] = {}
    body = plan.folder / "run.json"
    body.write_text(json.dumps(work.whole_run()), encoding="utf-8")
    try:
        for kind in plan.kinds:
            servers[kind.name] = server = TrackingServer(kind, uris[kind.name], plan.folder, workers=plan.workers)
            server.start()
        for number in range(plan.rounds):
            plan.say(f"log-batch: round {number + 1} of {plan.rounds}")
            for kind in _turned(plan.kinds, number):
                server = servers[kind.name]
                names = plan.folder / f"names-{kind.name}"
                # As many as will be written: a run that is there whole already is less work.
                expected = max(result.of(LOG_BATCH, kind), default=_NEW_RUNS / plan.seconds) * plan.seconds * 1.5
                names.write_text("\n".join(server.new_runs(max(200, int(expected)))), encoding="utf-8")
                job = Job(
                    *(server.port, str(body), "application/json", plan.connections, plan.seconds / 5, plan.seconds),
                    path=f"{API}/runs/log-batch",
                    names=str(names),
                )
                result.add(LOG_BATCH, kind, put_load(job, plan.folder).per_second)
        for kind in plan.kinds:
            held = servers[kind.name].resident()
            if held is not None:
                result.add(MEMORY, kind, held)
            result.notes.append(f"{kind.name}: {servers[kind.name].processes()} processes")
    finally:
        for server in servers.values():
            server.stop()


def _searching(plan: Plan, made: Databases, result: Result) -> None:
    """``runs/search`` over the same runs, one request after the other."""
    if not plan.runs:
        return
    servers: dict[str, TrackingServer] = {}
    try:
        bodies = {}
        for kind in plan.kinds:
            plan.say(f"{plan.runs:,} runs for {kind.name}")
            uri = made.new(f"search_{kind.name}")
            kind.fill(uri, plan.runs)
            servers[kind.name] = server = TrackingServer(kind, uri, plan.folder, workers=plan.workers)
            server.start()
            bodies[kind.name] = work.searches(server.experiments())
        found: dict[str, dict[str, int]] = {}
        for name in bodies[plan.kinds[0].name]:
            for kind in plan.kinds:
                # Each worker, and its connection to the database, makes ready for a search when it is first asked.
                ask = partial(servers[kind.name].told, f"{API}/runs/search", bodies[kind.name][name])
                found.setdefault(name, {})[kind.name] = len(ask().get("runs", []))
                _times(ask, 2 * plan.workers)
            for number in range(plan.rounds):
                for kind in _turned(plan.kinds, number):
                    ask = partial(servers[kind.name].post, f"{API}/runs/search", bodies[kind.name][name])
                    result.add(f"{SEARCH}{name}", kind, median(_times(ask, _SEARCHED)))
        for name, counts in found.items():
            if len(set(counts.values())) > 1:
                result.errors.append(f"{SEARCH}{name}: the servers differ in how many runs they find: {counts}")
    finally:
        for server in servers.values():
            server.stop()


def _tables(plan: Plan, made: Databases, result: Result) -> None:
    """Our pages over many runs."""
    for count in plan.tables:
        plan.say(f"{count:,} runs for the table")
        uri = made.new(f"table_{count}", plan.table_store)
        AUTOTRACK.fill(uri, count)
        with TrackingServer(AUTOTRACK, uri, plan.folder, workers=plan.workers) as server:
            experiment = server.experiments()["churn"]
            for name, address in work.TABLES.items():
                path = address.replace("EXPERIMENT", experiment)
                for number in range(max(_ASKED, plan.rounds) + plan.workers):
                    began = time.perf_counter()
                    reply = server.get(path)
                    took = time.perf_counter() - began
                    if reply.status != 200:
                        raise Trouble(f"{path} gave {reply.status}")
                    if number >= plan.workers:  # each worker's first answer is not counted
                        result.add(table_measure(name, count), AUTOTRACK, took)


def table_measure(name: str, count: int) -> str:
    """What the time of a table over so many runs is called."""
    return f"table of {count:,} runs: {name}"


def _times(ask: Callable[[], Any], count: int) -> list[float]:
    """How long so many requests take, one after the other; fewer where they take long."""
    times: list[float] = []
    while len(times) < count and sum(times) < _LONG:
        began = time.perf_counter()
        ask()
        times.append(time.perf_counter() - began)
    return times


def _turned(kinds: tuple[Kind, ...], number: int) -> tuple[Kind, ...]:
    start = number % len(kinds)
    return kinds[start:] + kinds[:start]
