"""``autotrack models``: the group of the commands that work on models.

To add a command, write it in a module of its own and add its line to `COMMANDS`; nothing is imported for ``--help`` of
another command.
"""

from __future__ import annotations

from typing import Final

import click

from autotrack.cli.lazy import LazyGroup

COMMANDS: Final[dict[str, str]] = {
    "register": "autotrack.cli.registry:register",
    "list": "autotrack.cli.registry:list_",
    "show": "autotrack.cli.registry:show",
    "alias": "autotrack.cli.registry:alias",
    "delete": "autotrack.cli.registry:delete",
    "diff": "autotrack.cli.model_diff:diff",
    "inspect": "autotrack.cli.inspecting:inspect",
    "serve": "autotrack.cli.serve:serve",
    "predict": "autotrack.cli.predicting:predict",
    "package": "autotrack.cli.packaging:package",
    "export": "autotrack.cli.exporting:export",
}
"""Name → ``module:command``, in the order in which ``autotrack models --help`` lists them."""


@click.group(cls=LazyGroup, table=COMMANDS, short_help="Inspect, register and serve models.")
def models() -> None:
    """Models: inspect, register, serve, package.

    REF is a model: runs:/ID/model, models:/NAME/VERSION, models:/NAME@ALIAS, a model's folder, or the URI of one in an
    object store (s3://bucket/path, gs://…, az://…).
    """
