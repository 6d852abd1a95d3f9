"""``autotrack show``: one run, whole."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from autotrack.cli import output
from autotrack.cli.output import format_option, store_option

if TYPE_CHECKING:
    from rich.console import Console

    from autotrack.entities import Dataset
    from autotrack.query.view import RunView

_LONGEST: Final = 500
_KEY_WIDTH: Final = 44
_CHILDREN: Final = 10
_COLUMNS: Final = 12
_PACKAGES: Final = ("scikit-learn", "numpy", "scipy", "pandas", "joblib", "xgboost", "lightgbm", "catboost")


@click.command(short_help="Show one run, whole.")
@click.argument("run", default="latest", metavar="[RUN]")
@format_option("text", "json")
@store_option
def show(run: str, format_: str, store: str | None) -> None:
    """Show one run, whole.

    RUN is its id, the beginning of its id (4 characters or more), its name, or 'latest' (the default).

    \b
    Examples:
      autotrack show
      autotrack show 3f2a
      autotrack show latest --format json
    """
    from autotrack.query import get_run

    view = get_run(run, store=store)
    if format_ == "json":
        output.print_json(view.to_dict())
    else:
        _print(view)


def _print(run: RunView) -> None:
    from autotrack.query.text import number
    from autotrack.query.view import by_interest

    console = output.console()
    _head(console, run)
    metrics = run.metrics
    _section(console, "Params", run.params.items())
    _section(console, "Metrics", ((key, number(metrics[key], 6)) for key in by_interest(metrics)))
    _section(console, "Tags", sorted(run.tags.items()))
    _section(console, "Data", _datasets(run.datasets))
    _section(console, "Models", ((model.path, _model(model)) for model in run.models))
    plots = _plots(console, run)
    _artifacts(console, run)
    _section(console, "Capture report", run.capture_report.lines())
    _section(console, "Environment", _environment(run.environment))
    _children(console, run)
    if run.error:
        console.print()
        console.print(output.styled("Error", "bold red"))
        for line in run.error.rstrip().splitlines():
            console.print(output.styled("  " + line), soft_wrap=True)
    _next(console, run, plots)


def _head(console: Console, run: RunView) -> None:
    from rich.text import Text

    from autotrack.query import text

    console.print(
        Text.assemble(
            (text.shortened(text.plain(run.name), _LONGEST) or "(unnamed)", "bold"),
            "  ",
            (run.status, output.COLOURS.get(run.status, "")),
            "  ",
            (run.run_id, "cyan"),
        ),
        soft_wrap=True,
    )
    facts = []
    if run.start_time is not None:
        milliseconds = round(run.start_time.timestamp() * 1000)
        facts.append(f"started {text.stamp(milliseconds)} ({text.ago(milliseconds)})")
    if run.duration is not None:
        facts.append(f"took {text.seconds(run.duration)}")
    facts.append(f"experiment {text.plain(run.experiment)}")
    if run.parent_run_id:
        facts.append(f"child of {run.parent_run_id[:8]}")
    console.print(Text(", ".join(facts), style="dim"))
    if run.deleted_time is not None:
        when = text.stamp(round(run.deleted_time.timestamp() * 1000))
        console.print(
            output.styled(f"! deleted on {when}; to bring it back: autotrack restore {run.run_id[:12]}", "yellow"),
            soft_wrap=True,
        )
    if run.broken:
        console.print(output.styled(f"! broken: {run.broken}", "magenta"))


def _section(console: Console, title: str, rows: Iterable[tuple[str, str]]) -> None:
    from rich.table import Table

    from autotrack.query.text import plain, shortened

    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(overflow="fold", max_width=_KEY_WIDTH)
    table.add_column(overflow="fold")
    for key, value in rows:
        shown = plain(value)
        if len(shown) > _LONGEST:
            shown = shortened(shown, _LONGEST) + f" ({len(value):,} characters; --format json has them all)"
        table.add_row(output.styled("  " + shortened(key, _LONGEST)), output.styled(shown))
    if table.row_count:
        console.print()
        console.print(output.styled(title, "bold"))
        output.print_table(console, table)


def _datasets(datasets: Sequence[Dataset]) -> Iterable[tuple[str, str]]:
    for dataset in datasets:
        shape = " × ".join("?" if length is None else f"{length:,}" for length in dataset.shape)
        algorithm, colon, digest = dataset.digest.rpartition(":")
        short = f"{algorithm}{colon}{digest[:12]}"
        names = [str(name) for column in dataset.columns if (name := column.get("name")) is not None]
        listed = ", ".join(names[:_COLUMNS]) + (f", … ({len(names)} in all)" if len(names) > _COLUMNS else "")
        missing = sum(count for column in dataset.columns if isinstance(count := column.get("missing"), int))
        facts = [shape, dataset.kind, short, f"{missing:,} missing values" if missing else ""]
        yield f"{dataset.name or 'unnamed'} ({dataset.context})", "  ".join(fact for fact in facts if fact)
        if listed:
            yield "", f"columns {listed}"
        if source := dataset.source.get("source"):
            kind = dataset.source.get("source_type")
            yield "", f"from {source}" + (f" ({kind})" if kind else "")


def _model(model: Any) -> str:
    from autotrack.query.text import size

    facts = [model.estimator_class, model.serialization_format, size(model.size)]
    if model.registered_model_name is not None:
        facts.append(f"registered as {model.registered_model_name}")
    facts += [model.model_id, "not finished yet" if model.is_pending else ""]
    return "  ".join(fact for fact in facts if fact)


def _plots(console: Console, run: RunView) -> list[str]:
    """List the plots; gives their names back."""
    from autotrack.errors import AutotrackError
    from autotrack.query import plots

    try:
        found, problems = plots.read(run)
    except (AutotrackError, OSError):  # the list of artifacts tells of it
        return []
    rows = [
        (name, ", ".join(str(plot[key]) for key in ("title", "subtitle") if plot.get(key)))
        for name, plot in found.items()
    ]
    _section(console, "Plots", [*rows, *(("", problem) for problem in problems)])
    return list(found)


def _artifacts(console: Console, run: RunView) -> None:
    from autotrack.errors import AutotrackError
    from autotrack.query.text import size

    try:
        files = run.artifact_files()
    except (AutotrackError, OSError) as error:  # the rest of the run is still worth showing
        _section(console, "Artifacts", [("cannot be listed", str(error))])
        return
    total = sum(file.size or 0 for file in files)
    title = f"Artifacts ({len(files)} files, {size(total)})" if len(files) > 1 else "Artifacts"
    _section(console, title, ((file.path, size(file.size)) for file in files))


def _environment(facts: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    if script := facts.get("script"):
        arguments = facts.get("args")
        words = [str(word) for word in arguments] if isinstance(arguments, (list, tuple)) else []
        yield "script", shlex.join([str(script), *words])
    if cwd := facts.get("cwd"):
        yield "folder", str(cwd)
    git = facts.get("git")
    if isinstance(git, Mapping) and git.get("commit"):
        line = str(git["commit"])[:12]
        if git.get("branch"):
            line += f" on {git['branch']}"
        yield "git", line + (", with uncommitted changes" if git.get("dirty") else "")
    if python := facts.get("python"):
        yield "python", f"{python}  {facts.get('platform', '')}".rstrip()
    packages = facts.get("packages")
    if isinstance(packages, Mapping) and packages:
        key = [name for name in _PACKAGES if name in packages]
        listed = ", ".join(f"{name} {packages[name]}" for name in key or sorted(packages)[: len(_PACKAGES)])
        more = len(packages) - len(key or _PACKAGES)
        yield "packages", listed + (f" and {more} more" if more > 0 else "")
    user, host = facts.get("user"), facts.get("host")
    if user or host:
        yield "by", "@".join(str(part) for part in (user, host) if part)


def _children(console: Console, run: RunView) -> None:
    from autotrack.query.text import number
    from autotrack.query.view import by_interest

    children = run.children
    rows = []
    for child in children[:_CHILDREN]:
        best = next(iter(by_interest(child.metrics)), None)
        score = f"  {best}={number(child.metrics[best])}" if best else ""
        rows.append((child.run_id[:8], f"{child.name}  {child.status}{score}"))
    if len(children) > _CHILDREN:
        rows.append(("…", f"{len(children) - _CHILDREN} more"))
    _section(console, f"Children ({len(children)})", rows)


def _next(console: Console, run: RunView, plots: Sequence[str]) -> None:
    from rich.text import Text

    lines = [f'autotrack.get_run("{run.run_id[:12]}")']
    lines += [f'autotrack.get_run("{run.run_id[:12]}").plot("{name}")' for name in plots[:1]]
    lines += [f'autotrack.load_model("runs:/{run.run_id}/{model.path}")' for model in run.models[:1]]
    console.print()
    console.print(Text("In Python", style="bold"))
    for line in lines:
        console.print(output.styled("  " + line, "dim"), soft_wrap=True)
