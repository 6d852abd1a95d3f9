"""``python -m benchmarks.server.soak``: clients write and others read for minutes; nothing may fail, grow or be lost.

Writers do what a training script under an MLflow client does, by bare HTTP: a run is created, gets params, metrics, a
curve point by point, tags and a file, and ends. Readers ask for what pages ask for, follow the live stream and search.
At the end every run is read back and counted.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks.harness import Trouble
from benchmarks.server.servers import API, AUTOTRACK, TrackingServer

_STEPS: Final = 20
_METRICS: Final = 10
_PARAMS: Final = 15
_PAGES: Final = ("/runs", "/runs.json", "/runs?order_by=metrics.metric_0+DESC", "/models", "/static/style.css")
_MOST_GROWTH: Final = 0.2
_ARTIFACTS: Final = "/api/2.0/mlflow-artifacts/artifacts"


@dataclass
class Tally:
    """What was done and what went wrong; shared by threads."""

    written: list[str] = field(default_factory=list)
    requests: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    events: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def did(self, what: str) -> None:
        with self._lock:
            self.requests[what] += 1

    def failed(self, error: str) -> None:
        with self._lock:
            self.errors.append(error)


class Client:
    """One connection that stays open."""

    def __init__(self, port: int, tally: Tally) -> None:
        self._port = port
        self._tally = tally
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def ask(self, method: str, path: str, body: Any = None, what: str = "") -> bytes:
        """The body of an answer that has to be 200."""
        raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} if raw is not None and raw is not body else {}
        for attempt in (1, 2):
            try:
                self._connection.request(method, path, raw, headers)
                response = self._connection.getresponse()
                text = response.read()
                break
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
                self._connection.close()  # an idle connection was closed: as every client does, once more
                if attempt == 2:
                    raise
        self._tally.did(what or path.partition("?")[0])
        if response.status != 200:
            raise Trouble(f"{method} {path}: {response.status} {text[:300]!r}")
        return text

    def told(self, path: str, body: Any) -> Any:
        """What the API answers."""
        return json.loads(self.ask("POST", f"{API}/{path}", body, path))


def write(client: Client, number: int, rng: random.Random) -> str:
    """One training."""
    began = int(time.time() * 1000)
    tags = [{"key": "mlflow.runName", "value": f"run {number}"}]
    run = client.told("runs/create", {"experiment_id": "0", "start_time": began, "tags": tags})["run"]["info"]["run_id"]
    metrics = [{"key": f"metric_{i}", "value": rng.random(), "timestamp": began, "step": 0} for i in range(_METRICS)]
    params = [{"key": f"param_{i}", "value": repr(rng.random())} for i in range(_PARAMS)]
    client.told("runs/log-batch", {"run_id": run, "metrics": metrics, "params": params})
    for step in range(_STEPS):
        point = {"run_id": run, "key": "loss", "value": 1 / (step + 1), "timestamp": began + step, "step": step}
        client.told("runs/log-metric", point)
    client.told("runs/set-tag", {"run_id": run, "key": "checked", "value": "yes"})
    client.ask("PUT", f"{_ARTIFACTS}/0/{run}/artifacts/notes/{number}.txt", rng.randbytes(5_000), "PUT artifact")
    client.told("runs/update", {"run_id": run, "status": "FINISHED", "end_time": int(time.time() * 1000)})
    return run


def read(client: Client, tally: Tally, rng: random.Random) -> None:
    """What one look at the pages asks for."""
    client.ask("GET", rng.choice(_PAGES))
    client.told("runs/search", {"experiment_ids": ["0"], "filter": "metrics.metric_1 > 0.5", "max_results": 50})
    written = tally.written[-200:]
    if written:
        run = rng.choice(written)
        client.ask("GET", f"/runs/{run}", what="/runs/{run_id}")
        client.ask("GET", f"{API}/metrics/get-history?run_id={run}&metric_key=loss", what="metrics/get-history")
    time.sleep(rng.random() * 0.2)


def follow(port: int, tally: Tally, over: threading.Event) -> None:
    """Listen to the live stream as a page does."""
    while not over.is_set():
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/live", headers={"Accept": "text/event-stream"})
            response = connection.getresponse()
            if response.status != 200:
                raise Trouble(f"/live: {response.status} {response.read(300)!r}")
            while not over.is_set():
                try:
                    line = response.fp.readline()
                except TimeoutError:
                    break
                if not line:
                    break
                if line.startswith(b"event:"):
                    tally.events += 1
        except (OSError, Trouble) as error:
            if not over.is_set():
                tally.failed(f"live stream: {error}")
        finally:
            connection.close()


def check(client: Client, tally: Tally) -> None:
    """Every run that was written, counted."""
    found: dict[str, Any] = {}
    token = ""
    while True:
        page = client.told("runs/search", {"experiment_ids": ["0"], "max_results": 500, "page_token": token})
        found |= {run["info"]["run_id"]: run for run in page.get("runs", [])}
        token = page.get("next_page_token", "")
        if not token:
            break
    if set(found) != set(tally.written):
        tally.failed(f"{len(tally.written)} runs were written, {len(found)} are there")
    for run_id in tally.written:
        run = found.get(run_id)
        if run is None:
            continue
        data, info = run["data"], run["info"]
        counts = (len(data.get("metrics", [])), len(data.get("params", [])), info["status"])
        if counts != (_METRICS + 1, _PARAMS, "FINISHED"):
            tally.failed(f"run {run_id} has {counts}")
    for run_id in random.Random(0).sample(tally.written, min(300, len(tally.written))):
        history = json.loads(client.ask("GET", f"{API}/metrics/get-history?run_id={run_id}&metric_key=loss"))
        steps = [int(point["step"]) for point in history["metrics"]]
        if steps != list(range(_STEPS)):
            tally.failed(f"run {run_id} has steps {steps}")
        files = json.loads(client.ask("GET", f"{API}/artifacts/list?run_id={run_id}&path=notes"))["files"]
        if [int(one["file_size"]) for one in files] != [5_000]:
            tally.failed(f"run {run_id} has files {files}")


def main(argv: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    tally, over = Tally(), threading.Event()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="autotrack-soak-")))
        if options.database == "postgresql":
            from benchmarks.stores.measure import postgres_server

            database = stack.enter_context(postgres_server()).create("soak")
        else:
            database = f"sqlite:///{folder / 'soak.db'}" if options.database == "sqlite" else str(folder / "store")
        server = stack.enter_context(TrackingServer(AUTOTRACK, database, folder, workers=options.workers))
        numbers = iter(range(10**9))

        def loop(step: Callable[[Client, random.Random], None], seed: int) -> None:
            client, rng = Client(server.port, tally), random.Random(seed)
            while not over.is_set():
                try:
                    step(client, rng)
                except (OSError, http.client.HTTPException, Trouble, KeyError, ValueError) as error:
                    tally.failed(f"{type(error).__name__}: {error}")
                    time.sleep(0.5)

        def one_run(client: Client, rng: random.Random) -> None:
            tally.written.append(write(client, next(numbers), rng))

        threads = [threading.Thread(target=loop, args=(one_run, seed)) for seed in range(options.writers)]
        threads += [
            threading.Thread(target=loop, args=(lambda client, rng: read(client, tally, rng), 100 + seed))
            for seed in range(options.readers)
        ]
        threads += [threading.Thread(target=follow, args=(server.port, tally, over)) for _ in range(options.readers)]
        for thread in threads:
            thread.start()
        end, held = time.monotonic() + options.minutes * 60, []
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, options.minutes * 60 / 20))
            held.append(server.resident() or 0)
            print(
                f"{len(tally.written):,} runs, {sum(tally.requests.values()):,} requests, {tally.events:,} live, "
                f"{held[-1] / 1e6:,.0f} MB, {len(tally.errors)} errors",
                file=sys.stderr,
                flush=True,
            )
        over.set()
        for thread in threads:
            thread.join(90)
        check(Client(server.port, tally), tally)
        # What is cached once is no growth: the last quarter beside the second.
        quarter = max(1, len(held) // 4)
        before, after = max(held[quarter : 2 * quarter] or held), max(held[-quarter:])
        if after > before * (1 + _MOST_GROWTH):
            tally.failed(f"memory grew from {before / 1e6:,.0f} to {after / 1e6:,.0f} MB")
        complaints = [line for line in server.log().splitlines() if "ERROR" in line or "Traceback" in line]
        tally.errors += [f"the log says: {line[:300]}" for line in complaints[:20]]
    for what, count in sorted(tally.requests.items()):
        print(f"{count:>9,}  {what}")
    print(
        f"{len(tally.written):,} runs, {tally.events:,} live events, memory {held[0] / 1e6:,.0f} to "
        f"{held[-1] / 1e6:,.0f} MB"
    )
    for error in tally.errors[:50]:
        print(f"ERROR {error}")
    print(f"{len(tally.errors)} errors")
    return int(bool(tally.errors) or not tally.written)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.server.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, metavar="M", help="(default: 10)")
    parser.add_argument("--writers", type=int, default=8, metavar="N", help="(default: 8)")
    parser.add_argument("--readers", type=int, default=4, metavar="N", help="(default: 4)")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="of the server (default: 2)")
    parser.add_argument(
        "--database", choices=("sqlite", "postgresql", "folder"), default="sqlite", help="(default: sqlite)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
