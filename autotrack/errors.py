"""Errors that autotrack raises at people: each names the thing, the value and the way out."""

from __future__ import annotations


class AutotrackError(Exception):
    """Base class of every error that autotrack raises on purpose."""


class SettingsError(AutotrackError, ValueError):
    """An option, environment variable or ``pyproject.toml`` entry that cannot be used."""


class StoreError(AutotrackError):
    """A store that cannot be opened, read or written."""


class RunNotFound(AutotrackError, LookupError):
    """No run matches what was asked for."""


class AmbiguousRun(AutotrackError, LookupError):
    """More than one run matches what was asked for."""


class ArtifactNotFound(AutotrackError, LookupError):
    """The run exists, the artifact does not."""


class FilterError(AutotrackError, ValueError):
    """A filter or ``order_by`` that cannot be understood; the message points at the place."""


class PageTokenError(AutotrackError, ValueError):
    """A page token that is not one of the search it is given to."""


class ModelError(AutotrackError):
    """A model that cannot be written, found or loaded."""


class ModelNotFound(ModelError, LookupError):
    """No such registered model, version or alias."""


class ModelRefused(ModelError):
    """A model that would run code when it is loaded, from a place that nobody has said to trust."""


class ServingError(AutotrackError):
    """A model that cannot be served here: a port that is taken, a worker that does not start."""


class PlotError(AutotrackError, LookupError):
    """A plot that a run does not have, or that cannot be read or drawn."""


class RunStateError(AutotrackError, RuntimeError):
    """A call that needs an active run, or that comes at the wrong time."""
