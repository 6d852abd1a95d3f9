"""The group of commands. A command's module is imported when it is asked for, so that starting stays fast."""

from __future__ import annotations

import difflib
import errno
import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final, NoReturn

import click

import autotrack
from autotrack.errors import AutotrackError

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
}
"""Name → ``module:command``, in the order in which ``--help`` lists them."""


class LazyGroup(click.Group):
    """A group whose commands are imported when they are needed, and whose errors read as sentences."""

    def __init__(self, *args: Any, table: Mapping[str, str], **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self.table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        place = self.table.get(cmd_name)
        if place is None:
            return None
        module, _, name = place.partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if not ctx.resilient_parsing and name not in self.table and not name.startswith("-"):
            self._unknown(ctx, name)
        return super().resolve_command(ctx, args)

    def _unknown(self, ctx: click.Context, name: str) -> NoReturn:
        if name.endswith(".py"):
            ctx.fail(f"there is no command {name!r}; to run a script: autotrack run {name}")
        near = difflib.get_close_matches(name, list(self.table), n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"the commands are {', '.join(self.table)}"
        ctx.fail(f"there is no command {name!r}; {hint}")

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except AutotrackError as error:
            from autotrack.query.text import plain_lines

            raise click.ClickException(plain_lines(str(error))) from error
        except OSError as error:
            if error.errno == errno.EPIPE:  # whoever read the output has enough; click leaves quietly
                raise
            raise click.ClickException(str(error)) from error


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
