"""Numbers, times and texts as people read them: the filters of the templates."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

_LARGE: Final = 1e6
_BYTES: Final = ("B", "kB", "MB", "GB", "TB")


def number(value: float | str | None, digits: int = 4) -> str:
    """A metric, with so many significant digits; ``–`` without one. Texts are those of `number_to_json`."""
    if value is None:
        return "–"
    if isinstance(value, str):
        return {"NaN": "NaN", "Infinity": "∞", "-Infinity": "−∞"}.get(value, value)
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("∞" if value > 0 else "−∞")
    if abs(value) < 10**6 and (abs(value) >= 1000 or value == int(value)):
        return f"{value:,.0f}".replace("-", "−")
    return f"{value:.{digits}g}".replace("-", "−")


def aligned(values: Sequence[float | None]) -> list[str]:
    """A column of one metric: as many decimals for each, four digits of the largest at least; empty for ``None``.

    What would come out as zero and is none, or is very large, stands as `number` has it.
    """
    finite = [abs(value) for value in values if value is not None and math.isfinite(value)]
    largest = max((value for value in finite if value < _LARGE), default=0.0)
    whole = all(value == int(value) for value in finite if value < _LARGE)
    decimals = 0 if whole else max(0, 4 - (len(str(int(largest))) if largest > 1 else 0))
    least = 0.5 * 10.0**-decimals

    def shown(value: float | None) -> str:
        if value is None:
            return ""
        if not math.isfinite(value) or abs(value) >= _LARGE or 0 < abs(value) < least:
            return number(value)
        return f"{value:,.{decimals}f}".replace("-", "−")

    return [shown(value) for value in values]


def seconds(value: float | None) -> str:
    """A duration in seconds: ``4.2 ms``, ``3.1 s``, ``5 min 12 s``, ``2 h 5 min``."""
    if value is None:
        return ""
    if value < 0.9995:
        return f"{value * 1000:.3g} ms"
    if value < 99.95:
        return f"{value:.3g} s"
    whole = round(value)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60} min"


def size(value: float | None) -> str:
    """Bytes: ``812 B``, ``4.1 kB``."""
    if value is None:
        return ""
    amount, unit = float(value), 0
    while amount >= 999.5 and unit < len(_BYTES) - 1:
        amount, unit = amount / 1000, unit + 1
    return f"{amount:.0f} B" if unit == 0 else f"{amount:.3g} {_BYTES[unit]}"


def stamp(milliseconds: int | None) -> str:
    """A time in UTC to the second, as text for those without scripts; scripts show it in the reader's zone."""
    if milliseconds is None:
        return ""
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return str(milliseconds)


FILTERS: Final[dict[str, Callable[..., Any]]] = {"number": number, "seconds": seconds, "size": size, "stamp": stamp}
