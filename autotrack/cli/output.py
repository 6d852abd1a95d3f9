"""What the commands share: options, and writing tables, JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from autotrack.query.text import plain, plain_lines

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

Command = TypeVar("Command", bound=Callable[..., Any])

PIPE_WIDTH: Final = 120
COLOURS: Final = {"FINISHED": "green", "RUNNING": "cyan", "FAILED": "red", "KILLED": "yellow", "BROKEN": "magenta"}

_UNSAFE_IN_JSON = re.compile("[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_UNSAFE_IN_CSV = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


def store_option(command: Command) -> Command:
    """Add ``--store``."""
    return click.option(
        "--store", metavar="URI", help="Store to read: a folder or a URI. [default: the nearest .autotrack upwards]"
    )(command)


def format_option(*formats: str) -> Callable[[Command], Command]:
    """Add ``--format``; the first one is the default."""
    return click.option(
        "--format", "format_", type=click.Choice(formats), default=formats[0], show_default=True, help="How to print."
    )


def console() -> Console:
    """Where tables go: as wide as the terminal; in a pipe without colour and `PIPE_WIDTH` wide unless COLUMNS says."""
    from rich.console import Console

    width = None if sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdigit() else PIPE_WIDTH
    return Console(file=sys.stdout, width=width, highlight=False, markup=False, emoji=False, soft_wrap=False)


def print_table(console: Console, table: Table) -> None:
    """Print a table without the blanks that rich puts at the ends of its lines."""
    from rich.segment import Segment, Segments

    for line in console.render_lines(table, pad=False):
        while line and not line[-1].text.strip():
            line.pop()
        if line:
            line[-1] = Segment(line[-1].text.rstrip(), line[-1].style)
        console.print(Segments([*line, Segment.line()]), end="", soft_wrap=True)


def styled(value: str, style: str = "") -> Text:
    """Recorded text, made harmless: no control characters, no markup."""
    from rich.text import Text

    return Text(plain(value), style=style)


def styled_lines(value: str, style: str = "") -> Text:
    """As `styled`, for text of our own that has line ends."""
    from rich.text import Text

    return Text(plain_lines(value), style=style)


def print_json(value: Any) -> None:
    """JSON that a terminal can take: what it would obey is escaped."""
    document = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    click.echo(_UNSAFE_IN_JSON.sub(lambda match: f"\\u{ord(match[0]):04x}", document))


def print_csv(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """CSV with a header line; ``None`` becomes an empty field. Values are whole, escaped only for a terminal's sake."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    document = buffer.getvalue()
    if sys.stdout.isatty():
        document = _UNSAFE_IN_CSV.sub(lambda match: plain(match[0]), document)
    click.echo(document, nl=False)


def can_ask() -> bool:
    """Whether a person can answer a question."""
    return sys.stdin is not None and sys.stdin.isatty()
