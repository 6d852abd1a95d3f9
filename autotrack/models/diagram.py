"""An HTML page that shows a model's estimators. It runs no script, loads nothing, and shows all text as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape

from autotrack.models.estimators import Estimator, Param

_STYLE = """
body{font:14px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;color:#1d2733;background:#fff}
h1{font-size:1.25rem;margin:0 0 .2rem}p.facts{color:#5b6876;margin:.1rem 0 1rem}
details.e{border:1px solid #b9c6d3;border-radius:6px;margin:.4rem 0;background:#f6f9fc}
details.e>summary{cursor:pointer;padding:.35rem .7rem;list-style-position:inside}
details.e>div{padding:0 .7rem .6rem}
.label{color:#5b6876}.detail{color:#5b6876;font-size:.85em;margin-left:.5em}.name{font-weight:600}
.module{color:#8593a1;font-size:.8em;margin-left:.5em}
table{border-collapse:collapse;margin:.3rem 0;font-size:.9em}td,th{padding:.1rem .8rem .1rem 0;text-align:left;
vertical-align:top;overflow-wrap:anywhere}td:first-child{white-space:nowrap}
tr.changed td{font-weight:600;color:#8a3b00}.rest{color:#5b6876}
@media(prefers-color-scheme:dark){body{color:#dde5ec;background:#12181e}details.e{background:#1a232c;border-color:#3a4856}
tr.changed td{color:#ffb27a}}
"""


def render(title: str, facts: Mapping[str, str], estimator: Estimator | None, trouble: str = "") -> str:
    """The page.

    Parameters
    ----------
    title : what was asked for.
    facts : lines above the diagram, by their heading.
    estimator : the model; ``None`` where none could be read.
    trouble : why it could not be read whole; empty when it was.
    """
    head = "".join(f"<p class=facts>{escape(key)}: {escape(value)}</p>" for key, value in facts.items() if value)
    body = "".join(_estimator(estimator, is_open=True)) if estimator is not None else "<p>No estimator can be told.</p>"
    note = f"<p class=facts>Not read to its end: {escape(trouble)}</p>" if trouble else ""
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return (
        "<!doctype html>\n<html lang=en><head><meta charset=utf-8>"
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n"
        f"<body><h1>{escape(title)}</h1>{head}{note}\n{body}</body></html>\n"
    )


def _estimator(estimator: Estimator, *, is_open: bool) -> Iterator[str]:
    yield f"<details class=e{' open' if is_open else ''}><summary>"
    if estimator.label:
        yield f"<span class=label>{escape(estimator.label)}: </span>"
    yield f"<span class=name>{escape(estimator.name)}</span>"
    if estimator.detail:
        yield f"<span class=detail>{escape(estimator.detail)}</span>"
    yield f"<span class=module>{escape(estimator.module)}</span></summary><div>"
    changed = [param for param in estimator.params if param.changed is not False]
    rest = [param for param in estimator.params if param.changed is False]
    yield from _params(changed)
    for part in estimator.parts:
        yield from _estimator(part, is_open=True)
    if rest:
        yield f"<details class=rest><summary>{len(rest)} at their default</summary>"
        yield from _params(rest)
        yield "</details>"
    if estimator.fitted:
        yield f"<details class=rest><summary>{len(estimator.fitted)} fitted attributes</summary>"
        yield from _params(estimator.fitted)
        yield "</details>"
    yield "</div></details>\n"


def _params(params: list[Param]) -> Iterator[str]:
    if params:
        yield "<table>"
        for param in params:
            kind = " class=changed" if param.changed else ""
            yield f"<tr{kind}><td>{escape(param.name)}</td><td>{escape(param.value)}</td></tr>"
        yield "</table>"
