"""A way to answer the parent that no library's printing gets mixed into."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any


def open_answers() -> Callable[[Any], None]:
    """Take standard output for answers alone; what anybody prints from now on goes to standard error."""
    ours = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def answer(what: Any) -> None:
        ours.write(json.dumps(what) + "\n")
        ours.flush()

    return answer
