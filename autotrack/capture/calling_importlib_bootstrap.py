"""One call of an observed function: the observer's part before it, the call itself, the observer's part behind it.

The only module that calls an original function. An observer is a generator that yields once: up to the ``yield`` it
looks at the call, there the original runs, behind it the observer looks at the `Outcome`. It may yield a mapping of
keyword replacements. Whatever an observer does (raise before or after, never yield, yield twice), the original is
called exactly once and its value or exception goes to the user unchanged.

The file has its name from Python's ``warnings``: counting ``stacklevel``, it passes over frames of files that have both
``importlib`` and ``_bootstrap`` in their path. So a warning that a ``fit`` gives with ``stacklevel=2`` names the user's
line, as it does without us, and not a line of this file.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from types import FrameType
from typing import Any, Protocol

from autotrack.capture.guard import shield
from autotrack.capture.scope import OURS, quiet
from autotrack.capture.trace import Node, Trace


class Switch(Protocol):
    """What tells whether observing is on."""

    enabled: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the original did: returned ``value``, or raised ``error``."""

    value: Any = None
    error: BaseException | None = None


class Call:
    """One call of an observed function, read-only.

    Attributes
    ----------
    wrapped : the original, bound to its instance.
    instance : the object whose method was called, ``None`` for a function.
    args, kwargs : as the caller gave them.
    names : the positional parameters, without ``self``.
    frame : the caller's frame; valid up to the ``yield`` only.
    trace : what an observer sets, before it yields, to have the fits inside the call timed.
    """

    __slots__ = ("args", "frame", "instance", "kwargs", "names", "trace", "wrapped")

    def __init__(
        self,
        wrapped: Callable[..., Any],
        instance: Any,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        names: tuple[str, ...],
        frame: FrameType | None,
    ) -> None:
        self.wrapped = wrapped
        self.instance = instance
        self.args = args
        self.kwargs = kwargs
        self.frame = frame
        self.names = names
        self.trace: Trace | None = None

    def argument(self, name: str, default: Any = None) -> Any:
        """The value given for a parameter, by keyword or by position."""
        if name in self.kwargs:
            return self.kwargs[name]
        index = self.position(name)
        return self.args[index] if index is not None and index < len(self.args) else default

    def first(self) -> str:
        """The name of the first parameter, which is not called ``X`` everywhere."""
        return self.names[0] if self.names else ""

    def position(self, name: str) -> int | None:
        """Where a parameter stands among the positional ones (without ``self``)."""
        try:
            return self.names.index(name)
        except ValueError:
            return None


Observer = Callable[[Call], Generator[Mapping[str, Any] | None, Outcome, None]]


def observing(switch: Switch, observer: Observer, always: bool, timed: str) -> Callable[..., Any]:
    """The wrapper, as wrapt wants it, that has an observer look at each call.

    Parameters
    ----------
    switch : asked on each call.
    observer : see above.
    always : also inside observed calls.
    timed : the method's name where it is timed inside an observed call that keeps a trace, else empty.
    """
    names: tuple[str, ...] | None = None

    def call(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        nonlocal names
        if not switch.enabled:
            return wrapped(*args, **kwargs)
        if (outer := quiet.get()) and not always:
            if timed and type(outer) is Node:
                return _timed(outer.child(instance, timed), wrapped, args, kwargs)
            return wrapped(*args, **kwargs)
        if names is None:
            names = _parameter_names(wrapped)
        seen = Call(wrapped, instance, args, kwargs, names, sys._getframe(1))
        return _observe(observer, seen, always)

    return call


def observing_inner(switch: Switch, observer: Observer, inner: Callable[..., Any]) -> Callable[..., Any]:
    """What stands for a function in the decorator round it: an observer looks at each call, which the decorator makes.

    Calls that were observed further out go straight through.
    """
    names: tuple[str, ...] | None = None

    @functools.wraps(inner)
    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal names
        if not switch.enabled or quiet.get():
            return inner(*args, **kwargs)
        if names is None:
            names = _parameter_names(inner)
        # The frame that called is the decorator's.
        return _observe(observer, Call(inner, None, args, kwargs, names, sys._getframe(1).f_back), False)

    # scikit-learn's decorator asks for it at each call.
    call.__signature__ = inspect.signature(inner)  # type: ignore[attr-defined]
    return call


def listening_in(
    switch: Switch, original: Callable[..., Any], listener: Callable[..., bool], doing: str
) -> Callable[..., Any]:
    """A function that tells a listener the arguments of each call, and then calls the original.

    Where the listener says true, the call is one that only we have caused, and the original is not called.
    """

    def listening(*args: Any, **kwargs: Any) -> Any:
        if switch.enabled:
            with shield(doing):
                if listener(*args, **kwargs):
                    return None
        return original(*args, **kwargs)

    return listening


def _timed(node: Node | None, wrapped: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Time the one call of the original inside an observed one; without a node it goes straight through."""
    if node is None:
        return wrapped(*args, **kwargs)
    token = quiet.set(node)
    try:
        return wrapped(*args, **kwargs)
    except BaseException as error:
        node.fail(error)
        raise
    finally:
        node.stop()
        quiet.reset(token)


def _observe(observer: Observer, call: Call, always: bool) -> Any:
    """Run an observer round the one call of the original."""
    wrapped, args, kwargs = call.wrapped, call.args, call.kwargs
    token = None if always else quiet.set(OURS)
    try:
        watching = None
        with shield("observe a call"):
            watching = observer(call)
            replaced = next(watching)
            if replaced:
                args, kwargs = _replace(call, replaced)
        # The caller's frame holds all its variables: keeping it would keep them alive.
        call.frame = None
        inside = None if always else quiet.set(True if call.trace is None else call.trace.root)
        try:
            value = wrapped(*args, **kwargs)
        except BaseException as error:
            if inside is not None:
                quiet.reset(inside)
            _resume(watching, Outcome(error=error))
            raise
        if inside is not None:
            quiet.reset(inside)
        _resume(watching, Outcome(value=value))
        return value
    finally:
        if token is not None:
            quiet.reset(token)


def _resume(watching: Generator[Any, Outcome, None] | None, outcome: Outcome) -> None:
    if watching is None:
        return
    with shield("observe a call"):
        try:
            watching.send(outcome)
        except StopIteration:
            return
        finally:
            watching.close()
        raise RuntimeError("an observer yields once; this one yielded again")


def _replace(call: Call, replaced: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments with some replaced: by position where the caller gave them by position, never in place."""
    args, kwargs = list(call.args), dict(call.kwargs)
    for name, value in replaced.items():
        index = call.position(name)
        if name not in kwargs and index is not None and index < len(args):
            args[index] = value
        else:
            kwargs[name] = value
    return tuple(args), kwargs


def _parameter_names(bound: Any) -> tuple[str, ...]:
    try:
        parameters = inspect.signature(bound).parameters.values()
    except (TypeError, ValueError):
        return ()
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return tuple(parameter.name for parameter in parameters if parameter.kind in positional)
