"""The table of runs in a browser: what moves without leaving the page."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hostile
import pytest

import autotrack
from autotrack.entities import Metric
from autotrack.events import Entry, Event, MetricsLogged, ParamsLogged, RunEnded, RunStarted
from autotrack.stores import open_store

TRAINING = """
import sys, time
import autotrack
from sklearn.linear_model import Ridge

class SlowRidge(Ridge):
    def fit(self, X, y):
        print("fitting", flush=True)
        sys.stdin.readline()
        return super().fit(X, y)

autotrack.autolog(silent=True, log_models=False)
SlowRidge().fit([[0.0], [1.0], [2.0]], [0.0, 1.0, 2.5])
autotrack.flush()
"""
START = 1_767_225_600_000


def rows(page: Any) -> list[str]:
    """The names of the runs in the table, in order."""
    found: list[str] = page.locator("#runs-body tr[data-row] a[data-open]").all_text_contents()
    return found


def column(page: Any, label: str) -> list[str]:
    """What stands in a column."""
    labels = page.locator("#runs-head th").all_text_contents()
    place = next(number for number, text in enumerate(labels) if text.strip(" \n↑↓12") == label)
    found: list[str] = page.locator(f"#runs-body tr[data-row] > :nth-child({place + 1})").all_text_contents()
    return [text.strip() for text in found]


def wait(page: Any, condition: str) -> None:
    deadline = time.monotonic() + 15
    while not page.evaluate(condition):  # `wait_for_function` is what our policy forbids
        assert time.monotonic() < deadline, condition
        page.wait_for_timeout(30)


def fill(folder: Path, count: int) -> None:
    """Write so many runs into a store."""
    store = open_store(str(folder))
    events: list[Event] = []
    for number in range(count):
        own = f"{number:032x}"
        events += [
            RunStarted(own, f"Lasso {number}", START + number * 1000),
            ParamsLogged(own, {"alpha": str(number % 7)}),
            MetricsLogged(own, (Metric("r2_score_X_test", (number * 37 % 1000) / 1000),)),
            RunEnded(own, "FINISHED", START + number * 1000 + 500),
        ]
    store.apply([Entry("20260101T000000-000000000001", place, event) for place, event in enumerate(events, 1)])
    store.close()


def test_a_run_appears_while_it_trains_in_another_process_and_finishes(serve, page, tmp_path):
    folder = tmp_path / ".autotrack"
    page.goto(serve(folder))
    assert page.get_by_text("import autotrack; autotrack.autolog()").is_visible()
    page.get_by_text("Live", exact=True).wait_for()
    own = {name: value for name, value in os.environ.items() if not name.startswith("AUTOTRACK_")}
    script = tmp_path / "train.py"
    script.write_text(TRAINING)
    training = subprocess.Popen(
        [sys.executable, "-W", "ignore", str(script)],
        cwd=tmp_path,
        env={**own, "AUTOTRACK_STORE": str(folder)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with training:
        assert training.stdout is not None
        assert training.stdout.readline() == "fitting\n"
        page.locator("tr[data-row] .status[data-status=RUNNING]").wait_for()
        assert rows(page) == ["SlowRidge"]
        link = page.locator("a[data-open]")
        link.focus()
        wait(page, "document.querySelector('[data-since]').textContent.endsWith(' s')")
        assert training.stdin is not None
        training.stdin.write("\n")
        training.stdin.flush()
        page.locator("tr[data-row] .status[data-status=FINISHED]").wait_for()
    wait(page, "document.querySelector('#runs-head').textContent.includes('training_score')")
    assert float(column(page, "training_score")[0]) > 0.5
    assert page.evaluate("document.activeElement.textContent") == "SlowRidge"  # it has kept the focus
    assert not page.get_by_text("No runs yet").is_visible()


def test_filtering_and_sorting_change_the_address_and_back_undoes_them(pages, page):
    page.goto(f"{pages}/runs")
    everything = rows(page)
    page.keyboard.press("/")
    page.keyboard.type("status = 'FAI")
    page.get_by_role("option", name="'FAILED'").wait_for()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    wait(page, "document.querySelectorAll('#runs-body tr').length === 1")
    assert rows(page) == ["Ridge"]
    assert "filter=status" in page.url
    page.get_by_label("Clear the filter").click()
    wait(page, f"document.querySelectorAll('#runs-body tr').length === {len(everything)}")
    page.get_by_role("link", name="accuracy_score_X_test").click()
    page.locator("th[aria-sort=descending] >> text=accuracy_score_X_test").wait_for()
    scores = [float(text) for text in column(page, "accuracy_score_X_test") if text]
    assert scores == sorted(scores, reverse=True)
    assert len(scores) > 2
    page.get_by_role("link", name="Status").click(modifiers=["Shift"])
    page.locator("th[data-column=status][aria-sort=ascending] >> text=2").wait_for()
    page.go_back()
    page.go_back()
    wait(page, "document.querySelector('th[aria-sort]').dataset.column === 'start_time'")
    assert rows(page) == everything


def test_a_filter_that_cannot_be_understood_leaves_the_runs_and_shows_the_place(pages, page):
    page.goto(f"{pages}/runs")
    before = rows(page)
    page.locator("#filter").fill("metrics.x >> 1")
    page.keyboard.press("Enter")
    page.locator("#filter-error:not([hidden])").wait_for()
    told = page.locator("#filter-error").text_content()
    line, caret = told.splitlines()[1:3]
    assert line[caret.index("^")] == ">"
    assert rows(page) == before
    assert page.url == f"{pages}/runs"
    page.locator("#filter").fill("")
    page.locator("#examples a").last.click()
    page.locator("#filter-error").wait_for(state="hidden")


def test_what_is_wrong_with_a_filter_stays_told_while_runs_arrive(serve, page, recorded_copy):
    page.goto(f"{serve(recorded_copy)}/runs")
    before = rows(page)
    page.locator("#filter").fill("metrics.x >> 1")
    page.keyboard.press("Enter")
    page.locator("#filter-error:not([hidden])").wait_for()
    fill(recorded_copy, 1)
    wait(page, f"document.querySelectorAll('#runs-body tr').length === {len(before) + 1}")
    assert page.locator("#filter-error").is_visible()
    assert page.locator("#filter").get_attribute("aria-invalid") == "true"
    assert page.locator("#filter").input_value() == "metrics.x >> 1"


def test_runs_are_selected_deleted_and_brought_back(serve, page, recorded_copy):
    page.goto(f"{serve(recorded_copy)}/runs")
    before = rows(page)
    page.keyboard.press("j")
    page.keyboard.press("x")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.locator("tr.current .pick input").click(modifiers=["Shift"])
    assert page.locator("#selection-count").text_content() == "3 selected"
    assert page.locator("#compare-button").get_attribute("href").count(",") == 2
    page.get_by_role("button", name="Delete").click()
    wait(page, f"document.querySelectorAll('#runs-body tr').length === {len(before) - 3}")
    assert rows(page) == before[3:]
    page.get_by_role("button", name="Undo").click()
    wait(page, f"document.querySelectorAll('#runs-body tr').length === {len(before)}")
    assert rows(page) == before
    page.locator("#runs-body .pick input").first.click()
    page.keyboard.press("Delete")
    wait(page, f"document.querySelectorAll('#runs-body tr').length === {len(before) - 1}")
    page.get_by_role("link", name="Deleted").click()
    wait(page, "document.querySelectorAll('#runs-body tr').length === 1")
    assert rows(page) == before[:1]
    page.locator("#runs-body .pick input").click()
    page.get_by_role("button", name="Restore").click()
    page.get_by_text("Nothing is deleted").wait_for()
    assert len(autotrack.search_runs(store=recorded_copy)) >= len(before)


def test_name_note_and_tags_are_edited_beside_the_row(serve, page, recorded_copy):
    page.goto(f"{serve(recorded_copy)}/runs")
    page.keyboard.press("j")
    page.keyboard.press("e")
    page.get_by_label("Name", exact=True).fill("The one we ship")
    page.get_by_label("Note", exact=True).fill("see <b>Monday</b>")
    page.get_by_role("button", name="Add a tag").click()
    page.locator(".tag-row input").nth(-2).fill("team")
    page.locator(".tag-row input").last.fill("red")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("link", name="The one we ship", exact=True).wait_for()
    page.locator(".note-mark[title='see <b>Monday</b>']").wait_for()
    run = autotrack.get_run("The one we ship", store=recorded_copy)
    assert (run.tags["team"], run.tags["mlflow.note.content"]) == ("red", "see <b>Monday</b>")


def test_columns_are_chosen_moved_and_remembered(pages, page):
    page.goto(f"{pages}/experiments/0")
    page.get_by_role("button", name="Columns").click()
    page.get_by_label("Find a column").fill("training_log")
    page.get_by_label("training_log_loss").check()
    page.locator("#runs-head th[data-column='metrics.training_log_loss']").wait_for()
    page.get_by_label("Find a column").fill("")
    page.get_by_label("Move Took: arrow keys").press("ArrowUp")
    wait(page, "document.querySelectorAll('#runs-head th')[3].dataset.column === 'duration'")
    chosen = page.locator("#runs-head th[data-column]").evaluate_all("all => all.map(one => one.dataset.column)")
    assert chosen[2:4] == ["duration", "start_time"]
    page.goto(f"{pages}/experiments/0")
    page.locator("#runs-head th[data-column='metrics.training_log_loss']").wait_for()
    assert (
        page.locator("#runs-head th[data-column]").evaluate_all("all => all.map(one => one.dataset.column)") == chosen
    )
    page.get_by_role("button", name="Columns").click()
    page.get_by_role("button", name="Choose for me").click()
    page.locator("#runs-head th[data-column='metrics.training_log_loss']").wait_for(state="detached")


def test_child_runs_open_below_their_parent(pages, page):
    page.goto(f"{pages}/runs")
    before = len(rows(page))
    fold = page.locator("a[data-children]").first
    fold.click()
    page.locator("tr.child").first.wait_for()
    assert page.get_by_text("candidate ").count() == 5
    assert len(rows(page)) == before + 5
    page.locator("tr.child a[data-open]").first.focus()
    page.keyboard.press("ArrowLeft")  # to the parent
    page.keyboard.press("ArrowLeft")  # closed
    page.locator("tr.child").first.wait_for(state="detached")


def test_thousands_of_runs_scroll_with_few_rows_in_the_document(serve, page, tmp_path):
    fill(tmp_path / ".autotrack", 700)
    page.goto(f"{serve(tmp_path / '.autotrack')}/runs")
    lowest_row = "Math.max(...[...document.querySelectorAll('#runs-body tr[data-row]')].map(row => row.ariaRowIndex))"
    wait(page, f"(document.getElementById('runs-frame').scrollTop = 1e6, {lowest_row} > 400)")
    assert page.locator("#runs-body tr").count() < 150
    shown = [int(name.removeprefix("Lasso ")) for name in rows(page)]
    assert shown == sorted(shown, reverse=True)
    lowest = page.locator("#runs-body tr[data-row]").last
    place = int(lowest.get_attribute("aria-rowindex")) - 2
    assert lowest.locator("a[data-open]").text_content() == f"Lasso {699 - place}"
    page.evaluate("document.getElementById('runs-frame').scrollTop = 0")
    page.get_by_role("link", name="Lasso 699").wait_for()


def test_the_table_is_readable_without_scripts(serve, open_page, tmp_path):
    fill(tmp_path / ".autotrack", 120)
    page = open_page(f"{serve(tmp_path / '.autotrack')}/runs", javascript=False)
    assert len(rows(page)) == 100
    page.get_by_role("link", name="Next 100 runs").click()
    assert rows(page)[-1] == "Lasso 0"
    page.get_by_role("link", name="First page").click()
    page.locator("#filter").fill("params.alpha = '3'")
    page.locator("#filter").press("Enter")
    assert len(rows(page)) == 17
    page.get_by_role("link", name="Status").click()
    assert page.locator("th[aria-sort=ascending]").count() == 1


def test_dark_and_light_are_the_systems_until_one_is_chosen_and_that_is_remembered(pages, open_page):
    page = open_page(f"{pages}/runs", dark=True)

    def background() -> Any:
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    dark = background()
    page.keyboard.press("t")
    light = background()
    assert light != dark
    page.reload()
    assert background() == light
    page.get_by_label("Light or dark").click()
    assert background() == dark


def test_keys_are_explained(pages, page):
    page.goto(f"{pages}/runs")
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keys")
    assert dialog.get_by_text("Go to the filter").is_visible()
    page.keyboard.press("Escape")
    dialog.wait_for(state="hidden")
    page.keyboard.press("j")
    page.keyboard.press("j")
    assert page.locator("tr.current").evaluate("row => row.sectionRowIndex") == 1


def test_whatever_runs_are_called_stays_text_in_all_that_opens(serve, page, tmp_path):
    hostile.write(tmp_path / ".autotrack", tmp_path)
    page.goto(f"{serve(tmp_path / '.autotrack')}/runs")
    assert len(rows(page)) == 3
    page.get_by_role("button", name="Columns").click()
    page.get_by_label("Find a column").fill("window.harmed")
    page.locator(".columns .lists").get_by_role("checkbox", name=hostile.SCRIPT).last.click()
    page.locator("#runs-head th").get_by_text(hostile.SCRIPT).last.wait_for()
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("e")
    page.get_by_label("Note", exact=True).fill(hostile.SCRIPT)
    page.get_by_role("button", name="Save").click()
    page.locator(".note-mark").wait_for()
    page.keyboard.press("/")
    page.keyboard.type('params."<')
    page.get_by_role("option").first.wait_for()
    page.keyboard.press("Tab")
    page.keyboard.type("IS NOT NULL")
    page.keyboard.press("Enter")
    wait(page, "location.search.includes('filter=')")
    assert len(rows(page)) == 3
    assert page.evaluate("window.harmed") is None


@pytest.mark.parametrize("width", [390, 1200])
def test_nothing_but_the_table_scrolls_sideways(pages, open_page: Callable[..., Any], width):
    page = open_page(f"{pages}/runs", width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
