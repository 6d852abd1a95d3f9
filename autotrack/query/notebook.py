"""A run as HTML, for notebooks. Everything that was recorded is escaped."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from autotrack.entities import FAILED, FINISHED, KILLED, RUNNING, Run
from autotrack.query import text
from autotrack.query.view import by_interest, last_line

_COLOURS = {FINISHED: "#1a7f37", RUNNING: "#0969da", FAILED: "#cf222e", KILLED: "#9a6700"}
_OPEN = 12


def html(run: Run) -> str:
    """The run: a line of facts, then params, metrics, tags and data in tables."""
    colour = _COLOURS.get(run.status, "#8250df")
    facts = [text.stamp(run.start_time), text.seconds(run.duration), f"experiment {run.experiment}"]
    parts = [
        f'<div><b>{_show(run.name)}</b> <span style="color:{colour}">{_show(run.status)}</span>'
        f" <code>{_show(run.run_id)}</code><br><small>{_show(' · '.join(fact for fact in facts if fact))}</small>"
    ]
    if run.error:
        parts.append(f'<br><small style="color:#cf222e">{_show(last_line(run.error))}</small>')
    if run.broken:
        parts.append(f"<br><small>broken: {_show(run.broken)}</small>")
    parts.append("</div>")
    parts.append(_table("metrics", ((key, text.number(run.metrics[key])) for key in by_interest(run.metrics))))
    parts.append(_table("params", run.params.items()))
    parts.append(_table("tags", run.tags.items()))
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


def _table(title: str, rows: Iterable[tuple[str, str]]) -> str:
    cells = [
        f'<tr><td style="text-align:left">{_show(key)}</td><td style="text-align:left">{_show(value)}</td></tr>'
        for key, value in rows
    ]
    if not cells:
        return ""
    state = " open" if len(cells) <= _OPEN else ""
    return f"<details{state}><summary>{title} ({len(cells)})</summary><table>{''.join(cells)}</table></details>"


def _show(value: str) -> str:
    return escape(text.shortened(text.plain(value), 300))
