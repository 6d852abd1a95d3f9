"""Methods that no class statement made: assigned later, decorated, inherited, replaced on one object."""

from __future__ import annotations

import functools
import gc
import pickle
import warnings
import weakref
from unittest import mock

import numpy as np
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.utils.metaestimators import available_if

import autotrack

X = np.arange(20.0).reshape(10, 2)
y = np.arange(10.0)


class Mean(RegressorMixin, BaseEstimator):
    def fit(self, X, y):
        self.mean_ = float(np.mean(y))
        return self

    def predict(self, X):
        return np.full(len(X), self.mean_)


def fit_otherwise(self, X, y):
    self.mean_ = -1.0
    return self


def runs():
    autotrack.flush()
    return list(autotrack.search_runs()["run_name"]) if len(autotrack.search_runs()) else []


def fresh(name="Fresh"):
    """A class of its own, made before or after autologging went on."""
    return type(name, (Mean,), {"__module__": __name__})


def test_a_fit_assigned_before_autologging_is_seen(store):
    cls = fresh()
    cls.fit = fit_otherwise
    autotrack.autolog(store=store)
    assert cls().fit(X, y).mean_ == -1.0
    assert runs() == ["Fresh"]
    autotrack.autolog(disable=True)
    assert vars(cls)["fit"] is fit_otherwise


def test_a_fit_assigned_later_is_seen_once_the_class_is_met(logged):
    cls = fresh()
    Ridge().fit(X, y)
    cls.fit = fit_otherwise
    model = cls().fit(X, y)  # nothing of ours runs here
    assert model.mean_ == -1.0
    model.predict(X)
    assert cls().fit(X, y).mean_ == -1.0
    assert runs() == ["Fresh", "Ridge"]
    autotrack.autolog(disable=True)
    assert vars(cls)["fit"] is fit_otherwise


def test_a_fit_that_a_class_decorator_put_there_is_seen_after_any_other_observed_call(logged):
    def decorate(cls):
        cls.fit = fit_otherwise
        return cls

    @decorate
    class Decorated(Mean):
        pass

    Ridge().fit(X, y)
    assert Decorated().fit(X, y).mean_ == -1.0
    assert runs() == ["Decorated", "Ridge"]


def test_a_fit_assigned_later_that_calls_the_one_before_is_seen_at_once(logged):
    cls = fresh()
    before = cls.fit

    @functools.wraps(before)
    def fit(self, X, y):
        return before(self, X, y)

    cls.fit = fit
    cls().fit(X, y)
    assert runs() == ["Fresh"]
    cls().fit(X, y)
    assert runs() == ["Fresh", "Fresh"]


def test_a_method_patched_for_a_while_comes_back(logged):
    cls = fresh()
    with mock.patch.object(cls, "fit", fit_otherwise):
        assert cls().fit(X, y).mean_ == -1.0
    assert cls().fit(X, y).mean_ == 4.5
    assert runs() == ["Fresh"]
    with mock.patch.object(cls, "fit", autospec=True) as fit:
        cls().fit(X, y)
    assert fit.call_count == 1


def test_a_fit_assigned_to_one_object_is_its_own_and_is_seen_as_far_as_it_calls_its_classs(logged):
    model = Mean()
    model.fit = functools.partial(fit_otherwise, model)
    assert model.fit is vars(model)["fit"]
    assert model.fit(X, y).mean_ == -1.0
    assert runs() == []
    other = Mean()
    other.fit = lambda X, y: Mean.fit(other, X, y)
    assert other.fit(X, y).mean_ == 4.5
    assert runs() == ["Mean"]


def test_a_class_that_was_met_is_not_kept_alive(logged):
    cls = fresh("Passing")
    cls.fit = fit_otherwise
    cls().fit(X, y)
    gone = weakref.ref(cls)
    del cls
    autotrack.flush()
    gc.collect()
    assert gone() is None


class Callable_:
    """A callable object in a class body: Python does not bind it."""

    def __call__(self, X, y):
        return "called"


@pytest.mark.allow_swallowed  # not everything pickles
@pytest.mark.parametrize(
    ("fit", "instance_given"),
    [
        (staticmethod(lambda X, y=None: "static"), False),
        (classmethod(lambda cls, X, y=None: "class"), False),
        (Callable_(), False),
        (functools.partial(lambda X, y=None: "partial"), False),
        (functools.partialmethod(lambda self, X, y=None, *, k: k, k="partialmethod"), True),
        (None, False),
        (property(lambda self: lambda X, y: "property"), False),
        (functools.cached_property(lambda self: lambda X, y: "cached"), False),
    ],
    ids=["static", "class", "object", "partial", "partialmethod", "None", "property", "cached"],
)
def test_oddities_stay_what_they_are(store, fit, instance_given):
    def look(cls):
        model = cls()
        found = [type(vars(cls)["fit"]) if vars(cls)["fit"] is None else "", callable(model.fit), model.fit is None]
        try:
            result = model.fit(X, y)
        except Exception as error:
            return [*found, type(error), str(error)]
        return [*found, "self" if result is model else result]

    def make():
        cls = type("Odd", (BaseEstimator,), {"fit": fit, "__module__": __name__})
        if hasattr(fit, "__set_name__"):
            fit.__set_name__(cls, "fit")
        return cls

    bare = look(make())
    earlier = make()
    autotrack.autolog(store=store)
    assert look(make()) == bare
    assert look(earlier) == bare
    assert len(runs()) == (2 if instance_given else 0)


def test_a_fit_that_is_available_at_times_only(logged):
    class Sometimes(Mean):
        def __init__(self, there=True):
            self.there = there

        @available_if(lambda self: self.there)
        def fit(self, X, y):
            return super().fit(X, y)

    assert hasattr(Sometimes(), "fit")
    assert not hasattr(Sometimes(False), "fit")
    with pytest.raises(AttributeError, match="has no attribute 'fit'"):
        Sometimes(False).fit
    Sometimes().fit(X, y)
    assert runs() == ["Sometimes"]


def test_a_fit_through_super_is_one_run_of_the_class_itself(logged):
    class Heir(Mean):
        def fit(self, X, y):
            super().fit(X, y)
            return self

    Heir().fit(X, y)
    assert runs() == ["Heir"]
    assert pickle.loads(pickle.dumps(Mean().fit))(X, y).mean_ == 4.5


def test_classes_of_a_metaclass(logged):
    class Meta(type):
        made: list = []

        def __new__(mcs, name, bases, body):
            cls = super().__new__(mcs, name, bases, body)
            mcs.made.append(name)
            return cls

        def __getattribute__(cls, name):
            return super().__getattribute__(name)

    class Model(Mean, metaclass=Meta):
        def fit(self, X, y):
            return super().fit(X, y)

    make_pipeline(Model()).fit(X, y)
    Model().fit(X, y)
    assert Meta.made == ["Model"]
    assert runs() == ["Model", "Pipeline(Model)"]


class Warns(Mean):
    def fit(self, X, y):
        warnings.warn("about the caller", UserWarning, stacklevel=2)
        warnings.warn("deprecated", DeprecationWarning, stacklevel=2)
        warnings.warn("about this", UserWarning, stacklevel=1)
        return super().fit(X, y)


def _seen(function, *args):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        function(*args)
    return [(w.category, str(w.message), w.filename, w.lineno) for w in caught]


def test_a_warning_about_the_caller_names_the_users_line(store):
    def fit():
        Warns().fit(X, y)

    def nested():
        make_pipeline(Warns()).fit(X, y)

    bare = _seen(fit), _seen(nested)
    assert bare[0][0][2] == __file__
    autotrack.autolog(store=store)
    assert (_seen(fit), _seen(nested)) == bare
    with autotrack.disabled():
        assert (_seen(fit), _seen(nested)) == bare


def test_a_deprecation_shown_in_the_users_script_alone_is_shown_there(script):
    code = """
    import sys, warnings
    import autotrack
    if "on" in sys.argv:
        autotrack.autolog(store="store")
    from sklearn.base import BaseEstimator

    class Model(BaseEstimator):
        def fit(self, X, y):
            warnings.warn("old", DeprecationWarning, stacklevel=2)

    for _ in range(2):
        Model().fit([[1]], [1])
    """
    bare, observed = script(code), script(code, "on")
    assert "DeprecationWarning: old" in bare.stderr
    assert observed.stderr == bare.stderr


class WarnsWhenItPredicts(Mean):
    def predict(self, X):
        warnings.warn("a prediction", UserWarning, stacklevel=1)
        return super().predict(X)


@pytest.mark.parametrize("action", ["default", "always", "once", "module"])
def test_a_warning_of_a_prediction_that_we_ask_for_is_not_shown_and_the_users_own_is(store, action):
    def look():
        globals().pop("__warningregistry__", None)
        warnings.onceregistry.clear()
        shown = []
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter(action)
            model = WarnsWhenItPredicts().fit(X, y)
            shown.append(len(caught))
            model.predict(X)
            shown.append(len(caught))
            model.predict(X)
            shown.append(len(caught))
        return shown

    bare = look()
    assert bare[:2] == [0, 1]
    autotrack.autolog(store=store)
    assert look() == bare
    assert runs() == ["WarnsWhenItPredicts"]
    assert "training_r2_score" in autotrack.get_run("latest").metrics


@pytest.mark.allow_swallowed  # the metrics are lost, and that is said
def test_a_warning_that_is_an_error_by_the_users_filters_costs_the_training_metrics_only(logged):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = WarnsWhenItPredicts().fit(X, y)
    assert model.mean_ == 4.5
    assert runs() == ["WarnsWhenItPredicts"]
