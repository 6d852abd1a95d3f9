"""``autotrack copy``, ``autotrack import``, ``autotrack export``: runs from one store into another, or into files."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

if TYPE_CHECKING:
    from autotrack.moving import CopyResult, Trouble
    from autotrack.moving.reading import Selection
    from autotrack.stores.base import Store

Command = TypeVar("Command", bound=Callable[..., Any])

_SHOWN: Final = 20
_INTERRUPTED: Final = 130
_FORMATS: Final = ("parquet", "csv", "json")


def _selecting(command: Command) -> Command:
    """Add the options that choose runs."""
    for option in (
        click.option("--deleted", is_flag=True, help="Deleted runs too."),
        click.option("--experiment", "-e", metavar="NAME", help="Only the runs of this experiment."),
        click.option("--filter", "-f", "filter_", metavar="FILTER", help="Only the runs that it names, as in 'runs'."),
    ):
        command = option(command)
    return command


@click.command(short_help="Copy runs from one store into another.")
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@_selecting
def copy(source: str, target: str, filter_: str | None, experiment: str | None, deleted: bool) -> None:
    """Copy runs, with metric histories, artifacts and models, from the store FROM into the store TO.

    Ids stay the same. It can be interrupted at any time and run again: it goes on where it was, and when everything
    is there it changes nothing. Runs that went on meanwhile are brought up to date. Where both stores have a value,
    that of FROM stands afterwards; what only TO has stays. The exit code is 1 when something could not be copied.

    \b
    Examples:
      autotrack copy .autotrack postgresql://me@host/runs
      autotrack copy mlruns:./mlruns .autotrack --experiment churn
      autotrack copy /mnt/old/.autotrack ./.autotrack --filter "metrics.r2_score_test_x > 0.4"
    """
    _copy(source, target, filter_, experiment, deleted)


@click.command("import", short_help="Copy runs from another store into the one in force.")
@click.argument("source", metavar="URI")
@click.option("--store", metavar="URI", help="Store to copy into. [default: the nearest .autotrack upwards]")
@_selecting
def import_(source: str, store: str | None, filter_: str | None, experiment: str | None, deleted: bool) -> None:
    """Copy the runs of the store URI into the store in force, as 'autotrack copy' does.

    \b
    Examples:
      autotrack import mlruns:./mlruns
      autotrack import http://tracking.example.org --filter "start_time > '2026-01-01'"
    """
    _copy(source, store, filter_, experiment, deleted)


@click.command(short_help="Copy the runs in force into another store, or into files.")
@click.option("--to", required=True, metavar="URI|DIR", help="A store; with --format a folder for the files.")
@click.option("--format", "format_", type=click.Choice(_FORMATS), help="Write files instead: tables of all runs.")
@click.option(
    "--store", metavar="URI", help="Store to read: a folder or a URI. [default: the nearest .autotrack upwards]"
)
@_selecting
def export(
    to: str, format_: str | None, store: str | None, filter_: str | None, experiment: str | None, deleted: bool
) -> None:
    """Copy the runs of the store in force into the store --to, as 'autotrack copy' does; or write them into files.

    With --format the folder --to gets tables: runs (a row per run, with its params, metrics and tags as columns),
    metrics (every point), params, tags, datasets, models and notes. It is written whole or not at all; an earlier
    export is replaced.

    \b
    Examples:
      autotrack export --to mlruns:./mlruns
      autotrack export --to http://127.0.0.1:5000 --filter "status = 'FINISHED'"
      autotrack export --format parquet --to tables
    """
    if format_ is None:
        _copy(store, to, filter_, experiment, deleted)
        return
    from autotrack.moving.export import export_runs
    from autotrack.query.text import plain, plural

    with _bar(None, "exporting") as tick:
        found = export_runs(
            store,
            Path(to),
            format_,
            filter_,
            experiment=experiment,
            deleted=deleted,
            progress=lambda count: tick(count),
        )
    click.echo(f"{plural(found.runs, 'run')} and {plural(found.points, 'metric point')} in {plain(str(found.folder))}")
    for remark in found.remarks:
        click.echo(f"! {plain(remark)}", err=True)


def _copy(source: str | None, target: str | None, filter_: str | None, experiment: str | None, deleted: bool) -> None:
    from autotrack.moving import Copying
    from autotrack.moving.reading import Selection
    from autotrack.query.sources import reading

    selection = Selection(filter_, experiment, deleted)
    with reading(source) as opened, reading(target) as to:
        copying = Copying(opened, to, selection)
        try:
            with _bar(_total(selection, opened), "copying") as tick:
                copying.progress = lambda result: tick(result.seen + len(result.failed))
                copying.run()
        except KeyboardInterrupt:
            _report(copying.result, opened, to)
            click.echo("Interrupted: the same command goes on from here.", err=True)
            sys.exit(_INTERRUPTED)
        _report(copying.result, opened, to)
    if copying.result.failed:
        sys.exit(1)


def _total(selection: Selection, store: Store) -> int | None:
    """How many runs there are to copy, as far as a terminal wants to know."""
    return selection.count(store) if sys.stderr.isatty() else None


@contextmanager
def _bar(total: int | None, label: str) -> Iterator[Callable[[int], None]]:
    """A bar on stderr, in a terminal only; what it gives takes how many runs are done."""
    from tqdm import tqdm

    with tqdm(total=total, desc=label, unit=" runs", file=sys.stderr, leave=False, disable=None) as bar:
        yield lambda done: bar.update(done - bar.n) and None


def _report(result: CopyResult, source: Store, target: Store) -> None:
    """Say how it went: one line, and what is missing."""
    from autotrack.query.text import plain, plural

    parts = [f"{result.new} new"]
    parts += [f"{result.updated} updated"] * bool(result.updated)
    parts += [f"{result.unchanged} up to date"] * bool(result.unchanged or not result.new)
    parts += [f"{plural(len(result.failed), 'failure')}"] * bool(result.failed)
    files = f"; {plural(result.files, 'file')} ({_bytes(result.size)})" if result.files else ""
    click.echo(f"{plain(source.uri)} → {plain(target.uri)}: {', '.join(parts)}{files}")
    if not result.seen and not result.failed:
        click.echo(f"! there is nothing to copy in {plain(source.uri)}", err=True)
    _list(result.remarks)
    _list(result.failed)
    if result.gave_up:
        click.echo("! Gave up, because one run failed after the other; run it again when that is mended.", err=True)


def _list(troubles: list[Trouble]) -> None:
    from autotrack.query.text import plain, plural, shortened

    for trouble in troubles[:_SHOWN]:
        subject = f"run {plain(trouble.run_id)}: " if trouble.run_id else ""
        click.echo(f"! {subject}{shortened(plain(trouble.message), 500)}", err=True)
    if len(troubles) > _SHOWN:
        click.echo(f"! … and {plural(len(troubles) - _SHOWN, 'more run')}", err=True)


def _bytes(size: int) -> str:
    number, unit = float(size), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if number < 1000:
            break
        number, unit = number / 1000, larger
    return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
