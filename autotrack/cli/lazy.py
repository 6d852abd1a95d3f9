"""A group of commands whose modules are imported when they are asked for, so that starting stays fast."""

from __future__ import annotations

import difflib
import errno
from collections.abc import Mapping
from importlib import import_module
from typing import Any, NoReturn

import click

from autotrack.errors import AutotrackError


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
