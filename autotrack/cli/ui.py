"""``autotrack ui``: the pages of a store, for the person at this machine."""

from __future__ import annotations

import os
import signal
import sys
import threading

import click

from autotrack.cli.output import store_option
from autotrack.query.showing import WITH_PARENT, forget, remember


@click.command(short_help="Look at runs in the browser.")
@click.option("--port", "-p", type=int, default=5001, show_default=True, help="Port; 0 for any that is free.")
@click.option("--no-open", is_flag=True, help="Print the address only; open no browser.")
@click.option(WITH_PARENT, "with_parent", is_flag=True, hidden=True, help="End when standard input does.")
@store_option
def ui(port: int, no_open: bool, with_parent: bool, store: str | None) -> None:
    """Look at runs in the browser, also while training goes on; Ctrl-C ends it.

    \b
    Examples:
      autotrack ui
      autotrack ui --store postgresql://… -p 8080
    """
    from autotrack.query.text import plain
    from autotrack.server.logs import log_to_stderr
    from autotrack.server.opening import Opener
    from autotrack.server.options import ServerOptions
    from autotrack.server.running import serve

    log_to_stderr()
    opener = Opener(store)

    def ready(url: str) -> None:
        remember(opener.shown, url)
        if with_parent:
            threading.Thread(target=_end_with_parent, daemon=True).start()
        click.echo(plain(f"{opener.shown} at {url} (Ctrl-C ends it)"))
        if not no_open and _has_browser():
            import webbrowser

            webbrowser.open(url)

    try:
        code = serve(opener, ServerOptions(port=port), ready=ready)
    finally:
        forget(opener.shown)
    sys.exit(code)


def _end_with_parent() -> None:
    """End this program in order when whoever started it is gone: the pipe to our standard input is closed then."""
    try:
        while os.read(0, 4096):
            pass
    except OSError:
        pass
    signal.raise_signal(signal.SIGTERM)


def _has_browser() -> bool:
    """Whether a person sits before a screen: a browser in a terminal would take it over."""
    if sys.platform in ("win32", "darwin"):
        return True
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
