"""A run, and a table of runs, as HTML for notebooks. Everything that was recorded is escaped.

Colours are transparent or of the text, so that it reads on a light notebook and on a dark one.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable
from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from autotrack.entities import FAILED, FINISHED, KILLED, RUNNING, Run
from autotrack.errors import AutotrackError
from autotrack.query import text
from autotrack.query.view import RunView, by_interest, is_about_the_fit, last_line

if TYPE_CHECKING:
    import pandas as pd

_COLOURS: Final = {FINISHED: "#1a7f37", RUNNING: "#0969da", FAILED: "#cf222e", KILLED: "#9a6700"}
_OPEN: Final = 12
_ROWS: Final = 200
_LEFT: Final = "text-align:left"


def html(run: Run, view: RunView | None = None) -> str:
    """The run: what was fitted, its metrics on held-out data, the params that are not their defaults, its first plot;
    then all that is known of it, folded.

    Parameters
    ----------
    view : where the plot and the address of the pages come from; both are left out without it.
    """
    colour = _COLOURS.get(run.status, "#8250df")
    facts = [text.stamp(run.start_time), text.seconds(run.duration), f"experiment {run.experiment}"]
    parts = [
        f'<div><b>{_show(run.name)}</b> <span style="color:{colour}">{_show(run.status)}</span>'
        f" <code>{_show(run.run_id)}</code>{_link(view)}"
        f"<br><small>{_show(' · '.join(fact for fact in facts if fact))}</small>"
    ]
    if run.error:
        parts.append(f'<br><small style="color:#cf222e">{_show(last_line(run.error))}</small>')
    if run.broken:
        parts.append(f"<br><small>broken: {_show(run.broken)}</small>")
    parts.append("</div>")
    told = [(key, text.number(run.metrics[key])) for key in by_interest(run.metrics)]
    held_out = [row for row in told if not row[0].startswith("training_") and not is_about_the_fit(row[0])]
    others = [row for row in told if row not in held_out]
    changed = not_default(run)
    side = [_table("metrics" if held_out else "training metrics", held_out or others)]
    side.append(_table("params that are not their defaults", () if changed is None else changed.items()))
    parts.append(
        '<div style="display:flex;flex-wrap:wrap;gap:8px 24px;align-items:flex-start">'
        f"<div>{''.join(side)}</div>{_plot(view)}</div>"
    )
    parts.append(_table("training metrics and times", others, is_open=False) if held_out else "")
    parts.append(_table("params" if changed is None else "all params", run.params.items(), changed is None))
    parts.append(_table("tags", run.tags.items(), is_open=False))
    parts.append(
        _table(
            "datasets",
            (
                (f"{data.name} ({data.context})", f"{data.kind} {' × '.join(str(n) for n in data.shape)}")
                for data in run.datasets
            ),
        )
    )
    parts.append(_table("models", ((model.path, model.estimator_class) for model in run.models)))
    return "".join(parts)


def not_default(run: Run) -> dict[str, str] | None:
    """The params that are not what the estimator's class has by itself; ``None`` where that cannot be told.

    The class is looked up among the modules that the program has loaded already; none is imported for it.
    """
    module, _, name = run.tags.get("estimator_class", "").rpartition(".")
    found = getattr(sys.modules.get(module), name, None) if module else None
    if not isinstance(found, type):
        return None
    try:
        defaults = {
            key: str(parameter.default)
            for key, parameter in inspect.signature(found).parameters.items()
            if parameter.default is not inspect.Parameter.empty
        }
    except (TypeError, ValueError):
        return None
    # What a nested estimator has is told by the param that holds it.
    return {key: value for key, value in run.params.items() if "__" not in key and defaults.get(key) != value}


def compact(frame: Any) -> Any:
    """The columns of a result of `autotrack.search_runs` that tell its runs apart, and those that a user has added."""
    given = [str(column) for column in frame.columns]
    metrics = [name.removeprefix("metrics.") for name in given if name.startswith("metrics.")]
    ranked = [f"metrics.{key}" for key in by_interest(metrics)]
    good = [name for name in ranked if not is_about_the_fit(name.removeprefix("metrics.")) and ".std_" not in name]
    held_out = [name for name in good if not name.startswith("metrics.training_")]
    order = sorted(held_out or good, key=lambda name: int(frame[name].isna().sum()))
    params = [name for name in given if name.startswith("params.") and frame[name].nunique() > 1]
    params = [name for name in params if frame[name].dropna().map(len).max() <= 24]
    params.sort(key=lambda name: (not _are_numbers(frame[name].dropna()), int(frame[name].isna().sum())))
    from autotrack.query.table import COLUMNS, KINDS

    own = [name for name in given if name not in COLUMNS and name.partition(".")[0] not in KINDS]
    chosen = ["run_id", "run_name", "start_time", "duration", *params[:5], *order[:5], *own]
    if "status" in given and set(frame["status"]) != {FINISHED}:
        chosen.insert(2, "status")
    return frame[[name for name in chosen if name in given]]


def show_frame(frame: pd.DataFrame) -> None:
    """Let a DataFrame of runs show itself in a notebook by its telling columns.

    It stays a plain DataFrame. Only this very object shows itself so: what is made of it (a copy, a slice) does not.
    """
    object.__setattr__(frame, "_repr_html_", partial(frame_html, frame))  # pandas' own way is for columns


def frame_html(frame: Any) -> str | None:
    """The telling columns as pandas shows them; all of it by pandas itself where that fails."""
    whole: Callable[[Any], str | None] = type(frame)._repr_html_
    try:
        chosen = compact(frame).copy()
        if len(chosen.columns) >= len(frame.columns) or not len(frame):
            return whole(frame)
        chosen["run_id"] = chosen["run_id"].str[:8]
        chosen["start_time"] = chosen["start_time"].dt.strftime("%Y-%m-%d %H:%M:%S")
        chosen["duration"] = [text.seconds(value) for value in chosen["duration"]]
        for name in chosen.columns:
            if chosen[name].dtype == object:
                values = [text.plain(value) if isinstance(value, str) else value for value in chosen[name]]
                chosen[name] = ["" if value is None or value != value else value for value in values]
        told = chosen._repr_html_()
        left_out = f"{len(chosen.columns)} of {len(frame.columns)} columns; all of them: .columns, or .T"
        return None if told is None else f"{told}<small>{left_out}</small>"
    except (KeyError, TypeError, ValueError, AttributeError):  # the user has changed what it was
        return whole(frame)


def _are_numbers(values: Any) -> bool:
    try:
        return bool(len(values.astype(float)))
    except ValueError:
        return False


def _link(view: RunView | None) -> str:
    """To the run's page, where a server shows this store."""
    if view is None:
        return ""
    from autotrack.query.showing import running

    url = running(view.store)
    return f' <a href="{escape(url)}/runs/{quote(view.run_id)}" target="_blank" rel="noopener">open</a>' if url else ""


def _plot(view: RunView | None) -> str:
    """The first plot as a small picture, where its data is on this machine's disk."""
    if view is None or not callable(getattr(view.store, "artifact_folder", None)):
        return ""
    from autotrack.query.plots import read
    from autotrack.query.sketch import sketch

    try:
        plots = read(view).plots
        order = sorted(plots, key=lambda name: (name.startswith("training_"), plots[name].get("kind") != "roc_curve"))
        return next((drawn for name in order if (drawn := sketch(plots[name], name))), "")
    except (AutotrackError, OSError, ValueError, TypeError, KeyError, AttributeError):  # whoever wrote it
        return ""


def _table(title: str, rows: Iterable[tuple[str, str]], is_open: bool = True) -> str:
    listed = list(rows)
    if not listed:
        return ""
    cells = [
        f'<tr><td style="{_LEFT}">{_show(key)}</td><td style="{_LEFT}">{_show(value)}</td></tr>'
        for key, value in listed[:_ROWS]
    ]
    if len(listed) > _ROWS:
        cells.append(f'<tr><td colspan="2" style="{_LEFT}">and {len(listed) - _ROWS:,} more</td></tr>')
    state = " open" if is_open and len(listed) <= _OPEN else ""
    return f"<details{state}><summary>{title} ({len(listed)})</summary><table>{''.join(cells)}</table></details>"


def _show(value: str) -> str:
    return escape(text.shortened(text.plain(value), 300))
