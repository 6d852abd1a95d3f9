"""How values are written for people: numbers, times, and text that may hold anything."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_NAMED = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def plain(text: str) -> str:
    """The text on one line, with everything escaped that a terminal would obey rather than show."""
    return _UNSAFE.sub(lambda match: _NAMED.get(match[0]) or _escape(match[0]), text)


def plain_lines(text: str) -> str:
    """As `plain`, but line ends and tabs stay: for tracebacks and messages."""
    return _UNSAFE.sub(lambda match: match[0] if match[0] in "\n\t" else plain(match[0]), text)


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def shortened(text: str, limit: int) -> str:
    """The text, cut to so many characters with an ellipsis for its last."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def number(value: float, digits: int = 4) -> str:
    """A metric's value with so many significant digits, and never fewer than stand before the point."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    whole = len(str(int(abs(value)))) if abs(value) < 1e12 else 0
    if whole >= digits:
        return f"{value:.0f}" if value == int(value) else f"{value:.1f}"
    return f"{value:.{digits}g}"


def aligned(values: Sequence[float | None]) -> list[str]:
    """A column of one metric, with the same number of decimals for all: four digits of the largest at least."""
    known = [abs(value) for value in values if value is not None and math.isfinite(value)]
    largest = max(known, default=0.0)
    if any(value and value < 1e-3 for value in known) or largest >= 1e9:
        return ["" if value is None else number(value) for value in values]
    decimals = 0 if all(value == int(value) for value in known) else max(1, 5 - len(str(int(largest))))
    return [
        "" if value is None else f"{value:.{decimals}f}" if math.isfinite(value) else number(value) for value in values
    ]


def seconds(value: float | None) -> str:
    """A duration, e.g. ``43 ms``, ``2.1 s``, ``3 min 20 s``, ``1 h 5 min``."""
    if value is None or not math.isfinite(value):
        return ""
    if value < 0.9995:
        return f"{value * 1000:.0f} ms"
    if value < 59.95:
        return f"{value:.1f} s"
    whole = round(value)
    for index, (unit, size) in enumerate(_UNITS):
        if whole >= size:
            small, small_size = _UNITS[index + 1] if index + 1 < len(_UNITS) else ("s", 1)
            count, rest = divmod(whole, size)
            more = rest // small_size
            return f"{count} {unit} {more} {small}" if more else f"{count} {unit}"
    return f"{whole} s"


def ago(milliseconds: int | None, now: float | None = None) -> str:
    """How long before ``now`` (seconds since the epoch) that was; the date when it is more than a month."""
    moment = utc(milliseconds)
    if moment is None or milliseconds is None:
        return ""
    passed = (time.time() if now is None else now) - milliseconds / 1000
    if not -60 < passed < 30 * 86_400:
        return moment.astimezone().strftime("%Y-%m-%d")
    for unit, size in _UNITS:
        if passed >= size:
            return f"{int(passed // size)} {unit} ago"
    return "just now" if passed < 10 else f"{int(passed)} s ago"


def utc(milliseconds: int | None) -> datetime | None:
    """The moment as an aware datetime; ``None`` for one that no calendar has."""
    if milliseconds is None:
        return None
    try:
        return _EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return None


def stamp(milliseconds: int | None) -> str:
    """The moment in this machine's time, to the second; empty when it is unknown."""
    moment = utc(milliseconds)
    try:
        return "" if moment is None else moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, ValueError, OSError):
        return "" if moment is None else moment.strftime("%Y-%m-%d %H:%M:%S")


def iso(milliseconds: int | None) -> str | None:
    """The moment in ISO 8601, UTC, to the millisecond."""
    moment = utc(milliseconds)
    return None if moment is None else moment.isoformat(timespec="milliseconds")


def size(count: int | None) -> str:
    """A number of bytes, e.g. ``812 B``, ``4.2 kB``, ``1.3 MB``."""
    if count is None:
        return ""
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 999.95:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def plural(count: int, noun: str) -> str:
    """The count with its noun, e.g. ``1 run``, ``2 runs``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
