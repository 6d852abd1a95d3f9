"""``/compare`` as data: what differs, what is best, curves together, programs and data side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from hostile import SCRIPT, write
from served_pages import serving

import autotrack
from autotrack.entities import Artifact, Metric
from autotrack.events import ArtifactLogged, Entry, Event, MetricsLogged, ParamsLogged, ProcessDescribed, RunStarted
from autotrack.stores import open_store
from autotrack.stores.base import Store

COMMITS = ("0123456789ab" * 3 + "cdef", "fedcba987654" * 3 + "0123")


@pytest.fixture(scope="module")
def ids(recorded: Path) -> dict[str, list[str]]:
    """The recorded runs by estimator, the oldest first."""
    runs = autotrack.search_runs(store=recorded, order_by="start_time")
    found: dict[str, list[str]] = {}
    for run_id, name, parent in zip(runs["run_id"], runs["run_name"], runs["parent_run_id"], strict=True):
        found.setdefault("candidates" if parent else name, []).append(run_id)
    return found


def compare(pages: str, *runs: str, **choices: str) -> dict[str, Any]:
    answer = httpx.get(f"{pages}/compare.json", params={"runs": ",".join(runs), **choices})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def made(folder: Path, *runs: list[Event]) -> Store:
    store = open_store(str(folder))
    for number, events in enumerate(runs):
        store.apply([Entry(f"j{number}", place, event) for place, event in enumerate(events, 1)])
    return store


def test_params_that_differ_stand_apart_from_equal_ones_and_from_those_that_hold_them(pages, ids):
    data = compare(pages, *ids["Pipeline(LogisticRegression)"])
    assert [(row["key"], row["values"]) for row in data["params"]["differs"]] == [
        ("logisticregression__C", ["0.01", "10.0"])
    ]
    assert {row["key"] for row in data["params"]["holds"]} == {"logisticregression", "steps"}
    assert data["params"]["equal"]["logisticregression__max_iter"] == "100"
    assert [run["label"] for run in data["runs"]] == ["C=0.01", "C=10.0"]
    assert data["title"] == "Compare 2 runs of Pipeline(LogisticRegression)"


def test_an_estimator_that_is_another_one_is_no_mere_holder(tmp_path):
    texts = {
        "a": {"model": "Ridge(alpha=1)", "model__alpha": "1"},
        "b": {"model": "Lasso(alpha=2)", "model__alpha": "2"},
    }
    store = made(tmp_path, *([RunStarted(key * 32, "p", 1), ParamsLogged(key * 32, texts[key])] for key in texts))
    store.close()
    with serving(tmp_path) as url:
        data = compare(url, "a" * 32, "b" * 32)
    assert [row["key"] for row in data["params"]["differs"]] == ["model", "model__alpha"]


def test_the_best_of_each_metric_is_marked_and_the_others_tell_how_far_behind_they_are(pages, ids):
    runs = [*ids["Pipeline(LogisticRegression)"], ids["RandomForestClassifier"][0]]
    data = compare(pages, *runs)
    metrics = {row["key"]: row for row in data["metrics"]}
    scores = metrics["accuracy_score_X_test"]
    top = max(range(3), key=lambda at: scores["values"][at])
    assert scores["best"] == [top]
    assert scores["group"] == "held-out"
    assert scores["bars"][top] == 100
    for at in range(3):
        behind = None if at == top else pytest.approx(scores["values"][at] - scores["values"][top])
        assert scores["behind"][at] == behind
    loss = metrics["training_log_loss"]
    assert loss["best"] == [min(range(3), key=lambda at: loss["values"][at])]
    assert loss["group"] == "training"
    assert metrics["fit_seconds"]["best"] == []


def test_roc_curves_of_several_runs_are_one_picture(pages, ids, recorded):
    runs = [*ids["Pipeline(LogisticRegression)"], ids["RandomForestClassifier"][0]]
    data = compare(pages, *runs)
    first = data["plots"]["curves"][0]
    assert (first["kind"], first["subtitle"], first["is_training"]) == ("roc_curve", "X_test", False)
    assert [line["run"] for line in first["series"]] == [0, 1, 2]
    assert [line["name"] for line in first["series"]] == [run["label"] for run in data["runs"]]
    for line, run_id in zip(first["series"], runs, strict=True):
        run = autotrack.get_run(run_id, store=recorded)
        assert line["auc"] == pytest.approx(run.metrics["roc_auc_score_X_test"])
    matrices = data["plots"]["matrices"][0]
    assert matrices["name"] == "confusion_matrix_X_test"
    assert [sum(cell["share"] for cell in row) for one in matrices["runs"] for row in one["rows"]] == pytest.approx(
        [1] * 6
    )


def test_histories_of_one_metric_are_one_picture(pages, ids):
    data = compare(pages, *ids["MLPClassifier"])
    loss = next(plot for plot in data["plots"]["histories"] if plot["title"] == "loss")
    assert [len(line["x"]) for line in loss["series"]] == [8, 12]
    assert [line["name"] for line in loss["series"]] == ["max_iter=8", "max_iter=12"]


def test_a_long_history_keeps_its_extremes(tmp_path):
    points = [Metric("loss", 1000.0 if step == 777 else float(step % 7), step) for step in range(5000)]
    store = made(tmp_path, [RunStarted("a" * 32, "long", 1), MetricsLogged("a" * 32, tuple(points))])
    store.close()
    with serving(tmp_path) as url:
        (line,) = compare(url, "a" * 32)["plots"]["histories"][0]["series"]
    assert len(line["x"]) <= 602
    assert (line["x"][0], line["x"][-1]) == (0, 4999)
    assert max(line["y"]) == 1000


def test_params_against_a_metric_as_lines_points_and_a_surface(pages, ids):
    data = compare(pages, *ids["candidates"])
    choice, plots = data["choice"], data["plots"]
    assert (choice["metric"], choice["x"], choice["y"]) == ("mean_test_score", "params.svc__C", "params.svc__gamma")
    assert [axis["name"] for axis in plots["parallel"]["axes"]] == ["svc__C", "svc__gamma", "mean_test_score"]
    assert plots["parallel"]["axes"][1]["is_log"]
    assert [line["best"] for line in plots["parallel"]["lines"]].count(True) == 1
    assert len(plots["scatter"]["points"]) == 5
    assert {(point["x"], point["y"]) for point in plots["contour"]["points"]} == {
        (10, 0.01), (10, 0.1), (10, 0.001), (1, 0.1), (1, 0.01)
    }  # fmt: skip


def test_what_is_chosen_stands_in_the_address(pages, ids):
    data = compare(pages, *ids["candidates"], metric="std_test_score", x="metrics.mean_test_score", y="params.svc__C")
    assert data["plots"]["scatter"]["title"] == "std_test_score over mean_test_score"
    assert data["plots"]["contour"] is None, "a surface lies over two params"
    assert "metric=std_test_score" in data["runs"][0]["without"]
    assert ids["candidates"][0] not in data["runs"][0]["without"]
    other = compare(pages, *ids["candidates"], metric="no such", x="nothing")
    assert other["choice"]["metric"] == "mean_test_score"


def test_the_same_data_is_told_from_other_data_by_its_digest(pages, ids):
    data = compare(pages, ids["Ridge"][0], ids["RandomForestClassifier"][0])
    assert {(row["name"], row["same"]) for row in data["datasets"]} == {("X_train", False), ("X_test", False)}
    data = compare(pages, *ids["Pipeline(LogisticRegression)"])
    assert {(row["name"], row["same"]) for row in data["datasets"]} == {("X_train", True), ("X_test", True)}


def test_code_packages_and_files_of_two_programs_are_compared(tmp_path):
    runs = []
    for number, commit in enumerate(COMMITS):
        packages = {"numpy": f"2.{number}", "scipy": "1.0", **({"extra": "1"} if number else {})}
        facts = {"script": "train.py", "git": {"commit": commit, "dirty": bool(number)}, "packages": packages}
        run_id = "ab"[number] * 32
        runs.append([ProcessDescribed(f"p{number}", facts), RunStarted(run_id, "r", 1, "E", None, f"p{number}")])
    store = made(tmp_path / "store", *runs)
    for number, text in enumerate(["a = 1\nb = 2\n", "a = 1\nb = 3\n"]):
        (tmp_path / "train.py").write_text(text)
        store.put_artifact("ab"[number] * 32, "code/train.py", tmp_path / "train.py")
        store.apply([Entry(f"j{number}", 3, ArtifactLogged("ab"[number] * 32, Artifact("code/train.py", len(text))))])
    store.close()
    with serving(tmp_path / "store") as url:
        programs = compare(url, "a" * 32, "b" * 32)["programs"]
        swapped = compare(url, "a" * 32, "b" * 32, between=f"{'b' * 32},{'a' * 32}")["programs"]
        page = httpx.get(f"{url}/compare", params={"runs": f"{'a' * 32},{'b' * 32}"}).text
    assert programs["git"] == f"git diff {COMMITS[0][:12]} {COMMITS[1][:12]}"
    assert programs["is_dirty"] == [False, True]
    assert [(row["key"], row["left"], row["right"]) for row in programs["packages"]["differs"]] == [
        ("extra", None, "1"), ("numpy", "2.0", "2.1")
    ]  # fmt: skip
    assert programs["packages"]["equal"] == 1
    (file,) = programs["files"]
    assert file["path"] == "code/train.py"
    assert [line["text"] for line in file["lines"] if line["kind"] in ("added", "removed")] == ["-b = 2", "+b = 3"]
    assert swapped["left"] == "b" * 32
    assert programs["git"] in page


def test_runs_are_named_as_everywhere_and_those_that_are_not_there_are_told(pages, ids):
    data = compare(pages, "latest", ids["Ridge"][0][:12], "nonesuch")
    assert [run["run_id"] for run in data["runs"]] == [ids["GridSearchCV(Pipeline(SVC))"][0], ids["Ridge"][0]]
    assert "nonesuch" in data["missing"][0]
    answer = httpx.get(f"{pages}/compare", params={"runs": "nonesuch"}, headers={"accept": "text/html"})
    assert answer.status_code == 404
    assert "nonesuch" in answer.text
    assert "Select two runs" in httpx.get(f"{pages}/compare").text


def test_more_runs_than_can_be_compared_are_refused_with_the_number(pages):
    answer = httpx.get(
        f"{pages}/compare", params={"runs": ",".join(map(str, range(51)))}, headers={"accept": "text/html"}
    )
    assert answer.status_code == 400
    assert "51 runs are asked for, and at most 50" in answer.text


def test_what_was_recorded_by_somebody_who_means_harm_is_shown_and_does_nothing(tmp_path, open_page):
    ids = write(tmp_path / "store", tmp_path)
    with serving(tmp_path / "store") as url:
        page = open_page(f"{url}/compare?runs={','.join(ids)}")
        page.wait_for_selector("[data-drawn]")
        assert page.evaluate("window.harmed") is None
        assert "window.harmed" in page.inner_text("main")
        assert SCRIPT not in page.content()
        data = compare(url, *ids)
        assert data["plots"]["problems"]
        assert data["programs"]["git"] == ""
        page.close()
