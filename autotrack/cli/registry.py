"""``autotrack models register``, ``list``, ``show``, ``alias``, ``delete``: registered models and their versions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Final

import click

from autotrack.cli import output
from autotrack.cli.output import format_option, store_option

if TYPE_CHECKING:
    from autotrack.entities import ModelVersion, RegisteredModel, Run
    from autotrack.query.registered import RegisteredReference
    from autotrack.stores.registry import RegistryStore

_WIDTH: Final = 40
_MODEL_COLUMNS: Final = ("name", "latest_version", "aliases", "created_time", "description", "tags")
_VERSION_COLUMNS: Final = (
    *("name", "version", "aliases", "stage", "created_time", "run_id", "path", "digest", "description", "tags"),
)


@click.command(short_help="Register a run's model as the next version of a name.")
@click.argument("model", metavar="RUN[:PATH]|REF")
@click.argument("name", metavar="NAME")
@click.option("--alias", metavar="ALIAS", help="Let this alias point to the new version.")
@click.option("--description", default="", metavar="TEXT", help="What is to be said of the version.")
@click.option("--tag", "tags", multiple=True, metavar="KEY=VALUE", help="A tag of the version; may be repeated.")
@format_option("table", "json", "csv")
@store_option
def register(
    model: str, name: str, alias: str | None, description: str, tags: tuple[str, ...], format_: str, store: str | None
) -> None:
    """Make of a recorded model the next version of the registered model NAME.

    RUN is an id, the beginning of one, a name or 'latest'; PATH is where the model is among its artifacts, and can be
    left out where the run has one model. REF is runs:/ID/model or a version of another name, models:/OTHER/3.

    \b
    Examples:
      autotrack models register latest churn
      autotrack models register 3f2a:model churn --alias champion --tag reviewed=yes
    """
    from autotrack.query.registering import register_model, registry

    pairs = _pairs(tags)
    with registry(store) as opened:
        uri = model_uri(model, opened)
        version = register_model(uri, name, description=description, tags=pairs, alias=alias, store=opened)
    if format_ == "table":
        from autotrack.query.text import plain

        pointing = f", {plain(alias)} points to it" if alias else ""
        click.echo(f"Registered {plain(version.name)} version {version.version}{pointing}: models:/{_uri(version)}")
    else:
        _print_versions([version], format_, whole=version)


@click.command("list", short_help="List the registered models.")
@format_option("table", "json", "csv")
@store_option
def list_(format_: str, store: str | None) -> None:
    """List the registered models, with their latest version and their aliases."""
    from autotrack.query.registering import list_registered_models

    models = list_registered_models(store=store)
    match format_:
        case "json":
            output.print_json([asdict(model) for model in models])
        case "csv":
            rows = [[_cell(asdict(model)[key]) for key in _MODEL_COLUMNS] for model in models]
            output.print_csv(_MODEL_COLUMNS, rows)
        case _:
            _print_models(models)


@click.command(short_help="Show a registered model, or one of its versions.")
@click.argument("model", metavar="NAME[/VERSION|@ALIAS]")
@format_option("table", "json", "csv")
@store_option
def show(model: str, format_: str, store: str | None) -> None:
    """Show a registered model with its versions, or one version with its run.

    \b
    Examples:
      autotrack models show churn
      autotrack models show churn/3
      autotrack models show churn@champion --format json
    """
    from autotrack.entities import shown_tags
    from autotrack.query.registered import as_shown, find_version
    from autotrack.query.registering import registry

    with registry(store) as opened:
        wanted = _reference(model, opened)
        if wanted.version or wanted.alias:
            version = as_shown(find_version(opened, wanted))
            if format_ == "table":
                _print_version(version, _run(opened, version))
            else:
                _print_versions([version], format_, whole=version)
            return
        found = opened.registered_model(wanted.name)
        found = replace(found, tags=shown_tags(found.tags))
        versions = [as_shown(version) for version in opened.model_versions(wanted.name)]
        if format_ == "table":
            _print_model(found, versions, [_run(opened, version) for version in versions[-_LISTED:]])
        elif format_ == "json":
            output.print_json({**asdict(found), "versions": [asdict(version) for version in versions]})
        else:
            _print_versions(versions, format_)


_LISTED: Final = 50


@click.command(short_help="Let an alias point to a version, or take it away.")
@click.argument("name", metavar="NAME")
@click.argument("alias", metavar="ALIAS")
@click.argument("version", metavar="[VERSION]", required=False)
@click.option("--delete", is_flag=True, help="Take the alias away; the version stays.")
@store_option
def alias(name: str, alias: str, version: str | None, delete: bool, store: str | None) -> None:
    """Let an alias point to a version, and to no other any more.

    VERSION is a number, 'latest' or another alias as @ALIAS.

    \b
    Examples:
      autotrack models alias churn champion 3
      autotrack models alias churn champion --delete
    """
    from autotrack.query.registering import delete_model_alias, set_model_alias
    from autotrack.query.text import plain

    if delete == (version is not None):
        raise click.UsageError("give the version that the alias is to point to, or --delete, and not both")
    if version is None:
        delete_model_alias(name, alias, store=store)
        click.echo(f"The alias {plain(alias)} of {plain(name)} is gone.")
    else:
        found = set_model_alias(name, alias, version, store=store)
        click.echo(f"{plain(name)}@{plain(alias)} is version {found.version} now.")


@click.command(short_help="Delete a version, or a registered model with all of them.")
@click.argument("model", metavar="NAME[/VERSION]")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@store_option
def delete(model: str, yes: bool, store: str | None) -> None:
    """Delete a version, or a registered model with all its versions. Runs and files stay.

    The number of a deleted version is not given again. What an alias points to is not deleted.
    """
    from autotrack.query.registered import find_version
    from autotrack.query.registering import registry
    from autotrack.query.text import plain, plural

    with registry(store) as opened:
        wanted = _reference(model, opened)
        if wanted.alias:
            raise click.UsageError("name the version by its number: what an alias points to is not deleted")
        if wanted.version:
            number = find_version(opened, wanted).version
            _ask(f"Delete {plain(wanted.name)} version {number}?", yes)
            opened.delete_model_version(wanted.name, number)
            click.echo(f"Deleted {plain(wanted.name)} version {number}.")
        else:
            count = plural(len(opened.model_versions(wanted.name)), "version")
            _ask(f"Delete the registered model {plain(wanted.name)} with {count}?", yes)
            opened.delete_registered_model(wanted.name)
            click.echo(f"Deleted {plain(wanted.name)} with {count}.")


def model_uri(reference: str, store: RegistryStore) -> str:
    """The URI of a model that a person named: ``RUN``, ``RUN:PATH``, ``NAME/VERSION``, ``NAME@ALIAS`` or a URI."""
    from autotrack.errors import RunNotFound
    from autotrack.query.finding import find_run

    if reference.startswith(("runs:/", "models:")):
        return reference
    try:
        run, path = find_run(store, reference), ""
    except RunNotFound:  # a run's name may have a colon in it
        before, colon, path = reference.rpartition(":")
        if not colon and ("/" in reference or "@" in reference):
            return f"models:/{reference}"
        if not colon:
            raise
        run = find_run(store, before)
    if not path:
        paths = [model.path for model in run.models]
        path = "model" if "model" in paths or not paths else paths[0]
        if len(paths) > 1 and "model" not in paths:
            raise click.UsageError(f"run {run.run_id} has several models: {', '.join(paths)}; name one, as RUN:PATH")
    return f"runs:/{run.run_id}/{path}"


def _reference(text: str, store: RegistryStore) -> RegisteredReference:
    """What ``NAME``, ``NAME/VERSION`` or ``NAME@ALIAS`` names; a name may have an ``@`` in it."""
    from autotrack.errors import ModelNotFound
    from autotrack.query.registered import RegisteredReference, parse

    name = text.removeprefix("models:").strip("/") if text.startswith("models:/") else text
    if "/" not in name:
        try:
            store.registered_model(name)
            return RegisteredReference(name)
        except ModelNotFound:
            if "@" not in name:
                raise
    return parse(f"models:/{name}")


def _run(store: RegistryStore, version: ModelVersion) -> Run | None:
    from autotrack.errors import RunNotFound

    try:
        return store.get_run(version.run_id)
    except RunNotFound:
        return None


def _pairs(tags: Sequence[str]) -> dict[str, str]:
    pairs = {}
    for tag in tags:
        key, equals, value = tag.partition("=")
        if not equals or not key:
            raise click.UsageError(f"{tag!r} is no tag; write key=value")
        pairs[key] = value
    return pairs


def _ask(question: str, yes: bool) -> None:
    if not yes:
        if not output.can_ask():
            raise click.UsageError("nobody is there to ask: give --yes")
        click.confirm(question, abort=True)


def _uri(version: ModelVersion) -> str:
    from autotrack.query.text import plain

    return f"{plain(version.name)}/{version.version}"


def _cell(value: Any) -> Any:
    if isinstance(value, dict):
        return " ".join(f"{key}={value}" for key, value in value.items())
    return " ".join(value) if isinstance(value, tuple) else value


def _print_versions(versions: Sequence[ModelVersion], format_: str, whole: ModelVersion | None = None) -> None:
    if format_ == "json":
        output.print_json([asdict(version) for version in versions] if whole is None else asdict(whole))
        return
    rows = [[_cell(asdict(version)[key]) for key in _VERSION_COLUMNS] for version in versions]
    output.print_csv(_VERSION_COLUMNS, rows)


def _print_models(models: Sequence[RegisteredModel]) -> None:
    from autotrack.query.text import ago, shortened

    console = output.console()
    if not models:
        console.print("No model is registered. To register one: autotrack models register latest NAME")
        return
    rows = []
    for model in models:
        aliases = ", ".join(f"{alias} → {version}" for alias, version in model.aliases.items())
        latest = "–" if model.latest_version is None else str(model.latest_version)
        said = shortened(model.description, _WIDTH)
        rows.append([model.name, latest, aliases, ago(model.created_time), said])
    _print_table(["name", "latest", "aliases", "created", "description"], rows)


def _print_model(model: RegisteredModel, versions: Sequence[ModelVersion], runs: Sequence[Run | None]) -> None:
    from autotrack.query.text import ago, plain, shortened

    click.echo(plain(model.name) + (f": {plain(model.description)}" if model.description else ""))
    for key, value in model.tags.items():
        click.echo(f"  {plain(key)}={plain(value)}")
    if not versions:
        click.echo("All its versions were deleted.")
        return
    rows = []
    for version, run in zip(versions[-_LISTED:], runs, strict=True):
        name = "(not there)" if run is None else run.name + (" (deleted)" if run.deleted_time is not None else "")
        pointing = ", ".join([*version.aliases, *([version.stage] if version.stage else [])])
        said = shortened(version.description, _WIDTH)
        rows.append([str(version.version), pointing, ago(version.created_time), version.run_id[:8], name, said])
    _print_table(["version", "aliases", "created", "run", "run name", "description"], rows)
    if len(versions) > _LISTED:
        click.echo(f"… and {len(versions) - _LISTED:,} before these: --format csv lists all")


def _print_version(version: ModelVersion, run: Run | None) -> None:
    from autotrack.query.text import number, plain, size, stamp
    from autotrack.query.view import by_interest

    logged = None if run is None else next((one for one in run.models if one.path == version.path), None)
    facts = [
        ("aliases", ", ".join(version.aliases)),
        ("stage", version.stage),
        ("created", stamp(version.created_time)),
        ("description", version.description),
        *((f"tag {key}", value) for key, value in version.tags.items()),
        ("run", f"{version.run_id}  {'(not there)' if run is None else f'{run.name}  {run.status}'}"),
        ("deleted run", "autotrack restore brings it back" if run is not None and run.deleted_time is not None else ""),
        ("path", version.path),
        ("model", "" if logged is None else f"{logged.estimator_class}  {logged.serialization_format}"),
        ("size", "" if logged is None else size(logged.size)),
        ("digest", version.digest),
    ]
    if run is not None:
        facts += [(key, number(run.metrics[key], 6)) for key in by_interest(run.metrics)]
    click.echo(f"{plain(version.name)} version {version.version}")
    wide = max(len(key) for key, value in facts if value)
    for key, value in facts:
        if value:
            click.echo(f"  {plain(key).ljust(wide)}  {plain(value)}")
    click.echo(f"\nLoad it: autotrack.load_model({f'models:/{_uri(version)}'!r})")


def _print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for name in header:
        table.add_column(name, justify="right" if name in ("version", "latest") else "left", overflow="fold")
    for row in rows:
        table.add_row(*(output.styled(cell) for cell in row))
    output.print_table(output.console(), table)
