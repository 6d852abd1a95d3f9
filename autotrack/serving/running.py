"""The whole of ``autotrack models serve``: socket, model, workers, in this order."""

from __future__ import annotations

import gc
import os
import sys
import threading
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from autotrack import extras
from autotrack.errors import ServingError
from autotrack.serving import options as opt
from autotrack.web import listening

if TYPE_CHECKING:
    from autotrack.models.mlmodel import ModelInfo
    from autotrack.serving.app import Served

_NEEDED: Final = ("starlette", "uvicorn", "httptools", "prometheus_client")
_THREADS: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

_LOADS_FIRST: Final = sys.platform == "linux"
"""Whether the model is loaded once, and workers are forked from the process that has it. macOS' own libraries do not
survive a fork once they were used: there each worker loads it for itself."""

Load = Callable[[], "tuple[Any, ModelInfo]"]


def serve(
    load: Load,
    reference: str,
    options: opt.ServingOptions,
    *,
    say: Callable[[str], None],
    warn: Callable[[str], None],
) -> int:
    """Serve a model until told to end.

    Parameters
    ----------
    load : gives the model and what its folder says; called once, or once in each worker.
    reference : how the user named the model.
    say : told in a line when the first answer can be given.
    warn : told what loading the model warns of.

    Returns
    -------
    int
        The program's exit code.

    Raises
    ------
    SettingsError
        For options that cannot be used together.
    ServingError
        When a library is missing, the port is taken, or no worker starts.
    ModelError
        When the model cannot be loaded.
    """
    options.check()
    missing = extras.missing(_NEEDED)
    if missing:
        raise ServingError(f"serving needs {', '.join(missing)}: pip install 'autotrack[serving]'")
    listener = listening.bind(options.host, options.port)
    try:
        _share_cores(options.workers)
        address = listening.url(listener, options.host)

        def ready(name: str) -> None:
            say(f"Serving {name} ({reference}) at {address} (a page to try it), POST {address}/invocations")

        def prepared() -> Served:
            return _prepared(load, reference, options, warn)

        if not hasattr(os, "fork"):
            return _alone(prepared(), options, listener, ready)
        served = _in_a_thread(prepared) if _LOADS_FIRST else None
        return _supervised(served, prepared, options, listener, ready)
    finally:
        listener.close()


def _supervised(
    served: Served | None,
    prepared: Callable[[], Served],
    options: opt.ServingOptions,
    listener: Any,
    ready: Callable[[str], None],
) -> int:
    from autotrack.serving.counters import Board
    from autotrack.web.supervising import Supervisor

    board = Board(options.workers)
    if served is not None:
        gc.collect()
        gc.freeze()  # what is never looked at is never copied, and goes on being shared by all workers

    def start(number: int, lifeline: int, answers: Callable[[str], None]) -> None:
        from autotrack.serving.worker import run_worker

        mine = served if served is not None else prepared()
        run_worker(mine, options, board, number, listener, lifeline=lifeline, on_start=answers)

    listening.listen(listener, options.host)
    return Supervisor(
        start,
        listener,
        lambda number: board.of(number).died(),
        workers=options.workers,
        grace=options.grace,
        on_ready=ready,
    ).run()


def _alone(served: Served, options: opt.ServingOptions, listener: Any, ready: Callable[[str], None]) -> int:
    from autotrack.serving.counters import Board
    from autotrack.serving.worker import run_worker

    listening.listen(listener, options.host)
    run_worker(served, options, Board(1), 0, listener, lifeline=None, on_start=ready)
    return 0


def _prepared(load: Load, reference: str, options: opt.ServingOptions, warn: Callable[[str], None]) -> Served:
    with warnings.catch_warnings(record=True) as caught:
        model, info = load()
    for message in dict.fromkeys(str(warning.message) for warning in caught):
        warn(message)
    from autotrack.serving.preparing import prepare

    return prepare(model, info, reference, options)


def _in_a_thread(work: Callable[[], Served]) -> Served:
    """Load in a thread of its own: GNU's OpenMP keeps its team for the thread that began it.

    A forked worker whose thread had a team in the parent would wait for ever for threads that were not forked.
    """
    found: list[Served] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            found.append(work())
        except BaseException as error:  # noqa: BLE001 - raised below, where the caller is
            failed.append(error)

    thread = threading.Thread(target=run, name="loading", daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(0.2)  # in pieces, so that Ctrl-C is heard
    if failed:
        raise failed[0]
    return found[0]


def _share_cores(workers: int) -> None:
    """Let workers share the cores, before a library reads how many threads it may have and how they wait."""
    # GNU's OpenMP lets threads that wait turn round and round, on a core that the event loop could use.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if workers == 1:
        return
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for name in _THREADS:
        os.environ.setdefault(name, str(max(1, cores // workers)))
