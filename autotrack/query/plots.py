"""The plots of a run: which there are, and the one that is meant by a name."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, NamedTuple

from autotrack.errors import AutotrackError, PlotError
from autotrack.plots import data
from autotrack.plots.files import Plot, from_json, is_plots, restored
from autotrack.query import text

if TYPE_CHECKING:
    from autotrack.query.view import RunView

_TRAINING = "training_"
_OF_THE_MODEL = ("feature_importances",)


class Found(NamedTuple):
    """What a run's files of plots hold, and what of them cannot be read, a sentence each."""

    plots: dict[str, Plot]
    problems: list[str]


def read(run: RunView) -> Found:
    """Every plot of a run, by name: those of held-out data, of the training data, of the model itself."""
    plots: dict[str, Plot] = {}
    problems = []
    for path in run.artifacts:
        if not is_plots(path):
            continue
        try:
            plots |= from_json(run.artifact_path(path).read_bytes())
        except (AutotrackError, OSError) as error:
            problems.append(f"{text.plain(path)} cannot be read: {text.plain(str(error))}")
    order = sorted(plots, key=lambda name: 2 if name in _OF_THE_MODEL else name.startswith(_TRAINING))
    return Found({name: plots[name] for name in order}, problems)


def find(run: RunView, name: str) -> tuple[str, Plot]:
    """The plot that is meant, with its whole name.

    ``"roc_curve"`` is ``roc_curve_X_test`` where that is the only one of held-out data, and ``training_roc_curve``
    where there is none. The name of a metric of several steps, such as ``"loss"``, is a plot of them.

    Raises
    ------
    PlotError
        When there is no such plot, or more than one is meant.
    """
    plots, problems = read(run)
    if name in plots:
        return name, plots[name]
    held_out = re.compile(rf"{re.escape(name)}(-\d+)?_.+", re.DOTALL)
    meant = [known for known in plots if held_out.fullmatch(known)] or [
        known for known in (_TRAINING + name,) if known in plots
    ]
    if len(meant) == 1:
        return meant[0], plots[meant[0]]
    if not meant and (history := _history(run, name)) is not None:
        return name, history
    who = f"run {run.run_id[:12]} ({text.plain(run.name)})"
    if meant:
        raise PlotError(f"{text.plain(name)!r} may be any of these plots of {who}: {_listed(meant)}")
    if not plots:
        raise PlotError(nothing(run, problems))
    short = {known.removeprefix(_TRAINING): known for known in reversed(plots)}
    near = [short[close] for close in difflib.get_close_matches(name, list(short), n=3, cutoff=0.45)]
    near += [known for known in plots if name and name in known and known not in near]
    hint = f"; did you mean {' or '.join(repr(text.plain(known)) for known in near[:3])}?" if near else ""
    raise PlotError(
        "\n".join([f"{who} has no plot {text.plain(name)!r}{hint}", f"It has {_listed(plots)}.", *problems])
    )


def _history(run: RunView, key: str) -> Plot | None:
    """A metric over its steps; ``None`` where there is no such metric, or one value only."""
    if key not in run.metrics:
        return None
    points = run.metric_history(key)
    if len({point.step for point in points}) < 2:
        return None
    line = data.Series("", [point.step for point in points], [point.value for point in points])
    return restored(data.iterations([line], ylabel=key, xlabel="step", title=key, subtitle=run.name))


def nothing(run: RunView, problems: list[str]) -> str:
    """Why a run has no plots, as far as that can be told."""
    who = f"run {run.run_id[:12]} ({text.plain(run.name)})"
    if problems:
        return "\n".join([f"{who} has no plots that can be read", *problems])
    lines = [f"{who} has no plots"]
    noted = [note for note in run.notes if "plot" in note.subject or "plot" in note.message]
    if noted:
        return "\n".join([f"{lines[0]}:", *(f"  {text.plain(note.message)}" for note in noted)])
    if not run.tags.get("estimator_name"):
        return f"{lines[0]}: no fit wrote to it; those of its children are theirs"
    return (
        f"{lines[0]}: log_plots was off when it was made, or there was nothing to plot "
        f"(no y, or a fit that ended {run.status})"
    )


def _listed(names: object) -> str:
    known = [text.plain(name) for name in names] if isinstance(names, (list, dict)) else []
    return ", ".join(known[:20]) + (f" and {len(known) - 20} more" if len(known) > 20 else "")
