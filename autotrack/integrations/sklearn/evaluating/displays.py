"""Figures that ``ConfusionMatrixDisplay.from_estimator`` and its kind draw: each becomes a PNG of the model's run.

A copy is drawn, so that the user's figure and pyplot never notice. It is drawn at once and in the user's thread, where
the copy is made: while matplotlib draws, it sets its global rcParams and puts them back, which nobody may do beside the
user's program.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, cast

from autotrack.capture.names import argument_name
from autotrack.entities import SKIPPED
from autotrack.integrations.base import Call, Method, Watching
from autotrack.integrations.sklearn.evaluating.evaluation import FittedRun, given
from autotrack.integrations.sklearn.evaluating.predictions import Origin, Unknown
from autotrack.integrations.sklearn.memory import Memory

_CLASSES: Final = (
    ("sklearn.metrics", "ConfusionMatrixDisplay"),
    ("sklearn.metrics", "DetCurveDisplay"),
    ("sklearn.metrics", "PrecisionRecallDisplay"),
    ("sklearn.metrics", "PredictionErrorDisplay"),
    ("sklearn.metrics", "RocCurveDisplay"),
    ("sklearn.calibration", "CalibrationDisplay"),
    ("sklearn.inspection", "DecisionBoundaryDisplay"),
    ("sklearn.inspection", "PartialDependenceDisplay"),
    ("sklearn.model_selection", "LearningCurveDisplay"),
    ("sklearn.model_selection", "ValidationCurveDisplay"),
)

_OBSERVERS: Final[Mapping[str, str]] = MappingProxyType(
    {"from_estimator": "display", "from_predictions": "display", "plot": "plotted"}
)

_MOST_BYTES: Final = 16 << 20
"""A figure that holds more than this (a user's million points beside the display's own) is not drawn again."""

TARGETS: Final = tuple(Method(module, cls, _OBSERVERS) for module, cls in _CLASSES)


class Displays:
    """Observers of the classes that draw what a model does."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def display(self, call: Call) -> Watching:
        """``from_estimator`` and ``from_predictions``."""
        settings = self._memory.session.settings
        if not (settings.log_plots and settings.log_post_training_metrics):
            yield None
            return
        fitted, name, found = None, None, None
        if "estimator" in call.names[:1]:
            fitted = self._memory.fitted_run(call.argument("estimator"))
            name = argument_name(call.frame, "X", 1, call.argument("X"))
        else:
            found = self._memory.predictions.recognise(call.names, given(call))
        outcome = yield None
        if outcome.error is not None:
            return
        if fitted is not None:
            found = Origin(fitted, fitted.dataset(call.argument("X"), call.argument("y"), name))
        if isinstance(found, Origin):
            self._memory.displays.set(outcome.value, found)
            _draw(found, outcome.value)
        else:
            kind = _name(outcome.value)
            reason = found.reason if isinstance(found, Unknown) else "an estimator whose fit was not recorded"
            self._memory.reports.skipped(kind, f"{kind}.{call.wrapped.__name__} was called on {reason}")

    def plotted(self, call: Call) -> Watching:
        """``plot()`` of a display that was made before, or by hand from what a metric gave."""
        outcome = yield None
        settings = self._memory.session.settings
        if outcome.error is not None or not (settings.log_plots and settings.log_post_training_metrics):
            return
        found = self._memory.displays.get(call.instance)
        if found is None:
            found = self._memory.predictions.origin([*vars(call.instance).values()], ())
        if isinstance(found, Origin):
            _draw(found, outcome.value)


def _name(display: Any) -> str:
    return type(display).__name__


def _draw(origin: Origin, display: Any) -> None:
    figure = getattr(display, "figure_", None)
    if figure is None:
        return
    fitted: FittedRun = origin.fitted
    name = _name(display)
    dataset = f"{origin.dataset}-part" if origin.part else origin.dataset
    key = fitted.key(name, dataset, "part display" if origin.part else "display")
    with fitted.run.attempt(name, f"draw a copy of the figure of {name}"):
        png = png_of(figure)
        if png is None:
            fitted.run.note(SKIPPED, name, f"the figure holds over {_MOST_BYTES >> 20} MB, which take long to draw")
        else:
            fitted.run.artifact(f"{key}.png", png)
    fitted.run.flush()


def png_of(figure: Any) -> bytes | None:
    """What the figure shows, drawn on a copy of it; ``None`` where it is too large to be drawn while the user waits.

    Raises
    ------
    Exception
        When the figure holds something that cannot be copied.
    """
    import pickle

    from cloudpickle import Pickler
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    class Copier(Pickler):  # type: ignore[misc,unused-ignore]
        def reducer_override(self, thing: Any) -> Any:
            if not isinstance(thing, Figure):
                return super().reducer_override(thing)
            make, arguments, state, *_ = cast("tuple[Any, ...]", thing.__reduce_ex__(2))
            # Else the copy would become pyplot's current figure.
            return make, arguments, {key: value for key, value in state.items() if key != "_restore_to_pylab"}

    while getattr(figure, "figure", figure) not in (figure, None):  # of a part, the whole
        figure = figure.figure
    copied, drawn = io.BytesIO(), io.BytesIO()
    Copier(copied).dump(figure)
    if copied.tell() > _MOST_BYTES:
        return None
    canvas: Any = FigureCanvasAgg(pickle.loads(copied.getvalue()))
    canvas.print_png(drawn)
    return drawn.getvalue()
