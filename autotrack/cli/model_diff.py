"""``autotrack models diff``: what two models, and the runs that made them, differ in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import click

from autotrack.cli import output
from autotrack.cli.compare import document, print_rows
from autotrack.cli.output import format_option, store_option
from autotrack.query.comparing import Row, rows_of, values_of
from autotrack.query.text import shortened

if TYPE_CHECKING:
    from autotrack.query.view import RunView
    from autotrack.stores.registry import RegistryStore

_WIDTH: Final = 20


@dataclass(frozen=True, slots=True)
class _Side:
    """One of the models: the run that made it, what it is called, and what is known of it, by kind and key."""

    run: RunView
    name: str
    facts: Mapping[str, Mapping[str, Any]]


@click.command(short_help="Show what two models differ in.")
@click.argument("models", nargs=-1, required=True, metavar="A B")
@click.option("--all", "-a", "everything", is_flag=True, help="Also what is equal.")
@format_option("table", "json", "csv")
@store_option
def diff(models: tuple[str, ...], everything: bool, format_: str, store: str | None) -> None:
    """Show what two models differ in: params, metrics, signature, requirements, data, versions. Nothing is unpickled.

    A and B are NAME/VERSION or NAME@ALIAS of registered models, RUN[:PATH], or a URI (models:/…, runs:/…).

    \b
    Examples:
      autotrack models diff churn/2 churn/3
      autotrack models diff churn@champion latest
    """
    from autotrack.query.registering import registry

    if len(models) < 2:
        raise click.UsageError("one model is compared with another: name two")
    with registry(store) as opened:
        sides = [_side(opened, reference) for reference in models]
    views = [side.run for side in sides]
    rows = []
    for kind in dict.fromkeys(kind for side in sides for kind in side.facts):
        keys = dict.fromkeys(key for side in sides for key in side.facts.get(kind, {}))
        rows += [Row(kind, key, tuple(side.facts.get(kind, {}).get(key) for side in sides)) for key in keys]
    kept = [row for row in rows if everything or row.differs]
    kept = [row for row in kept if row.kind == "model"] + [
        *rows_of(views, everything, facts=False),
        *(row for row in kept if row.kind != "model"),
    ]
    names = [side.name for side in sides]
    match format_:
        case "json":
            output.print_json(document(views, kept, names))
        case "csv":
            output.print_csv(["kind", "key", *names], [[row.kind, row.key, *values_of(row)] for row in kept])
        case _:
            print_rows(views, [_short(row) for row in kept], names)


def _side(store: RegistryStore, reference: str) -> _Side:
    from autotrack.cli.registry import model_uri
    from autotrack.query.registered import find_registered
    from autotrack.query.registering import find_model
    from autotrack.query.view import RunView

    uri = model_uri(reference, store)
    version = find_registered(uri, store).version if uri.startswith("models:") else None
    run_id, model = find_model(uri, store)
    run = RunView(store.get_run(run_id), store)
    logged = next(one for one in run.models if one.path == model.path)
    about = {
        "version": None if version is None else f"{version.name}/{version.version}",
        "aliases": None if version is None or not version.aliases else ", ".join(version.aliases),
        "run": run.run_id,
        "path": model.path,
        "estimator_class": logged.estimator_class or None,
        "serialization_format": logged.serialization_format or None,
        "size": logged.size,
        "digest": model.digest or None,
    }
    facts: dict[str, Mapping[str, Any]] = {"model": about}
    facts["signature"] = _tolerant(lambda: _signature(run, model.path))
    facts["requirements"] = _tolerant(lambda: _requirements(run, model.path))
    facts["datasets"] = {f"{data.name or 'unnamed'} ({data.context})": data.digest for data in run.datasets}
    facts["versions"] = _versions(run)
    name = f"{run.run_id[:8]}:{model.path}" if version is None else f"{version.name}/{version.version}"
    return _Side(run, name, facts)


def _short(row: Row) -> Row:
    """The row with ids and digests cut, so that the columns stand side by side."""
    if (row.kind, row.key) not in (("model", "run"), ("model", "digest")) and row.kind != "datasets":
        return row
    return replace(row, values=tuple(None if value is None else shortened(value, _WIDTH) for value in row.values))


def _tolerant(read: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What a file of the model's folder tells; where it cannot be read, that is told instead."""
    from autotrack.errors import AutotrackError

    try:
        return read()
    except (AutotrackError, OSError, UnicodeDecodeError) as error:
        return {"(cannot be read)": str(error)}


def _signature(run: RunView, path: str) -> dict[str, Any]:
    from autotrack.models.mlmodel import MLMODEL, read_mlmodel
    from autotrack.models.signature import TensorSpec

    signature = read_mlmodel(run.artifact_path(f"{path}/{MLMODEL}").parent).signature
    if signature is None:
        return {}
    told = {}
    for side, specs in (("input", signature.inputs), ("output", signature.outputs or ())):
        for number, spec in enumerate(specs):
            name = spec.name if spec.name is not None else f"[{number}]"
            if isinstance(spec, TensorSpec):
                told[f"{side} {name}"] = f"tensor {spec.dtype} {'×'.join(map(str, spec.shape))}"
            else:
                told[f"{side} {name}"] = f"{spec.type}{'' if spec.required else ' (optional)'}"
    return told


def _requirements(run: RunView, path: str) -> dict[str, Any]:
    text = run.artifact_path(f"{path}/requirements.txt").read_text(encoding="utf-8")
    pinned = {}
    for line in text.splitlines():
        line = line.partition("#")[0].strip()
        if line:
            name, equals, version = line.partition("==")
            pinned[name if equals else line] = version if equals else "any"
    return pinned


def _versions(run: RunView) -> dict[str, Any]:
    facts = run.environment
    packages = facts.get("packages")
    told = {"python": facts.get("python"), "autotrack": facts.get("autotrack")}
    if isinstance(packages, Mapping):
        told |= {str(name): version for name, version in packages.items()}
    git = facts.get("git")
    if isinstance(git, Mapping):
        told["git commit"] = git.get("commit")
    return {key: value for key, value in told.items() if value is not None}
