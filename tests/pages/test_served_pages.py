"""The fixtures that the other tests of the pages stand on."""

from __future__ import annotations

import asyncio

import pytest
from recorded_runs import REGISTERED

import autotrack
from autotrack.entities import CANDIDATE, FAILED


def test_the_recorded_runs_have_what_pages_show(recorded):
    with_models = autotrack.list_registered_models(store=recorded)
    assert [model.name for model in with_models] == [REGISTERED]
    runs = autotrack.search_runs(store=recorded)
    assert (runs["status"] == FAILED).sum() == 1
    assert runs[f"tags.{CANDIDATE}"].notna().sum() == 5
    forest = autotrack.get_run(runs[runs["metrics.roc_auc_score_X_test"].notna()]["run_id"].iloc[0], store=recorded)
    assert {"roc_curve_X_test", "precision_recall_curve_X_test", "confusion_matrix_X_test"} <= set(forest.plots)
    network = runs[runs["metrics.loss"].notna()]["run_id"].iloc[0]
    assert len(autotrack.get_run(network, store=recorded).metric_history("loss")) >= 8


def test_a_browser_that_has_something_to_complain_of_is_heard(pages, page, troubles):
    page.goto(f"{pages}/static/none.svg")
    page.goto("about:blank")  # no policy of ours holds there
    other = pages.replace("127.0.0.1", "localhost")
    page.evaluate("url => fetch(url).catch(() => null)", other)
    page.set_content("<script>console.error('oh'); throw new Error('no')</script>")
    for text in ("404", f"another host: {other}/", "console: oh", "script failed: no"):
        assert text in " ".join(troubles.unexpected())
        troubles.expect(text)
    troubles.expect("localhost")  # what the browser itself says of that request
    assert troubles.unexpected() == []


@pytest.mark.usefixtures("_browser")
def test_an_event_loop_runs_beside_the_browser():
    async def answer() -> int:
        await asyncio.sleep(0)
        return 42

    assert asyncio.run(answer()) == 42
