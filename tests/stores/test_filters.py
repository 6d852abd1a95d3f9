"""The filter language: what it reads, what it says when it cannot, and that memory and SQLite agree on it."""

from __future__ import annotations

import math
import sqlite3
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from autotrack.entities import Dataset, LoggedModel, Metric, Run
from autotrack.errors import FilterError
from autotrack.events import (
    DatasetLogged,
    Event,
    LifecycleSet,
    MetricsLogged,
    ModelLogged,
    ParamsLogged,
    ProcessDescribed,
    RunEnded,
    TagsSet,
)
from autotrack.stores.base import in_view
from autotrack.stores.expressions import (
    And,
    Comparison,
    Expression,
    Field,
    IsNull,
    Not,
    Operator,
    Or,
    Order,
    like,
    param_number,
)
from autotrack.stores.filters import matches, parse_filter, parse_order_by, sort_runs
from autotrack.stores.local import LocalStore, rows
from autotrack.stores.local.index import Index
from autotrack.stores.local.planning import Effort, search
from autotrack.stores.local.sql import compile_filter, compile_order
from autotrack.testing.samples import Journal, started

METRIC = Field("metric", "rmse")


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("metrics.rmse < 1", Comparison(METRIC, "<", 1)),
        ("metric.rmse>=-1.5e-3", Comparison(METRIC, ">=", -1.5e-3)),
        ("METRICS.rmse == .5", Comparison(METRIC, "=", 0.5)),
        ("metrics.rmse <> 1", Comparison(METRIC, "!=", 1)),
        ("metrics.rmse<-INF", Comparison(METRIC, "<", -math.inf)),
        ('params.alpha = "0.05"', Comparison(Field("param", "alpha"), "=", "0.05")),
        ("params.alpha = 0.05", Comparison(Field("param", "alpha"), "=", 0.05)),
        ("parameters.`a ' \" b` = 'it''s'", Comparison(Field("param", "a ' \" b"), "=", "it's")),
        ('params."a ""b""" = \'x\'', Comparison(Field("param", 'a "b"'), "=", "x")),
        ("metrics.score-2_a.b/c:d = 1", Comparison(Field("metric", "score-2_a.b/c:d"), "=", 1)),
        ("tags.größe LIKE 'x%'", Comparison(Field("tag", "größe"), "LIKE", "x%")),
        ("tag.x not ilike 'y'", Comparison(Field("tag", "x"), "NOT ILIKE", "y")),
        ("attributes.status = 'finished'", Comparison(Field("attribute", "status"), "=", "FINISHED")),
        ("Attr.Run_Name = 'a'", Comparison(Field("attribute", "run_name"), "=", "a")),
        ("name = 'a'", Comparison(Field("attribute", "run_name"), "=", "a")),
        ("source = 'a'", Comparison(Field("attribute", "script"), "=", "a")),
        ("run_id IN ('a', 'b')", Comparison(Field("attribute", "run_id"), "IN", ("a", "b"))),
        ("metrics.rmse not in (1, 2.5)", Comparison(METRIC, "NOT IN", (1, 2.5))),
        ("experiment_id = 0", Comparison(Field("attribute", "experiment_id"), "=", "0")),
        ("end_time > 1700000000000", Comparison(Field("attribute", "end_time"), ">", 1_700_000_000_000)),
        ("start_time > '2026-05-01T00:00:00Z'", Comparison(Field("attribute", "start_time"), ">", 1_777_593_600_000)),
        ("datasets.digest = 'd'", Comparison(Field("dataset", "digest"), "=", "d")),
        ("metrics.rmse is null", IsNull(METRIC)),
        ("metrics.rmse IS NOT NULL", Not(IsNull(METRIC))),
        ("not metrics.rmse is null", Not(IsNull(METRIC))),
        ("metrics.and < 1", Comparison(Field("metric", "and"), "<", 1)),
    ],
)
def test_what_a_filter_means(text: str, tree: Expression) -> None:
    assert parse_filter(text) == tree


def test_and_binds_closer_than_or_and_not_closest() -> None:
    a, b, c = (Comparison(Field("metric", key), "<", 1) for key in "abc")
    text = "not metrics.a < 1 and metrics.b < 1 or metrics.c < 1"
    assert parse_filter(text) == Or((And((Not(a), b)), c))
    assert parse_filter("metrics.a < 1 AND (metrics.b < 1 OR metrics.c < 1)") == And((a, Or((b, c))))


def test_a_date_without_a_zone_is_in_this_machines() -> None:
    expected = int(datetime(2026, 5, 1, 12, 30).timestamp() * 1000)
    field = Field("attribute", "start_time")
    assert parse_filter("start_time = '2026-05-01 12:30'") == Comparison(field, "=", expected)


def test_what_an_order_means() -> None:
    assert parse_order_by("metrics.rmse DESC") == Order(METRIC, descending=True)
    assert parse_order_by("metrics.`a b` asc") == Order(Field("metric", "a b"))
    assert parse_order_by("name") == Order(Field("attribute", "run_name"))


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("metrics.rmse <", 14, ("ends too early", "a number")),
        ("metrics.rmse < 1 metrics.a < 2", 17, ("metrics.a", "AND, OR or the end")),
        ("metrics.rmse", 12, ("ends too early", "a comparison")),
        ("metrics.rmse ~ 1", 13, ("~", "a comparison")),
        ("metrics.rmse < '1'", 15, ("rmse is a number", "leave out the quotes")),
        ("metrics.rmse LIKE 'a'", 18, ("LIKE compares text",)),
        ("metrics. < 1", 8, ("a name is missing",)),
        ("metrcs.rmse < 1", 0, ("metrcs.", "did you mean metrics.?")),
        ("foo.rmse < 1", 0, ("there are metrics. params. tags. attributes. datasets. and models.",)),
        ("statsu = 'FINISHED'", 0, ("statsu", "did you mean status?")),
        ("attributes.statsu = 'FINISHED'", 11, ("statsu", "did you mean status?")),
        ("rmse < 1", 0, ("rmse", "metrics.rmse", "params.rmse")),
        ("datasets.nme = 'x'", 9, ("nme", "did you mean name?")),
        ("status = FINISHED", 9, ("FINISHED", "text stands in quotes: 'FINISHED'")),
        ("tags.a = 1", 9, ("a is text", "write '1'")),
        ("start_time > 'yesterday'", 13, ("yesterday is not a time", "'2026-05-01'")),
        ("name = 'abc", 7, ("this quote is never closed",)),
        ("(name = 'a'", 11, ("ends too early", ")")),
        ("name = 'a')", 10, (")",)),
        ("params.a IN ()", 13, ("did not expect )", "text in quotes")),
        ("params.a IN ('x', 1)", 13, ("both text and numbers",)),
        ("params.a IN 'x'", 12, ("(",)),
        ("name =\n  'a' nad\nuser = 'b'", 13, ("nad",)),
        ("1 < metrics.rmse", 0, ("a field such as metrics.rmse",)),
        ("x" * 500 + ".y = 1", 0, ("there are metrics.",)),
        ("name = 'a' and " * 30 + "oops", 450 + 4, ("ends too early",)),
    ],
)
def test_a_bad_filter_is_refused_with_a_caret_under_the_place(text: str, place: int, words: tuple[str, ...]) -> None:
    with pytest.raises(FilterError) as caught:
        parse_filter(text)
    message = str(caught.value)
    _, shown, caret, *_ = message.split("\n")
    expected = text[place : place + 1].replace("\n", "")
    assert shown[caret.index("^") : caret.index("^") + 1] == expected
    assert len(shown) < 140
    for word in words:
        assert word in message


def test_the_message_of_a_bad_filter_in_full() -> None:
    with pytest.raises(FilterError) as caught:
        parse_filter("metrics.rmse < 1 and statsu = 'x'")
    assert str(caught.value) == (
        "cannot understand the filter: unknown attribute statsu\n"
        "    metrics.rmse < 1 and statsu = 'x'\n"
        "                         ^\n"
        "did you mean status?; a metric, param or tag is written metrics.statsu, params.statsu, tags.statsu"
    )


@pytest.mark.parametrize(
    "text", ["", "metrics.a DOWN", "nope", "datasets.name", "metrics.a, metrics.b", "metrics.a < 1"]
)
def test_a_bad_order_is_refused_with_a_caret(text: str) -> None:
    with pytest.raises(FilterError, match=r"order_by: (.|\n)*\^"):
        parse_order_by(text)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 100_000,
        "(" * 20_000 + "name = 'a'" + ")" * 20_000,
        "not " * 20_000 + "name = 'a'",
        "not (" * 51 + "name = 'a'" + ")" * 51,
        "name = 'a' or " * 1000 + "name = 'a'",
        "x" * 300_000,
    ],
)
def test_a_filter_too_deep_or_too_long_is_refused(text: str) -> None:
    begin = time.perf_counter()
    with pytest.raises(FilterError):
        parse_filter(text)
    assert time.perf_counter() - begin < 5


def test_a_filter_at_the_limits_is_read_and_runs_in_sqlite() -> None:
    deep = "".join(f"(name = '{i}' {'and' if i % 2 else 'or'} not " for i in range(16)) + "name = 'a'" + ")" * 16
    texts = [deep, "(" * 49 + "name = 'a'" + ")" * 49, "not " * 49 + "name = 'a'"]
    texts.append("".join(f"(name = '{i}' {'and' if i % 2 else 'or'} " for i in range(24)) + "name = 'a'" + ")" * 24)
    texts.append(" or ".join(["params.x = 'a'"] * 1000))
    texts.append("run_id in (" + ", ".join(f"'{number:032x}'" for number in range(5000)) + ")")
    index = Index(None)
    for text in texts:
        condition, bound = compile_filter(parse_filter(text))
        assert rows.search(index.connection, condition, bound) == []
    index.close()


def test_a_filter_too_large_for_sqlite_is_a_bad_filter_and_does_the_store_no_harm(tmp_path: Path) -> None:
    """Older SQLite libraries bind few parameters; here the limit is lowered to theirs."""
    store = LocalStore(tmp_path)
    store.apply(Journal().entries(started("a" * 32)))
    index = store._open()
    index.connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 999)
    with pytest.raises(FilterError, match="too large for this SQLite"):
        store.search_runs("run_id in (" + ", ".join(f"'{number}'" for number in range(2000)) + ")")
    assert len(store.search_runs()) == 1
    assert store._open() is index
    store.close()


def test_no_text_of_a_filter_becomes_sql() -> None:
    evil = "x'; DROP TABLE runs; --"
    quoted = evil.replace("'", "''")
    text = f"params.'{quoted}' = '{quoted}' and tags.`{evil}` like '{quoted}' and run_id in ('{quoted}')"
    condition, bound = compile_filter(parse_filter(text))
    order, order_bound = compile_order([parse_order_by(f"metrics.`{evil}` DESC")])
    assert "DROP" not in condition + order
    assert bound.count(evil) == 5
    assert set(order_bound) == {evil}


@pytest.mark.parametrize(
    ("text", "pattern", "ignore_case", "expected"),
    [
        ("abc", "abc", False, True),
        ("abc", "ABC", False, False),
        ("abc", "A_C", True, True),
        ("abc", "%", False, True),
        ("", "%", False, True),
        ("", "_", False, False),
        ("abc", "%b%", False, True),
        ("abc", "a%c%", False, True),
        ("aXbXc", "a%X%X%c", False, True),
        ("aXc", "a%X%X%c", False, False),
        ("aa", "a%a%a", False, False),
        ("a\nb\0c", "a%b_c", False, True),
        ("a.c", "a.c", False, True),
        ("abc", "a.c", False, False),
        ("ÄB", "äb", True, True),
        ("abab", "%ab", False, True),
        ("\ud800x", "_x", False, True),
    ],
)
def test_like(text: str, pattern: str, ignore_case: bool, expected: bool) -> None:
    assert like(text, pattern, ignore_case) is expected


@given(text=st.text("ab"), pattern=st.text("ab_%"))
def test_like_is_sqlites(text: str, pattern: str) -> None:
    with sqlite3.connect(":memory:") as connection:
        expected = bool(connection.execute("SELECT ? LIKE ?", (text, pattern)).fetchone()[0])
    connection.close()
    assert like(text, pattern) == expected


def test_no_like_pattern_takes_long() -> None:
    begin = time.perf_counter()
    assert not like("a" * 1_000_000, "%a" * 50 + "%b")
    assert not like("a" * 20_000, "%a_" * 200 + "b%")
    assert time.perf_counter() - begin < 5


@pytest.mark.parametrize(
    ("text", "number"),
    [("1", 1.0), (" -1.5e3\n", -1500.0), ("inf", math.inf), ("1e999", math.inf), (".5", 0.5), ("5.", 5.0)]
    + [(text, None) for text in ("nan", "", "1_000", "0x1", "one", "1 2", "True", "١", "1" * 500, "1e5" * 200_000)],
)
def test_which_params_read_as_numbers(text: str, number: float | None) -> None:
    assert param_number(text) == number


WORDS = ["metrics.a", 'params."x', "name", "(", ")", "and", "OR", "not", "in", "like", "is", "null"]
WORDS += ["=", "<", "'a'", "1", ",", "%", "\0", "\ud800"]


@settings(max_examples=300)
@given(st.one_of(st.text(max_size=60), st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join)))
@example('metrics."')
@example("\u2028 = 1")
@example("name = '\ud800")
def test_any_text_is_read_or_refused(text: str) -> None:
    for parse in (parse_filter, parse_order_by):
        try:
            parse(text)
        except FilterError as error:
            str(error).encode()


# Random filters over random runs

KEYS = ("a", "b", "c d")
ODD = ["", "1", "1.0", "10", "9", "abc", "ABC", "a%", "é", "\ud800", "\uffff", "🎉", "x\0y"]
LONG = "y" * 63  # texts of one beginning, which an index does not tell apart
TEXTS = st.one_of(
    st.sampled_from([*ODD, *(LONG + end for end in ("", "y", "yy", "yz", "\ud800", "é"))]), st.text(max_size=3)
)
NUMBERS = st.one_of(st.sampled_from([0, 1, 2.5, 10, math.inf, -math.inf]), st.floats(allow_nan=False))
COMPARATORS: tuple[Operator, ...] = ("=", "!=", "<", "<=", ">", ">=")


def _comparisons() -> st.SearchStrategy[Expression]:
    keys = st.sampled_from(KEYS)
    texts = [st.builds(Field, st.sampled_from(["param", "tag"]), keys)]
    attributes = ["run_id", "run_name", "experiment", "status", "parent_run_id", "error", "broken", "user", "script"]
    texts.append(st.builds(Field, st.just("attribute"), st.sampled_from(attributes)))
    texts.append(st.builds(Field, st.just("dataset"), st.sampled_from(["name", "digest", "context"])))
    texts.append(st.builds(Field, st.just("model"), st.sampled_from(["path", "registered_model_name"])))
    numbers = [st.builds(Field, st.sampled_from(["param", "metric"]), keys)]
    numbers.append(st.builds(Field, st.just("attribute"), st.sampled_from(["start_time", "end_time", "duration"])))
    text_operators: Any = st.sampled_from([*COMPARATORS, "LIKE", "NOT LIKE", "ILIKE", "NOT ILIKE"])
    lists: Any = st.sampled_from(["IN", "NOT IN"])
    return st.one_of(
        st.builds(Comparison, st.one_of(texts), text_operators, TEXTS),
        st.builds(Comparison, st.one_of(texts), lists, st.lists(TEXTS, min_size=1, max_size=3).map(tuple)),
        st.builds(Comparison, st.one_of(numbers), st.sampled_from(COMPARATORS), NUMBERS),
        st.builds(Comparison, st.one_of(numbers), lists, st.lists(NUMBERS, min_size=1, max_size=3).map(tuple)),
        st.builds(IsNull, st.one_of(*texts, *numbers)),
    )


def _lists(parts: st.SearchStrategy[Expression]) -> st.SearchStrategy[tuple[Expression, ...]]:
    return st.lists(parts, min_size=2, max_size=10).map(tuple)


def _joined(parts: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    return st.one_of(st.builds(Not, parts), st.builds(And, _lists(parts)), st.builds(Or, _lists(parts)))


EXPRESSIONS = st.recursive(_comparisons(), _joined, max_leaves=20)
SORTABLE = ["run_id", "run_name", "start_time", "start_time", "end_time", "duration", "user", "error", "broken"]
SORT_FIELDS = st.one_of(
    st.builds(Field, st.sampled_from(["metric", "param", "tag"]), st.sampled_from(KEYS)),
    st.builds(Field, st.just("attribute"), st.sampled_from(SORTABLE)),
)
ORDERS = st.lists(st.builds(Order, SORT_FIELDS, st.booleans()), max_size=3)


@st.composite
def _events(draw: st.DrawFn) -> list[Event]:
    events: list[Event] = [ProcessDescribed(process, {"user": draw(TEXTS), "script": None}) for process in "pq"]
    for number in range(draw(st.integers(1, 8))):
        run_id = f"{number:032x}"
        if draw(st.integers(0, 5)):
            parent, process = draw(st.one_of(st.none(), TEXTS)), draw(st.sampled_from(["", "p", "q"]))
            time, name = draw(st.integers(0, 3)), draw(TEXTS)
            place = {"experiment": draw(st.sampled_from(["e", "f"])), "parent_run_id": parent, "process_id": process}
            events.append(started(run_id, name=name, start_time=time, **place))
        events.append(ParamsLogged(run_id, draw(st.dictionaries(st.sampled_from(KEYS), TEXTS))))
        events.append(TagsSet(run_id, draw(st.dictionaries(st.sampled_from(KEYS), TEXTS))))
        values = draw(st.dictionaries(st.sampled_from(KEYS), st.floats()))
        events.append(MetricsLogged(run_id, tuple(Metric(key, value) for key, value in values.items())))
        if draw(st.booleans()):
            model = LoggedModel(draw(TEXTS), registered_model_name=draw(st.one_of(st.none(), TEXTS)))
            events.append(ModelLogged(run_id, model))
        names = draw(st.lists(TEXTS, max_size=2))
        events += [DatasetLogged(run_id, Dataset(name, draw(TEXTS), "k", draw(TEXTS))) for name in names]
        if draw(st.booleans()):
            status, end_time = draw(st.sampled_from(["FINISHED", "FAILED"])), draw(st.integers(0, 5000))
            events.append(RunEnded(run_id, status, end_time, draw(TEXTS)))
        if draw(st.integers(0, 3)) == 0:
            events.append(LifecycleSet(run_id, "deleted", draw(st.integers(0, 9))))
    return events


EFFORTS = st.builds(
    Effort,
    few=st.sampled_from([0, 0, 1, 1000]),
    window=st.integers(1, 3),
    longest_window=st.integers(1, 8),
    bound=st.sampled_from([1, 2, 1000]),
    longest_limit=st.sampled_from([1000, 1000, 2]),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    events=_events(),
    expressions=st.lists(EXPRESSIONS, min_size=1, max_size=5),
    orders=ORDERS,
    limit=st.one_of(st.none(), st.integers(0, 6)),
    experiment=st.sampled_from([None, None, "e"]),
    view=st.sampled_from(["active", "active", "deleted", "all"]),
    effort=EFFORTS,
)
def test_sqlite_and_memory_agree(
    events: list[Event],
    expressions: list[Expression],
    orders: list[Order],
    limit: int | None,
    experiment: str | None,
    view: Any,
    effort: Effort,
) -> None:
    """The same filter finds the same runs in the same order, wherever it is worked out and by whichever way."""
    index = Index(None)
    try:
        journal = Journal()
        assert index.fold(1, journal.journal_id, journal.entries(*events)) == []
        everything = rows.search(index.connection, "1", [])
        inside = [
            run for run in everything if in_view(run, view) and (experiment is None or run.experiment == experiment)
        ]
        for expression in expressions:
            keys = search(index.connection, expression, orders, limit, experiment=experiment, view=view, effort=effort)
            found = rows.runs(index.connection, keys)
            expected = sort_runs((run for run in inside if matches(expression, run)), orders)
            assert _ids(found) == _ids(expected if limit is None else expected[:limit])
    finally:
        index.close()


def test_odd_texts_compare_alike_in_sqlite_and_memory() -> None:
    """Lone surrogates are stored as bytes, which SQLite sorts behind every text unless told otherwise."""
    texts = sorted({*ODD, "\ue000", "\ud7ff", "\udfffz", "a\ud800", "a\ue000", "z"})
    index = Index(None)
    journal = Journal()
    events: list[Event] = [TagsSet(f"{number:032x}", {"a": text}) for number, text in enumerate(texts)]
    index.fold(1, journal.journal_id, journal.entries(*events))
    everything = rows.search(index.connection, "1", [])
    field = Field("tag", "a")
    for operator in COMPARATORS:
        for text in texts:
            expression = Comparison(field, operator, text)
            found = rows.search(index.connection, *compile_filter(expression))
            assert _ids(found) == _ids([run for run in everything if matches(expression, run)]), (operator, text)
    order, bound = compile_order([Order(field)])
    assert [run.tags["a"] for run in rows.search(index.connection, "1", bound, order)] == texts
    index.close()


def _ids(runs: list[Run]) -> list[str]:
    return [run.run_id for run in runs]


def test_lark_is_imported_only_when_a_filter_is_read() -> None:
    program = "import sys; from autotrack.stores import open_store; open_store('/no/such/folder').search_runs(); "
    program += "sys.exit('lark' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)
