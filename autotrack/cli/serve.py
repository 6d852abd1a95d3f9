"""``autotrack models serve``: a model behind a URL."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import click

from autotrack.cli.output import store_option

if TYPE_CHECKING:
    from autotrack.models.mlmodel import ModelInfo

_MB = 2**20


@click.command(short_help="Serve a model over HTTP.")
@click.argument("reference", metavar="REF")
@click.option("--port", type=int, default=5002, show_default=True, help="Port; 0 for any that is free.")
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on; another than this machine's own asks for a token.",
)
@click.option("--workers", type=int, default=1, show_default=True, metavar="N", help="Processes that answer.")
@click.option(
    "--token",
    default="",
    metavar="TOKEN",
    help="What requests have to send as 'Authorization: Bearer TOKEN'. Others see it in the list of processes: better "
    "set AUTOTRACK_SERVING_TOKEN.",
)
@click.option(
    "--max-batch",
    type=int,
    default=256,
    show_default=True,
    metavar="ROWS",
    help="Rows that are predicted in one call for requests that come at the same time; 0 for each on its own.",
)
@click.option(
    "--max-delay-ms",
    type=float,
    default=0.0,
    show_default=True,
    metavar="MS",
    help="How long a request may wait for others to join it; 0 for no waiting.",
)
@click.option(
    "--max-body", type=float, default=100.0, show_default=True, metavar="MB", help="Largest body that is read."
)
@click.option("--trusted", is_flag=True, help="Load a pickle wherever it comes from: it runs what stands in it.")
@click.option("--access-log", is_flag=True, help="A line on stderr for each request.")
@store_option
def serve(
    reference: str,
    port: int,
    host: str,
    workers: int,
    token: str,
    max_batch: int,
    max_delay_ms: float,
    max_body: float,
    trusted: bool,
    access_log: bool,
    store: str | None,
) -> None:
    """Serve a model over HTTP until Ctrl-C.

    REF is runs:/ID/model, models:/NAME/VERSION, models:/NAME@ALIAS, or a model's folder.

    \b
    Examples:
      autotrack models serve runs:/latest/model
      autotrack models serve models:/churn/3 --port 8080 --workers 4
      curl http://127.0.0.1:5002/invocations -H 'Content-Type: application/json' \\
           -d '{"columns": ["age", "bmi"], "data": [[0.04, 0.06]]}'

    The address itself shows a page on which to try a row; /openapi.json describes all, /metrics counts for Prometheus.
    """
    from autotrack.query.text import plain, plain_lines
    from autotrack.serving.options import TOKEN_VARIABLE, ServingOptions
    from autotrack.serving.running import serve as run

    from_environment = os.environ.pop(TOKEN_VARIABLE, "")  # no program that the model starts needs it
    if token:
        _warn(f"others on this machine see --token in the list of processes; set {TOKEN_VARIABLE} instead")
    options = ServingOptions(
        host=host,
        port=port,
        workers=workers,
        token=token or from_environment,
        max_batch=max_batch,
        max_delay=max_delay_ms / 1000,
        max_body=int(max_body * _MB) if max_body == max_body and abs(max_body) < _MB else -1,
        access_log=access_log,
    )
    _log_to_stderr()

    def load() -> tuple[Any, ModelInfo]:
        from autotrack.models.mlmodel import read_mlmodel
        from autotrack.query.loading import load_located
        from autotrack.query.locating import locate_model

        found = locate_model(reference, store=store)
        return load_located(found, trusted=trusted), read_mlmodel(found.folder)

    code = run(
        load,
        plain(reference),
        options,
        say=lambda line: click.echo(plain(line)),
        warn=lambda line: _warn(plain_lines(line)),
    )
    sys.exit(code)


def _warn(line: str) -> None:
    click.echo(f"Warning: {line}", err=True)


def _log_to_stderr() -> None:
    import logging

    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    for name in ("autotrack.serving", "autotrack.web", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
