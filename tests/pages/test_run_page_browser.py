"""The pages of runs, files and models in a browser: plots have points, edits are kept, nothing hostile runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asked_pages import HOSTILE, make_run, put_file

import autotrack
from autotrack.entities import Metric
from autotrack.events import MetricsLogged, RunEnded, RunStarted, TagsSet
from autotrack.query.editing import apply
from autotrack.stores import open_store

POINTS = "figure => figure.querySelector('.plot-live').data.map(line => line.x?.length ?? line.z.length)"


def run_of(folder: Path, filter_: str) -> str:
    return autotrack.search_runs(filter_, order_by=["start_time DESC"], store=folder)["run_id"].iloc[0]


def figure(page: Any, name: str) -> Any:
    found = page.locator(f'figure[data-plot="{name}"]')
    found.scroll_into_view_if_needed()
    found.locator(".plot-live .main-svg").first.wait_for()
    return found


@pytest.fixture
def own(tmp_path) -> Iterator[tuple[Any, Path]]:
    """An empty store of this test's own, and its folder."""
    store = open_store(str(tmp_path / "store"))
    yield store, tmp_path / "store"
    store.close()


def test_the_roc_curve_of_the_best_run_is_two_clicks_away(pages, page):
    page.goto(pages)
    page.locator("thead th a, thead th button", has_text="roc_auc").first.click()
    page.locator('th[aria-sort="descending"]', has_text="roc_auc").wait_for()
    page.locator("tbody tr[data-row] a[data-open]").first.click()
    roc = page.locator('.fold figure[data-kind="roc_curve"]')
    roc.locator(".plot-live .scatterlayer .js-line").nth(1).wait_for()
    box = roc.bounding_box()
    assert box is not None
    assert box["y"] + box["height"] < 800  # above the fold
    assert max(roc.evaluate(POINTS)) > 2


def test_plots_can_be_looked_into(pages, recorded, page):
    run_id = run_of(recorded, "metrics.roc_auc_score_X_test > 0 and params.n_estimators = '8'")
    page.goto(f"{pages}/runs/{run_id}")
    matrix = figure(page, "confusion_matrix_X_test")
    shown = matrix.locator(".heatmap-label, .hm .heatmaplayer text")
    counts = shown.all_text_contents()
    assert sum(int(text) for text in counts) == 143
    matrix.get_by_role("button", name="Shares").click()
    matrix.locator(".heatmap-label, .hm .heatmaplayer text", has_text="%").first.wait_for()
    matrix.locator("summary", has_text="Numbers").click()
    assert matrix.locator("tbody td.num").all_text_contents() == counts
    importances = figure(page, "feature_importances")
    assert importances.locator(".bars path").count() > 5


def test_a_plot_follows_the_colours_of_the_page(pages, recorded, page):
    page.goto(f"{pages}/runs/{run_of(recorded, 'metrics.roc_auc_score_X_test > 0')}")
    roc = figure(page, "roc_curve_X_test")
    colour = "figure => figure.querySelector('.plot-live').layout.font.color"
    light = roc.evaluate(colour)
    page.locator("#theme-button").click()
    page.wait_for_function("([figure, before]) => figure.querySelector('.plot-live').layout.font.color !== before",
                           arg=[roc.element_handle(), light])  # fmt: skip


def test_the_page_reads_well_without_scripts(pages, recorded, open_page):
    page = open_page(f"{pages}/runs/{run_of(recorded, 'metrics.roc_auc_score_X_test > 0')}", javascript=False)
    still = page.locator('figure[data-plot="roc_curve_X_test"] svg.still')
    assert still.is_visible()
    assert still.locator("path.line").get_attribute("d").count("L") > 2
    assert page.locator(".figures.large dd").first.is_visible()


def test_a_note_tags_and_the_registry_are_changed_from_the_page(recorded_copy, serve, page, pages):
    url = serve(recorded_copy)
    run_id = run_of(recorded_copy, "models.path = 'model'")
    page.goto(f"{url}/runs/{run_id}")
    page.get_by_role("button", name="Edit the note").click()
    page.get_by_label("Note", exact=True).fill("good <b>enough</b>")
    page.get_by_role("button", name="Save").click()
    page.locator(".note-text", has_text="good <b>enough</b>").wait_for()
    page.get_by_label("Key of a new tag").fill("stage")
    page.get_by_label("Value of a new tag").fill("candidate")
    page.get_by_role("button", name="Add").click()
    page.locator('[data-tag="stage"]').wait_for()
    tags = autotrack.get_run(run_id, store=recorded_copy).tags
    assert (tags["stage"], tags["mlflow.note.content"]) == ("candidate", "good <b>enough</b>")
    page.get_by_role("button", name="Delete the tag stage").click()
    page.locator('[data-tag="stage"]').wait_for(state="detached")
    assert "stage" not in autotrack.get_run(run_id, store=recorded_copy).tags

    page.locator('[data-register="model"]').get_by_role("button", name="Register").click()
    page.get_by_label("Name of the registered model").fill("forests")
    page.keyboard.press("Enter")
    page.wait_for_url("**/models/forests/1")
    page.get_by_role("button", name="Let an alias point to version 1").click()
    page.get_by_label("New alias of version 1").fill("champion")
    page.keyboard.press("Enter")
    page.locator('[data-alias="champion"]').wait_for()
    assert autotrack.get_registered_model("forests", store=recorded_copy).aliases == {"champion": 1}


def test_a_run_that_goes_on_is_shown_as_it_goes_on(own, serve, page):
    store, folder = own
    apply(
        store,
        [RunStarted("r1", "training", 1000), MetricsLogged("r1", (Metric("loss", 1.0, 0), Metric("loss", 0.5, 1)))],
    )
    page.goto(f"{serve(folder)}/runs/r1")
    assert figure(page, "loss").evaluate(POINTS) == [2]
    apply(store, [MetricsLogged("r1", (Metric("loss", 0.25, 2),)), RunEnded("r1", "FINISHED", 9000)])
    page.locator('.run-title [data-status="FINISHED"]').wait_for()
    assert figure(page, "loss").evaluate(POINTS) == [3]


def hostile_plot(kind: str, text: str) -> dict[str, Any]:
    return {
        "kind": kind,
        "title": text,
        "xlabel": text,
        "positive": text,
        "names": [text],
        "values": [1],
        "series": [{"name": text, "x": [0, 1], "y": [0, 1], "auc": 1.0}],
        "labels": [text],
        "counts": [[1]],
    }


def test_what_hostile_programs_record_does_not_run(own, serve, open_page, troubles, tmp_path):
    store, folder = own
    texts = [text for text in HOSTILE if "\ud800" not in text]
    make_run(store, "r1", TagsSet("r1", {text: text for text in texts}), name=texts[1])
    kinds = ("bars", "roc_curve", "lines", "confusion_matrix")
    pairs = [(kind, text) for kind in kinds for text in texts]
    plots = {f"p{at}": hostile_plot(kind, text) for at, (kind, text) in enumerate(pairs)}
    put_file(store, "r1", "plots/a.json", json.dumps({"version": 1, "plots": plots}).encode(), tmp_path)
    attack = (
        "<script>parent.postMessage('in', '*'); document.title = 'in'; fetch('/runs.json')</script>"
        "<img src='/runs' onerror='alert(1)'>"
    )
    put_file(store, "r1", "report.html", f"<h1>A report</h1>{attack}".encode(), tmp_path)
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/>{attack}</svg>'
    put_file(store, "r1", "drawing.svg", svg.encode(), tmp_path)
    for text in ("Blocked script execution", "Content Security Policy", "violates the following", "/runs: csp"):
        troubles.expect(text)
    url = serve(folder)
    page = open_page()
    dialogs: list[str] = []
    asked: list[str] = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{url}/runs/r1/plots")
    page.evaluate("window.heard = []; addEventListener('message', event => heard.push(event.data))")
    for at in range(0, len(plots), 8):
        figure(page, f"p{at}")
    for path in ("files?path=report.html", "raw?path=report.html&show=1", "raw?path=drawing.svg&show=1"):
        page.goto(f"{url}/runs/r1/{path}")
        page.wait_for_load_state("networkidle")
        if path.startswith("files"):
            page.frame_locator("iframe").locator("h1", has_text="A report").wait_for()
        assert page.title() != "in"
    assert dialogs == []
    assert f"{url}/runs.json" not in asked


def test_a_checker_of_accessibility_finds_nothing_serious(pages, recorded, open_page):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    run_id = run_of(recorded, "models.path = 'model'")
    for path in (f"/runs/{run_id}", f"/runs/{run_id}/files?path=model/MLmodel", "/models/tumours/1"):
        page = open_page(pages + path, dark=path.startswith("/models"))
        if path == f"/runs/{run_id}":
            page.locator(".fold .plot-live .main-svg").first.wait_for()
        found = axe.run(page).response["violations"]
        serious = [one for one in found if one["impact"] in ("serious", "critical")]
        assert not serious, [(one["id"], [node["html"][:200] for node in one["nodes"][:3]]) for one in serious]


def test_pages_are_readable_on_a_phone(pages, recorded, open_page):
    run_id = run_of(recorded, "models.path = 'model'")
    for path in (f"/runs/{run_id}", f"/runs/{run_id}/files?path=model/MLmodel", "/models/tumours/1"):
        page = open_page(pages + path, width=390)
        page.wait_for_load_state("networkidle")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
