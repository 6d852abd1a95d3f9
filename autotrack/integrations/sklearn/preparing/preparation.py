"""Preparation outside a pipeline: splits and transformers make no run, but the model fitted on their output names them.

What a model's training data went through stands in the tags ``preprocessing`` ("SimpleImputer → StandardScaler") and
``train_test_split`` ("test_size=0.25, random_state=42, stratified"), and with all params in ``preprocessing.json``.

Limits: what numpy, scipy or pandas copied (``X[columns]``, ``np.hstack``, assignment into a frame) is not followed.
"""

from __future__ import annotations

import json
import weakref
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from autotrack.capture.links import Links
from autotrack.capture.names import argument_name
from autotrack.capture.recorder import RunRecorder, text
from autotrack.integrations.base import Call, Watching
from autotrack.integrations.sklearn import estimators
from autotrack.integrations.sklearn.evaluating.evaluation import data_of, input_name
from autotrack.integrations.sklearn.preparing.lineage import PART, SAME, UNKNOWN, Lineage, Made, shape_of

FILE: Final = "preprocessing.json"
TAG: Final = "preprocessing"
SPLIT_TAG: Final = "train_test_split"

_LONGEST_LABEL: Final = 250

_LEARN_NO_VALUES: Final = frozenset(
    {
        "AdditiveChi2Sampler",
        "CountVectorizer",
        "DictVectorizer",
        "GaussianRandomProjection",
        "LabelBinarizer",
        "LabelEncoder",
        "MissingIndicator",
        "MultiLabelBinarizer",
        "OneHotEncoder",
        "OrdinalEncoder",
        "PolynomialCountSketch",
        "PolynomialFeatures",
        "SkewedChi2Sampler",
        "SparseRandomProjection",
    }
)
"""Classes of scikit-learn that learn which columns and values there are, and nothing of how they are distributed."""

_NOTHING_LEARNT: Final = frozenset({"n_features_in_", "feature_names_in_", "n_features_out_"})


class Step:
    """One fit of one estimator that transforms.

    Parameters
    ----------
    estimator : read at once and not kept.
    on : the data it was fitted on; ``None`` where that is not known.
    name : what the script calls that data.
    params : as text.
    supervised : whether it was given the target and uses it.
    run_id : of the run that the fit made, empty where it made none.
    """

    __slots__ = ("cls", "label", "learns", "mark", "name", "on", "params", "run_id", "supervised")

    def __init__(
        self,
        estimator: Any,
        on: Made | None,
        name: str,
        params: Mapping[str, str],
        supervised: bool = False,
        run_id: str = "",
    ) -> None:
        cls = type(estimator)
        self.cls = f"{cls.__module__}.{cls.__qualname__}"
        self.label = label(estimator)
        self.on = on
        self.name = name
        self.params = params
        self.supervised = supervised
        self.run_id = run_id
        self.learns = on is not None and learns(estimator)
        self.mark = _weakly(learnt(estimator))


class Split:
    """One call of ``train_test_split``, without the data."""

    __slots__ = ("n_test", "n_train", "random_state", "shuffle", "stratified", "test_size", "train_size")

    def __init__(self, options: Mapping[str, Any], n_train: int | None, n_test: int | None) -> None:
        test_size, train_size = options.get("test_size"), options.get("train_size")
        self.test_size = _size(0.25 if test_size is None and train_size is None else test_size)
        self.train_size = _size(train_size)
        state = options.get("random_state")
        self.random_state = state if state is None or isinstance(state, int) else _plain(state)
        self.shuffle = bool(options.get("shuffle", True))
        self.stratified = options.get("stratify") is not None
        self.n_train = n_train
        self.n_test = n_test

    def __str__(self) -> str:
        told = [
            f"{name}={value}"
            for name in ("test_size", "train_size", "random_state")
            if (value := getattr(self, name)) is not None
        ]
        if self.stratified:
            told.append("stratified")
        if not self.shuffle:
            told.append("not shuffled")
        return ", ".join(told)

    def to_json(self) -> dict[str, Any]:
        """Everything known of it, as JSON types."""
        return {name: getattr(self, name) for name in ("test_size", "train_size", "random_state", "shuffle",
                                                       "stratified", "n_train", "n_test")}  # fmt: skip


class Prepared:
    """What a model's training data was ``made`` of, and what ``preprocessing.json`` says of it; `None` for nothing."""

    __slots__ = ("file", "made")

    def __init__(self) -> None:
        self.made: Made | None = None
        self.file: dict[str, Any] | None = None

    def write(self, run: RunRecorder) -> None:
        """Write the file; that takes longer than finding out what it says."""
        run.artifact(FILE, json.dumps(self.file, indent=2).encode())


class Preparation:
    """Observers of what makes data ready for a model, and what they know of it.

    Parameters
    ----------
    fitted : which run an estimator belongs to, for those that make one and transform too.
    """

    def __init__(self, fitted: Links) -> None:
        self.lineage = Lineage()
        self._steps = Links()
        self._fitted = fitted

    def clear(self) -> None:
        """Forget everything."""
        self.lineage.clear()
        self._steps.clear()

    def fit(self, call: Call) -> Watching:
        """``fit`` or ``fit_transform`` of an estimator that makes no run."""
        estimator, X = call.instance, data_of(call)
        name = input_name(call) or ""
        on = self.lineage.source(X, name)
        params = printed_params(estimator)
        outcome = yield None
        if outcome.error is not None:
            return
        step = Step(estimator, on, name, params, call.argument("y") is not None and uses_target(estimator))
        self._steps.set(estimator, step)
        if call.wrapped.__name__ == "fit_transform":
            self._transformed(X, on, step, "fit_transform", outcome.value)

    def transform(self, call: Call) -> Watching:
        """``transform`` of any estimator; what it is given needs no name."""
        outcome = yield None
        if outcome.error is not None or outcome.value is None:
            return
        X = call.args[0] if call.args else data_of(call)
        self._transformed(X, self.lineage.of(X), self._step(call.instance), "transform", outcome.value)

    def resample(self, call: Call) -> Watching:
        """``fit_resample``, as imbalanced-learn has it: other rows come out than went in."""
        estimator, X = call.instance, data_of(call)
        on = self.lineage.source(X, input_name(call) or "")
        params = printed_params(estimator)
        outcome = yield None
        results = outcome.value
        if outcome.error is not None or not isinstance(results, tuple) or len(results) < 2:
            return
        step = Step(estimator, on, on.name, params)
        y_before = self.lineage.of(call.argument("y"))
        for before, result in ((on, results[0]), (y_before, results[1])):
            self.lineage.put(result, Made(before, step, "fit_resample", shape_of(result)), X)

    def split(self, call: Call) -> Watching:
        """``train_test_split``, of whose arrays any number is given."""
        sources = [
            self.lineage.source(array, argument_name(call.frame, "", place, array) or "")
            for place, array in enumerate(call.args)
        ]
        outcome = yield None
        parts = outcome.value
        if outcome.error is not None or not isinstance(parts, list) or len(parts) != 2 * len(sources):
            return
        shapes = [shape_of(part) for part in parts]
        split = Split(call.kwargs, *(shape[0] if shape else None for shape in shapes[:2]))
        for place, part in enumerate(parts):
            of, how = sources[place // 2], "test" if place % 2 else "train"
            self.lineage.put(part, Made(of, split, how, shapes[place], rows=PART), call.args[place // 2])

    def look_at(self, run: RunRecorder, estimator: Any, X: Any, y: Any, name: str) -> Prepared:
        """Gather the tags that tell what the training data of a model went through, before it is fitted."""
        found = Prepared()
        with run.attempt("preprocessing", "tell what the training data went through"):
            # What the model transforms later was transformed by a model that was fitted on this data.
            if transforms(estimator):
                found.made = self.lineage.source(X, name)
            else:
                found.made = self.lineage.of(X)
            if found.made is not None or y is not None:
                found.file = _record(run, steps_of(found.made), steps_of(self.lineage.of(y)))
        return found

    def fitted_with_run(self, call: Call, run: RunRecorder, on: Made | None, name: str, result: Any) -> None:
        """A model was fitted; of one that transforms is remembered on what, and what it made of it."""
        if not transforms(call.instance):
            return
        step = Step(call.instance, on, name, {}, run_id=run.run_id)
        self._steps.set(call.instance, step)
        if call.wrapped.__name__ == "fit_transform":
            self._transformed(data_of(call), on, step, "fit_transform", result)

    def _step(self, estimator: Any) -> Step:
        """The fit behind what an estimator transforms."""
        step: Step | None = self._steps.get(estimator)
        if step is None or (step.mark is not None and step.mark() is not learnt(estimator)):
            # Fitted where nobody looked: loaded, by partial_fit, inside a pipeline.
            fitted = self._fitted.get(estimator) if step is None else None
            run_id = fitted.run.run_id if fitted is not None else ""
            step = Step(estimator, None, "", {} if run_id else printed_params(estimator), run_id=run_id)
            self._steps.set(estimator, step)
        return step

    def _transformed(self, X: Any, of: Made | None, step: Step, how: str, output: Any) -> None:
        shape = shape_of(output)
        if of is None:
            of = Made(None, None, "", shape_of(X))
        before = of.shape
        rows = SAME if shape and before and shape[0] == before[0] else UNKNOWN
        self.lineage.put(output, Made(of, step, how, shape, "", rows), X)


def _record(run: RunRecorder, steps: list[Made], target: list[Made]) -> dict[str, Any] | None:
    """Gather the tags; gives back what ``preprocessing.json`` holds, where the tags do not say it all."""
    if splits := [str(made.by) for made in steps if isinstance(made.by, Split)]:
        run.tags({SPLIT_TAG: _shortened("; ".join(splits))})
    if not any(isinstance(made.by, Step) for made in target):
        target = []
    if not target and not any(isinstance(made.by, Step) for made in steps):
        return None
    if chain := " → ".join(made.by.label for made in steps if isinstance(made.by, Step)):
        run.tags({TAG: _shortened(chain)})
    content: dict[str, Any] = {"version": 1, "steps": [_to_json(made) for made in steps]}
    if target:
        content["target"] = [_to_json(made) for made in target]
    return content


def transforms(estimator: Any) -> bool:
    """Whether an estimator is of a class that transforms data."""
    return hasattr(type(estimators.last_step(estimator)), "transform")


def steps_of(made: Made | None) -> list[Made]:
    """The splits and transformations that data went through, in their order."""
    return [] if made is None else [step for step in made if step.by is not None]


def printed_params(estimator: Any) -> dict[str, str]:
    """The params as text, with those of estimators inside."""
    names, state = _own_params(type(estimator)), getattr(estimator, "__dict__", {})
    if names and all(name in state and isinstance(state[name], _PLAIN) for name in names):
        return {name: str(state[name]) for name in names}
    return estimators.printed(estimator.get_params(deep=True)) if hasattr(estimator, "get_params") else {}


def label(estimator: Any) -> str:
    """What a person would call a transformer: ``StandardScaler``, ``ColumnTransformer(num: StandardScaler, …)``."""
    cls = type(estimator).__name__
    parts = _parts(estimator)
    if not parts:
        if cls != "FunctionTransformer":
            return cls
        function = vars(estimator).get("func")
        return "passthrough" if function is None else f"{cls}({getattr(function, '__name__', '…')})"
    if "steps" in vars(estimator):
        return _shortened(" → ".join(label(part) for _, part in parts if not isinstance(part, str)) or cls)
    inner = ", ".join(f"{name}: {part if isinstance(part, str) else label(part)}" for name, part in parts)
    return _shortened(f"{cls}({inner})")


def learns(estimator: Any) -> bool:
    """Whether a fitted transformer holds anything that depends on the values it was fitted on.

    What was learnt has a name with an underscore behind it, as scikit-learn has it everywhere.
    """
    cls, state = type(estimator), getattr(estimator, "__dict__", None)
    if not isinstance(state, dict) or (cls.__module__.startswith("sklearn.") and cls.__name__ in _LEARN_NO_VALUES):
        return False
    if state.get("prefit") is True or (cls.__name__ == "SimpleImputer" and state.get("strategy") == "constant"):
        return False
    parts = _parts(estimator)
    if parts:
        return any(learns(part) for _, part in parts if not isinstance(part, str))
    return any(name[-1:] == "_" and name[:1] != "_" and name not in _NOTHING_LEARNT for name in state)


def learnt(estimator: Any) -> Any:
    """The first object that a fit left on a transformer or on a part of it: another fit leaves another one."""
    state = getattr(estimator, "__dict__", None)
    if isinstance(state, dict):
        for name, value in state.items():
            if name[-1:] == "_" and isinstance(value, np.ndarray):
                return value
        for _, part in _parts(estimator):
            found = None if isinstance(part, str) else learnt(part)
            if found is not None:
                return found
    return None


def uses_target(estimator: Any) -> bool:
    """Whether what a transformer of scikit-learn learns depends on the target."""
    cls = type(estimator)
    if cls.__module__.startswith("sklearn.feature_selection"):
        return cls.__name__ != "VarianceThreshold"
    return cls.__module__.startswith("sklearn.") and cls.__name__ == "TargetEncoder"


def _parts(estimator: Any) -> list[tuple[str, Any]]:
    """Name and estimator of each part of a composed transformer, the fitted ones where they are kept apart."""
    state = getattr(estimator, "__dict__", {})  # not its __getattr__, which is the user's
    for name in ("transformers_", "transformers", "transformer_list", "steps"):
        parts = state.get(name)
        if isinstance(parts, list):
            return [
                (part[0], part[1])
                for part in parts
                if isinstance(part, tuple) and len(part) > 1 and part[1] is not None and part[1] != "drop"
            ]
    return []


def _to_json(made: Made) -> dict[str, Any]:
    shapes = {"shape_in": _shape(made.of.shape if made.of is not None else ()), "shape_out": _shape(made.shape)}
    data = next((step.name for step in reversed(list(made)[:-1]) if step.name), None)
    if isinstance(made.by, Split):
        return {"step": SPLIT_TAG, "part": made.how, **made.by.to_json(), "data": data, **shapes}
    step: Step = made.by
    told: dict[str, Any] = {"step": step.label, "class": step.cls, "method": made.how}
    told |= {"run_id": step.run_id} if step.run_id else {"params": dict(step.params)}
    if step.on is not None:
        told["fitted_on"] = {"data": step.name or None, "shape": _shape(step.on.shape)}
    return {**told, **shapes}


def _shape(shape: tuple[int | None, ...]) -> list[int | None]:
    return [None if length is None else int(length) for length in shape]


def _weakly(thing: Any) -> Callable[[], Any] | None:
    return None if thing is None else weakref.ref(thing)


def _size(size: Any) -> int | float | None:
    """A size as a plain number: numpy's print themselves with their type."""
    if size is None:
        return None
    return int(size) if hasattr(size, "__index__") else float(size)


def _plain(state: Any) -> int | str:
    return int(state) if hasattr(state, "__index__") else text(type(state).__name__)


def _shortened(line: str) -> str:
    return line if len(line) <= _LONGEST_LABEL else line[: _LONGEST_LABEL - 1] + "…"


_PLAIN: Final = (int, float, str, type(None))


_params_of: weakref.WeakKeyDictionary[type, tuple[str, ...]] = weakref.WeakKeyDictionary()


def _own_params(cls: type) -> tuple[str, ...]:
    """The names of a class's params; none where they cannot be told."""
    known = _params_of.get(cls)
    if known is None:
        names = getattr(cls, "_get_param_names", tuple)
        try:
            known = tuple(names())
        except Exception:  # noqa: BLE001 - scikit-learn refuses an __init__ with *args
            known = ()
        _params_of[cls] = known
    return known
