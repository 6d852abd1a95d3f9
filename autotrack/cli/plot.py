"""``autotrack plot``: the plots of a run as files."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Final

import click

from autotrack.cli.output import store_option

_FORMATS: Final = ("png", "svg", "pdf")
_LONGEST: Final = 100


@click.command(short_help="Draw the plots of a run into files.")
@click.argument("run", default="latest", metavar="[RUN]")
@click.argument("name", required=False, metavar="[NAME]")
@click.option(
    "--out",
    default=".",
    show_default="the folder you are in",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the files; it is made where there is none.",
)
@click.option(
    "--format", "format_", type=click.Choice(_FORMATS), default="png", show_default=True, help="Of the files."
)
@store_option
def plot(run: str, name: str | None, out: Path, format_: str, store: str | None) -> None:
    """Draw the plots of a run into files, and print where they are.

    RUN is its id, the beginning of its id (4 characters or more), its name, or 'latest' (the default). NAME is one of
    the plots that 'autotrack show' lists; 'roc_curve' is short for that of the held-out data, else of the training
    data. All plots are drawn when it is left out.

    \b
    Examples:
      autotrack plot
      autotrack plot latest roc_curve --out figures
      autotrack plot 3f2a --out figures --format pdf
    """
    from autotrack.errors import PlotError, RunNotFound
    from autotrack.query import get_run, plots
    from autotrack.query.text import plain

    try:
        view = get_run(run, store=store)
    except RunNotFound as error:
        if name is None and run != "latest" and not re.fullmatch("[0-9a-fA-F]+", run):
            hint = f"If that is a plot, name its run first: autotrack plot latest {plain(run)}"
            raise RunNotFound(f"{error}\n{hint}") from error
        raise
    problems: list[str] = []
    if name is not None:
        found = dict([plots.find(view, name)])
    else:
        found, problems = plots.read(view)
        if not found:
            raise PlotError(plots.nothing(view, problems))

    from autotrack.plots.drawing import save

    out.mkdir(parents=True, exist_ok=True)
    taken: set[str] = set()
    for whole_name, data in found.items():
        path = out / f"{_file_name(whole_name, taken)}.{format_}"
        try:
            save(data, path)
        except PlotError as error:
            if name is not None:
                raise
            problems.append(f"{plain(whole_name)}: {plain(str(error))}")
        else:
            click.echo(plain(str(path)))
    for problem in problems:
        click.echo(f"Not drawn: {problem}", err=True)
    if problems:
        sys.exit(1)


def _file_name(name: str, taken: set[str]) -> str:
    """A plot's name as that of a file, no other's, in no other folder and on any system."""
    plain = re.sub(r"[^\w.\-]+", "_", name).strip(".")[:_LONGEST] or "plot"
    unique, number = plain, 2
    while unique.lower() in taken:
        unique, number = f"{plain}-{number}", number + 1
    taken.add(unique.lower())
    return unique
