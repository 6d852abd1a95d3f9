"""`autolog()`: puts the writing half together and switches it on and off."""

from __future__ import annotations

import atexit
import importlib
import importlib.util
import os
import sys
import threading
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

from autotrack import settings
from autotrack.capture import guard, scope
from autotrack.capture.process_end import ProcessEnd
from autotrack.capture.recorder import Session
from autotrack.capture.sinks import FolderSink, Sink, StoreSink
from autotrack.capture.trace import on_warning
from autotrack.errors import SettingsError
from autotrack.hooks import before_read
from autotrack.integrations import KNOWN

disabled = scope.disabled

_lock = threading.RLock()
_session: Session | None = None
_patches: Any = None
_integrations: list[Any] = []
_end = ProcessEnd()


def autolog(*, disable: bool = False, **options: Any) -> None:
    """Record every ``fit`` from now on; calling it again changes the options.

    Parameters
    ----------
    disable : switch off instead: every function is again the object it was.
    **options : see `autotrack.settings.Settings`; each also has an environment variable ``AUTOTRACK_…`` and a key in
        ``[tool.autotrack]`` of ``pyproject.toml``. A keyword wins over both.

    Raises
    ------
    SettingsError
        For an unknown option, or a value that does not fit.
    StoreError
        For a store that cannot be written to.

    Example
    -------
    >>> import autotrack
    >>> autotrack.autolog()
    """
    global _patches
    if disable:
        with _lock:
            _switch_off()
        return
    found = settings.resolve(options)
    unknown = set(found.integrations or ()) - set(KNOWN)
    if unknown:
        raise SettingsError(f"integrations={sorted(unknown)}: autotrack knows {', '.join(KNOWN)}")
    if found.serialization_format == "skops" and importlib.util.find_spec("skops") is None:
        raise SettingsError(
            "serialization_format='skops': the package skops is not installed: pip install 'autotrack[skops]'"
        )
    with _lock:
        if found.store:
            open_sink(found.store)
        if "store" in options:
            settings.set_store(options["store"])
        settings.pin_store(settings.resolve({}) if "store" in options else found)
        settings.pin_trusted_sources(found)
        session().settings = found
        guard.silent = found.silent
        guard.forget()
        if _patches is None:
            from autotrack.capture.patching import Patches

            _patches = Patches()
        _patches.undo()
        _patches.enabled = True
        _patches.listen(warnings, "_showwarnmsg", on_warning)
        for name in found.integrations if found.integrations is not None else KNOWN:
            _install_when_imported(name)


def is_enabled() -> bool:
    """Whether autologging is on in this process."""
    return _patches is not None and bool(_patches.enabled)


def session() -> Session:
    """The process's session, made when it is first asked for."""
    global _session
    with _lock:
        if _session is None:
            _session = Session(open_sink)
            _session.watch_end = open_runs_watch
            before_read.append(_session.before_read)
            atexit.register(_at_exit)
            if hasattr(os, "register_at_fork"):
                os.register_at_fork(after_in_child=_after_fork)
        return _session


def flush(timeout: float | None = None) -> bool:
    """Wait until everything seen so far is recorded, and in its store.

    Parameters
    ----------
    timeout : seconds to wait at the most; ``None`` for as long as it takes, unless a store cannot be reached.

    Returns
    -------
    bool
        False when the time was not enough, or a store could not be reached: what is left goes there later.
    """
    return _session.flush(timeout) if _session is not None else True


def open_sink(uri: str) -> Sink:
    """Where runs go for a store's URI.

    Raises
    ------
    StoreError
        When it is not one that runs can be written to.
    """
    scheme = settings.scheme_of(uri)
    if scheme == "memory":
        from autotrack.stores import open_store

        store: Any = open_store(uri)
        return StoreSink(store.apply, store.artifact_folder)
    if scheme == "file":
        uri = uri.removeprefix("file://").removeprefix("file:")
    elif scheme:
        from autotrack.capture.spooling import SpoolSink
        from autotrack.stores import check_known

        check_known(uri)
        return SpoolSink(uri, lambda task: session().worker.submit(task))
    return FolderSink(Path(uri).expanduser())


def open_runs_watch() -> None:
    """Watch for the end of the process exactly while a run is open outside a fit."""
    if _session is not None and _session.open_runs():
        _end.watch()
    else:
        _end.unwatch()


def _install_when_imported(name: str) -> None:
    """Import an integration only once the library it observes is there."""
    patches, this_session, known = _patches, session(), KNOWN[name]
    this_session.left_out.pop(name, None)

    def install(library: ModuleType) -> None:
        old = _too_old(name)
        if old:
            this_session.left_out[name] = old
            guard.warn(f"leaves {name} alone: {old}")
        elif not any(integration.name == name for integration in _integrations):
            place, _, cls = known.place.partition(":")
            integration = getattr(importlib.import_module(place), cls)(this_session)
            _integrations.append(integration)
            integration.install(patches)

    for integration in _integrations:
        if integration.name == name and not _too_old(name):
            integration.install(patches)
            return
    patches.when_imported(known.wakes_on, install)


def _too_old(name: str) -> str:
    """Why a library that has just been imported is not observed; empty where it is."""
    known = KNOWN[name]
    version = str(getattr(sys.modules.get(known.wakes_on.partition(".")[0]), "__version__", ""))
    found = _leading_numbers(version)
    if not found or found >= _leading_numbers(known.since):
        return ""
    return f"version {version} is installed, and autotrack observes {known.since} and newer"


def _leading_numbers(version: str) -> tuple[int, ...]:
    numbers = []
    for part in version.split("."):
        if not part.isdigit():
            break
        numbers.append(int(part))
    return tuple(numbers)


def _switch_off() -> None:
    settings.pin_store(None)
    settings.pin_trusted_sources(None)
    if _patches is not None:
        _patches.undo()
    for integration in _integrations:
        integration.reset()
    if _session is not None:
        _session.forget_last_run()


def _after_fork() -> None:
    if _session is not None:
        _session.after_fork()
        _finish_with_multiprocessing()


def _finish_with_multiprocessing() -> None:
    """A child of ``multiprocessing`` leaves by ``os._exit``, without ``atexit``: join its own finalizers."""
    util = sys.modules.get("multiprocessing.util")
    if util is not None and _session is not None:
        # The child clears inherited finalizers before it runs these callbacks.
        util.register_after_fork(_session, lambda child: util.Finalize(None, _at_exit_of_child, exitpriority=0))


def _at_exit_of_child() -> None:
    for integration in _integrations:
        with guard.shield("end the open runs at exit"):
            integration.finish()
    if _session is not None:
        _session.close()


def _at_exit() -> None:
    if _session is None:
        return
    with guard.shield("end the open runs at exit"):
        status, reason = _end.verdict()
        for run in _session.open_runs():
            run.end(status, reason)
    _end.unwatch()
    with guard.shield("finish recording at exit"):
        _session.at_exit()
