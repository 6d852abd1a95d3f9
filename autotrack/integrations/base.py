"""An integration is data (which functions) and generators that yield once (what to see of a call)."""

from __future__ import annotations

from collections.abc import Collection, Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any, ClassVar

from autotrack.capture.calling_importlib_bootstrap import Call, Observer, Outcome
from autotrack.capture.patching import Patches
from autotrack.capture.recorder import Session

Watching = Generator[Mapping[str, Any] | None, Outcome, None]
"""What an observer is: up to its one ``yield`` it looks at the call, behind it at the `Outcome`."""


def along(watching: Watching) -> Generator[Mapping[str, Any] | None, Outcome, Outcome]:
    """Have another observer watch the same call: ``outcome = yield from along(watching)``."""
    outcome = yield next(watching)
    try:
        watching.send(outcome)
    except StopIteration:
        pass
    return outcome


@dataclass(frozen=True, slots=True)
class Method:
    """Methods of one class: ``observers`` maps a method's name to the observer's. Missing ones are passed over.

    ``always`` also calls the observer inside observed calls, which otherwise go straight through.
    """

    module: str
    owner: str
    observers: Mapping[str, str]
    always: bool = False


@dataclass(frozen=True, slots=True)
class Family:
    """The same methods of a class and of all its subclasses, those yet to be defined too.

    Those named in ``timed`` are timed when they are called inside an observed call that keeps a trace.
    """

    module: str
    base: str
    observers: Mapping[str, str]
    timed: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Functions:
    """Functions that a module offers; ``names`` is ``None`` for all in its ``__all__``, less ``leave``."""

    module: str
    observer: str
    names: Sequence[str] | None = None
    leave: Sequence[str] = ()


Target = Method | Family | Functions


class Integration:
    """Base class. A subclass gives ``name``, ``targets`` and the observers that the targets name.

    An observer is a method ``(self, call: Call) -> Watching``. It never calls the original: `patching` does.
    """

    name: ClassVar[str]
    targets: ClassVar[Sequence[Target]]

    def __init__(self, session: Session) -> None:
        self.session = session

    def install(self, patches: Patches) -> None:
        """Have every target observed as soon as its module is imported."""
        for target in self.targets:
            patches.when_imported(target.module, partial(self._patch, patches, target))

    def finish(self) -> None:
        """End runs that were left open because more may come; called before the process ends."""

    def reset(self) -> None:
        """Forget what was learnt of objects of the user's; called when autologging is switched off."""

    def _patch(self, patches: Patches, target: Target, module: ModuleType) -> None:
        match target:
            case Method():
                owner = getattr(module, target.owner, None)
                if isinstance(owner, type):
                    for name, observer in self._observers(target.observers).items():
                        patches.method(owner, name, observer, always=target.always)
            case Family():
                patches.family(getattr(module, target.base), self._observers(target.observers), target.timed)
            case Functions():
                names = target.names if target.names is not None else getattr(module, "__all__", ())
                patches.functions(
                    module, self._observers({name: target.observer for name in names if name not in target.leave})
                )

    def _observers(self, names: Mapping[str, str]) -> dict[str, Observer]:
        return {name: getattr(self, observer) for name, observer in names.items()}


__all__ = ["Call", "Family", "Functions", "Integration", "Method", "Outcome", "Session", "Target", "Watching", "along"]
