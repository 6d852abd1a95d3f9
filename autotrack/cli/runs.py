"""``autotrack runs``: the runs of a store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from autotrack.cli import output
from autotrack.cli.output import format_option, store_option

if TYPE_CHECKING:
    from rich.table import Table

    from autotrack.cli.columns import Column
    from autotrack.entities import Run
    from autotrack.stores.base import Store, View

_PADDING = 2
_WIDE_TERMINAL = 110
_WIDE_HEADER, _NARROW_HEADER = 14, 9


@click.command(short_help="List runs, the newest first.")
@click.option("--filter", "-f", "filter_", metavar="FILTER", help="Only the runs that it names; see above.")
@click.option("--order-by", "-s", multiple=True, metavar="KEY", help='Sort, e.g. "metrics.rmse" or "start_time DESC".')
@click.option("--columns", "-c", metavar="A,B", help="Columns to show, e.g. params.alpha,metrics.r2_score.")
@format_option("table", "json", "csv")
@click.option("--limit", "-n", type=click.IntRange(min=0), default=20, show_default=True, help="How many; 0 for all.")
@click.option("--experiment", "-e", metavar="NAME", help="Only the runs of this experiment.")
@click.option("--deleted", is_flag=True, help="The deleted runs instead of the others.")
@store_option
def runs(
    filter_: str | None,
    order_by: tuple[str, ...],
    columns: str | None,
    format_: str,
    limit: int,
    experiment: str | None,
    deleted: bool,
    store: str | None,
) -> None:
    """List runs, the newest first.

    The table shows the metrics and params that fit and tell the runs apart; json and csv hold everything.

    \b
    Examples:
      autotrack runs
      autotrack runs --filter "metrics.r2_score_test_x > 0.4 and params.alpha = '0.05'"
      autotrack runs --filter "status = 'FAILED' or tags.estimator_name LIKE '%Forest%'"
      autotrack runs --order-by metrics.mean_squared_error_test_x --limit 5
      autotrack runs --columns name,params.alpha,metrics.r2_score_test_x --format csv > runs.csv

    A filter compares metrics.*, params.*, tags.* and attributes (status, run_name, start_time …) by
    =, !=, <, <=, >, >=, LIKE, ILIKE, IN and IS NULL, joined by AND, OR, NOT and parentheses.
    """
    from autotrack.cli import columns as choice
    from autotrack.query import list_runs
    from autotrack.query.sources import reading

    with reading(store) as opened:
        view: View = "deleted" if deleted else "active"
        most = limit + 1 if limit else None
        found = list_runs(filter_, order_by, most, experiment=experiment, view=view, store=opened)
        more = 0 < limit < len(found)
        found = found[:limit] if limit else found
        names = [name.strip() for name in columns.split(",") if name.strip()] if columns else []
        wanted = choice.chosen(names, found) if names else []
        match format_:
            case "json":
                _as_json(found, wanted)
                _say_problems(opened)
            case "csv":
                listed = wanted or choice.every(found)
                output.print_csv(
                    [column.name for column in listed], [[column.value(run) for column in listed] for run in found]
                )
                _say_problems(opened)
            case _ if not found:
                _say_empty(opened, narrowed=bool(filter_ or experiment), deleted=deleted)
                _say_problems(opened)
            case _:
                _as_table(found, wanted, opened, which=("first" if order_by else "newest") if more else "")


def _as_json(found: Sequence[Run], wanted: Sequence[Column]) -> None:
    from autotrack.query.view import summary

    if wanted:
        output.print_json([{column.name: column.value(run) for column in wanted} for run in found])
    else:
        output.print_json([summary(run) for run in found])


def _say_empty(store: Store, *, narrowed: bool, deleted: bool) -> None:
    from autotrack.query.text import plain

    place = plain(store.uri)
    if deleted:
        click.echo(f"No deleted run in {place}{' matches' if narrowed else ''}.")
    elif narrowed and store.search_runs(None, (), 1):
        click.echo(f"No run in {place} matches. All of them: autotrack runs")
    else:
        click.echo(f"No runs yet in {place}.\nRecord some: autotrack run train.py")


def _say_problems(store: Store, said: Sequence[str] = ()) -> None:
    from autotrack.query.text import plain, plural

    problems = [problem for problem in store.problems() if problem not in said]
    for problem in problems[:3]:
        click.echo(f"! {plain(problem)}", err=True)
    if len(problems) > 3:
        click.echo(f"! … and {plural(len(problems) - 3, 'more problem')} in {plain(store.uri)}", err=True)


def _as_table(found: Sequence[Run], wanted: Sequence[Column], store: Store, *, which: str) -> None:
    from autotrack.query.text import plural, shortened

    console = output.console()
    table, hidden = _table(found, wanted, console.width)
    output.print_table(console, table)
    for run in found:
        if run.broken:
            console.print(output.styled(f"! {run.run_id[:8]} is broken: {shortened(run.broken, 300)}", "magenta"))
    notes = []
    if which:
        notes.append(f"only the {which} {plural(len(found), 'run')}: --limit 0 lists all")
    if hidden:
        notes.append(f"{plural(hidden, 'more column')}: --columns, or --format csv")
    for note in notes:
        console.print(output.styled(note, "dim"))
    console.file.flush()
    _say_problems(store, [run.broken for run in found if run.broken])


def _table(found: Sequence[Run], wanted: Sequence[Column], width: int) -> tuple[Table, int]:
    """The table, and how many telling columns it has no room for."""
    from rich.cells import cell_len
    from rich.table import Table

    from autotrack.cli import columns as choice
    from autotrack.query.text import ago, plain, seconds, shortened

    table = Table(box=None, padding=(0, _PADDING, 0, 0), pad_edge=False, header_style="bold", show_edge=False)
    cells: list[list[str]] = []
    styles: list[list[str]] = []

    def add(header: str, values: list[str], *, right: bool = False, style: list[str] | None = None) -> int:
        table.add_column(
            output.styled_lines(header), justify="right" if right else "left", no_wrap=True, overflow="ellipsis"
        )
        cells.append(values)
        styles.append(style or [""] * len(values))
        return measured(header, values)

    def measured(header: str, values: list[str]) -> int:
        return max(cell_len(line) for line in [*header.split("\n"), *values]) + _PADDING

    hidden = 0
    if wanted:
        for column in wanted:
            colours = [output.COLOURS.get(run.status, "") for run in found] if column.name == "status" else None
            add(column.header(_WIDE_HEADER), column.cells(found), right=column.right, style=colours)
    else:
        names = [("↳ " if run.parent_run_id else "") + run.name for run in found]
        statuses = [run.status + (" !" if run.broken and run.status != "BROKEN" else "") for run in found]
        longest = choice.NAME_WIDTH if width >= _WIDE_TERMINAL else choice.NAME_WIDTH_NARROW
        used = add("id", [run.run_id[: choice.SHORT_ID] for run in found], style=["cyan"] * len(found))
        used += add("name", [shortened(plain(name), longest) for name in names])
        used += add("started", [ago(run.start_time) for run in found], style=["dim"] * len(found))
        if any(run.deleted_time is not None for run in found):
            used += add("deleted", [ago(run.deleted_time) for run in found], style=["dim"] * len(found))
        used += add("took", [seconds(run.duration) for run in found], right=True)
        used += add("status", statuses, style=[output.COLOURS.get(run.status, "") for run in found])
        folding = _WIDE_HEADER if width >= _WIDE_TERMINAL else _NARROW_HEADER
        fitting = {}
        for column in choice.telling(found):
            header = column.header(folding)
            values = [shortened(value, choice.VALUE_WIDTH) for value in column.cells(found)]
            room = measured(header, values)
            if used + room - _PADDING <= width:
                used += room
                fitting[column] = header, values
            else:
                hidden += 1
        for column in choice.in_reading_order(fitting):
            add(*fitting[column], right=column.right)
    for row in range(len(found)):
        table.add_row(*(output.styled(column[row], style[row]) for column, style in zip(cells, styles, strict=True)))
    return table, hidden
