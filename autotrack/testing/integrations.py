"""The contract that every integration is tested against."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from types import FunctionType
from typing import Any, ClassVar

from autotrack.capture import guard
from autotrack.capture.patching import Patches
from autotrack.capture.recorder import Session
from autotrack.capture.sinks import StoreSink
from autotrack.integrations.base import Call, Family, Functions, Integration, Method, Watching
from autotrack.journal import new_id
from autotrack.stores.memory import MemoryStore


class IntegrationContract:
    """What every integration keeps to. A subclass names the integration and gives one call that it observes.

    Example
    -------
    >>> class TestXGBoost(IntegrationContract):
    ...     integration = XGBoost
    ...     def exercise(self):
    ...         return xgboost.train({}, data, num_boost_round=2).predict(data).tolist()

    Attributes
    ----------
    integration : the class under test.
    makes_a_run : whether `exercise` leaves a run behind.
    """

    integration: ClassVar[type[Integration]]
    makes_a_run: ClassVar[bool] = True

    def exercise(self) -> Any:
        """Make a call that is observed, and return what it gave, comparable by ``==``."""
        raise NotImplementedError("a subclass of IntegrationContract writes exercise()")

    def test_every_target_exists_in_the_library(self) -> None:
        for target in self.integration.targets:
            module = importlib.import_module(target.module)
            match target:
                case Method():
                    owner = getattr(module, target.owner)
                    assert any(hasattr(owner, name) for name in target.observers), target
                case Family():
                    assert isinstance(getattr(module, target.base), type), target
                case Functions():
                    names = target.names if target.names is not None else module.__all__
                    assert any(isinstance(getattr(module, name, None), FunctionType) for name in names), target

    def test_every_observer_is_a_generator_of_the_integration(self) -> None:
        for target in self.integration.targets:
            names = [target.observer] if isinstance(target, Functions) else list(target.observers.values())
            for name in names:
                assert inspect.isgeneratorfunction(getattr(self.integration, name)), name

    def test_a_call_gives_the_same_when_it_is_observed(self) -> None:
        bare = self.exercise()
        with self._installed(self.integration):
            assert self.exercise() == bare

    def test_a_run_is_recorded_once_even_when_installed_twice(self) -> None:
        with self._installed(self.integration, times=2) as store:
            self.exercise()
        runs = store.search_runs()
        assert len(runs) == (1 if self.makes_a_run else 0)
        assert all(run.status == "FINISHED" for run in runs)

    def test_everything_is_the_original_object_after_undo(self) -> None:
        before = self._everything()
        with self._installed(self.integration):
            self.exercise()
        after = self._everything()
        assert [key for key, value in before.items() if after.get(key) is not value] == []

    def test_observers_that_raise_change_nothing(self) -> None:
        bare = self.exercise()
        listeners, guard.on_error[:] = list(guard.on_error), []
        try:
            for broken in (_raises_before, _raises_after):
                observers = {
                    name: broken
                    for target in self.integration.targets
                    for name in ([target.observer] if isinstance(target, Functions) else target.observers.values())
                }
                cls = type(f"Broken{self.integration.__name__}", (self.integration,), observers)
                with self._installed(cls):
                    assert self.exercise() == bare
        finally:
            guard.on_error[:] = listeners

    @contextmanager
    def _installed(self, cls: type[Integration], times: int = 1) -> Iterator[MemoryStore]:
        store = MemoryStore(new_id())
        session = Session(lambda uri: StoreSink(store.apply, store.artifact_folder))
        patches = Patches()
        patches.enabled = True
        integration = cls(session)
        try:
            for _ in range(times):
                integration.install(patches)
            yield store
            session.flush()
        finally:
            patches.undo()
            integration.reset()
            MemoryStore.forget(store.uri)

    def _everything(self) -> dict[Any, Any]:
        """What stands in the modules of the targets, in their classes and in the classes' heirs."""
        found: dict[Any, Any] = {}
        for target in self.integration.targets:
            module = importlib.import_module(target.module)
            found |= {(target.module, name): value for name, value in vars(module).items()}
            owner = getattr(module, getattr(target, "owner", getattr(target, "base", "")), None)
            stack = [owner] if isinstance(owner, type) else []
            while stack:
                cls = stack.pop()
                stack.extend(type.__subclasses__(cls))
                found |= {(cls, name): value for name, value in vars(cls).items()}
        return found


def _raises_before(self: Integration, call: Call) -> Watching:
    _fail("before")
    yield None


def _raises_after(self: Integration, call: Call) -> Watching:
    yield None
    _fail("after")


def _fail(when: str) -> None:
    raise RuntimeError(f"an observer that raises {when}")
