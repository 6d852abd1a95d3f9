"""``autotrack models export``: a model in a format that other programs run."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from autotrack.cli.output import store_option

_CHECKED: Final = 1000


@click.command(short_help="Write a model in another format: ONNX.")
@click.argument("reference", metavar="REF")
@click.option("--format", "format_", type=click.Choice(["onnx"]), required=True, help="What to write.")
@click.option(
    "--output", "-o", "target", required=True, metavar="FILE", type=click.Path(dir_okay=False, path_type=Path)
)
@click.option(
    "--check", metavar="FILE", help="Rows to compare with: CSV, JSON lines, Parquet or Arrow. [default: some]"
)
@click.option("--trusted", is_flag=True, help="Load a pickle wherever it comes from: it runs what stands in it.")
@store_option
def export(reference: str, format_: str, target: Path, check: str | None, trusted: bool, store: str | None) -> None:
    """Write a model as an ONNX file, which runs without Python (needs: pip install 'autotrack[onnx]').

    The file is run and compared with the model before it is written: on made-up rows, or better on the first 1,000 of
    --check FILE. Where the two differ by more than 32-bit numbers explain, nothing is written.

    A model that picks columns by name gets one input of shape (rows, 1) for each column; any other gets one tensor
    'input' of 32-bit numbers, in the order that the file's metadata 'autotrack.columns' tells.

    \b
    Examples:
      autotrack models export runs:/latest/model --format onnx --output model.onnx
      autotrack models export models:/churn/3 --format onnx -o churn.onnx --check holdout.parquet
    """
    from autotrack.models.mlmodel import read_mlmodel
    from autotrack.query.loading import load_located
    from autotrack.query.locating import locate_model
    from autotrack.query.text import plain, plural, size
    from autotrack.serving.batch_reading import Source
    from autotrack.serving.choosing import Choice
    from autotrack.serving.onnx_file import export_onnx
    from autotrack.serving.schema import InputSchema

    found = locate_model(reference, store=store)
    model = load_located(found, trusted=trusted)
    schema = InputSchema.of(read_mlmodel(found.folder), model)
    rows = None
    if check is not None:
        with Source(check) as source:
            rows = next(source.chunks(schema, Choice(ignore_unknown=True), _CHECKED)).data
    done = export_onnx(model, schema, target, rows=rows)
    names = ", ".join(f"{name} {kind}" for name, kind in list(done.inputs.items())[:10])
    more = f" and {len(done.inputs) - 10} more" if len(done.inputs) > 10 else ""
    click.echo(plain(f"{target} ({size(done.size)}): {names}{more} → {', '.join(done.outputs)}"))
    click.echo(
        f"compared with the model on {plural(done.rows, 'row')}{'' if check else ' that were made up'}: the largest "
        f"difference is {done.difference:.1e} of the largest value"
    )
