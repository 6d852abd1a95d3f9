"""matplotlib: a figure saved to a path is an artifact of the active run, else of the run that last finished here."""

from __future__ import annotations

import os
from typing import ClassVar

from autotrack.integrations.base import Call, Integration, Method, Target, Watching


class Matplotlib(Integration):
    """Observes ``Figure.savefig``, through which ``plt.savefig`` goes too."""

    name = "matplotlib"
    targets: ClassVar[tuple[Target, ...]] = (Method("matplotlib.figure", "Figure", {"savefig": "savefig"}),)

    def savefig(self, call: Call) -> Watching:
        target = call.argument("fname")
        outcome = yield None
        run = self.session.current_run()
        if outcome.error is not None or run is None or not isinstance(target, (str, os.PathLike)):
            return
        path = _written(os.fspath(target), call)
        if path is None:
            return
        with open(path, "rb") as file:
            run.artifact(os.path.basename(path), file.read())
        run.flush()


def _written(path: str | bytes, call: Call) -> str | None:
    """The file that matplotlib wrote: it adds the format to a name without an extension."""
    path = os.fsdecode(path)
    if os.path.isfile(path):
        return path
    import matplotlib

    suffix = call.kwargs.get("format") or matplotlib.rcParams["savefig.format"]
    return f"{path}.{suffix}" if os.path.isfile(f"{path}.{suffix}") else None
