"""What a request for a table of runs asks for, and the addresses of the tables beside it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, cast, get_args
from urllib.parse import quote, urlencode

from autotrack.server import problems
from autotrack.server.problems import Problem
from autotrack.stores.base import ACTIVE_RUNS, View

if TYPE_CHECKING:
    from starlette.requests import Request

ROWS: Final = 100
MOST_ROWS: Final = 500
MOST_COLUMNS: Final = 60
MOST_SORTS: Final = 4


@dataclass(frozen=True, slots=True)
class Asked:
    """One table of runs.

    Parameters
    ----------
    experiment_id : the one that is shown, ``None`` for all.
    filter : as it was typed.
    sort : column ids, each with ``-`` before it where the greatest come first; empty for the newest first.
    columns : column ids, ``None`` for those that suit the runs.
    view : active, deleted or all runs.
    grouped : child runs stand below their parents; ``None`` for that unless there is a filter.
    after : the token of the page before.
    """

    experiment_id: str | None = None
    filter: str = ""
    sort: tuple[str, ...] = ()
    columns: tuple[str, ...] | None = None
    view: View = ACTIVE_RUNS
    grouped: bool | None = None
    after: str | None = None
    limit: int = ROWS

    @property
    def is_grouped(self) -> bool:
        return not self.filter if self.grouped is None else self.grouped

    def url(self, **changes: Any) -> str:
        """The address of this table, or of one that differs in these; the first page unless ``after`` is given."""
        asked = replace(self, **({"after": None, "limit": ROWS} | changes))
        path = "/runs" if asked.experiment_id is None else f"/experiments/{quote(asked.experiment_id, safe='')}"
        pairs: list[tuple[str, str]] = []
        if asked.filter:
            pairs.append(("filter", asked.filter))
        pairs += [("sort", key) for key in asked.sort]
        pairs += [("column", key) for key in asked.columns or ()]
        if asked.view != ACTIVE_RUNS:
            pairs.append(("view", asked.view))
        if asked.grouped is not None:
            pairs.append(("children", "grouped" if asked.grouped else "flat"))
        if asked.after is not None:
            pairs.append(("after", asked.after))
        if asked.limit != ROWS:
            pairs.append(("limit", str(asked.limit)))
        return f"{path}?{urlencode(pairs, errors='replace')}" if pairs else path

    def sorted_by(self, column: str, *, downwards_first: bool, further: bool = False) -> str:
        """The address of the table sorted by a column: once more turns it round, a third time undoes it.

        Parameters
        ----------
        downwards_first : the greatest first.
        further : behind what it is sorted by already, rather than instead of it.
        """
        now = self.direction(column)
        first, second = ("-" + column, column) if downwards_first else (column, "-" + column)
        turned = {None: first, first: second, second: None}[now and (column if now == "ascending" else "-" + column)]
        rest = [key for key in self.sort if key.removeprefix("-") != column] if further else []
        return self.url(sort=tuple([*rest, *([turned] if turned else [])][-MOST_SORTS:]))

    def direction(self, column: str) -> str | None:
        """``"ascending"``, ``"descending"``, or ``None`` for a column by which it is not sorted."""
        if not self.sort:  # the newest first
            return "descending" if column == "start_time" else None
        if column in self.sort:
            return "ascending"
        return "descending" if "-" + column in self.sort else None


def asked_of(request: Request) -> Asked:
    """What a request asks for.

    Raises
    ------
    Problem
        For a value that is none of those there are.
    """
    query = request.query_params
    view = query.get("view", ACTIVE_RUNS)
    if view not in get_args(View):
        raise Problem(problems.INVALID, f"view={view[:50]!r}: expected {', '.join(get_args(View))}")
    children = query.get("children")
    if children not in (None, "grouped", "flat"):
        raise Problem(problems.INVALID, f"children={children[:50]!r}: expected grouped or flat")
    columns = tuple(dict.fromkeys(query.getlist("column")))[:MOST_COLUMNS]
    return Asked(
        request.path_params.get("experiment_id"),
        query.get("filter", "").strip(),
        tuple(dict.fromkeys(query.getlist("sort")))[:MOST_SORTS],
        columns or None,
        cast(View, view),
        None if children is None else children == "grouped",
        query.get("after"),
        _limit(query.get("limit")),
    )


def _limit(text: str | None) -> int:
    if text is None:
        return ROWS
    if not (text.isascii() and text.isdigit() and 0 < int(text[:6]) <= MOST_ROWS and len(text) <= 6):
        raise Problem(problems.INVALID, f"limit={text[:50]!r}: expected a number from 1 to {MOST_ROWS}")
    return int(text)
