"""The pictures of a comparison, as plot data: histories and curves of several runs, params against metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from autotrack.entities import Metric
from autotrack.errors import AutotrackError
from autotrack.events import number_to_json
from autotrack.plots.files import Plot, from_json, is_plots
from autotrack.query.comparing import best
from autotrack.query.direction import direction
from autotrack.query.view import RunView
from autotrack.server.pages import axes
from autotrack.server.pages.axes import Axis
from autotrack.server.pages.compared_values import Labels, number_of
from autotrack.server.places import told
from autotrack.stores.base import histories

_CURVES: Final = ("roc_curve", "precision_recall_curve", "calibration_curve")
_TRAINING: Final = "training_"
_HISTORIES: Final = 12
_POINTS: Final = 600
_SERIES: Final = 100
_MATRICES: Final = 6
_AXES: Final = 10


def choose(views: Sequence[RunView], values: Mapping[str, Any], metric: str, x: str, y: str) -> dict[str, Any]:
    """What the pictures show: what was asked for where it is there, else what tells most; and what there is to choose.

    The metric is one that differs, of held-out data where there is one; ``x`` and ``y`` are params that differ, those
    first that are numbers and that most runs have. Both are empty without any param that differs.
    """
    metrics = [row["key"] for row in values["metrics"]]
    differing = [row["key"] for row in values["metrics"] if row["differs"]]
    differing.sort(key=lambda key: sum(key not in view.metrics for view in views))
    rows = values["params"]["differs"]
    order = sorted(rows, key=lambda row: (not row["is_number"], row["values"].count(None)))
    params = [f"params.{row['key']}" for row in order]
    every = [*params, *(f"metrics.{key}" for key in metrics)]
    chosen = metric if metric in metrics else next(iter([*differing, *metrics]), "")
    across = x if x in every else next(iter(params), "")
    second = y if y in params else next((key for key in params if key != across), "")
    return {
        "metric": chosen,
        "x": across,
        "y": second,
        "metrics": metrics,
        "params": params,
        "all": every,
        "direction": direction(chosen),
    }


def plots(
    views: Sequence[RunView], labels: Labels, values: Mapping[str, Any], choice: Mapping[str, Any]
) -> dict[str, Any]:
    """The pictures; those of which there is nothing to see are left out or ``None``."""
    found, problems = _kept(views)
    named = [labels[index] for index in range(len(views))]
    return {
        "labels": named,
        "curves": _curves(found, named),
        "matrices": _matrices(found),
        "histories": _histories(views, named),
        "parallel": _parallel(views, named, values, choice),
        "scatter": _scatter(views, named, choice),
        "contour": _contour(views, named, choice),
        "problems": problems,
    }


def _kept(views: Sequence[RunView]) -> tuple[list[dict[str, Plot]], list[str]]:
    """The plots that each run keeps, and what of them cannot be read."""
    found: list[dict[str, Plot]] = []
    problems = []
    for view in views:
        kept: dict[str, Plot] = {}
        try:
            files = [file.path for file in view.store.artifacts(view.run_id, "plots")]
        except AutotrackError:
            files = []
        for path in files:
            if not is_plots(path):
                continue
            try:
                kept |= from_json(view.artifact_path(path).read_bytes())
            except (AutotrackError, OSError) as error:
                problems.append(f"{path} of {view.name} cannot be read: {told(error, view.store)}")
        found.append(kept)
    return found, problems


def _curves(found: Sequence[Mapping[str, Plot]], labels: Sequence[str]) -> list[Plot]:
    """Curves of one kind in one picture: those of held-out data, and those of the training data."""
    pictures: dict[tuple[str, bool], list[dict[str, Any]]] = {}
    data: dict[tuple[str, bool], set[str]] = {}
    for index, plots_ in enumerate(found):
        for name, plot in plots_.items():
            kind = plot.get("kind")
            if kind not in _CURVES or not isinstance(plot.get("series"), list):
                continue
            place = (str(kind), name.startswith(_TRAINING))
            on = name.removeprefix(f"{kind}_") if name.startswith(f"{kind}_") else ""
            data.setdefault(place, set()).add(on)
            for line in plot["series"]:
                if not _is_line(line):
                    continue
                one = {key: _plain(value) for key, value in line.items() if key != "counts"}
                one |= {"name": labels[index], "run": index, "class": str(line.get("name", "")), "on": on}
                pictures.setdefault(place, []).append(one)
    made = []
    for kind, is_training in sorted(pictures, key=lambda place: (place[1], _CURVES.index(place[0]))):
        lines = pictures[kind, is_training]
        variables = data[kind, is_training]
        for line in lines:
            more = [line["class"]] if line["class"] else []
            more += [line["on"]] if len(variables) > 1 and line["on"] else []
            line["name"] = " · ".join([line["name"], *more])
        single = next(iter(variables)) if len(variables) == 1 else ""
        what = "training data" if is_training else single or "held-out data"
        title = {"roc_curve": "ROC curve", "precision_recall_curve": "Precision–recall curve"}.get(kind, "Calibration")
        picture: Plot = {"kind": kind, "title": title, "subtitle": what, "is_training": is_training}
        picture["series"] = lines[:_SERIES]
        if len(lines) > _SERIES:
            picture["note"] = f"the first {_SERIES} of {len(lines)} curves"
        made.append(picture)
    return made


def _is_line(line: Any) -> bool:
    """Whether it can be drawn; anybody may have written the file."""
    if not isinstance(line, Mapping):
        return False
    sides = line.get("x"), line.get("y")
    return all(isinstance(side, list) for side in sides) and 0 < len(sides[0]) == len(sides[1])  # type: ignore[arg-type]


def _matrices(found: Sequence[Mapping[str, Plot]]) -> list[dict[str, Any]]:
    """Confusion matrices side by side, for few runs: of each kind of data a row, with shares of each true class."""
    rows: dict[str, list[dict[str, Any] | None]] = {}
    for index, plots_ in enumerate(found):
        for name, plot in plots_.items():
            if plot.get("kind") == "confusion_matrix":
                rows.setdefault(name, [None] * len(found))[index] = _matrix(plot)
    order = sorted(rows, key=lambda name: name.startswith(_TRAINING))
    return [
        {"name": name, "is_training": name.startswith(_TRAINING), "runs": rows[name]}
        for name in order
        if sum(map(bool, rows[name])) <= _MATRICES
    ]


def _matrix(plot: Plot) -> dict[str, Any] | None:
    labels, counts = plot.get("labels"), plot.get("counts")
    if not isinstance(labels, list) or not isinstance(counts, list) or len(labels) > 12:
        return None
    rows = []
    for row in counts:
        known = [number_of(cell) or 0.0 for cell in row] if isinstance(row, list) else []
        total = sum(known)
        rows.append([{"count": _plain(cell), "share": round(cell / total, 4) if total else 0.0} for cell in known])
    return {"labels": [str(label) for label in labels], "rows": rows}


def _histories(views: Sequence[RunView], labels: Sequence[str]) -> list[Plot]:
    """Metrics of several steps, a line per run."""
    series: dict[str, list[dict[str, Any]]] = {}
    for index, view in enumerate(views):
        for key, points in histories(view.store, _run(view)).items():
            if len({point.step for point in points}) > 1:
                series.setdefault(key, []).append(_line(points, labels[index], index))
    keys = sorted(series, key=lambda key: (-len(series[key]), key))
    return [
        {"kind": "iterations", "title": key, "xlabel": "step", "ylabel": key, "series": series[key]}
        for key in keys[:_HISTORIES]
    ]


def _line(points: Sequence[Metric], label: str, index: int) -> dict[str, Any]:
    """A history with `_POINTS` points at the most: of each stretch its least and greatest value stay."""
    kept = list(points)
    if len(kept) > _POINTS:
        stretch = 2 * len(kept) / _POINTS
        places = {0, len(kept) - 1}
        for number in range(_POINTS // 2):
            part = range(int(number * stretch), min(len(kept), int((number + 1) * stretch)))
            if part:
                places |= {min(part, key=lambda at: points[at].value), max(part, key=lambda at: points[at].value)}
        kept = [points[at] for at in sorted(places)]
    return {
        "name": label,
        "run": index,
        "x": [point.step for point in kept],
        "y": [number_to_json(point.value) for point in kept],
    }


def _run(view: RunView) -> Any:
    return view._run  # histories() takes the store's own entity


def _value(view: RunView, key: str) -> Any:
    kind, _, name = key.partition(".")
    return view.metrics.get(name) if kind == "metrics" else view.params.get(name)


def _parallel(
    views: Sequence[RunView], labels: Sequence[str], values: Mapping[str, Any], choice: Mapping[str, Any]
) -> dict[str, Any] | None:
    keys = [key for key in choice["params"] if len({_value(view, key) for view in views}) > 1]
    if len(views) < 2 or not keys or not choice["metric"]:
        return None
    shown = keys[:_AXES]
    columns = [Axis(key.partition(".")[2], [_value(view, key) for view in views]) for key in shown]
    metric = [view.metrics.get(choice["metric"]) for view in views]
    columns.append(Axis(choice["metric"], metric))
    note = f"{_AXES} of {len(keys)} params that differ" if len(keys) > _AXES else ""
    return axes.parallel(columns, labels, best=best(choice["metric"], metric)) | {"note": note}


def _scatter(views: Sequence[RunView], labels: Sequence[str], choice: Mapping[str, Any]) -> Plot | None:
    x, metric = choice["x"], choice["metric"]
    if not x or not metric or len(views) < 2:
        return None
    points = [
        {"run": index, "name": labels[index], "x": value, "y": number_to_json(view.metrics[metric])}
        for index, view in enumerate(views)
        if (value := _value(view, x)) is not None and metric in view.metrics
    ]
    if not points:
        return None
    found = Axis(x, [point["x"] for point in points])
    for point in points:
        point["x"] = found.place(point["x"])
    return {
        "kind": "runs_scatter",
        "title": f"{metric} over {x.partition('.')[2]}",
        "xlabel": x.partition(".")[2],
        "ylabel": metric,
        "log_x": found.is_log,
        "is_number": found.is_number,
        "points": points,
    }


def _contour(views: Sequence[RunView], labels: Sequence[str], choice: Mapping[str, Any]) -> Plot | None:
    """A metric over two params; both need two values or more, and one run of each kind is not enough to see a shape."""
    x, y, metric = choice["x"], choice["y"], choice["metric"]
    if not x.startswith("params.") or not y or x == y or not metric:
        return None
    points = [
        {"run": index, "name": labels[index], "x": across, "y": up, "value": number_to_json(view.metrics[metric])}
        for index, view in enumerate(views)
        if (across := _value(view, x)) is not None
        and (up := _value(view, y)) is not None
        and number_of(view.metrics.get(metric)) is not None
    ]
    at_x, at_y = Axis(x, [point["x"] for point in points]), Axis(y, [point["y"] for point in points])
    if len(set(at_x.values)) < 2 or len(set(at_y.values)) < 2 or len(points) < 3:
        return None
    for point in points:
        point["x"], point["y"] = at_x.place(point["x"]), at_y.place(point["y"])
    return {
        "kind": "contour",
        "title": f"{metric} over {x.partition('.')[2]} and {y.partition('.')[2]}",
        "xlabel": x.partition(".")[2],
        "ylabel": y.partition(".")[2],
        "value_name": metric,
        "direction": choice["direction"],
        "log_x": at_x.is_log,
        "log_y": at_y.is_log,
        "points": points,
    }


def _plain(value: Any) -> Any:
    """Numbers as JSON carries them, in lists too."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return number_to_json(value) if isinstance(value, float) else value
