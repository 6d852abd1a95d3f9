"""The page of a run: what stands above the fold, what differs from the run before; and nothing hostile gets through."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser

import pytest
from asked_pages import HOSTILE, Pages, asking, make_run, put_file

from autotrack.entities import Dataset, Metric, Note
from autotrack.events import (
    DatasetLogged,
    MetricsLogged,
    NoteLogged,
    ParamsLogged,
    ProcessDescribed,
    RunStarted,
    TagsSet,
)
from autotrack.query.editing import apply
from autotrack.server.pages import run_trace
from autotrack.server.pages.stills import still
from autotrack.stores import open_store

PLOTS = {
    "roc_curve": {"series": [{"name": "", "x": [0, 0.2, 1], "y": [0, 0.9, 1], "auc": 0.85}]},
    "precision_recall_curve": {"series": [{"name": "a", "x": [1, 0.5, 0], "y": [0.5, 0.9, 1]}]},
    "calibration_curve": {"series": [{"name": "", "x": [0.1, 0.9], "y": [0.2, 0.8], "counts": [5, 6]}], "bins": 10},
    "confusion_matrix": {"labels": ["yes", "no"], "counts": [[5, 1], [2, "NaN"]]},
    "residuals": {"x": [1.0, 2.0], "y": [0.5, -0.5], "of": 2},
    "predicted_vs_actual": {"x": [1.0, 2.0], "y": [1.5, "NaN"], "of": 2, "facts": {"r2_score": 0.9}},
    "feature_importances": {"names": ["a", "b"], "values": [3.0, -1.0], "importance": "coefficient"},
    "bars": {"names": ["a"], "values": [3.0], "std": [0.1]},
    "learning_curve": {"series": [{"name": "training", "x": [10, 20], "y": [0.5, 0.7], "std": [0.1, 0.1]}]},
    "validation_curve": {"series": [{"name": "t", "x": ["lbfgs", "saga"], "y": [0.5, 0.7]}], "xlabel": "solver"},
    "iterations": {"series": [{"name": "", "x": [0, 1, 2], "y": [3.0, "Infinity", 1.0]}]},
    "lines": {"series": [{"name": "", "x": [0.001, 1000], "y": [3.0, 1.0]}], "log": True},
    "heat_map": {"columns": ["1"], "rows": ["2", "3"], "values": [[0.5], ["NaN"]], "xlabel": "C", "ylabel": "g"},
    "scatter": {"x": [1, 100], "y": [0.1, 0.2], "values": [1.0, 2.0], "xlabel": "C", "ylabel": "g", "log_x": True},
}
"""One plot of every kind, with what JSON has no numbers for."""


@pytest.fixture(scope="module")
def site(recorded) -> Iterator[Pages]:
    with asking(open_store(str(recorded))) as pages:
        yield pages


@pytest.fixture
def empty(tmp_path) -> Iterator[Pages]:
    with asking(open_store(str(tmp_path / "store"))) as pages:
        yield pages


def newest(site: Pages, filter_: str) -> str:
    return site.store.search_runs(filter_, ["start_time DESC"], limit=1)[0].run_id


def plots_file(plots) -> bytes:
    return json.dumps({"version": 1, "plots": plots}).encode()


class Elements(HTMLParser):
    """The elements of a page with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def test_above_the_fold_stand_held_out_metrics_the_change_and_the_roc_curve(site):
    run_id = newest(site, "params.logisticregression__C = '10.0'")
    found = site.json(f"/runs/{run_id}.json")
    large = {metric["name"]: metric for metric in found["headline"]}
    assert {"roc_auc", "accuracy", "f1_binary"} <= set(large)
    assert all(metric["data"] == "X_test" and metric["training"] is not None for metric in large.values())
    assert found["first_plot"]["name"] == "roc_curve_X_test"
    assert found["difference"]["params"] == [{"key": "logisticregression__C", "old": "0.01", "new": "10.0"}]
    change = next(row for row in found["difference"]["metrics"] if row["key"] == "accuracy_score_X_test")
    assert change["change"] == ("better" if change["new"] > change["old"] else "worse")
    assert large["accuracy"]["change"] == change["change"]
    assert "data" in found["difference"]["same"]

    page = site.page(f"/runs/{run_id}")
    fold = page[page.index('class="fold') : page.index('class="tabs on-page"')]
    assert fold.index("roc auc") < fold.index("logisticregression__C") < fold.index('data-plot="roc_curve_X_test"')
    assert 'class="line s1"' in fold  # drawn before any script runs


def test_the_page_and_its_twin_tell_the_same(site):
    run_id = newest(site, "metrics.accuracy_score_X_test > 0")
    found = site.json(f"/runs/{run_id}.json")
    page = site.page(f"/runs/{run_id}")
    for metric in found["headline"]:
        assert f'title="{metric["value"]}"' in page
    for param in found["params"]:
        assert param["key"] in page
    assert f'href="/runs/{run_id}.json"' in page


def test_defaults_are_told_from_what_was_set(site):
    run_id = newest(site, "params.alpha = '0.1'")
    found = site.json(f"/runs/{run_id}.json")
    ridge = {param["key"]: param["is_default"] for param in found["params"]}
    assert ridge["alpha"] is False
    assert ridge["fit_intercept"] is True


def test_a_failed_run_tells_why_and_shows_its_traceback(site):
    run_id = newest(site, "status = 'FAILED'")
    found = site.json(f"/runs/{run_id}.json")
    assert found["run"]["error_line"] in found["run"]["error"]
    page = site.page(f"/runs/{run_id}")
    assert 'id="error"' in page
    assert "Traceback" in page
    assert "failed before there was any metric" in page


def test_a_search_lists_its_candidates_best_first_and_leads_to_its_page(site):
    run_id = newest(site, "tags.estimator_name = 'GridSearchCV'")
    found = site.json(f"/runs/{run_id}.json")
    assert found["is_search"]
    assert found["children"][0]["rank"] == 1
    assert f'href="/runs/{run_id}/search"' in site.page(f"/runs/{run_id}")
    child = site.json(f"/runs/{found['children'][0]['run_id']}.json")
    assert child["parent"]["run_id"] == run_id
    assert child["difference"]["run"]["run_id"] in {one["run_id"] for one in found["children"]}


def test_metrics_over_their_steps_are_plots(site):
    run_id = newest(site, "metrics.loss > 0")
    found = site.json(f"/runs/{run_id}.json")
    loss = next(plot for plot in found["histories"] if plot["name"] == "loss")
    assert len(loss["data"]["series"][0]["y"]) >= 8
    assert 'data-plot="loss"' in site.page(f"/runs/{run_id}")
    assert site.json(f"/runs/{run_id}/plots.json?name=loss")["plots"] == [loss]


def test_a_plot_that_is_not_there_is_named_with_those_that_are(site):
    run_id = newest(site, "metrics.loss > 0")
    answer = site.ask(f"/runs/{run_id}/plots.json?name=lift")
    assert answer.status_code == 404
    assert "'lift'" in answer.json()["message"]
    assert "loss" in answer.json()["message"]


def test_a_model_is_described_without_unpickling_it(site):
    run_id = newest(site, "models.path = 'model'")
    (model,) = site.json(f"/runs/{run_id}.json")["models"]
    assert model["estimator"]["class"] == "RandomForestClassifier"
    assert model["estimator"]["params"]["n_estimators"] == {"value": "5", "changed": True}
    assert model["signature"]["n_inputs"] == 30
    assert model["snippets"]["autotrack"].endswith(f'load_model("runs:/{run_id}/model")')
    body = shlex.split(model["snippets"]["request"])[-1]
    assert len(json.loads(body)["dataframe_split"]["columns"]) == 30


def test_the_command_runs_again_what_ran(empty, tmp_path):
    folder = tmp_path / "a folder's name; $(true)"
    folder.mkdir()
    script = folder / "it's a script.py"
    script.write_text("import sys, os; print([os.getcwd(), *sys.argv])")
    arguments = ["--name", "a b", "$HOME", "*", "'", '"', "line\nbreak", ""]
    facts = {"script": str(script), "args": arguments, "cwd": str(folder), "executable": sys.executable}
    start = RunStarted("r1", "r", 5, process_id="p")
    apply(empty.store, [ProcessDescribed("p", facts), start])
    command = empty.json("/runs/r1.json")["command"]
    told = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True).stdout
    assert told.strip() == repr([str(folder), str(script), *arguments])


def test_what_is_running_has_no_end_and_is_marked(empty):
    apply(
        empty.store, [RunStarted("r1", "r", 5), MetricsLogged("r1", (Metric("loss", 1.0, 0), Metric("loss", 0.5, 1)))]
    )
    page = empty.page("/runs/r1")
    assert 'data-status="RUNNING"' in page


def test_two_runs_of_one_moment_are_not_each_before_the_other(empty):
    for run_id in ("a" * 32, "b" * 32):
        make_run(empty.store, run_id)
    before = [empty.json(f"/runs/{run_id}.json")["difference"] for run_id in ("a" * 32, "b" * 32)]
    assert before[0] is None
    assert before[1]["run"]["run_id"] == "a" * 32


def test_params_that_hold_changed_params_are_not_told_twice(empty):
    old = {"steps": "[('svc', SVC(C=1))]", "svc": "SVC(C=1)", "svc__C": "1", "memory": "None"}
    new = {"steps": "[('svc', SVC(C=2))]", "svc": "SVC(C=2)", "svc__C": "2", "memory": "None"}
    make_run(empty.store, "a1", ParamsLogged("a1", old), at=1)
    make_run(empty.store, "b1", ParamsLogged("b1", new), at=2)
    assert [row["key"] for row in empty.json("/runs/b1.json")["difference"]["params"]] == ["svc__C"]


def test_a_run_that_is_not_there_is_a_page_that_says_so(empty):
    assert "nothing" in empty.page("/runs/nothing", 404)
    assert empty.ask("/runs/nothing.json").json()["error_code"] == "RESOURCE_DOES_NOT_EXIST"


def test_long_histories_keep_their_lowest_and_highest_points(empty):
    points = [Metric("loss", 1.0 if step not in (4321, 1234) else step * 1.0 - 2000, step) for step in range(5000)]
    make_run(empty.store, "r1", MetricsLogged("r1", tuple(points)))
    (plot,) = empty.json("/runs/r1.json")["histories"]
    y = plot["data"]["series"][0]["y"]
    assert len(y) <= 500
    assert min(y) == -766
    assert max(y) == 2321
    assert "5,000" in plot["note"]


def test_every_kind_of_plot_has_a_still_picture(empty, tmp_path):
    make_run(empty.store, "r1")
    plots = {kind: {"kind": kind, "title": kind, **plot} for kind, plot in PLOTS.items()}
    put_file(empty.store, "r1", "plots/all.json", plots_file(plots), tmp_path)
    page = empty.page("/runs/r1/plots")
    for kind in PLOTS:
        figure = re.search(rf'data-plot="{kind}".*?</figure>', page, re.DOTALL)
        assert figure is not None, kind
        assert "<svg" in figure[0], kind
        assert "nan" not in figure[0].replace("nan (", ""), kind


BROKEN = [
    {"kind": "roc_curve"},
    {"kind": "roc_curve", "series": [{"x": "abc", "y": 3}]},
    {"kind": "bars", "names": ["a"], "values": [{}]},
    {"kind": "confusion_matrix", "labels": ["a"], "counts": [["<b>", None]]},
    {"kind": "heat_map", "columns": 1},
    {"kind": ["x"]},
    {"kind": "scatter", "x": [1e308, -1e308], "y": [1, 2]},
    {"kind": "unknown"},
    {"kind": "iterations", "series": [{"x": [0, 1], "y": [1e-320, 1e-321]}]},
]


@pytest.mark.parametrize("broken", BROKEN)
def test_a_plot_that_is_not_as_it_should_be_breaks_no_page(empty, tmp_path, broken):
    still(broken)
    make_run(empty.store, "r1")
    put_file(empty.store, "r1", "plots/a.json", plots_file({"a": broken}), tmp_path)
    empty.page("/runs/r1")
    empty.json("/runs/r1.json")


def test_files_of_ours_that_hold_something_else_break_no_page(empty, tmp_path):
    make_run(empty.store, "r1")
    for path in ("fit_trace.json", "metric_info.json", "plots/a.json"):
        put_file(empty.store, "r1", path, b"[" * 20_000, tmp_path)
    assert empty.json("/runs/r1.json")["trace"] is None
    assert "plots/a.json cannot be read" in empty.page("/runs/r1")


def test_fits_at_one_time_stand_below_one_another():
    def node(name, start, seconds, *children):
        return {"estimator": name, "method": "fit", "start": start, "seconds": seconds, "children": list(children)}

    tree = node("Search", 0, 10, node("A", 1, 4, node("C", 2, 1)), node("B", 3, 4), node("D", 8, 1))
    found = run_trace.flame(json.dumps(tree).encode())
    rows = {bar["label"]: bar["row"] for bar in found["bars"]}
    assert rows["Search"] == 0
    assert rows["A"] == rows["D"] == 1
    assert rows["C"] == 2
    assert rows["B"] not in (0, 1)
    a = next(bar for bar in found["bars"] if bar["label"] == "A")
    assert (a["left"], a["width"]) == (10.0, 40.0)
    assert next(total for total in found["totals"] if total["label"] == "A")["own"] == 3


@pytest.mark.parametrize("content", [
    b"", b"[]", b"{}", b'{"estimator": 1, "start": "x", "seconds": -1, "children": [1, {"children": 5}]}',
    b'{"estimator": "a", "seconds": null}',
])  # fmt: skip
def test_a_trace_that_is_not_as_it_should_be_is_borne(content):
    run_trace.flame(content)


def hostile_run(pages: Pages, folder) -> str:
    """A run in which every text is hostile."""
    run_id = "h1"
    texts = dict.fromkeys(HOSTILE, "")
    keyed = {text: text for text in texts}
    events = [
        ParamsLogged(run_id, keyed),
        TagsSet(run_id, {**keyed, "mlflow.note.content": " ".join(HOSTILE), "estimator_class": HOSTILE[0]}),
        MetricsLogged(run_id, tuple(Metric(f"{text}_score_{text}", 0.5, step) for text in HOSTILE for step in (0, 1))),
        *(NoteLogged(run_id, Note(kind, text, text)) for text in HOSTILE for kind in ("warning", "check", "skipped")),
        *(
            DatasetLogged(
                run_id,
                Dataset(text, "eval", text, f"sha256:{text}", (1, None), ({"name": text, "dtype": text, "missing": 1},),
                        {"dtype": text, "classes": {text: 3}}, {"source": text, "schema": json.dumps({text: text})}),
            )
            for text in HOSTILE
        ),
    ]  # fmt: skip
    facts = {"script": HOSTILE[1], "args": list(HOSTILE), "cwd": HOSTILE[2], "packages": keyed, "git": keyed}
    apply(pages.store, [ProcessDescribed("p", facts)])
    make_run(pages.store, run_id, *events, name=HOSTILE[1], status="FAILED")
    apply(pages.store, [RunStarted(run_id, HOSTILE[1], 1000, process_id="p")])
    plots = {text: {"kind": "bars", "title": text, "subtitle": text, "note": text, "names": [text], "values": [1]}
             for text in HOSTILE}  # fmt: skip
    put_file(pages.store, run_id, "plots/a.json", plots_file(plots), folder)
    trace = {"estimator": HOSTILE[1], "method": HOSTILE[0], "seconds": 1, "error": HOSTILE[3]}
    put_file(pages.store, run_id, "fit_trace.json", json.dumps(trace).encode(), folder)
    put_file(pages.store, run_id, "<img src=x onerror=alert(1)>.txt", HOSTILE[0].encode(), folder)
    return run_id


def test_whatever_was_recorded_is_shown_as_text(empty, tmp_path):
    run_id = hostile_run(empty, tmp_path)
    for path in (f"/runs/{run_id}", f"/runs/{run_id}/plots", f"/runs/{run_id}/files"):
        page = empty.page(path)
        elements = Elements(page)
        assert not [one for one in elements.of("img") if one.get("src") == "x"]
        assert {script.get("src", "").partition("?")[0].rpartition("/")[0] for script in elements.of("script")} == {
            "/static"
        }
        for tag, attributes in elements.found:
            assert not [name for name in attributes if name.startswith("on")], (tag, attributes)
            for name in ("href", "src"):
                assert not (attributes.get(name) or "").strip().lower().startswith("javascript:"), (tag, attributes)
        assert "49" not in re.findall(r"\{\{ 7\*7 \}\}|>49<", page)
        empty.ask(f"{path}.json").json()


def test_the_pages_load_no_library_of_numbers(recorded):
    program = f"""
import asyncio, sys
sys.path.insert(0, {str(__file__.rpartition("/")[0])!r})
from asked_pages import asking
from autotrack.stores import open_store
with asking(open_store({str(recorded)!r})) as pages:
    kinds = {{(run.status, run.tags.get("estimator_name")): run for run in pages.store.search_runs()}}
    runs = list(kinds.values())
    for run in runs:
        pages.page(f"/runs/{{run.run_id}}")
        pages.page(f"/runs/{{run.run_id}}/plots") if run.metrics else None
        pages.page(f"/runs/{{run.run_id}}/files")
    pages.page("/models/tumours/1")
heavy = {{"numpy", "pandas", "sklearn", "matplotlib", "scipy", "pyarrow", "plotly", "cloudpickle"}}
print(sorted(heavy & {{name.partition(".")[0] for name in sys.modules}}), "pickle" in sys.modules and len(runs))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("[] ")


def test_pictures_that_other_tools_log_stand_among_the_plots(empty, tmp_path):
    make_run(empty.store, "r1")
    for path in ("training_confusion_matrix.png", "training_roc_curve.png", "estimator.html"):
        put_file(empty.store, "r1", path, b"\x89PNG", tmp_path)
    assert empty.json("/runs/r1.json")["pictures"] == ["training_roc_curve.png", "training_confusion_matrix.png"]
    page = empty.page("/runs/r1")
    fold = page[page.index('class="fold') : page.index('class="tabs on-page"')]
    assert 'src="/runs/r1/raw?path=training_roc_curve.png&amp;show=1"' in fold
    assert '<iframe class="framed" sandbox loading="lazy"' in page
