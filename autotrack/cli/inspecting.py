"""``autotrack models inspect``: a model, looked at without loading it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from autotrack.cli import output
from autotrack.cli.output import format_option, store_option

if TYPE_CHECKING:
    from rich.console import Console

    from autotrack.models.estimators import Estimator
    from autotrack.models.inspecting import Inspection
    from autotrack.models.signature import Spec
    from autotrack.query.locating import LocatedModel

_LISTED: Final = 40
_LONGEST: Final = 300
_STEPS: Final = 60
_LISTS: Final = ("steps", "transformers", "transformer_list", "estimators")
"""Parameters whose estimators are shown by the names that they have there."""


@click.command(short_help="Look into a model without loading it.")
@click.argument("reference", metavar="REF")
@click.option(
    "--html",
    "page",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a page that shows the model's estimators.",
)
@format_option("text", "json")
@store_option
def inspect(reference: str, page: Path | None, format_: str, store: str | None) -> None:
    """Look into a model without loading it: nothing of it is unpickled, imported or run.

    REF is runs:/ID/model, models:/NAME/VERSION, a model's folder, or s3://bucket/path of one. Shown are its signature,
    files, requirements, estimators, the types that loading it would import (those that could run anything are marked),
    whether it is what was logged, and whether load_model would take it from where it is.

    \b
    Examples:
      autotrack models inspect runs:/latest/model
      autotrack models inspect models:/churn/3 --html churn.html
      autotrack models inspect ./downloaded --format json
    """
    from autotrack.models.inspecting import inspect_model
    from autotrack.query.locating import locate_model

    located = locate_model(reference, store=store)
    found = inspect_model(located.folder, digest=located.digest)
    if page is not None:
        _write_page(page, reference, located, found)
    if format_ == "json":
        output.print_json({"reference": reference, **_trust(located, found), **found.to_dict()})
    else:
        _print(reference, located, found)
        if page is not None:
            click.echo(f"\nWrote {page}.")


def _trust(located: LocatedModel, found: Inspection) -> dict[str, Any]:
    return {
        "trusted": not located.doubt,
        "doubt": located.doubt or None,
        "loads": not (found.runs_code and located.doubt) and found.digest_state != "different",
    }


def _write_page(page: Path, reference: str, located: LocatedModel, found: Inspection) -> None:
    from autotrack.models.diagram import render
    from autotrack.query.text import plain, size

    info = found.info
    facts = {
        "Run": located.run.run_id if located.run is not None else info.run_id,
        "Written": info.created,
        "Format": f"{info.serialization_format or 'pickle'}, {size(found.size)}",
        "By": _versions(found),
        "Could run anything": ", ".join(found.dangers),
    }
    trouble = found.reading.trouble if found.reading is not None else "its format is not looked into"
    document = render(plain(reference), {key: plain(value) for key, value in facts.items()}, found.estimator, trouble)
    page.write_text(document, encoding="utf-8", errors="backslashreplace")


def _print(reference: str, located: LocatedModel, found: Inspection) -> None:
    from autotrack.query.text import size

    console = output.console()
    info = found.info
    name = found.estimator.name if found.estimator is not None else info.estimator_class.rpartition(".")[2]
    console.print(output.styled(f"{name or 'A model'}  {reference}", "bold"), soft_wrap=True)
    facts = [
        ("class", info.estimator_class or _class(found.estimator)),
        ("format", f"{info.serialization_format or 'pickle'}{', which runs code when loaded' * found.runs_code}"),
        ("written", f"{info.created} by {_versions(found)}".strip()),
        ("run", f"{info.run_id}  {info.artifact_path}".strip()),
        ("folder", os.fspath(info.folder)),
        ("digest", f"{found.digest}  ({_DIGESTS[found.digest_state]})"),
        ("loading", _loading(located, found)),
    ]
    _rows(console, "", ((key, value) for key, value in facts if value))
    if found.version_difference:
        console.print(output.styled(f"! {found.version_difference}", "yellow"), soft_wrap=True)
    for problem in found.problems:
        console.print(output.styled(f"! {problem}", "red"), soft_wrap=True)
    _print_signature(console, found)
    _rows(console, "Estimators", _tree(found.estimator))
    _rows(console, f"Files ({size(found.size)})", _some((f.path, f"{size(f.size)}  {f.note}") for f in found.files))
    _rows(console, "Requirements", _some((line, "") for line in found.requirements))
    if found.types:
        console.print()
        console.print(output.styled("Types that loading would import", "bold"))
    for group, names in found.types.items():
        console.print(output.styled(f"  {group} ({len(names)})", "dim"))
        for dotted in names[:_LISTED]:
            mark = found.dangers.get(dotted)
            line = f"    {dotted}" if mark is None else f"  ! {dotted}: {mark}"
            console.print(output.styled(line, "red" if mark else ""), soft_wrap=True)
        if len(names) > _LISTED:
            console.print(output.styled(f"    … and {len(names) - _LISTED} more; --format json has them all"))
    if found.carries_code:
        console.print(output.styled("  Functions or classes of the script travel in the file as code.", "yellow"))
    if unknown := sorted(set(found.dangers) - {name for names in found.types.values() for name in names}):
        for dotted in unknown:
            console.print(output.styled(f"  ! {dotted}: {found.dangers[dotted]}", "red"), soft_wrap=True)
    if found.untrusted_types:
        line = f"  Loading asks for these to be trusted: load_model(…, trusted_types={found.untrusted_types})"
        console.print(output.styled(line, "yellow"), soft_wrap=True)


_DIGESTS: Final = {
    "verified": "it is what was logged",
    "different": "it is NOT what was logged",
    "unknown": "none was logged to compare it with",
}


def _loading(located: LocatedModel, found: Inspection) -> str:
    if found.digest_state == "different":
        return "refused, because it is not what was logged"
    if not located.doubt:
        return "allowed"
    if found.runs_code:
        return f"refused unless trusted, because it comes from {located.doubt}"
    return f"allowed, because nothing of it runs, though it comes from {located.doubt}"


def _versions(found: Inspection) -> str:
    info = found.info
    parts = [f"Python {info.python_version}" * bool(info.python_version)]
    parts.append(f"scikit-learn {info.sklearn_version}" * bool(info.sklearn_version))
    return ", ".join(part for part in parts if part)


def _class(estimator: Estimator | None) -> str:
    return "" if estimator is None else f"{estimator.module}.{estimator.name}".strip(".")


def _print_signature(console: Console, found: Inspection) -> None:
    signature = found.info.signature
    if signature is None:
        return
    _table(console, f"Inputs ({len(signature.inputs)})", signature.inputs)
    if signature.outputs is not None:
        _table(console, "Outputs", signature.outputs)


def _table(console: Console, title: str, specs: Iterable[Spec]) -> None:
    from autotrack.models.signature import ColumnSpec

    rows = []
    for number, spec in enumerate(specs):
        name = f"({number})" if spec.name is None else str(spec.name)
        if isinstance(spec, ColumnSpec):
            kind = spec.type if isinstance(spec.type, str) else str(dict(spec.type))
            rows.append((name, kind + ("" if spec.required else ", may be missing")))
        else:
            shape = " × ".join("any" if length == -1 else str(length) for length in spec.shape)
            rows.append((name, f"{spec.dtype}, {shape}"))
    _rows(console, title, _some(iter(rows)))


def _tree(estimator: Estimator | None) -> Iterator[tuple[str, str]]:
    if estimator is None:
        return
    count = 0
    waiting = [(estimator, 0)]
    while waiting:
        current, depth = waiting.pop()
        count += 1
        if count > _STEPS:
            yield "…", "more; --format json has them all"
            return
        label = f"{current.label}: " if current.label else ""
        changed = [f"{param.name}={param.value}" for param in current.params if param.changed]
        if all(param.changed is None for param in current.params):  # a class whose defaults nobody knows
            changed = [f"{param.name}={param.value}" for param in current.params]
        own = ", ".join(text for text in changed if not _is_part(text, current))
        detail = f"{current.detail}  " if current.detail else ""
        yield f"{'  ' * depth}{label}{current.name}", f"{detail}{own}"
        waiting += [(part, depth + 1) for part in reversed(current.parts)]


def _is_part(text: str, estimator: Estimator) -> bool:
    """Whether a parameter holds the estimators that are listed below it anyway."""
    name = text.partition("=")[0]
    labels = {part.label.partition("[")[0] for part in estimator.parts}
    return name in labels or (bool(estimator.parts) and name in _LISTS)


def _some(rows: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    left = 0
    for number, row in enumerate(rows):
        if number < _LISTED:
            yield row
        else:
            left += 1
    if left:
        yield f"… and {left:,} more", ""


def _rows(console: Console, title: str, rows: Iterable[tuple[str, str]]) -> None:
    from rich.table import Table

    from autotrack.query.text import plain, shortened

    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(overflow="fold", max_width=60)
    table.add_column(overflow="fold")
    for key, value in rows:
        table.add_row(output.styled("  " + shortened(key, _LONGEST)), output.styled(shortened(plain(value), _LONGEST)))
    if table.row_count:
        if title:
            console.print()
            console.print(output.styled(title, "bold"))
        output.print_table(console, table)
