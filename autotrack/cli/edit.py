"""``autotrack delete``, ``restore`` and ``tag``: what is changed of recorded runs afterwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from autotrack.cli import output
from autotrack.cli.output import store_option

if TYPE_CHECKING:
    from autotrack.entities import Run

Command = TypeVar("Command", bound=Callable[..., Any])
_LISTED: Final = 10


def _choice(command: Command) -> Command:
    command = click.option("--filter", "-f", "filter_", metavar="FILTER", help="Also the runs that it names.")(command)
    return click.argument("runs", nargs=-1, metavar="[RUN]...")(command)


@click.command(short_help="Delete runs; they can be restored.")
@_choice
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@store_option
def delete(runs: tuple[str, ...], filter_: str | None, yes: bool, store: str | None) -> None:
    """Delete runs, and the runs made inside them.

    RUN is an id, the beginning of one, a name or 'latest'. Deleted runs are out of sight, keep their artifacts and can
    be restored, until 'autotrack gc' removes them for good.

    \b
    Examples:
      autotrack delete 3f2a
      autotrack delete --filter "status = 'FAILED'" --yes
    """
    from autotrack.query import editing
    from autotrack.query.sources import reading

    _check(runs, filter_)
    with reading(store) as opened:
        found = editing.to_delete(opened, runs, filter_)
        if not found:
            click.echo("No run is meant that is not deleted already.")
            return
        if not yes:
            _list(found)
            _ask(f"Delete {_count(found)}?")
        editing.set_stage(opened, found, "deleted")
    click.echo(f"Deleted {_count(found)}. To undo: autotrack restore {found[0].run_id[:12]}")


@click.command(short_help="Bring deleted runs back.")
@_choice
@store_option
def restore(runs: tuple[str, ...], filter_: str | None, store: str | None) -> None:
    """Bring deleted runs back, with the runs made inside them.

    RUN is an id, the beginning of one or a name. What is deleted: autotrack runs --deleted
    """
    from autotrack.query import editing
    from autotrack.query.sources import reading

    _check(runs, filter_)
    with reading(store) as opened:
        found = editing.to_restore(opened, runs, filter_)
        editing.set_stage(opened, found, "active")
    click.echo(f"Restored {_count(found)}." if found else "No deleted run is meant.")


@click.command(short_help="Set tags of a run, or take them away.")
@click.argument("run", metavar="RUN")
@click.argument("tags", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--delete", "-d", "deleted", multiple=True, metavar="KEY", help="Take this tag away. Repeatable.")
@store_option
def tag(run: str, tags: tuple[str, ...], deleted: tuple[str, ...], store: str | None) -> None:
    """Set tags of a recorded run, or take them away.

    \b
    Examples:
      autotrack tag latest reviewed=yes
      autotrack tag 3f2a "comment=the one in production"
      autotrack tag 3f2a --delete reviewed
    """
    from autotrack.query import editing
    from autotrack.query.finding import find_run
    from autotrack.query.sources import reading
    from autotrack.query.text import plural

    pairs = {}
    for text in tags:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise click.UsageError(f"{text!r} is no tag; write key=value")
        pairs[key] = value
    _check_tags(pairs, deleted)
    with reading(store) as opened:
        found = find_run(opened, run)
        gone = [key for key in dict.fromkeys(deleted) if key in found.tags]
        if pairs:
            editing.set_tags(opened, found.run_id, pairs)
        if gone:
            editing.delete_tags(opened, found.run_id, gone)
    name = found.run_id[:12]
    if pairs:
        click.echo(f"Set {plural(len(pairs), 'tag')} of {name}.")
    if gone:
        click.echo(f"Deleted {plural(len(gone), 'tag')} of {name}.")
    for key in dict.fromkeys(deleted):
        if key not in gone:
            click.echo(f"{name} has no tag {key!r}.")


def _check_tags(pairs: Mapping[str, str], deleted: Sequence[str]) -> None:
    if not pairs and not deleted:
        raise click.UsageError("give tags to set, as key=value, or --delete KEY")
    for key in deleted:
        if not key:
            raise click.UsageError("a tag has a key that is not empty")
        if key in pairs:
            raise click.UsageError(f"the tag {key!r} is to be set and to be deleted; say one of them")


def _check(runs: Sequence[str], filter_: str | None) -> None:
    if not runs and not (filter_ and filter_.strip()):
        raise click.UsageError("name the runs that are meant, or give a --filter that does")


def _list(found: Sequence[Run]) -> None:
    from autotrack.query.finding import describe

    for run in found[:_LISTED]:
        click.echo(describe(run) + ("  (it is still running)" if run.status == "RUNNING" else ""))
    if len(found) > _LISTED:
        click.echo(f"  … and {len(found) - _LISTED:,} more")


def _ask(question: str) -> None:
    if not output.can_ask():
        raise click.UsageError("nobody is there to ask: give --yes")
    click.confirm(question, abort=True)


def _count(found: Sequence[Run]) -> str:
    from autotrack.query.text import plural

    ids = {run.run_id for run in found}
    inside = sum(run.parent_run_id in ids for run in found)
    named = plural(len(found) - inside, "run")
    return f"{named} and the {inside:,} inside" if inside else named
