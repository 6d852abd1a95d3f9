"""The table of runs as the server makes it: its page, its JSON, and what it changes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hostile
import httpx
import pytest

from autotrack.entities import CANDIDATE, Dataset, Metric
from autotrack.events import (
    DatasetLogged,
    Entry,
    Event,
    ExperimentDescribed,
    LifecycleSet,
    MetricsLogged,
    ParamsLogged,
    RunEnded,
    RunStarted,
    TagsSet,
)
from autotrack.server.app import App
from autotrack.server.pages import live, views
from autotrack.server.site import Site
from autotrack.stores import open_store, paging
from autotrack.stores.base import Store

START = 1_767_225_600_000


def run_id(number: int) -> str:
    return f"{number:032x}"


def events(number: int, *, experiment: str = "Default", parent: int | None = None) -> list[Event]:
    """The events of a run: run 3 is still going on, run 4 failed."""
    own = run_id(number)
    found: list[Event] = [
        RunStarted(
            own, f"Ridge {number}", START + number * 1000, experiment, None if parent is None else run_id(parent)
        ),
        ParamsLogged(own, {"alpha": str(number), "solver": "auto", "steps": f"[Scaler({number})]"}),
        MetricsLogged(
            own,
            (Metric("training_score", 0.5), Metric("r2_score_X_test", number / 10), Metric("fit_seconds", 1.0)),
        ),
        DatasetLogged(own, Dataset("X", "train", "numpy.ndarray", f"sha256:{number}", (150, 4))),
    ]
    if parent is not None:
        found.append(TagsSet(own, {CANDIDATE: str(number)}))
    if number != 3:
        found.append(
            RunEnded(own, "FAILED" if number == 4 else "FINISHED", START + number * 1000 + 250, "ValueError: no")
        )
    return found


def apply(store: Store, journal: str, entries: list[Event]) -> None:
    journal = f"20260101T000000-{journal}"  # before whatever the pages write
    store.apply([Entry(journal, number, event) for number, event in enumerate(entries, 1)])


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(str(tmp_path / "store"))
    yield opened
    opened.close()


@pytest.fixture
def filled(store: Store) -> Store:
    recorded = [event for number in range(1, 6) for event in events(number)]
    recorded += [event for number in (6, 7) for event in events(number, parent=2)]
    apply(store, "j1", [*recorded, *events(8, experiment="other")])
    return store


@pytest.fixture
def ask(store: Store) -> Iterator[Callable[..., httpx.Response]]:
    """Ask the pages over `store`: ``ask("/runs.json", view="deleted")``, ``ask.post(…)`` by ``method="POST"``."""
    site = Site(store)
    app = App(site, rooms=("autotrack.server.pages",), error_page=views.error_page)

    def ask_(path: str, method: str = "GET", body: Any = None, headers: Any = None, **query: Any) -> httpx.Response:
        async def request() -> httpx.Response:
            transport = httpx.ASGITransport(app=app)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
                return await client.request(method, path, params=query or None, json=body, headers=headers)

        return asyncio.run(request())

    yield ask_
    site.close()


def names(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [run["name"] for run in answer.json()["runs"]]


def test_the_newest_run_comes_first_and_child_runs_stand_below_their_parent(ask, filled):
    answer = ask("/runs.json")
    assert names(answer) == ["Ridge 8", "Ridge 5", "Ridge 4", "Ridge 3", "Ridge 2", "Ridge 1"]
    assert [run["children"] for run in answer.json()["runs"]] == [0, 0, 0, 0, 2, 0]
    inside = ask(f"/runs/{run_id(2)}/children", column=["status", "metrics.r2_score_X_test"]).text
    assert inside.index("Ridge 6") < inside.index("Ridge 7")
    assert "candidate 6" in inside
    assert names(ask("/runs.json", children="flat"))[:3] == ["Ridge 8", "Ridge 7", "Ridge 6"]


@pytest.mark.parametrize("uri", ["memory:", "{}/folder", "sqlite:///{}/runs.db"])
def test_child_runs_are_counted_in_every_kind_of_store(tmp_path, uri):
    opened = open_store(uri.format(tmp_path))
    recorded = [event for number in (1, 2) for event in events(number)]
    apply(
        opened, "j1", [*recorded, *(event for number in (3, 4, 5) for event in events(number, parent=1 + number // 5))]
    )
    apply(opened, "j2", [LifecycleSet(run_id(5), "deleted", START + 10_000)])
    ids = [run_id(number) for number in (1, 2, 3, 9)]
    assert paging.count_children(opened, ids) == dict(zip(ids, (2, 0, 0, 0)))
    assert paging.count_children(opened, ids, view="all") == dict(zip(ids, (2, 1, 0, 0)))
    opened.close()


def test_columns_that_nobody_chose_are_held_out_metrics_first_then_params_that_differ(ask, filled):
    columns = [column["id"] for column in ask("/experiments/0.json").json()["columns"]]
    assert columns == [
        *("name", "status", "start_time", "duration", "metrics.r2_score_X_test", "metrics.training_score"),
        *("params.alpha", "dataset"),
    ]
    assert [column["id"] for column in ask("/runs.json").json()["columns"]][-1] == "experiment"
    run = ask("/experiments/0.json", column=["params.steps", "dataset"]).json()["runs"][0]
    assert run["values"] == {"params.steps": "[Scaler(5)]", "dataset": "X 150 × 4"}


def test_runs_are_sorted_by_any_column_and_the_next_click_turns_it_round(ask, filled):
    answer = ask("/runs.json", sort="-metrics.r2_score_X_test", children="flat")
    assert names(answer) == [f"Ridge {number}" for number in (8, 7, 6, 5, 4, 3, 2, 1)]
    column = next(one for one in answer.json()["columns"] if one["id"] == "metrics.r2_score_X_test")
    assert column["direction"] == "descending"
    assert names(ask(column["sort"].replace("/runs?", "/runs.json?")))[0] == "Ridge 1"
    by_two = ask("/runs.json", sort=["status", "-params.alpha"])
    assert names(by_two) == ["Ridge 4", "Ridge 8", "Ridge 5", "Ridge 2", "Ridge 1", "Ridge 3"]
    assert ask("/runs.json", sort="dataset").status_code == 400


def test_a_filter_finds_child_runs_too_and_says_where_it_is_wrong(ask, filled):
    assert names(ask("/runs.json", filter="params.alpha >= 6")) == ["Ridge 8", "Ridge 7", "Ridge 6"]
    wrong = ask("/runs.json", filter="params.alpha >> 6")
    assert wrong.status_code == 400
    assert "^" in wrong.json()["message"]
    page = ask("/runs", filter="params.alpha >> 6")
    assert page.status_code == 200
    assert 'value="params.alpha &gt;&gt; 6"' in page.text
    assert "cannot understand the filter" in page.text
    assert "Ridge 8" in page.text


def test_pages_follow_one_another_and_leave_out_no_run(ask, store):
    apply(store, "j1", [event for number in range(1, 31) for event in events(number)])
    first = ask("/runs", limit=12)
    assert first.text.count("<tr data-row") == 12
    found, address = [], "/runs.json?limit=12"
    while address:
        data = ask(address).json()
        found += [run["name"] for run in data["runs"]]
        address = data["next"] and data["next"].replace("/runs?", "/runs.json?") + "&limit=12"
    assert found == [f"Ridge {number}" for number in range(30, 0, -1)]
    assert data["count"] == 30
    bad = ask("/runs.json", after="no token")
    assert bad.status_code == 400


def test_experiments_stand_beside_the_runs_with_their_counts(ask, filled):
    apply(filled, "k1", [ExperimentDescribed("other", {"shown_name": "Renamed"})])
    apply(filled, "k2", [RunStarted(run_id(9), "x", START, "gone"), ExperimentDescribed("gone", {"stage": "deleted"})])
    data = ask("/runs.json").json()
    assert [(one["name"], one["runs"]) for one in data["experiments"]] == [("Default", 7), ("Renamed", 1)]
    other = data["experiments"][1]["experiment_id"]
    assert names(ask(f"/experiments/{other}.json")) == ["Ridge 8"]
    assert ask("/experiments/7.json").status_code == 404


@pytest.mark.parametrize("number", [1, 2])
def test_deleting_and_restoring_takes_child_runs_along(ask, filled, number):
    done = ask("/actions/delete", "POST", {"run_ids": [run_id(number)]}).json()["run_ids"]
    assert len(done) == (3 if number == 2 else 1)
    assert f"Ridge {number}" not in names(ask("/runs.json"))
    assert names(ask("/runs.json", view="deleted")) == [f"Ridge {number}"]
    assert ask("/actions/restore", "POST", {"run_ids": done}).json()["run_ids"] == done
    assert names(ask("/runs.json"))[-number:][0] == f"Ridge {number}"


def test_nothing_is_deleted_when_one_of_the_runs_is_unknown(ask, filled):
    answer = ask("/actions/delete", "POST", {"run_ids": [run_id(1), "Ridge 2"]})
    assert (answer.status_code, answer.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert "Ridge 1" in names(ask("/runs.json"))


def test_tags_notes_and_names_are_edited(ask, filled):
    changed = {"run_ids": [run_id(1), run_id(5)], "set": {"mlflow.note.content": "good <b>", "team": "a"}}
    assert ask("/actions/tags", "POST", changed).status_code == 200
    assert ask("/actions/rename", "POST", {"run_id": run_id(5), "name": "best"}).status_code == 200
    newest = ask("/experiments/0.json").json()["runs"][0]
    assert (newest["name"], newest["note"], newest["start_time"]) == ("best", "good <b>", START + 5000)
    assert "good &lt;b&gt;" in ask("/runs").text
    assert ask("/actions/tags", "POST", {"run_ids": [run_id(5)], "delete": ["team"]}).status_code == 200
    shown = ask(f"/runs/{run_id(5)}/tags.json").json()
    assert shown == {"run_id": run_id(5), "name": "best", "tags": {"mlflow.note.content": "good <b>"}}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/actions/delete", {}),
        ("/actions/delete", {"run_ids": []}),
        ("/actions/delete", {"run_ids": "all"}),
        ("/actions/restore", {"run_ids": [1]}),
        ("/actions/tags", {"run_ids": [run_id(1)], "set": {"a": 1}}),
        ("/actions/tags", {"run_ids": [run_id(1)], "set": {"": "x"}}),
        ("/actions/tags", {"run_ids": [run_id(1)], "delete": "team"}),
        ("/actions/rename", {"run_id": run_id(1), "name": " "}),
        ("/actions/rename", [1]),
    ],
)
def test_changes_that_make_no_sense_are_refused(ask, filled, path, body):
    answer = ask(path, "POST", body)
    assert answer.status_code == 400
    assert answer.json()["message"]


def test_what_a_form_on_another_site_can_send_changes_nothing(ask, filled):
    body = {"run_ids": [run_id(1)]}
    assert ask("/actions/delete", "POST", body, headers={"content-type": "text/plain"}).status_code == 415
    assert ask("/actions/delete", "GET").status_code == 405
    assert "Ridge 1" in names(ask("/runs.json"))


@pytest.mark.parametrize("query", [{"view": "none"}, {"children": "x"}, {"limit": "0"}, {"column": "nothing"}])
def test_queries_that_make_no_sense_are_refused(ask, query):
    assert ask("/runs.json", **query).status_code == 400


def test_names_to_filter_by_are_those_of_the_runs(ask, filled):
    told = ask("/names.json", experiment_id="0").json()
    assert told["params"] == ["alpha", "solver", "steps"]
    assert {"id": "metrics.r2_score_X_test", "label": "r2_score_X_test", "group": "metrics"} in told["columns"]


def test_empty_tables_say_what_to_do(ask, store):
    assert "import autotrack; autotrack.autolog()" in ask("/").text
    apply(store, "j1", events(1))
    assert "No run matches this filter" in ask("/runs", filter="params.alpha = '9'").text
    assert "Nothing is deleted" in ask("/runs", view="deleted").text


def test_whatever_runs_are_called_stays_text(ask, store, tmp_path):
    hostile.write(tmp_path / "store", tmp_path)
    query = {"column": [f"metrics.{hostile.SCRIPT}", f"params.{hostile.SCRIPT}", f"tags.{hostile.SCRIPT}", "note"]}
    for path in ("/", "/runs", "/names.json"):
        page = ask(path, filter=f'params."{hostile.SCRIPT}" = \'{hostile.SCRIPT}', **query)
        assert page.status_code == 200
        assert "<img" not in page.text.replace('<img src="/static/mark.svg"', "") or path.endswith(".json")
        assert "harmed" not in page.text.replace("window.harmed", "") or "&lt;script&gt;" in page.text
    assert ask("/runs.json", **query).json()["runs"][0]["values"][f"params.{hostile.SCRIPT}"] == f"{hostile.SCRIPT}2"


def test_listeners_are_told_of_changes_and_nobody_looks_when_none_is_left(filled, monkeypatch):
    monkeypatch.setattr(live, "EVERY", 0.02)
    monkeypatch.setattr(live, "HEARTBEAT", 0.05)
    site = Site(filled)

    async def listen() -> None:
        watch = live.Watch(site)
        streams = [watch.listen(), watch.listen()]
        for stream in streams:
            assert "event: hello" in await anext(stream)
        for stream in streams:
            assert (await anext(stream)).startswith(":")  # nothing has changed
        await site.write(*events(20))
        for stream in streams:
            while (line := await asyncio.wait_for(anext(stream), 10)).startswith(":"):
                pass
            assert line.startswith("event: changed\n")
            await stream.aclose()
        while watch.looks:
            await asyncio.sleep(0.01)

    asyncio.run(listen())
    site.close()


def test_a_worker_has_so_many_listeners_and_no_more(filled, monkeypatch):
    monkeypatch.setattr(live, "MOST_LISTENERS", 0)
    site = Site(filled)
    app = App(site, rooms=("autotrack.server.pages",))

    async def request() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://127.0.0.1") as client:
            return await client.get("/live")

    answer = asyncio.run(request())
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")
    assert json.loads(answer.text)["error_code"] == "TEMPORARILY_UNAVAILABLE"
    site.close()
