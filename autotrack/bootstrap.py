"""Runs a script as ``python SCRIPT`` or ``python -m MODULE`` would, with autologging on: the end of ``autotrack run``.

The script is ``__main__`` and stays so until the interpreter is gone: its classes pickle, and a spawned worker finds
it by its file.
"""

from __future__ import annotations

import builtins
import io
import os
import sys
from collections.abc import Callable
from importlib.machinery import SourceFileLoader, SourcelessFileLoader
from types import CodeType, ModuleType, TracebackType
from typing import Any


def main() -> None:
    """Run what ``sys.argv[1:]`` names: ``SCRIPT ARG…`` or ``-m MODULE ARG…``."""
    from autotrack.autologging import autolog
    from autotrack.errors import AutotrackError

    # Until now sys.path holds nothing of the script's; from here on it is the script's.
    program = _prepare(sys.argv[1:])
    try:
        autolog()
    except AutotrackError as error:
        sys.stderr.write(f"Error: {error}\n")
        sys.exit(1)
    _execute(program)


def _execute(program: Callable[[], object]) -> None:
    try:
        program()
    except SystemExit:
        raise
    except BaseException:
        _hide_these_frames()
        raise


def _prepare(arguments: list[str]) -> Callable[[], object]:
    """Make the interpreter look as if it had been started with these arguments; what is returned then runs them."""
    if arguments[0] == "-m":
        import runpy

        module = arguments[1]
        sys.argv[:] = ["-m", *arguments[2:]]
        _put_on_path(os.getcwd())
        _new_main()
        # What the interpreter itself calls for -m: sets sys.argv[0], and speaks of a missing module as python does.
        run_module: Any = runpy._run_module_as_main  # type: ignore[attr-defined]
        return lambda: run_module(module)
    script = arguments[0]
    sys.argv[:] = arguments
    path = os.path.abspath(script)
    if os.path.isdir(path) or _is_archive(path):
        import runpy

        _put_on_path(path)
        _new_main()
        run_main: Any = runpy._run_module_as_main  # type: ignore[attr-defined]
        return lambda: run_main("__main__", False)
    loader: SourceFileLoader | SourcelessFileLoader
    if path.endswith(".pyc"):
        loader = SourcelessFileLoader("__main__", path)
    else:
        loader = SourceFileLoader("__main__", path)
    code = _code(script, path, loader)
    _put_on_path(os.path.dirname(os.path.realpath(path)))
    namespace = vars(_new_main())
    namespace |= {"__file__": path, "__loader__": loader, "__cached__": None}
    return lambda: exec(code, namespace)


def _code(script: str, path: str, loader: SourceFileLoader | SourcelessFileLoader) -> CodeType:
    try:
        if isinstance(loader, SourcelessFileLoader):
            code = loader.get_code("__main__")
            assert code is not None
            return code
        with io.open_code(path) as file:
            source = file.read()
    except OSError as error:
        sys.stderr.write(f"{sys.executable}: can't open file {path!r}: [Errno {error.errno}] {error.strerror}\n")
        sys.exit(2)
    try:
        return compile(source, path, "exec", dont_inherit=True)
    except BaseException:
        _hide_these_frames()
        raise


def _is_archive(path: str) -> bool:
    if path.endswith((".py", ".pyc", ".pyw")) or not os.path.isfile(path):
        return False
    import zipfile

    return zipfile.is_zipfile(path)


def _put_on_path(folder: str) -> None:
    if not sys.flags.safe_path:
        sys.path.insert(0, folder)


def _new_main() -> ModuleType:
    module = ModuleType("__main__")
    vars(module).update(__annotations__={}, __builtins__=builtins)
    sys.modules["__main__"] = module
    return module


def _hide_these_frames() -> None:
    """Let the traceback that is about to be printed begin where the script's own would.

    Only an excepthook can do that: whoever raises on adds its frame again.
    """
    hook = sys.excepthook

    def from_the_script(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> Any:
        sys.excepthook = hook
        while trace is not None and (trace.tb_frame.f_globals is globals() or trace.tb_frame.f_back is None):
            trace = trace.tb_next
        return hook(kind, error.with_traceback(trace), trace)

    sys.excepthook = from_the_script
