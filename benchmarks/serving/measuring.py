"""Both servers under the same load, in turn."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks.harness import Trouble
from benchmarks.load import Job
from benchmarks.loads import Load, put_load
from benchmarks.serving.cases import ARROW, Case, Served, prepare
from benchmarks.serving.servers import AUTOTRACK, JSON, MLFLOW, TRIVIAL, Kind, ModelServer

SINGLE: Final = "single row"
LARGE: Final = "10,000 rows, JSON"
LARGE_ARROW: Final = "10,000 rows, Arrow"
START: Final = "start to first answer"
MEMORY: Final = "memory"
CEILING: Final = "ceiling"


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured.

    Parameters
    ----------
    folder : where everything is written.
    kinds : the servers that take part.
    rounds : of load.
    starts : of each server, to time them.
    seconds : of load in each round, for single rows; `large_seconds` for those of 10,000.
    connections : of the load generator.
    say : told what is going on.
    options : further arguments of our server.
    """

    folder: Path
    kinds: tuple[Kind, ...]
    rounds: int
    starts: int
    seconds: float
    large_seconds: float
    connections: int
    say: Callable[[str], None]
    options: tuple[str, ...] = ()

    def options_of(self, kind: Kind) -> tuple[str, ...]:
        return self.options if kind == AUTOTRACK else ()


@dataclass(slots=True)
class Result:
    """What was found for one model.

    Parameters
    ----------
    case : its name.
    title : for people.
    loads : by kind of request, then server: one for each round.
    starts : by server: seconds to the first answer.
    memory : by server: bytes after all that load.
    errors : by server: why it gave nothing.
    """

    case: str
    title: str
    loads: dict[str, dict[str, list[Load]]] = field(default_factory=dict)
    starts: dict[str, list[float]] = field(default_factory=dict)
    memory: dict[str, list[float]] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)

    def of(self, request: str, kind: Kind, name: str) -> list[float | None]:
        """A value of each round, such as ``"per_second"``."""
        return [getattr(load, name) for load in self.loads.get(request, {}).get(kind.name, ())]


def measure(case: Case, plan: Plan) -> Result:
    """Serve the case's model with every server and measure them round by round in turn."""
    folder = plan.folder / case.name
    folder.mkdir()
    served = prepare(case, folder)
    result = Result(case.name, case.title)
    _time_starts(plan, served, folder, result)
    servers: dict[str, ModelServer] = {}
    try:
        for kind in plan.kinds:
            if kind.name not in result.errors:
                servers[kind.name] = server = ModelServer(kind, served.model, folder, options=plan.options_of(kind))
                server.start(served.single.read_bytes())
        requests: list[tuple[str, Path, str, list[float], float]] = [
            (SINGLE, served.single, JSON, served.single_expected, plan.seconds),
            (LARGE, served.large, JSON, served.large_expected, plan.large_seconds),
            (LARGE_ARROW, served.arrow, ARROW, served.large_expected, plan.large_seconds),
        ]
        for name, body, content_type, expected, seconds in requests:
            # MLflow reads no Arrow.
            takes = [kind for kind in servers if name != LARGE_ARROW or kind == AUTOTRACK.name]
            joining = [kind for kind in takes if _answers(servers[kind], body, content_type, expected, result)]
            for number in range(plan.rounds):
                plan.say(f"{case.name}, {name}: round {number + 1} of {plan.rounds}")
                start = number % max(1, len(joining))
                for kind in joining[start:] + joining[:start]:
                    job = Job(servers[kind].port, str(body), content_type, plan.connections, seconds / 4, seconds)
                    rounds = result.loads.setdefault(name, {}).setdefault(kind, [])
                    try:
                        rounds.append(put_load(job, folder))
                    except Trouble as trouble:
                        # A server that fails under load has no figures.
                        rounds.clear()
                        result.errors[kind] = f"{name}: {trouble}"
                        joining = [other for other in joining if other != kind]
        for kind, server in servers.items():
            held = server.memory()
            if held is not None:
                result.memory[kind] = [held]
    finally:
        for server in servers.values():
            server.stop()
    return result


def ceiling(plan: Plan) -> list[Load]:
    """What the load generator reaches where the server does next to nothing."""
    folder = plan.folder / "ceiling"
    folder.mkdir()
    body = folder / "single.json"
    body.write_bytes(b'{"dataframe_split": {"columns": ["a"], "data": [[0.0]]}}')
    with ModelServer(TRIVIAL, folder, folder) as server:
        return [
            put_load(
                Job(server.port, str(body), JSON, plan.connections, plan.seconds / 4, plan.seconds),
                folder,
            )
            for _ in range(min(plan.rounds, 3))
        ]


def _answers(server: ModelServer, body: Path, content_type: str, expected: list[float], result: Result) -> bool:
    """Whether the server says what the model does; if not, it is among the result's errors."""
    reply = server.post(body.read_bytes(), content_type)
    said: list[float] = json.loads(reply.body)["predictions"] if reply.status == 200 else []
    # A frame that was put together otherwise in memory is multiplied in another order: the last bit may differ.
    same = len(said) == len(expected) and all(math.isclose(a, b, rel_tol=1e-9) for a, b in zip(said, expected))
    if not same:
        result.errors[server.kind.name] = f"{body.name} is answered by {reply.status} {reply.body[:300]!r}"
    return same


def _time_starts(plan: Plan, served: Served, folder: Path, result: Result) -> None:
    first = served.single.read_bytes()
    for number in range(plan.starts):
        plan.say(f"{result.case}, {START}: round {number + 1} of {plan.starts}")
        start = number % len(plan.kinds)
        for kind in plan.kinds[start:] + plan.kinds[:start]:
            if kind.name in result.errors:
                continue
            server = ModelServer(kind, served.model, folder, options=plan.options_of(kind))
            try:
                result.starts.setdefault(kind.name, []).append(server.start(first))
            except Trouble as trouble:
                result.errors[kind.name] = str(trouble)
            finally:
                server.stop()


KINDS: Final = (AUTOTRACK, MLFLOW)
