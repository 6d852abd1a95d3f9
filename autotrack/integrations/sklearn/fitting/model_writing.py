"""Writing the fitted models of a run, before the user may change them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final

from autotrack.capture.guard import warn
from autotrack.capture.recorder import RunRecorder
from autotrack.capture.sinks import now
from autotrack.entities import SKIPPED, Dataset
from autotrack.integrations.sklearn.fitting.training import TrainingPass
from autotrack.integrations.sklearn.rows import first

MODEL: Final = "model"
_EXAMPLE: Final = 5
"""Rows of an input example."""


def write_models(
    run: RunRecorder, models: Mapping[str, Any], X: Any, taken: TrainingPass | None, dataset: Dataset | None
) -> None:
    """Write models that predict the same from the same X; those of an earlier step of the run go.

    Parameters
    ----------
    run : the run they belong to; its options are asked.
    models : their paths among the artifacts → the fitted estimators.
    X : the training data, of which a signature is made.
    taken : predictions for it, where they were taken.
    dataset : its fingerprint, where it was taken.
    """
    # Only now: what the first model needs would make every start-up longer.
    from autotrack.models import infer_signature, write_model

    settings = run.session.settings
    signature = None
    if settings.log_model_signatures:
        with run.attempt("model signature", "infer the model's signature"):
            missing = (
                {c["name"]: c["missing"] for c in dataset.columns if "missing" in c} if dataset is not None else None
            )
            signature, _ = infer_signature(X, None if taken is None else taken.y_pred, missing=missing)
    example = first(_EXAMPLE, X) if settings.log_input_examples else None
    for path, model in models.items():
        with run.attempt(path, "write the fitted model"):
            if run.step > 0:
                run.replacing_model(path)
            written = write_model(
                run.artifact_path(path),
                model,
                run_id=run.run_id,
                signature=signature,
                input_example=example,
                created=now(),
                artifact_path=path,
                serialization_format=settings.serialization_format,
                remark=partial(_remark, run, path),
                replace=run.step > 0,
            )
            if path == MODEL and settings.registered_model_name is not None:
                written = replace(written, registered_model_name=settings.registered_model_name)
            run.model(written)


def _remark(run: RunRecorder, path: str, message: str) -> None:
    run.note(SKIPPED, path, message)
    warn(f"says of the {path}: {message}")
