"""What goes wrong with a request, as MLflow's clients read it: ``error_code``, a message, an HTTP status."""

from __future__ import annotations

from typing import Any, Final

from autotrack.errors import (
    AmbiguousRun,
    ArtifactNotFound,
    AutotrackError,
    FilterError,
    ModelError,
    ModelNotFound,
    PathRefused,
    PlotError,
    RunNotFound,
    SettingsError,
    StoreError,
)
from autotrack.server.places import told
from autotrack.stores.base import Store

BAD_REQUEST: Final = "BAD_REQUEST"
INVALID: Final = "INVALID_PARAMETER_VALUE"
EXISTS: Final = "RESOURCE_ALREADY_EXISTS"
NOT_FOUND: Final = "RESOURCE_DOES_NOT_EXIST"
NO_ENDPOINT: Final = "ENDPOINT_NOT_FOUND"
NOT_IMPLEMENTED: Final = "NOT_IMPLEMENTED"
DENIED: Final = "PERMISSION_DENIED"
UNAUTHENTICATED: Final = "UNAUTHENTICATED"
UNAVAILABLE: Final = "TEMPORARILY_UNAVAILABLE"
INTERNAL: Final = "INTERNAL_ERROR"

STATUSES: Final = {
    BAD_REQUEST: 400,
    INVALID: 400,
    EXISTS: 400,
    UNAUTHENTICATED: 401,
    DENIED: 403,
    NOT_FOUND: 404,
    NO_ENDPOINT: 404,
    INTERNAL: 500,
    NOT_IMPLEMENTED: 501,
    UNAVAILABLE: 503,
}
"""The HTTP status of each ``error_code``, as MLflow sends it."""


class Problem(Exception):
    """A request that cannot be answered as asked.

    Parameters
    ----------
    code : one of MLflow's error codes, see `STATUSES`.
    message : what is wrong, with the value, and the way out.
    status : the HTTP status, where it is another than the code's.
    headers : to be sent with it.
    """

    def __init__(
        self, code: str, message: str, status: int | None = None, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = STATUSES[code] if status is None else status
        self.headers = headers or {}

    def to_json(self) -> dict[str, Any]:
        """The body of the answer."""
        return {"error_code": self.code, "message": self.message}


_CODES: Final[tuple[tuple[type[AutotrackError], str], ...]] = (
    (RunNotFound, NOT_FOUND),
    (ArtifactNotFound, NOT_FOUND),
    (ModelNotFound, NOT_FOUND),
    (PlotError, NOT_FOUND),
    (AmbiguousRun, INVALID),
    (FilterError, INVALID),
    (ModelError, INVALID),
    (SettingsError, INVALID),
    (PathRefused, INVALID),
    (StoreError, UNAVAILABLE),
)


def problem_of(error: AutotrackError, store: Store) -> Problem:
    """The problem that one of our errors comes to, told without the store's places."""
    code = next((code for kind, code in _CODES if isinstance(error, kind)), INVALID)
    return Problem(code, told(error, store))
