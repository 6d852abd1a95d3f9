"""The group of commands, by name and place: see `autotrack.cli.lazy`."""

from __future__ import annotations

import sys
from typing import Final

import click

import autotrack
from autotrack.cli.lazy import LazyGroup

COMMANDS: Final = {
    "run": "autotrack.cli.run:run",
    "runs": "autotrack.cli.runs:runs",
    "show": "autotrack.cli.show:show",
    "compare": "autotrack.cli.compare:compare",
    "plot": "autotrack.cli.plot:plot",
    "tag": "autotrack.cli.edit:tag",
    "delete": "autotrack.cli.edit:delete",
    "restore": "autotrack.cli.edit:restore",
    "status": "autotrack.cli.status:status",
    "sync": "autotrack.cli.sync:sync",
    "gc": "autotrack.cli.upkeep:gc",
    "fsck": "autotrack.cli.upkeep:fsck",
    "copy": "autotrack.cli.moving:copy",
    "import": "autotrack.cli.moving:import_",
    "export": "autotrack.cli.moving:export",
    "models": "autotrack.cli.models:models",
    "ui": "autotrack.cli.ui:ui",
    "server": "autotrack.cli.server:server",
    "token": "autotrack.cli.token:token",
}
"""Name → ``module:command``, in the order in which ``--help`` lists them."""


@click.group(cls=LazyGroup, table=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(autotrack.__version__, message="autotrack %(version)s")
def app() -> None:
    """Record scikit-learn fits without a line of logging, and look at them afterwards.

    \b
    Record a script as it is:        autotrack run train.py --alpha 0.1
    List what was recorded:          autotrack runs
    Look at the newest run:          autotrack show latest
    See what two runs differ in:     autotrack compare 3f2a 91bc
    Draw its plots into files:       autotrack plot latest --out figures

    Runs are kept in the nearest folder .autotrack upwards from here, or in the store that --store, the
    variable AUTOTRACK_STORE or [tool.autotrack] in pyproject.toml names.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a terminal that cannot show a character gets its escape, not a traceback
            stream.reconfigure(errors="backslashreplace")
