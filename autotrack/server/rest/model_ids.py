"""Ids of logged models. An id carries its run's, so that no index is needed to find the model.

``m-``, the run's id, and sixteen hexadecimal digits of the path's hash. A run whose id is not 32 hexadecimal digits, as
other tools make them, is told by the hexadecimal digits of its text, between ``m-x`` and another ``-``.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

from autotrack.entities import LoggedModel, Run

_PLAIN: Final = re.compile(r"[0-9a-f]{32}")
_FORM: Final = re.compile(r"m-(?:(?P<plain>[0-9a-f]{32})|x(?P<text>(?:[0-9a-f]{2}){0,500})-)[0-9a-f]{16}")


def id_of(run_id: str, path: str) -> str:
    """The id of the model that stands there among a run's artifacts."""
    digits = hashlib.sha256(path.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    if _PLAIN.fullmatch(run_id):
        return f"m-{run_id}{digits}"
    return f"m-x{run_id.encode('utf-8', 'surrogatepass').hex()}-{digits}"


def run_of(model_id: str) -> str | None:
    """The id of the run that a model's id names; ``None`` for what is no such id."""
    match = _FORM.fullmatch(model_id)
    if match is None:
        return None
    if match["plain"]:
        return match["plain"]
    try:
        return bytes.fromhex(match["text"]).decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return None


def model_of(run: Run, model_id: str) -> LoggedModel | None:
    """The model of a run that has this id, whoever logged it."""
    return next((model for model in run.models if id_of(run.run_id, model.path) == model_id), None)
