"""``autotrack sync``: send what waits in the spools."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from autotrack.shipping.sync import Synced


@click.command(short_help="Send runs that wait for their store.")
@click.option("--store", metavar="URI", help="The store to send to. [default: the one that each spool is for]")
@click.option(
    "--spool",
    "folder",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A spool, or a folder of spools, such as one that was copied from another machine.",
)
@click.option("--all", "everything", is_flag=True, help="The spools of every store, not only of the one in force.")
def sync(store: str | None, folder: Path | None, everything: bool) -> None:
    """Send runs that wait on this machine because their store could not be reached.

    Of a store that is not a folder, runs are kept in a spool until they are in the store. That is done in the
    background; this does at once what was left over. A store is the one that --store, the variable AUTOTRACK_STORE or
    [tool.autotrack] in pyproject.toml names; where that is a folder, the spools of all stores are sent.

    The exit code is 1 when something is left. Doing it again changes nothing in the store.

    \b
    Examples:
      autotrack sync
      autotrack sync --store postgresql://me:secret@db.example/runs
      autotrack sync --spool /mnt/usb/spool
    """
    from autotrack import settings
    from autotrack.errors import SettingsError
    from autotrack.query.text import plain
    from autotrack.shipping import sync as work

    in_force = settings.store_uri()
    named = store if store is not None else in_force
    spools = work.chosen(None if everything else named, folder, everything)
    if everything and store is not None:
        raise SettingsError("--all and --store exclude each other: one store's URI does not fit all spools")
    waiting = [(one, one.waiting()) for one in spools]
    waiting = [(one, found) for one, found in waiting if found.journals or one.paths()]
    if not waiting:
        click.echo("Nothing waits to be sent.")
        return
    failed = False
    with _bar(sum(found.entries for _, found in waiting)) as bar:
        for one, _ in waiting:
            try:
                uri = work.uri_of(one, store, in_force)
            except SettingsError as error:
                click.echo(f"! {plain(str(error))}", err=True)
                failed = True
                continue
            done = work.sync(one, uri, is_copy=folder is not None, progress=bar.update)
            failed = _tell(done) or failed
    if failed:
        sys.exit(1)


def _tell(done: Synced) -> bool:
    """Say what became of a spool; whether something is left."""
    from autotrack.query.text import plain, plural

    for remark in done.remarks:
        click.echo(f"! {plain(remark)}", err=True)
    click.echo(f"{plain(done.store)}: sent {_plural(done.sent)}")
    if not done.error:
        return False
    left = (
        f"{_plural(done.waiting.entries)} of {plural(done.waiting.runs, 'run')} left in {plain(str(done.spool.folder))}"
    )
    click.echo(f"! {left}: {plain(done.error)}", err=True)
    return True


def _plural(count: int) -> str:
    return f"{count:,} entry" if count == 1 else f"{count:,} entries"


@contextmanager
def _bar(total: int) -> Iterator[Any]:
    """A bar on stderr, in a terminal, for what takes over a second."""
    from tqdm.std import tqdm

    with tqdm(
        total=total, desc="sending", unit=" entries", delay=1.0, leave=False, disable=None, file=sys.stderr
    ) as bar:
        yield bar
