"""The page at ``/``, in a real browser."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pandas as pd
import pytest
from browser import Chromium, Page
from served_models import COLUMNS, Serving, classification, frame, serving

from autotrack.models.loading import load_model
from autotrack.models.signature import TensorSpec
from autotrack.serving.page import render_page
from autotrack.serving.schema import Column, InputSchema


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return classification(tmp_path_factory.mktemp("page") / "model")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Serving]:
    with serving(folder) as server:
        yield server


@pytest.fixture
def page(server: Serving, chromium: Chromium) -> Page:
    return chromium.open(f"{server.url}/")


def fill(page: Page, name: str, value: str) -> None:
    field = f"document.querySelector('[data-name={json.dumps(name)}]')"
    page.run(f"{field}.value = {json.dumps(value)}; {field}.dispatchEvent(new Event('input', {{bubbles: true}}))")


def press(page: Page) -> str:
    page.run("document.getElementById('answer').hidden = true; document.getElementById('predict').click()")
    page.wait("!document.getElementById('answer').hidden")
    return str(page.run("document.getElementById('answer').innerText"))


def test_a_row_is_typed_and_its_answer_seen(page, folder):
    model = load_model(folder, trusted=True)
    assert page.run("document.querySelectorAll('[data-place]').length") == len(COLUMNS)
    filled = [page.run(f"document.querySelector('[data-name={name}]').value") for name in COLUMNS]
    assert [float(value) for value in filled] == pytest.approx(frame().iloc[0].tolist()), "from the input example"
    for name in COLUMNS:
        fill(page, name, "+3" if name == "age" else ".25")
    row = pd.DataFrame([[3.0, 0.25, 0.25]], columns=list(COLUMNS))
    assert press(page) == str(model.predict(row)[0])
    page.run("document.getElementById('method').value = 'predict_proba'")
    shown = press(page)
    for label, probability in zip(model.classes_, model.predict_proba(row)[0], strict=True):
        assert label in shown
        assert f"{probability:.6f}"[:-1] in shown
    assert page.complaints() == []


def test_the_line_for_a_terminal_gives_the_same_answer(page):
    fill(page, "income", "1.5")
    command = page.run("document.getElementById('curl').textContent")
    assert "1.5" in command
    answer = subprocess.run(["sh", "-c", command], capture_output=True, check=True, timeout=60).stdout
    assert press(page) == json.loads(answer)["predictions"][0]


def test_a_value_that_does_not_fit_is_marked(page):
    fill(page, "tenure", "a year")
    assert "tenure" in press(page)
    marked = page.run("[...document.querySelectorAll('[aria-invalid]')].map(field => field.dataset.name)")
    assert marked == ["tenure"]
    fill(page, "tenure", "1")
    assert press(page) in ("stays", "leaves")
    assert page.run("document.querySelectorAll('[aria-invalid]').length") == 0


def test_nothing_comes_from_elsewhere(page, server):
    press(page)
    assert {url.removeprefix(server.url) for url in page.requests()} == {"/", "/invocations"}
    policy = httpx.get(server.url, timeout=30).headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy


@pytest.mark.parametrize(("width", "dark"), [(1200, False), (360, True)])
def test_it_fits_wide_and_narrow_windows_and_follows_the_colour_scheme(server, chromium, width, dark):
    page = chromium.open(f"{server.url}/", width=width, dark=dark)
    assert page.run("document.documentElement.scrollWidth") <= width
    red = page.run("Number(getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0])")
    assert (red < 100) == dark


EVIL = "</script><script>document.title='evil'</script><img src=x onerror=\"document.title='evil'\">'\"&`${1}"


def test_what_a_model_says_of_itself_is_only_text(chromium, tmp_path):
    schema = InputSchema((Column(EVIL, "double"), Column("b" + EVIL, "string", nullable=True)))
    example = {"dataframe_split": {"columns": [EVIL, "b" + EVIL], "data": [[1.5, EVIL]]}}
    rendered = render_page(
        EVIL, EVIL, schema, methods=("predict", EVIL), classes=[EVIL, "2"], example=example, has_token=True
    )
    (tmp_path / "page.html").write_bytes(rendered.body)
    page = chromium.open((tmp_path / "page.html").as_uri())
    assert page.run("document.title") == f"{EVIL}: predict"
    assert page.run("document.querySelectorAll('script').length") == 2
    assert page.run("document.querySelectorAll('img').length") == 0
    assert page.run("[...document.querySelectorAll('[data-place]')].map(field => field.value)") == ["1.5", EVIL]
    assert page.run("spec.columns") == [EVIL, "b" + EVIL]
    command = "curl() { for word; do printf '%s\\0' \"$word\"; done; }\n"
    command += page.run("document.getElementById('curl').textContent")
    environment = {**os.environ, "AUTOTRACK_SERVING_TOKEN": "secret"}
    done = subprocess.run(["sh", "-c", command], capture_output=True, check=True, timeout=60, env=environment)
    words = done.stdout.decode().split("\0")
    assert json.loads(words[-2]) == {"columns": [EVIL, "b" + EVIL], "data": [[1.5, EVIL]]}
    assert "Authorization: Bearer secret" in words


@pytest.mark.parametrize(
    ("schema", "example", "expected"),
    [
        (InputSchema(tensor=TensorSpec("float64", (-1, 2))), {"inputs": [[1.0, 2.5]]}, {"inputs": [[1.0, 2.5]]}),
        (InputSchema((Column(None, "string"),), flat=True), {"inputs": ["one", "two"]}, {"inputs": ["one"]}),
        (InputSchema(), None, {"inputs": [[]]}),
        (
            InputSchema(tensor=TensorSpec("uint8", (-1, 2, 2))),
            {"inputs": [[[1, 2], [3, 4]]]},
            {"inputs": [[[1, 2], [3, 4]]]},
        ),
        (
            InputSchema((Column("flag", "boolean"), Column("when", "datetime", nullable=True), Column("n", "long"))),
            {"dataframe_split": {"columns": ["n", "flag", "when"], "data": [[2**60 + 1, False, None]]}},
            {"columns": ["flag", "when", "n"], "data": [[False, None, 2**60 + 1]]},
        ),
    ],
    ids=["tensor", "texts", "unknown", "images", "kinds"],
)
def test_every_kind_of_input_makes_a_request_of_its_kind(chromium, tmp_path, schema, example, expected):
    (tmp_path / "page.html").write_bytes(render_page("M", "m", schema, example=example).body)
    page = chromium.open((tmp_path / "page.html").as_uri())
    assert json.loads(page.run("body()")) == expected


def test_a_model_of_many_columns_gets_one_field():
    columns = tuple(Column(f"c{number}", "double") for number in range(5_000))
    assert render_page("M", "m", InputSchema(columns)).body.count(b'data-place="') == 1
