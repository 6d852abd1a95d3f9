"""What the contracts feed to a store, and how they make it."""

from __future__ import annotations

from typing import Any, Final

from autotrack.events import Entry, Event, RunStarted
from autotrack.journal import new_id
from autotrack.stores.base import Store

ODD_STRINGS: Final = (
    "",
    " ",
    "two\nlines\r\n",
    "nul \0 inside",
    "\ud800 alone",
    "quotes ' \" ` and % _ \\",
    "naïve 漢字 🎉",
    "'; DROP TABLE runs; --",
)
ESCAPES: Final = (
    "..",
    "../other",
    "a/../../other",
    "/etc/passwd",
    "a/../..",
    "./../x",
    "nul\0",
    "..\0",
    "//etc/passwd",
)

FILTERS: Final = {
    "metrics.m < 2": "a",
    "metric.m <= 2.0": "ab",
    "metrics.m != 1": "bc",
    "metrics.m = inf": "c",
    "metrics.m > -1e3 AND NOT metrics.m > 1": "a",
    "metrics.m IS NULL": "x",
    "metrics.m is not null": "abcn",
    "metrics.m in (1, 3, 2)": "ab",
    "metrics.m not in (1, 3)": "bc",
    'metrics."f1 score" >= 2': "bc",
    "metrics.`f1 score` == 2": "b",
    "metrics.unknown != 1": "",
    "params.p = '10'": "a",
    "params.p <> '10'": "bcn",
    "params.p = 10": "a",
    "params.p = 9.50": "c",
    "params.p != 10": "bc",
    "params.p > 9.4": "ac",
    "params.p > '9.4'": "cn",
    "param.p IN ('9', '10', 'x')": "ab",
    "parameters.p NOT IN (9)": "ac",
    "params.p LIKE '9%'": "bc",
    "params.p LIKE 'zebra%'": "",
    "params.p ILIKE 'zebra_cross%g'": "n",
    "params.p NOT LIKE '%.%'": "abn",
    "params.p LIKE '_'": "b",
    "tags.t = '1'": "a",
    "tag.t > '1'": "bc",
    "tags.t IS NULL": "nx",
    "tags.unknown != '1'": "",
    "attributes.status = 'FINISHED'": "ab",
    "status != 'finished'": "cnx",
    "attr.status in ('FAILED', 'RUNNING')": "cnx",
    "run_id = '" + "a" * 32 + "'": "a",
    "run_id LIKE 'b%' or name = 'c'": "bc",
    "run.run_name = 'x'": "x",
    "experiment = 'e'": "ab",
    "experiment_id = '0'": "cnx",
    "experiment_id = 0": "cnx",
    "start_time >= 3000": "cnx",
    "start_time > '1970-01-01T00:00:03+00:00'": "nx",
    "end_time < 4000": "b",
    "end_time is null": "cx",
    "duration >= 2": "an",
    "parent_run_id is null": "abcnx",
    "error LIKE 'boo%'": "n",
    "broken is not null": "",
    "user = 'me'": "abcn",
    "script LIKE '%train.py' and source is not null": "abcn",
    "datasets.name = 'train'": "a",
    "dataset.context != 'train'": "a",
    "datasets.digest like 'sha256:%' and datasets.context = 'eval'": "a",
    "datasets.name is null": "bcnx",
    "metrics.m < 2 or tags.t = '3' and name = 'b'": "ab",
    "(metrics.m < 2 or tags.t = '3') and name = 'b'": "b",
    "NOT NOT name = 'a'": "a",
    "not name = 'a' and not (name = 'b' or name = 'c')": "nx",
}
"""Filters, and the runs of `StoreContract` that each of them names."""


class Journal:
    """Makes entries as a process would: one journal, numbered from 1."""

    def __init__(self, journal_id: str = "") -> None:
        self.journal_id = journal_id or f"20260101T000000-{new_id()[:12]}"
        self.number = 0

    def entries(self, *events: Event) -> list[Entry]:
        """The next entries of this journal."""
        found = []
        for event in events:
            self.number += 1
            found.append(Entry(self.journal_id, self.number, event))
        return found


def started(run_id: str, **fields: Any) -> RunStarted:
    """A `RunStarted` with defaults for what a test does not care about."""
    return RunStarted(run_id, **{"name": "a run", "start_time": 1_700_000_000_000, **fields})


class raises:  # noqa: N801 - reads like pytest's
    """Like ``pytest.raises``, and asks for words in the message; this module imports without pytest."""

    def __init__(self, expected: type[Exception], *words: str) -> None:
        self._expected = expected
        self._words = words

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: object) -> bool:
        assert error is not None, f"no {self._expected.__name__} was raised"
        if not isinstance(error, self._expected):
            return False
        missing = [word for word in self._words if word not in str(error)]
        assert not missing, f"{str(error)!r} does not name {missing}"
        return True


class Contract:
    """What the parts of the store contract share."""

    def reopen(self, store: Store) -> Store:
        """The same store opened again. Override it where a store outlives its object."""
        return store
