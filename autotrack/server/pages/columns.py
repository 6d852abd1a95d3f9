"""Numbers that stand below one another, names of metrics as people say them, texts in addresses."""

from __future__ import annotations

import math
from urllib.parse import quote

from autotrack.server.pages.formatting import number


def fixed(value: float | str | None, decimals: int = 4) -> str:
    """A number of a column, with as many decimals as the others; very small and large ones as `number` has them."""
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        return number(value)
    if value == int(value) and abs(value) >= 2:
        return number(value)
    if value and not 10.0**-decimals <= abs(value) < 1000:
        return number(value)
    return f"{value:.{decimals}f}".replace("-", "−")


def spoken(name: str) -> str:
    """The name of a metric in words."""
    words = name.replace("_", " ")
    head, _, last = words.rpartition(" ")
    return f"{head} ({last})" if head and last in ("binary", "macro", "micro", "samples") else words


def model_address(name: str) -> str:
    """The path of a registered model's page. Without a slash at its end, ``x.json`` would be the twin of ``x``."""
    return f"/models/{urlencode(name)}{'/' if name.endswith('.json') else ''}"


def urlencode(text: object) -> str:
    """A text as a part of an address. Jinja's own filter fails at lone surrogates."""
    return quote(str(text).encode("utf-8", "replace"), safe="/")
