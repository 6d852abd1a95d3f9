"""``autotrack token``: who may ask a server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from autotrack.cli.lazy import LazyGroup
from autotrack.cli.output import format_option, print_json

Command = TypeVar("Command", bound=Callable[..., Any])

TOKENS: Final = {
    "add": "autotrack.cli.token:add",
    "list": "autotrack.cli.token:list_",
    "remove": "autotrack.cli.token:remove",
}


def file_option(command: Command) -> Command:
    """Add ``--token-file``."""
    return click.option(
        "--token-file",
        required=True,
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="The file that 'autotrack server --token-file' is given too.",
    )(command)


@click.group(cls=LazyGroup, table=TOKENS, short_help="Say who may ask a server.")
def token() -> None:
    """Say who may ask a server: make tokens, list them, take them away.

    \b
    Examples:
      autotrack token add ci --scope write --token-file tokens.txt
      autotrack server --host 0.0.0.0 --token-file tokens.txt
      MLFLOW_TRACKING_TOKEN=… MLFLOW_TRACKING_URI=http://server:5000 python train.py

    A browser asks for a name and a password: the token's name, and the token.
    """


@click.command(short_help="Make a token and print it, once.")
@click.argument("name")
@click.option(
    "--scope",
    type=click.Choice(["read", "write"]),
    default="read",
    show_default=True,
    help="What it allows; writing includes reading.",
)
@file_option
def add(name: str, scope: str, token_file: Path) -> None:
    """Make a token for NAME and print it. The file keeps a hash of it: it is not shown again."""
    from autotrack.server.guard import tokens

    made = tokens.add(token_file, name, scope)
    click.echo(made)
    click.echo(f"The token {name} may {scope}. It is shown this once; {token_file} keeps a hash of it.", err=True)


@click.command("list", short_help="List the tokens' names and scopes.")
@format_option("table", "json")
@file_option
def list_(format_: str, token_file: Path) -> None:
    """List the tokens' names and scopes, and when they were made."""
    from autotrack.server.guard import tokens

    found = tokens.read(token_file)
    if format_ == "json":
        print_json([{"name": one.name, "scope": one.scope, "created": one.day} for one in found])
        return
    width = max((len(one.name) for one in found), default=0)
    for one in found:
        click.echo(f"{one.name:{width}}  {one.scope:5}  {one.day}")


@click.command(short_help="Take a token away.")
@click.argument("name")
@file_option
def remove(name: str, token_file: Path) -> None:
    """Take the token NAME away. Servers that run refuse it from now on."""
    from autotrack.server.guard import tokens

    tokens.remove(token_file, name)
    click.echo(f"Removed the token {name}; servers that run refuse it from now on.")
