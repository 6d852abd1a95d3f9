"""``autotrack ui``: the pages of a store, for the person at this machine."""

from __future__ import annotations

import os
import sys

import click

from autotrack.cli.output import store_option


@click.command(short_help="Look at runs in the browser.")
@click.option("--port", "-p", type=int, default=5001, show_default=True, help="Port; 0 for any that is free.")
@click.option("--no-open", is_flag=True, help="Print the address only; open no browser.")
@store_option
def ui(port: int, no_open: bool, store: str | None) -> None:
    """Look at runs in the browser, also while training goes on; Ctrl-C ends it.

    \b
    Examples:
      autotrack ui
      autotrack ui --store postgresql://… -p 8080
    """
    from autotrack.cli.server import opener
    from autotrack.query.text import plain
    from autotrack.server.logs import log_to_stderr
    from autotrack.server.options import ServerOptions
    from autotrack.server.running import serve

    log_to_stderr()
    shown, open_store = opener(store)

    def ready(url: str) -> None:
        click.echo(plain(f"{shown} at {url} (Ctrl-C ends it)"))
        if not no_open and _has_browser():
            import webbrowser

            webbrowser.open(url)

    sys.exit(serve(open_store, ServerOptions(port=port), ready=ready))


def _has_browser() -> bool:
    """Whether a person sits before a screen: a browser in a terminal would take it over."""
    if sys.platform in ("win32", "darwin"):
        return True
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
