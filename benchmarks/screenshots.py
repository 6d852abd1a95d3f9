"""Draws the pictures of the pages that stand in the README: ``python -m benchmarks.screenshots [docs/screens]``.

Records runs of real models, serves them with `autotrack.ui`, and lets the system's Chromium draw each page in light and
in dark. Needs what ``autotrack[test]`` has, and Chromium.
"""

from __future__ import annotations

import argparse
import io
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import autotrack

LARGEST: Final = 200_000
"""Bytes of one picture."""

SIZE: Final = (1200, 800)
PROGRAMS: Final = ("chromium", "chromium-browser", "google-chrome")

DEMO: Final = """
    import autotrack
    from sklearn.datasets import load_breast_cancer
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import (accuracy_score, confusion_matrix, f1_score, log_loss, precision_recall_curve,
                                 roc_auc_score, roc_curve)
    from sklearn.model_selection import GridSearchCV, train_test_split
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.3, random_state=4, stratify=y)

    def judge(model):
        model.fit(X_train, y_train)
        predicted, probability = model.predict(X_test), model.predict_proba(X_test)[:, 1]
        accuracy_score(y_test, predicted)
        f1_score(y_test, predicted)
        roc_auc_score(y_test, probability)
        log_loss(y_test, probability)
        roc_curve(y_test, probability)
        precision_recall_curve(y_test, probability)
        confusion_matrix(y_test, predicted)

    autotrack.autolog(experiment="tumours", silent=True)
    for C in (0.001, 0.01, 0.1, 1.0, 10.0):
        judge(make_pipeline(StandardScaler(), LogisticRegression(C=C, max_iter=500)))
    for depth in (2, 4, 8):
        for trees in (10, 50):
            judge(RandomForestClassifier(n_estimators=trees, max_depth=depth, random_state=0))
    for rate in (0.03, 0.3):
        judge(HistGradientBoostingClassifier(learning_rate=rate, max_iter=60, random_state=0))
    judge(make_pipeline(StandardScaler(), MLPClassifier((16,), max_iter=150, random_state=0)))
    try:
        LogisticRegression(solver="liblinear", C=-1).fit(X_train, y_train)
    except ValueError:
        pass
    grid = {"svc__C": [0.01, 0.1, 1, 10, 100], "svc__gamma": [0.0001, 0.001, 0.01, 0.1, 1]}
    found = GridSearchCV(make_pipeline(StandardScaler(), SVC()), grid, cv=5).fit(X_train, y_train)
    accuracy_score(y_test, found.predict(X_test))
    autotrack.flush()
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Record, serve, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("docs/screens"), help="where the pictures go")
    asked = parser.parse_args(arguments)
    asked.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        store = Path(place) / ".autotrack"
        script = Path(place) / "train.py"
        script.write_text(textwrap.dedent(DEMO), encoding="utf-8")
        subprocess.run([sys.executable, "-W", "ignore", str(script)], cwd=place, check=True)
        served = autotrack.ui(store)
        try:
            for name, size in draw(served.url, addresses(store), asked.folder).items():
                print(f"{name}  {size / 1000:.0f} kB")
        finally:
            served.stop()


def addresses(store: Path) -> dict[str, str]:
    """The pages that are drawn, by the names of their pictures."""
    runs = autotrack.search_runs(order_by="metrics.roc_auc_score_X_test DESC", store=store)
    judged = runs[runs["metrics.roc_auc_score_X_test"].notna()]
    forests = judged["run_id"][judged["run_name"] == "RandomForestClassifier"]
    search = runs["run_id"][runs["run_name"].str.startswith("GridSearchCV")].iloc[0]
    return {
        "runs": "/experiments/" + str(runs["experiment_id"].iloc[0]),
        "run": f"/runs/{judged['run_id'].iloc[0]}",
        "compare": f"/compare?runs={','.join(forests)}",
        "search": f"/runs/{search}/search",
    }


def draw(url: str, pages: dict[str, str], folder: Path) -> dict[str, int]:
    """Let a browser draw them; gives the pictures' sizes in bytes."""
    from playwright.sync_api import sync_playwright

    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        raise SystemExit(f"there is none of the programs {', '.join(PROGRAMS)} here")
    sizes = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        for scheme in ("light", "dark"):
            context = browser.new_context(viewport={"width": SIZE[0], "height": SIZE[1]}, color_scheme=scheme)
            page = context.new_page()
            for name, address in pages.items():
                page.goto(url + address)
                settle(page)
                path = folder / f"{name}-{scheme}.png"
                path.write_bytes(small(page.screenshot()))
                sizes[path.name] = path.stat().st_size
            context.close()
        browser.close()
    return sizes


def settle(page: Any) -> None:
    """Wait until the first picture on the page is drawn, and whatever moves has come to rest."""
    page.wait_for_load_state("load")
    if page.locator("[data-chart], .plot-area").count():
        page.wait_for_selector(".plot-live .trace")
    page.wait_for_timeout(600)


def small(png: bytes) -> bytes:
    """The picture with so many colours as its size allows."""
    from PIL import Image

    picture = Image.open(io.BytesIO(png)).convert("RGB")
    for colours in (256, 128, 64, 32):
        made = io.BytesIO()
        picture.quantize(colours, dither=Image.Dither.NONE).save(made, "PNG", optimize=True)
        if made.tell() <= LARGEST:
            break
    return made.getvalue()


if __name__ == "__main__":
    main()
