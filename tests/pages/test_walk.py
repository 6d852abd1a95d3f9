"""The pages in a real browser: from the first screen to the best run's ROC curve, comparing, and every page by axe."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from served_pages import Troubles

import autotrack

pytest.importorskip("axe_playwright_python", reason="the package axe-playwright-python is not installed")

MINOR = ("minor", "moderate")
IN_THE_DARK = ("runs", "a filter that is wrong", "failed run", "run", "search", "compare", "version", "error")
"""The pages between which every colour is seen."""


@pytest.fixture(scope="module")
def addresses(recorded: Path) -> dict[str, str]:
    """Every page that there is, by a name for it."""
    runs = autotrack.search_runs(store=recorded)

    def first(condition: Any) -> str:
        return str(runs["run_id"][condition].iloc[0])

    forest = first(runs["metrics.roc_auc_score_X_test"].notna())
    search = first(runs["run_name"].str.startswith("GridSearchCV"))
    linear = runs["run_id"][runs["run_name"] == "Pipeline(LogisticRegression)"]
    candidates = ",".join(runs["run_id"][runs["parent_run_id"] == search])
    return {
        "runs": "/",
        "experiment": "/experiments/0",
        "a filter that is wrong": "/runs?filter=metrics.",
        "no run": "/runs?filter=metrics.x%20%3E%201",
        "run": f"/runs/{forest}",
        "failed run": f"/runs/{first(runs['status'] == 'FAILED')}",
        "plots": f"/runs/{forest}/plots",
        "files": f"/runs/{forest}/files?path=plots/training.json",
        "search": f"/runs/{search}/search",
        "compare": f"/compare?runs={forest},{','.join(linear)}",
        "compare candidates": f"/compare?runs={candidates}",
        "compare nothing": "/compare",
        "models": "/models",
        "model": "/models/tumours",
        "version": "/models/tumours/1",
        "error": "/nowhere",
    }


def settle(page: Any) -> None:
    """Wait until what the page draws is there."""
    page.wait_for_load_state("load")
    if page.locator("[data-chart]").count():
        page.wait_for_selector("[data-drawn]")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing_serious_on_any_page(pages, open_page, addresses, troubles: Troubles, dark):
    from axe_playwright_python.sync_playwright import Axe

    troubles.expect("404")
    troubles.expect("400")
    page = open_page(dark=dark)
    axe = Axe()
    # In the dark only the colours are others.
    options: dict[str, Any] = {"resultTypes": ["violations"]} | ({"runOnly": ["color-contrast"]} if dark else {})
    found = {}
    for name in IN_THE_DARK if dark else addresses:
        page.goto(pages + addresses[name])
        settle(page)
        # What plotly draws has hundreds of elements, and is one picture with a name for those who do not see it.
        violations = axe.run(page, {"exclude": [[".plot-live > *"]]}, options).response["violations"]
        serious = [
            f"{one['id']}: {node['target']} {node['html'][:150]}"
            for one in violations
            if one["impact"] not in MINOR
            for node in one["nodes"][:4]
        ]
        if serious:
            found[name] = serious
    assert found == {}, "\n".join(f"{name}: {line}" for name, lines in found.items() for line in lines)


def test_on_a_phone_no_page_is_wider_than_the_screen(pages, open_page, addresses, troubles: Troubles):
    troubles.expect("404")
    troubles.expect("400")
    page = open_page(width=390, height=844, has_touch=True)
    wide = {}
    for name, address in addresses.items():
        page.goto(pages + address)
        settle(page)
        width = page.evaluate("document.documentElement.scrollWidth")
        if width > 390:
            wide[name] = width
    assert wide == {}


def test_from_the_start_to_the_roc_curve_of_the_best_run_in_two_clicks_and_on_to_comparing(pages, page, recorded: Path):
    page.goto(pages)
    column = page.locator("#runs-head th", has_text="roc_auc_score_X_test")
    column.get_by_role("link").first.click()
    page.wait_for_url("**/*roc_auc*")
    runs = autotrack.search_runs(order_by="metrics.roc_auc_score_X_test DESC", limit=3, store=recorded)
    best = runs["run_id"].iloc[0]
    page.wait_for_function("id => document.querySelector('#runs-body a[data-open]').href.includes(id)", arg=best)
    page.locator("#runs-body a[data-open]").first.click()
    page.wait_for_url(f"**/runs/{best}")
    page.wait_for_selector(".plot-live .trace")
    assert page.locator("figure", has_text="ROC curve").first.is_visible()
    box = page.locator(".plot-live").first.bounding_box()
    assert box["y"] < 800, "its first plot is on the first screen"

    page.go_back()
    for row in range(3):
        page.locator("#runs-body tr[data-row] input[type=checkbox]").nth(row).check()
    page.locator("#compare-button").click()
    page.wait_for_url("**/compare?runs=*")
    page.wait_for_selector("[data-drawn]")
    page.wait_for_function("() => document.querySelectorAll('[data-chart=curves] .trace').length >= 4")
    assert page.locator(".compared li").count() == 3
    curve = page.locator("[data-chart=curves]").first
    points = curve.locator(".trace path.js-line").evaluate_all(
        "paths => paths.map(path => path.getAttribute('d').length)"
    )
    assert min(points) > 10
    shown = curve.inner_text()
    for value in runs["metrics.roc_auc_score_X_test"]:
        assert f"{value:.3f}".rstrip("0") in shown

    page.locator("select[name=metric]").select_option("f1_score_X_test")
    page.wait_for_url("**metric=f1_score_X_test**")
    page.locator("[data-chart=scatter]").scroll_into_view_if_needed()
    page.wait_for_selector("[data-chart=scatter] .point")
    assert "f1_score_X_test" in page.locator("[data-chart=scatter] figcaption").inner_text()


def test_a_search_is_walked_from_its_map_to_the_best_candidate(pages, page, addresses):
    page.goto(pages + addresses["search"])
    page.wait_for_selector("[data-chart=time] .point")
    assert page.locator("[data-chart=time] .point").count() == 12
    page.locator("tr[data-line='0']").hover()
    assert page.locator("polyline.marked").count() == 1
    page.locator(".map .is-best a").click()
    page.wait_for_url("**/runs/*")
    assert "svc__gamma=0.01" in page.inner_text("h1")


def test_without_scripts_everything_can_be_read(pages, open_page: Callable[..., Any], addresses):
    page = open_page(pages + addresses["compare"], javascript=False)
    shown = page.inner_text("main")
    for text in (
        "What differs",
        "logisticregression__C",
        "accuracy_score_X_test",
        "the best",
        "confusion_matrix_X_test",
    ):
        assert text in shown
    page.locator("select[name=metric]").select_option("f1_score_X_test")
    page.get_by_role("button", name="Show").first.click()
    assert "metric=f1_score_X_test" in page.url
    page.goto(pages + addresses["search"])
    assert page.locator(".map td").count() > 12
    assert page.locator("polyline").count() == 12
