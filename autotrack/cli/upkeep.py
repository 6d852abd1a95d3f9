"""``autotrack gc`` and ``autotrack fsck``: sweeping and checking a store."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import click

from autotrack.cli import output
from autotrack.cli.output import format_option, store_option
from autotrack.errors import StoreError

if TYPE_CHECKING:
    from autotrack.stores.base import Finding, Garbage, Maintained, Store

_UNITS: Final = {"s": 1, "min": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_AGE: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) *(s|min|h|d|w)")
_KINDS: Final = {
    "run": "Deleted runs",
    "artifacts": "Artifacts of no run",
    "partial": "Writes that broke off",
    "journals": "Journals",
}
_LISTED: Final = 20


class Age(click.ParamType):  # type: ignore[type-arg]
    """A duration such as ``30d``, as seconds."""

    name = "age"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The seconds; fails for a text of another form."""
        if isinstance(value, float) or value == "0":
            return float(value)
        found = _AGE.fullmatch(str(value).strip())
        if found is None:
            self.fail(f"{value!r} is no duration; write 30d, 12h, 45min or 0", param, ctx)
        return float(found[1]) * _UNITS[found[2]]


@click.command(short_help="Remove for good what nobody misses.")
@click.option("--older-than", type=Age(), default="30d", show_default=True, help="Only runs deleted so long ago.")
@click.option("--yes", "-y", is_flag=True, help="Do it; without, it only says what would be done.")
@format_option("text", "json")
@store_option
def gc(older_than: float, yes: bool, format_: str, store: str | None) -> None:
    """Remove deleted runs, artifacts of no run and writes that broke off, for good.

    Without --yes nothing is removed: it says what would be. Files of no run have to be a day old, because a program
    writes a run's files before it records them. What a program that is still running may write to stays. The journals
    of programs that ended become one file.

    \b
    Examples:
      autotrack gc
      autotrack gc --older-than 0 --yes
    """
    from autotrack.query.sources import reading

    with reading(store) as opened:
        maintained = _maintained(opened, "gc")
        found = maintained.garbage(older_than)
        if yes:
            maintained.collect([item for item in found if not item.kept])
    if format_ == "json":
        output.print_json({"removed": yes, "garbage": [asdict(item) for item in found]})
    else:
        _print_garbage(found, removed=yes)


@click.command(short_help="Verify a store, and repair it where that can be done.")
@click.option("--repair", is_flag=True, help="Mend what can be mended; what is unreadable is kept in quarantine/.")
@format_option("text", "json")
@store_option
@click.pass_context
def fsck(context: click.Context, repair: bool, format_: str, store: str | None) -> None:
    """Verify every journal line, every run, every artifact's digest and the index.

    Programs may write to the store meanwhile. The exit code is 1 when something is wrong and was not repaired.
    """
    from autotrack.query.sources import reading

    with reading(store) as opened:
        maintained = _maintained(opened, "fsck")
        keywords: dict[str, Any] = {"repair": repair}
        with _progress() as tell:
            if "tell" in inspect.signature(maintained.check).parameters:
                keywords["tell"] = tell
            found = maintained.check(**keywords)
        place = opened.uri
    if format_ == "json":
        output.print_json([asdict(finding) for finding in found])
    else:
        _print_findings(found, place, repair)
    if any(finding.repaired is None and not finding.is_note for finding in found):
        context.exit(1)


def _maintained(store: Store, command: str) -> Maintained:
    from autotrack.query.text import plain
    from autotrack.stores.base import Maintained

    if not isinstance(store, Maintained):
        raise StoreError(
            f"{plain(store.uri)} is a store without upkeep: autotrack {command} works on folders and on databases "
            "that autotrack keeps"
        )
    return store


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """A bar on stderr for what takes longer than a second: what is done, how much, of how much."""
    from tqdm import tqdm

    with tqdm(delay=1, leave=False, disable=None, unit="") as bar:

        def tell(what: str, done: int, total: int) -> None:
            bar.set_description_str(what, refresh=False)
            bar.total = total
            bar.update(done - bar.n)

        yield tell


def _print_garbage(found: Sequence[Garbage], *, removed: bool) -> None:
    from autotrack.query.text import plain, size

    going = [item for item in found if not item.kept]
    for kind, title in _KINDS.items():
        items = [item for item in going if item.kind == kind]
        if items:
            total = sum(item.size or 0 for item in items)
            click.echo(f"{title}{f' ({len(items):,}, {size(total)})' if kind != 'journals' else ''}")
            for item in items[:_LISTED]:
                click.echo(f"  {plain(item.place)}{'' if item.size is None else '  ' + size(item.size)}")
            if len(items) > _LISTED:
                click.echo(f"  … and {len(items) - _LISTED:,} more")
    for item in found:
        if item.kept:
            click.echo(f"stays: {plain(item.place)}: {item.kept}")
    freed = size(sum(item.size or 0 for item in going))
    if not going:
        click.echo("Nothing to remove.")
    elif removed:
        click.echo(f"Removed; that freed {freed}.")
    else:
        click.echo(f"Nothing was removed: the same with --yes does it, and frees {freed}.")


def _print_findings(found: Sequence[Finding], place: str, repair: bool) -> None:
    from autotrack.query.text import plain, plain_lines, plural

    for finding in found:
        mark = "-" if finding.is_note else "!"
        click.echo(f"{mark} {plain(finding.subject)}: {plain_lines(finding.message)}")
        if finding.repaired is not None:
            click.echo(f"    repaired: {plain_lines(finding.repaired)}")
    wrong = [finding for finding in found if not finding.is_note]
    left = [finding for finding in wrong if finding.repaired is None]
    if not wrong:
        click.echo(f"{plain(place)} is sound.")
    elif not left:
        click.echo(f"Repaired {plural(len(wrong), 'finding')} in {plain(place)}.")
    else:
        hint = "" if repair else "; autotrack fsck --repair mends what can be mended"
        click.echo(f"{plural(len(left), 'finding')} in {plain(place)}{hint}.")
