"""From what the user named to a model that can be served: found, loaded once, and described."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from autotrack.models.example import SERVING_FILE
from autotrack.models.mlmodel import ModelInfo
from autotrack.serving.app import Served
from autotrack.serving.openapi import describe
from autotrack.serving.options import ServingOptions
from autotrack.serving.page import render_page
from autotrack.serving.schema import InputSchema
from autotrack.serving.scoring import Scorer

_LARGEST_EXAMPLE: Final = 2**20


def prepare(model: Any, info: ModelInfo, reference: str, options: ServingOptions) -> Served:
    """Make everything that is told of a model, and what calls it.

    Parameters
    ----------
    model : loaded.
    info : of its folder.
    reference : how the user named it.

    Raises
    ------
    ModelError
        For a model that cannot predict.
    """
    name = type(model).__name__
    schema = InputSchema.of(info, model)
    scorer = Scorer(model, info, schema)
    methods = [scorer.default_method, *(name for name in scorer.methods if name != scorer.default_method)]
    example = read_example(info.folder)
    request = json.loads(example) if example is not None else None
    about = _about(reference, info, schema)
    has_token = bool(options.token)
    document = describe(name, about, schema, methods=methods, has_token=has_token, example=request)
    page = render_page(
        name,
        about,
        schema,
        methods=methods,
        classes=_classes(model),
        example=request,
        has_token=has_token,
    )
    return Served(
        scorer=scorer,
        schema=schema,
        name=name,
        info=_labels(name, reference, info),
        page=page.body,
        page_policy=page.policy,
        openapi=json.dumps(document).encode(),
        example=example,
    )


def read_example(folder: Path) -> bytes | None:
    """The request that the folder keeps as an example, if there is one of a sensible size that is JSON."""
    path = folder / SERVING_FILE
    try:
        if path.is_symlink() or path.stat().st_size > _LARGEST_EXAMPLE:
            return None
        content = path.read_bytes()
        return content if isinstance(json.loads(content), dict) else None
    except (OSError, ValueError, RecursionError):
        return None


def _classes(model: Any) -> list[Any] | None:
    try:
        labels = model.classes_.tolist()
    except Exception:  # noqa: BLE001 - a property of the user's may raise anything
        return None
    return labels if isinstance(labels, list) and len(labels) <= 100 else None


def _about(reference: str, info: ModelInfo, schema: InputSchema) -> str:
    parts = [reference]
    if schema.columns is not None:
        parts.append(f"{len(schema.columns)} column{'s' if len(schema.columns) != 1 else ''}")
    elif schema.width is not None:
        parts.append(f"{schema.width} values in a row")
    if info.sklearn_version:
        parts.append(f"scikit-learn {info.sklearn_version}")
    if info.created:
        parts.append(f"logged {info.created[:10]}")
    return " · ".join(parts)


def _labels(name: str, reference: str, info: ModelInfo) -> dict[str, str]:
    from autotrack import __version__

    return {
        "model": reference,
        "estimator": info.estimator_class or name,
        "run_id": info.run_id,
        "sklearn_version": info.sklearn_version,
        "autotrack_version": __version__,
    }
