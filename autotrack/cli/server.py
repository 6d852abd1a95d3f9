"""``autotrack server``: a store of runs behind a URL, for a team."""

from __future__ import annotations

import os
import sys

import click


@click.command(short_help="Serve a store to a team: MLflow's REST API, and pages.")
@click.option("--store", metavar="URI", help="Store to serve: a folder or a URI. [default: the nearest .autotrack]")
@click.option("--artifacts", metavar="URI", help="Where a database keeps artifacts: a folder, s3://bucket/prefix …")
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on; another than this machine's own asks for --token-file.",
)
@click.option("--port", "-p", type=int, default=5000, show_default=True, help="Port; 0 for any that is free.")
@click.option("--workers", type=int, default=2, show_default=True, metavar="N", help="Processes that answer.")
@click.option("--token-file", default="", metavar="FILE", help="The tokens that requests may show.")
@click.option(
    "--allowed-host",
    "allowed_hosts",
    multiple=True,
    metavar="NAME",
    help="A name under which the server is reached, beside this machine's; may be given several times.",
)
@click.option(
    "--grace",
    type=float,
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="How long requests may go on when the server is told to end.",
)
@click.option("--access-log", is_flag=True, help="A line on stderr for each request.")
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="What goes to stderr: lines for people, or an object a line.",
)
def server(
    store: str | None,
    artifacts: str | None,
    host: str,
    port: int,
    workers: int,
    token_file: str,
    allowed_hosts: tuple[str, ...],
    grace: float,
    access_log: bool,
    log_format: str,
) -> None:
    """Serve a store to a team until Ctrl-C: MLflow's REST API, and pages for people.

    \b
    Examples:
      autotrack server
      autotrack server --store postgresql://… --artifacts s3://bucket/runs --workers 4
      MLFLOW_TRACKING_URI=http://127.0.0.1:5000 python train.py
    """
    from autotrack.query.text import plain
    from autotrack.server.logs import log_to_stderr
    from autotrack.server.opening import Opener
    from autotrack.server.options import ServerOptions
    from autotrack.server.running import serve

    options = ServerOptions(
        host=host,
        port=port,
        workers=workers,
        token_file=os.path.abspath(token_file) if token_file else "",
        allowed_hosts=allowed_hosts,
        grace=grace,
        access_log=access_log,
        log_format=log_format,
    )
    log_to_stderr(log_format)
    opener = Opener(store, artifacts)
    sys.exit(serve(opener, options, ready=lambda url: click.echo(plain(f"Serving {opener.shown} at {url}"))))
