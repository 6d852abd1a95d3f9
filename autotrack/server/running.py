"""The whole of ``autotrack server`` and ``autotrack ui``: socket, database, workers, in this order."""

from __future__ import annotations

import gc
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from autotrack import extras
from autotrack.errors import AutotrackError, ServingError, SettingsError
from autotrack.server.options import ServerOptions
from autotrack.web import listening

if TYPE_CHECKING:
    from autotrack.server.opening import Opener

_NEEDED: Final = ("starlette", "uvicorn", "httptools", "jinja2", "orjson", "prometheus_client")
_SHARES_FROM: Final = 3 if sys.platform == "linux" else 1_000
"""So many workers are forked from a process that has imported all they need, and share its memory. For fewer, what
they share is less than the copy that the process which looks after them would keep. Other systems' libraries do not
take to forks."""
_MOST_FILES: Final = 65_536
_SAID: Final = 3
"""The exit code of a process that has said itself what went wrong."""

_logger = logging.getLogger("autotrack.server")


def serve(opener: Opener, options: ServerOptions, *, ready: Callable[[str], None]) -> int:
    """Answer requests until told to end.

    Parameters
    ----------
    opener : of the store. Each process that needs it opens it, after the fork.
    ready : told the address when the first request can be answered.

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
    StoreError
        When the store cannot be opened.
    """
    options.check()
    opener.check_workers(options.workers)
    missing = extras.missing(_NEEDED)
    if missing:
        raise ServingError(f"the server needs {', '.join(missing)}: pip install 'autotrack[server]'")
    if options.token_file:
        _check_tokens(Path(options.token_file))
    _allow_connections()
    listener = listening.bind(options.host, options.port)
    try:
        address = listening.url(listener, options.host)
        if not hasattr(os, "fork"):
            return _alone(opener, options, listener, lambda _: ready(address))
        return _supervised(opener, options, listener, lambda _: ready(address))
    finally:
        listener.close()


def _supervised(opener: Opener, options: ServerOptions, listener: Any, ready: Callable[[str], None]) -> int:
    from autotrack.server.counters import Board
    from autotrack.web.supervising import Supervisor

    board = Board(options.workers)
    if options.workers >= _SHARES_FROM:
        _load(opener)
    _in_a_process(lambda: _prepare(opener))

    def start(number: int, lifeline: int, answers: Callable[[str], None]) -> None:
        from autotrack.server.worker import run_worker

        run_worker(opener.open, options, board, number, listener, lifeline=lifeline, on_start=answers)

    listening.listen(listener, options.host)
    return Supervisor(
        start,
        listener,
        lambda number: board.of(number).died(),
        workers=options.workers,
        grace=options.grace,
        on_ready=ready,
    ).run()


def _alone(opener: Opener, options: ServerOptions, listener: Any, ready: Callable[[str], None]) -> int:
    from autotrack.server.counters import Board
    from autotrack.server.worker import run_worker

    listening.listen(listener, options.host)
    run_worker(opener.open, options, Board(1), 0, listener, lifeline=None, on_start=ready)
    return 0


def _allow_connections() -> None:
    """As many open files as this process may have: each connection is one, and the usual limit is 1024."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError):
            pass  # it is an improvement, not a need


def _check_tokens(path: Path) -> None:
    from autotrack.server.guard import tokens

    if not tokens.read(path):
        raise SettingsError(
            f"--token-file {path}: there is no token in it, so nobody could ask: autotrack token add NAME --token-file "
            f"{path}"
        )
    if tokens.is_open_to_others(path):
        _logger.warning("%s can be read by others; it tells nobody a token, but chmod 600 %s is better", path, path)


def _load(opener: Opener) -> None:
    """Import all that a worker does, and let what there is be: what is never looked at is never copied."""
    import uvicorn.protocols.http.httptools_impl  # noqa: F401

    from autotrack.server.worker import load

    opener.load()
    load()
    gc.collect()
    gc.freeze()


def _prepare(opener: Opener) -> None:
    """Make the tables, or bring them up to date: one process does it, before the workers meet there."""
    store = opener.open()
    try:
        store.search_runs(None, (), 1)
    finally:
        store.close()


def _in_a_process(work: Callable[[], None]) -> None:
    """Do it in a process of its own: what it imports, connections and threads are gone with it.

    Raises
    ------
    ServingError
        When it failed; it has said itself why.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    told, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(told)
            work()
            code = 0
        except AutotrackError as error:
            os.write(tell, str(error).encode()[:4000])
            code = _SAID
        except KeyboardInterrupt:
            code = 130
        except BaseException:  # noqa: BLE001 - a forked process must not go on where its parent is
            import traceback

            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(tell)
    with open(told, "rb") as pipe:
        message = pipe.read().decode(errors="replace")
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    if code == _SAID:
        raise ServingError(message)
    if code == 130:
        raise KeyboardInterrupt
    if code != 0:
        raise ServingError("the store cannot be opened; what went wrong stands above")
