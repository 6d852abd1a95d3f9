"""What happens inside an observed call: the fits within it as a tree, and the warnings that were shown meanwhile.

A `Node` is the value of `scope.quiet` inside the call it stands for: nested fits find their parent there, in whatever
thread they run, as far as the context was carried along.
"""

from __future__ import annotations

import itertools
import sys
import time
import warnings
import weakref
from collections.abc import Iterator
from types import FrameType
from typing import Any, Final

from autotrack.capture import scope
from autotrack.capture.guard import shield

MOST_NODES: Final = 1_000
_MOST_WARNINGS: Final = 50
_MESSAGE_CHARACTERS: Final = 2_000

_keys = itertools.count(2)  # 1 is True
_live: weakref.WeakValueDictionary[int, Node] = weakref.WeakValueDictionary()


class Node:
    """One fit. ``began`` is the value of ``time.perf_counter()``, ``seconds`` how long it took.

    ``subject`` is the ``id`` of the estimator, which tells steps apart as long as they live; the estimator itself is
    not kept. ``error`` is what the fit raised, as one line.
    """

    __slots__ = ("__weakref__", "_key", "began", "children", "error", "label", "method", "seconds", "subject", "trace")

    def __init__(self, trace: Trace, instance: Any, method: str) -> None:
        self.trace = trace
        self.label = type(instance).__name__
        self.method = method
        self.subject = id(instance)
        self.children: list[Node] = []
        self.seconds: float | None = None
        self.error: str | None = None
        self._key = 0
        self.began = time.perf_counter()

    def child(self, instance: Any, method: str) -> Node | None:
        """The node of a fit inside this one; ``None`` where it is this very one, or there are too many."""
        if id(instance) == self.subject:  # a method that calls another of the same estimator, or of its base class
            return None
        trace = self.trace
        if trace.count >= MOST_NODES:
            trace.left_out += 1
            return None
        trace.count += 1
        node = Node(trace, instance, method)
        self.children.append(node)
        return node

    def stop(self) -> None:
        """The fit is over."""
        self.seconds = time.perf_counter() - self.began

    def fail(self, error: BaseException) -> None:
        """The fit raised."""
        with shield("note what a nested fit raised"):
            self.error = f"{type(error).__name__}: {error}"[:_MESSAGE_CHARACTERS]

    def key(self) -> int:
        """A number that stands for this node where only plain values may go; see `by_key`."""
        if not self._key:
            self._key = next(_keys)
            _live[self._key] = self
        return self._key


class Trace:
    """The tree below one outermost fit, or below a ``method`` that fits clones of the estimator.

    ``left_out`` counts the fits beyond the first `MOST_NODES`. ``search`` is for an integration: what it keeps of a
    parameter search while that runs.
    """

    def __init__(self, instance: Any, method: str = "fit") -> None:
        self.count = 1
        self.left_out = 0
        self.search: object | None = None
        self.warnings: dict[tuple[str, str], int] = {}
        self.root = Node(self, instance, method)

    def __bool__(self) -> bool:
        return True

    def to_json(self) -> dict[str, Any]:
        """The tree as a mapping of JSON types; times in seconds from the start of the outermost fit."""
        found = {"version": 1, **_node_to_json(self.root, self.root.began)}
        if self.left_out:
            found["left_out"] = self.left_out
        return found

    def nodes(self) -> Iterator[Node]:
        """Every node, parents first."""
        stack = [self.root]
        while stack:
            node = stack.pop()
            yield node
            stack.extend(reversed(node.children))


def by_key(key: int) -> Node | bool:
    """The node that a number stands for; ``True`` where it is not known, as in another process."""
    return _live.get(key, True)


def on_warning(message: warnings.WarningMessage) -> bool:
    """Take note of a warning that is being shown, if that happens inside an observed fit.

    True for one that the user would not see without us, because their code runs for our sake; it is not shown.
    """
    node = scope.quiet.get()
    if node is scope.OURS:
        _forget_shown(message)
        return True
    if not isinstance(node, Node):
        return False
    key = (message.category.__name__, str(message.message)[:_MESSAGE_CHARACTERS])
    seen = node.trace.warnings
    if key in seen or len(seen) < _MOST_WARNINGS:
        seen[key] = seen.get(key, 0) + 1
    return False


def _forget_shown(message: warnings.WarningMessage) -> None:
    """Have Python show a warning again that it takes for shown: when the user's own call comes to it."""
    text, category = str(message.message), message.category
    getattr(warnings, "onceregistry", {}).pop((text, category), None)
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_filename == message.filename:
            registry = frame.f_globals.get("__warningregistry__", {})
            for key in ((text, category, message.lineno), (text, category, 0), (text, category)):
                registry.pop(key, None)
            return
        frame = frame.f_back


def _node_to_json(node: Node, origin: float) -> dict[str, Any]:
    found: dict[str, Any] = {
        "estimator": node.label,
        "method": node.method,
        "start": round(node.began - origin, 6),
        "seconds": None if node.seconds is None else round(node.seconds, 6),
    }
    if node.error is not None:
        found["error"] = node.error
    if node.children:
        found["children"] = [_node_to_json(child, origin) for child in node.children]
    return found
