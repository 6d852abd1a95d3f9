"""Observers round one call: the host gets its own result or its own exception, whatever an observer does."""

from __future__ import annotations

import copy
import gc
import inspect
import pickle
import sys
import weakref
from types import ModuleType

import cloudpickle
import pytest

from autotrack.capture import patching
from autotrack.capture.calling_importlib_bootstrap import Call, Outcome
from autotrack.capture.patching import Patches


class Host:
    """What the outside world offers to be observed."""

    def work(self, a: int, b: int = 2) -> int:
        """Add."""
        if a < 0:
            raise ValueError(a)
        if a > 100:
            raise KeyboardInterrupt
        return a + b

    @classmethod
    def made(cls) -> type:
        return cls


class Heir(Host):
    pass


seen: list[object] = []


def right(call: Call):
    seen.append(call.argument("a"))
    outcome = yield None
    seen.append(outcome)


def raises_before(call: Call):
    raise RuntimeError("before")
    yield None


def raises_after(call: Call):
    yield None
    raise RuntimeError("after")


def never_yields(call: Call):
    return
    yield None


def yields_twice(call: Call):
    yield None
    yield None


OBSERVERS = [right, raises_before, raises_after, never_yields, yields_twice]


@pytest.fixture
def patches():
    made = Patches()
    made.enabled = True
    yield made
    made.undo()
    assert len(made) == 0


@pytest.mark.allow_swallowed
@pytest.mark.parametrize("observer", OBSERVERS, ids=lambda observer: observer.__name__)
@pytest.mark.parametrize(("given", "error"), [(1, None), (-1, ValueError), (101, KeyboardInterrupt)])
def test_the_host_gets_its_own_outcome(patches, observer, given, error):
    patches.method(Host, "work", observer)
    if error is None:
        assert Host().work(given) == 3
    else:
        with pytest.raises(error) as caught:
            Host().work(given)
        assert caught.traceback[-1].name == "work"


def test_an_observer_sees_arguments_and_outcome(patches):
    patches.method(Host, "work", right)
    seen.clear()
    assert Host().work(b=5, a=1) == 6
    assert Host().work(3) == 5
    with pytest.raises(ValueError, match="-7"):
        Host().work(-7)
    assert seen[:4] == [1, Outcome(6), 3, Outcome(5)]
    assert isinstance(seen[5].error, ValueError)


def test_a_ctrl_c_in_our_own_code_is_the_users(patches):
    def interrupted(call: Call):
        raise KeyboardInterrupt
        yield None

    patches.method(Host, "work", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Host().work(1)


def test_observations_do_not_nest(patches):
    calls = []

    def observer(call: Call):
        calls.append(call.instance)
        yield None
        Host().work(1)

    patches.method(Host, "work", observer)
    Host().work(1)
    assert len(calls) == 1


@pytest.mark.parametrize("given", [((1, 2), {}), ((1,), {"b": 2}), ((), {"a": 1, "b": 2})])
def test_replaced_arguments_go_where_the_caller_put_them(patches, given):
    def observer(call: Call):
        yield {"b": 40}

    patches.method(Host, "work", observer)
    args, kwargs = given
    before = dict(kwargs)
    assert Host().work(*args, **kwargs) == 41
    assert kwargs == before


def test_undo_puts_the_very_objects_back(patches):
    raw, heirs = dict(vars(Host)), dict(vars(Heir))
    patches.family(Host, {"work": right, "made": right})
    assert vars(Host)["work"] is not raw["work"]
    assert "work" not in vars(Heir)
    patches.undo()
    assert dict(vars(Host)) == raw
    assert all(vars(Host)[name] is value for name, value in raw.items())
    assert dict(vars(Heir)) == heirs


def test_observing_twice_observes_once(patches):
    calls = []

    def observer(call: Call):
        calls.append(1)
        yield None

    for _ in range(2):
        patches.family(Host, {"work": observer})
    Host().work(1)
    assert calls == [1]


def test_classes_born_later_are_observed(patches):
    seen.clear()
    patches.family(Host, {"work": right})

    class Later(Host):
        def work(self, a: int, b: int = 2) -> int:
            return -super().work(a, b)

    assert Later().work(1) == -3
    assert seen == [1, Outcome(-3)]
    patches.undo()
    assert not isinstance(vars(Later)["work"], patching.MethodWrapper)


def test_a_method_keeps_its_face(patches):
    signature, bound = inspect.signature(Host.work), inspect.signature(Host().work)
    patches.method(Host, "work", right)
    assert inspect.signature(Host.work) == signature
    assert inspect.signature(Host().work) == bound
    assert inspect.isfunction(Host.work)
    assert inspect.ismethod(Host().work)
    assert Host.work.__doc__ == "Add."
    assert Host.work.__qualname__ == "Host.work"


@pytest.mark.parametrize("pickler", [pickle, cloudpickle], ids=["pickle", "cloudpickle"])
def test_bound_and_unbound_methods_pickle_by_name(patches, pickler):
    patches.method(Host, "work", right)
    for method in (Host().work, Heir().work):
        data = pickler.dumps(method)
        assert b"autotrack" not in data
        assert b"wrapt" not in data
        assert pickle.loads(data)(1) == 3
    data = pickler.dumps(Host.work)
    assert b"autotrack" not in data
    assert pickle.loads(data)(Host(), 1) == 3


def test_functions_are_replaced_where_they_are_re_exported_and_held(patches):
    library, inner, user = ModuleType("a_library"), ModuleType("a_library._inner"), ModuleType("a_user_module")
    exec("def metric(a):\n    return a", vars(inner))
    original = inner.metric
    library.metric = original
    user.alias = original
    user.__file__ = "/home/someone/project/a_user_module.py"
    sys.modules.update({"a_library": library, "a_library._inner": inner, "a_user_module": user})
    try:
        seen.clear()
        patches.functions(library, {"metric": right, "missing": right})
        assert inner.metric is original
        assert user.alias is library.metric is not original
        assert user.alias(7) == 7
        assert seen == [7, Outcome(7)]
        wrapper = library.metric
        for pickler in (pickle, cloudpickle):
            assert pickle.loads(pickler.dumps(wrapper)) is wrapper
            assert pickle.loads(pickler.dumps(original)) is original
            assert len(pickler.dumps(wrapper)) < 100
        assert copy.copy(wrapper) is wrapper
        assert copy.deepcopy(wrapper) is wrapper
        patches.undo()
        assert library.metric is user.alias is original
        assert pickle.loads(pickle.dumps(wrapper)) is original
    finally:
        for name in ("a_library", "a_library._inner", "a_user_module"):
            del sys.modules[name]


def test_a_hook_that_raises_does_not_break_an_import(patches):
    import colorsys

    def broken(module: ModuleType) -> None:
        raise RuntimeError

    sys.modules.pop("colorsys")
    with pytest.MonkeyPatch.context() as context:
        context.setattr(patching, "shield", patching.shield)
        from autotrack.capture import guard

        listeners, guard.on_error[:] = list(guard.on_error), []
        try:
            patches.when_imported("colorsys", broken)
            import colorsys as again
        finally:
            guard.on_error[:] = listeners
    assert again.rgb_to_hsv(0, 0, 0) == colorsys.rgb_to_hsv(0, 0, 0)


def test_switched_off_wrappers_that_somebody_kept_are_silent(patches):
    seen.clear()
    patches.method(Host, "work", right)
    kept = Host().work
    patches.undo()
    assert kept(1) == 3
    assert seen == []


def test_a_class_of_the_users_can_be_collected(patches):
    patches.family(Host, {"work": right})

    class Passing(Host):
        def work(self, a: int, b: int = 2) -> int:
            return super().work(a, b)

    Passing().work(1)
    gone = weakref.ref(Passing)
    del Passing
    seen.clear()
    gc.collect()
    assert gone() is None
