"""A fit's trace as a flame chart: each fit a bar from its start to its end, below the fit that called it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

TRACE: Final = "fit_trace.json"
_MOST: Final = 1_000
_DEEPEST: Final = 40
_LARGEST: Final = 4 * 2**20
_COLOURS: Final = 6


def flame(content: bytes) -> dict[str, Any] | None:
    """The bars and what they sum up to; ``None`` for a file that holds no trace.

    Returns
    -------
    ``bars`` with ``label``, ``left`` and ``width`` in percent, ``row`` and ``colour`` from 0, ``start``, ``seconds``,
    ``error``; ``rows``, how many rows they take; ``totals`` by estimator and method: ``count``, ``seconds`` and ``own``
    (without the fits inside); ``seconds`` of all; ``left_out`` fits that were not kept.
    """
    if len(content) > _LARGEST:
        return None
    try:
        root = json.loads(content)
    except (ValueError, RecursionError):
        return None
    if not isinstance(root, dict) or "estimator" not in root:
        return None
    whole = _seconds(root.get("seconds")) or max((_end(node) for node, _ in _walk(root, 0)), default=0.0)
    bars: list[dict[str, Any]] = []
    colours: dict[str, int] = {}
    ends: list[float] = []
    for node, above in _walk(root, 0):
        start, seconds = _seconds(node.get("start")), _seconds(node.get("seconds"))
        row = above
        while row < len(ends) and ends[row] > start + 1e-6:  # fits at one time stand below one another
            row += 1
        if row == len(ends):
            ends.append(0.0)
        ends[row] = start + seconds
        node["_row"] = row
        share = 100 / whole if whole > 0 else 0.0
        error = node.get("error")
        bars.append(
            {
                "label": str(node.get("estimator", "")),
                "method": str(node.get("method", "")),
                "left": round(min(start * share, 100.0), 4),
                "width": round(max(min(seconds * share, 100 - start * share), 0.05), 4),
                "row": row,
                "colour": colours.setdefault(str(node.get("estimator", "")), len(colours)) % _COLOURS,
                "start": start,
                "seconds": seconds if node.get("seconds") is not None else None,
                "error": str(error) if error else None,
            }
        )
    left_out = root.get("left_out")
    return {
        "bars": bars,
        "rows": len(ends),
        "seconds": whole,
        "totals": _totals(root),
        "left_out": left_out if isinstance(left_out, int) else 0,
    }


def _walk(root: dict[str, Any], depth: int) -> Iterator[tuple[dict[str, Any], int]]:
    """Every node with the first row that it may stand in, parents before their children, by start."""
    stack: list[tuple[dict[str, Any], dict[str, Any] | None, int]] = [(root, None, depth)]
    count = 0
    while stack and count < _MOST:
        node, parent, level = stack.pop()
        count += 1
        yield node, (0 if parent is None else parent.get("_row", level - 1) + 1)
        if level < _DEEPEST:
            stack += [(child, node, level + 1) for child in reversed(_children(node))]


def _children(node: Mapping[str, Any]) -> list[dict[str, Any]]:
    children = node.get("children")
    found = [child for child in children if isinstance(child, dict)] if isinstance(children, list) else []
    return sorted(found, key=lambda child: _seconds(child.get("start")))


def _seconds(value: Any) -> float:
    known = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1e9
    return float(value) if known else 0.0


def _end(node: Mapping[str, Any]) -> float:
    return _seconds(node.get("start")) + _seconds(node.get("seconds"))


def _totals(root: dict[str, Any]) -> list[dict[str, Any]]:
    sums: dict[tuple[str, str], dict[str, Any]] = {}
    for node, _ in _walk(root, 0):
        name = (str(node.get("estimator", "")), str(node.get("method", "")))
        total = sums.setdefault(name, {"label": name[0], "method": name[1], "count": 0, "seconds": 0.0, "own": 0.0})
        seconds = _seconds(node.get("seconds"))
        total["count"] += 1
        total["seconds"] += seconds
        total["own"] += max(seconds - sum(_seconds(child.get("seconds")) for child in _children(node)), 0.0)
    return sorted(sums.values(), key=lambda total: -total["own"])
