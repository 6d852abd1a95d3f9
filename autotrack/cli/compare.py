"""``autotrack compare``: what runs differ in, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from autotrack.cli import output
from autotrack.cli.output import format_option, store_option
from autotrack.query.comparing import Row, rows_of, values_of

if TYPE_CHECKING:
    from autotrack.query.view import RunView

_VALUE_WIDTH: Final = 40
_KEY_WIDTH: Final = 44
_GAP: Final = 2


@click.command(short_help="Compare runs side by side.")
@click.argument("runs", nargs=-1, required=True, metavar="RUN RUN...")
@click.option("--all", "-a", "everything", is_flag=True, help="Also what is equal, tags and the environment.")
@format_option("table", "json", "csv")
@store_option
def compare(runs: tuple[str, ...], everything: bool, format_: str, store: str | None) -> None:
    """Show the params and metrics that runs differ in, a column for each run.

    RUN is an id, the beginning of one, a name or 'latest'. The best value of a metric is marked with * where its
    name tells which way is better (…_error and _loss: lower; _score, accuracy, auc, r2, f1: higher).

    \b
    Examples:
      autotrack compare 3f2a 91bc
      autotrack compare latest 91bc --all
      autotrack compare 3f2a 91bc 07de --format csv > compared.csv
    """
    from autotrack.query import get_run
    from autotrack.query.sources import reading

    if len(runs) < 2:
        raise click.UsageError(f"one run is compared with another; to look at one: autotrack show {runs[0]}")
    with reading(store) as opened:
        views = [get_run(reference, store=opened) for reference in runs]
    rows = rows_of(views, everything)
    match format_:
        case "json":
            output.print_json(document(views, rows, [view.run_id for view in views]))
        case "csv":
            header = ["kind", "key", *(view.run_id for view in views)]
            output.print_csv(header, [[row.kind, row.key, *values_of(row)] for row in rows])
        case _:
            _print(views, rows, everything)


def document(views: Sequence[RunView], rows: Sequence[Row], names: Sequence[str]) -> dict[str, Any]:
    """The rows as JSON: by kind, key, and the name of each column."""
    found: dict[str, Any] = {
        "runs": [{"run_id": view.run_id, "run_name": view.name, "status": view.status} for view in views]
    }
    for row in rows:
        found.setdefault(row.kind, {})[row.key] = dict(zip(names, values_of(row), strict=True))
    return found


def _print(views: Sequence[RunView], rows: Sequence[Row], everything: bool) -> None:
    from autotrack.query.text import plural

    console = output.console()
    if not rows:
        console.print(f"These {plural(len(views), 'run')} have the same params and metrics. Everything: --all")
        return
    print_rows(views, rows)
    if not everything:
        console.print(output.styled("equal values, tags and the environment: --all", "dim"))


def print_rows(views: Sequence[RunView], rows: Sequence[Row], names: Sequence[str] = ()) -> None:
    """The rows as a table, or as several below one another where the columns are too many.

    Parameters
    ----------
    names : of the columns; the runs' ids and names when left out.
    """
    from autotrack.query.text import plain

    console = output.console()
    if not rows:
        console.print("They have everything that was compared in common. All of it: --all")
        return
    marks = any(row.best for row in rows)
    headings = [_heading(view, marks) for view in views]
    if names:
        gap = "  " if marks else ""
        headings = [f"{plain(name)}{gap}\n{heading}" for name, heading in zip(names, headings, strict=True)]
    for index, block in enumerate(_blocks(headings, rows, console.width)):
        if index:
            console.print()
        _block(console, headings, rows, block)
    if marks:
        console.print()
        console.print(output.styled("* the best, where the metric's name tells which way is better", "dim"))


def _cell(row: Row, index: int, marks: bool) -> str:
    from autotrack.query.text import number, plain, shortened

    value = row.values[index]
    if value is None:
        cell = "–"
    elif row.kind == "metrics":
        cell = number(value, 6)
    else:
        cell = shortened(plain(str(value)), _VALUE_WIDTH)
    return cell + (" *" if index in row.best else "  ") if marks else cell


def _heading(view: RunView, marks: bool) -> str:
    from autotrack.query.text import plain, shortened

    lines = [view.run_id[:8], shortened(plain(view.name), _VALUE_WIDTH)]
    return "\n".join(line + "  " if marks else line for line in lines)


def _blocks(headings: Sequence[str], rows: Sequence[Row], width: int) -> list[list[int]]:
    """The runs, in groups that are narrow enough to stand side by side."""
    from rich.cells import cell_len

    marks = any(row.best for row in rows)
    left = min(_KEY_WIDTH, max(cell_len(row.key) for row in rows)) + 2 + _GAP
    blocks: list[list[int]] = []
    used = width + 1
    for index, heading in enumerate(headings):
        texts = [*heading.split("\n"), *(_cell(row, index, marks) for row in rows)]
        wide = max(cell_len(line) for line in texts) + _GAP
        if not blocks or used + wide - _GAP > width:
            blocks.append([])
            used = left
        blocks[-1].append(index)
        used += wide
    return blocks


def _block(console: Any, headings: Sequence[str], rows: Sequence[Row], block: Sequence[int]) -> None:
    from rich.table import Table

    from autotrack.query.text import plain, shortened

    marks = any(row.best for row in rows)
    table = Table(box=None, padding=(0, _GAP, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("", overflow="fold", max_width=_KEY_WIDTH + 2)
    for index in block:
        table.add_column(output.styled_lines(headings[index]), justify="right", overflow="fold")
    kind = ""
    for row in rows:
        if row.kind != kind:
            kind = row.kind
            table.add_row(output.styled(kind.capitalize(), "bold"))
        cells = [output.styled(_cell(row, index, marks), "bold green" if index in row.best else "") for index in block]
        table.add_row(output.styled("  " + shortened(plain(row.key), 200)), *cells)
    output.print_table(console, table)
