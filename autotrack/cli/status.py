"""``autotrack status``: what waits to be sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from autotrack.cli import output
from autotrack.cli.output import format_option


@click.command(short_help="Show what waits for its store.")
@click.option(
    "--spool",
    "folder",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A spool, or a folder of spools. [default: this user's]",
)
@format_option("text", "json")
def status(folder: Path | None, format_: str) -> None:
    """Show what waits on this machine until its store can be reached, and how the sending goes.

    Runs of a store that is not a folder are kept in a spool until they are in the store. What could not be read, or
    was refused by the store, is kept in the spool's quarantine.

    \b
    Examples:
      autotrack status
      autotrack status --format json
    """
    from autotrack import spool

    found = [_facts(one) for one in spool.every(folder or spool.root())]
    if format_ == "json":
        output.print_json(found)
    elif not found:
        click.echo(f"No spools in {folder or spool.root()}: every run went straight into a folder.")
    else:
        for facts in found:
            _print(facts)


def _facts(one: Any) -> dict[str, Any]:
    from autotrack.query.text import iso
    from autotrack.shipping.clearing import refusal

    info, waiting, told = one.info(), one.waiting(), one.status()
    is_running = one.is_tended()
    return {
        "store": info.store if info is not None else None,
        "spool": str(one.folder),
        "waiting": {
            "journals": waiting.journals,
            "runs": waiting.runs,
            "entries": waiting.entries,
            "bytes": waiting.bytes,
            "since": iso(waiting.since),
        },
        "shipper": {
            "running": is_running,
            "pid": told.owner.pid if is_running and told is not None else None,
            "state": told.state if is_running and told is not None else None,
            "error": told.error if told is not None and told.error else None,
            "failures": told.failures if told is not None else 0,
            "failing_since": iso(told.since) if told is not None and told.since else None,
        },
        "quarantine": [
            {"path": str(path), "size": path.stat().st_size, "reason": refusal(path) or None}
            for path in one.quarantined()
        ],
    }


def _print(facts: dict[str, Any]) -> None:
    from autotrack.query.text import plain, plural, size

    waiting, shipper = facts["waiting"], facts["shipper"]
    click.echo(plain(facts["store"] or "a store that cannot be told"))
    if waiting["entries"]:
        since = f", since {waiting['since']}" if waiting["since"] else ""
        click.echo(
            f"  waiting     {plural(waiting['runs'], 'run')} in {plural(waiting['journals'], 'journal')} "
            f"({size(waiting['bytes'])}){since}"
        )
    else:
        click.echo("  waiting     nothing")
    going = f"process {shipper['pid']}: {shipper['state']}" if shipper["running"] else "no process is sending"
    click.echo(f"  sending     {going}")
    if shipper["error"]:
        failures = f" ({plural(shipper['failures'], 'attempt')})" if shipper["failures"] else ""
        click.echo(f"  last error  {plain(shipper['error'])}{failures}")
    for kept in facts["quarantine"]:
        why = f": {plain(kept['reason'])}" if kept["reason"] else ""
        click.echo(f"  quarantine  {plain(kept['path'])} ({size(kept['size'])}){why}")
    click.echo(f"  spool       {plain(facts['spool'])}")
