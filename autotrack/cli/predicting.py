"""``autotrack models predict``: the rows of a file, predicted into another file."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import click

from autotrack.cli.output import store_option

_INPUTS: Final = ("csv", "jsonl", "json", "parquet", "arrow")
_OUTPUTS: Final = ("csv", "jsonl", "parquet", "arrow")
_INTERRUPTED: Final = 130


@click.command(short_help="Predict the rows of a file into another file.")
@click.argument("reference", metavar="REF")
@click.option("--input", "-i", "source", required=True, metavar="FILE", help="CSV, JSON, JSON lines, Parquet or Arrow.")
@click.option("--output", "-o", "target", required=True, metavar="FILE", help="CSV, JSON lines, Parquet or Arrow.")
@click.option("--input-format", type=click.Choice(_INPUTS), help="What the input is. [default: by its name]")
@click.option("--output-format", type=click.Choice(_OUTPUTS), help="What the output is to be. [default: by its name]")
@click.option("--method", metavar="NAME", help="Such as predict_proba. [default: predict]")
@click.option("--keep", multiple=True, metavar="COLUMN", help="Write this column of the input too; can be repeated.")
@click.option("--keep-all", is_flag=True, help="Write all columns of the input too.")
@click.option("--ignore-unknown", is_flag=True, help="Pass over columns that the model does not know.")
@click.option(
    "--chunk-rows", type=click.IntRange(1), default=20_000, show_default=True, metavar="N", help="Rows at once."
)
@click.option("--trusted", is_flag=True, help="Load a pickle wherever it comes from: it runs what stands in it.")
@store_option
def predict(
    reference: str,
    source: str,
    target: str,
    input_format: str | None,
    output_format: str | None,
    method: str | None,
    keep: tuple[str, ...],
    keep_all: bool,
    ignore_unknown: bool,
    chunk_rows: int,
    trusted: bool,
    store: str | None,
) -> None:
    """Predict the rows of a file into another file, in their order.

    The input is read in chunks, so it can be larger than memory (only a plain JSON document is read whole). Columns
    are matched by name and checked as the server does; what does not fit is named with its column and row, and then
    nothing is written. Output columns are 'prediction', or one for each class or output: 'probability_setosa'. A
    column that is kept and that the model does not know, such as an id, does not go to the model.

    FILE can be - for stdin or stdout, with --input-format or --output-format.

    \b
    Examples:
      autotrack models predict models:/churn@champion -i customers.parquet -o scores.parquet --keep customer_id
      autotrack models predict runs:/latest/model -i rows.csv -o proba.csv --method predict_proba
      zcat rows.csv.gz | autotrack models predict ./model -i - --input-format csv -o scores.jsonl
    """
    from autotrack.models.mlmodel import read_mlmodel
    from autotrack.query.loading import load_located
    from autotrack.query.locating import locate_model
    from autotrack.query.text import plain, plural
    from autotrack.serving.batch import predict_file
    from autotrack.serving.choosing import Choice
    from autotrack.serving.problems import BadInput
    from autotrack.serving.schema import InputSchema
    from autotrack.serving.scoring import Scorer

    found = locate_model(reference, store=store)
    model = load_located(found, trusted=trusted)
    info = read_mlmodel(found.folder)
    scorer = Scorer(model, info, InputSchema.of(info, model))
    try:
        with _bar() as progress:
            done = predict_file(
                scorer,
                source,
                target,
                source_format=input_format,
                target_format=output_format,
                method=method,
                choice=Choice(tuple(dict.fromkeys(keep)), keep_all, ignore_unknown),
                chunk_rows=chunk_rows,
                progress=progress,
            )
    except BadInput as problem:
        hint = ""
        if problem.code == "unexpected_column" and not ignore_unknown:
            hint = ". To pass over them: --ignore-unknown; to write them beside the predictions: --keep COLUMN"
        raise click.ClickException(plain(f"{source}: {problem.message}{hint}")) from problem
    except KeyboardInterrupt:
        click.echo("Interrupted: nothing was written.", err=True)
        sys.exit(_INTERRUPTED)
    if done.chunks > 1 and not scorer.row_wise:
        click.echo(
            f"! {type(model).__name__} is not known to predict each row on its own, and the rows came in {done.chunks} "
            f"chunks: if its rows depend on one another, predict all at once with --chunk-rows {done.rows}",
            err=True,
        )
    click.echo(f"{plural(done.rows, 'row')} by {done.method} in {plain(target)}", err=target == "-")


@contextmanager
def _bar() -> Iterator[Callable[[int, int | None, str], None]]:
    """A bar on stderr, in a terminal only; what it gives takes how much is done."""
    from tqdm import tqdm

    with tqdm(desc="predicting", unit="B", unit_scale=True, file=sys.stderr, leave=False, disable=None) as bar:

        def progress(done: int, total: int | None, unit: str) -> None:
            bar.total, bar.unit = total, unit if unit == "B" else f" {unit}"
            bar.update(done - bar.n)

        yield progress
