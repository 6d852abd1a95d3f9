"""The comparison with MLflow finds what is planted, and explains no more than it can see."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from benchmarks.side_by_side import report
from benchmarks.side_by_side.__main__ import main
from benchmarks.side_by_side.comparing import Finding, alike, compare
from benchmarks.side_by_side.records import Record
from benchmarks.side_by_side.running import SCRIPTS, scripts

CHILD = Record(
    name="SVC",
    estimator_class="sklearn.svm._classes.SVC",
    params={"C": "1.0"},
    metrics={"mean_test_score": 0.9, "mean_fit_time": 0.004},
)
THEIRS = Record(
    name="GridSearchCV",
    estimator_class="sklearn.model_selection._search.GridSearchCV",
    params={"cv": "3", "refit": "True"},
    metrics={"training_score": 0.875, "f1_score_test": math.nan},
    tags={"estimator_name": "GridSearchCV", "mlflow.user": "ada"},
    files=frozenset({"cv_results.csv", "training_roc_curve.png", "metric_info.json"}),
    calls={"f1_score_test": "f1_score(y_true=y, y_pred=p)"},
    columns={"mean_test_score": ("0.9", "0.8"), "mean_fit_time": ("0.004", "0.005")},
    datasets=(("train", 150),),
    models=("best_estimator", "model"),
    children=(CHILD, replace(CHILD, name="SVC #2", params={"C": "2.0"})),
)
OURS = replace(
    THEIRS,
    tags={"estimator_name": "GridSearchCV"},
    files=frozenset({"cv_results.csv", "plots/training.json", "metric_info.json"}),
    plots=frozenset({"roc_curve"}),
    metrics={**THEIRS.metrics, "fit_seconds": 0.1},
    columns={"mean_test_score": ("0.90", "0.8"), "mean_fit_time": ("0.003", "0.007")},
    # The other way round: children have no order.
    children=(replace(CHILD, params={"C": "2.0"}), replace(CHILD, metrics={**CHILD.metrics, "mean_fit_time": 0.01})),
)


def unexplained(theirs: Record, ours: Record) -> list[tuple[str, str, str]]:
    return [(found.run, found.kind, found.key) for found in compare([theirs], [ours]).unexplained]


def test_what_is_the_same_or_has_a_known_reason_is_no_finding():
    found = compare([THEIRS], [OURS])

    assert found.unexplained == []
    reasons = {(item.key, item.reason.name) for item in found.explained if item.reason is not None}
    assert reasons == {("mlflow.user", "bookkeeping"), ("training_roc_curve.png", "plot"), ("mean_fit_time", "time")}
    assert found.only_ours == {
        ("metric", "fit_seconds"): 1,
        ("artifact", "plots/training.json"): 1,
        ("plot", "roc_curve"): 1,
    }


PLANTED = {
    "another param": (replace(OURS, params={**OURS.params, "cv": "5"}), "param", "cv"),
    "no param": (replace(OURS, params={"cv": "3"}), "param", "refit"),
    "a metric off by 1e-9": (
        replace(OURS, metrics={**OURS.metrics, "training_score": 0.875 + 1e-9}),
        "metric",
        "training_score",
    ),
    "a number for NaN": (replace(OURS, metrics={**OURS.metrics, "f1_score_test": 0.5}), "metric", "f1_score_test"),
    "another tag": (replace(OURS, tags={"estimator_name": "Grid"}), "tag", "estimator_name"),
    "another status": (replace(OURS, status="FAILED"), "status", "status"),
    "another call": (replace(OURS, calls={"f1_score_test": "f1_score(y, p)"}), "call", "f1_score_test"),
    "another row in a column": (
        replace(OURS, columns={**OURS.columns, "mean_test_score": ("0.9", "0.81")}),
        "column",
        "mean_test_score",
    ),
    "no plot, as picture or data": (replace(OURS, plots=frozenset()), "artifact", "training_roc_curve.png"),
    "no artifact": (replace(OURS, files=OURS.files - {"cv_results.csv"}), "artifact", "cv_results.csv"),
    "no model": (replace(OURS, models=("model",)), "model", "best_estimator"),
    "fewer rows": (replace(OURS, datasets=(("train", 149),)), "dataset", "train"),
}


@pytest.mark.parametrize(("ours", "kind", "key"), PLANTED.values(), ids=PLANTED.keys())
def test_a_planted_difference_is_found(ours, kind, key):
    assert unexplained(THEIRS, ours) == [("GridSearchCV", kind, key)]


def test_a_difference_planted_in_a_child_is_found():
    wrong = replace(CHILD, metrics={"mean_test_score": 0.8, "mean_fit_time": 0.1})
    ours = replace(OURS, children=(wrong, OURS.children[0]))

    assert unexplained(THEIRS, ours) == [("GridSearchCV › SVC", "metric", "mean_test_score")]
    assert unexplained(THEIRS, replace(OURS, children=OURS.children[:1])) == [
        ("GridSearchCV › SVC", "run", CHILD.estimator_class)
    ]


def test_a_run_that_we_lack_is_found_and_one_that_they_lack_is_counted():
    other = replace(CHILD, name="Ridge", estimator_class="sklearn.linear_model._ridge.Ridge")

    assert [found.kind for found in compare([THEIRS, other], [OURS]).unexplained] == ["run"]
    assert compare([THEIRS], [OURS, other]).only_ours["run", "Ridge"] == 1


def test_runs_of_one_class_are_matched_by_what_they_have_in_common():
    first, second = (replace(CHILD, name=f"SVC #{n}", params={"C": str(n)}) for n in (1, 2))
    more = replace(CHILD, params={"C": "7"}, metrics={})

    assert compare([first, second], [more, second, first]).unexplained == []


def test_a_call_that_we_counted_and_they_missed_moves_the_numbers():
    theirs = replace(CHILD, metrics={"f1_score_test": 0.5})
    ours = replace(CHILD, metrics={"f1_score_test": 0.4, "f1_score-2_test": 0.5})

    (found,) = compare([theirs], [ours]).explained
    assert found.reason is not None
    assert found.reason.name == "number"
    lower = compare(
        [replace(CHILD, metrics={"f1_score-2_test": 0.5})], [replace(CHILD, metrics={"f1_score_test": 0.5})]
    )
    assert [item.key for item in lower.unexplained] == ["f1_score-2_test"]


def test_a_cut_param_is_explained_only_by_the_whole_value():
    whole = "x" * 7000
    cut = whole[:5997] + "..."

    assert unexplained(replace(THEIRS, params={"cv": cut}), replace(OURS, params={"cv": whole})) == []
    assert unexplained(replace(THEIRS, params={"cv": cut}), replace(OURS, params={"cv": "y" * 7000})) != []


def test_an_address_in_memory_is_explained_but_nothing_else_beside_it():
    theirs = replace(THEIRS, params={"cv": "<KFold object at 0x7f52e10>"})

    assert unexplained(theirs, replace(OURS, params={"cv": "<KFold object at 0x7fa4090>"})) == []
    assert unexplained(theirs, replace(OURS, params={"cv": "<Folds object at 0x7fa4090>"})) != []


def test_numbers_are_alike_to_the_twelfth_digit():
    assert alike(1e9, 1e9 * (1 + 9e-13))
    assert not alike(1e9, 1e9 * (1 + 2e-12))
    assert alike(0.0, 9e-13)
    assert alike(math.nan, math.nan)
    assert not alike(math.nan, 0.0)
    assert alike(("1.0", "", "a"), ("1.00", "", "a"))
    assert not alike(("1.0", "a"), ("1.0", "b"))


def test_the_tables_are_written_between_the_marks(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"# Title\n\n{report.BEGIN}\nof yesterday\n{report.END}\n\nThe end.\n")
    wrong = replace(OURS, params={"cv": "a|b", "refit": "True"})
    result = report.Result("grid", (3, 3), {"alone": 1.0}, compare([THEIRS], [wrong]))

    report.write(page, report.markdown([result], threads=1))

    text = page.read_text()
    assert text.startswith("# Title\n")
    assert text.endswith("\n\nThe end.\n")
    assert "of yesterday" not in text
    assert "| `grid` | GridSearchCV | param `cv` | `3` | `a\\|b` |" in text
    assert not result.is_fine
    page.write_text("# Title\n")
    with pytest.raises(ValueError, match="marks"):
        report.write(page, "")


def test_there_are_enough_scripts_and_none_speaks_of_tracking(capsys):
    assert len(scripts()) >= 10
    for script in SCRIPTS.glob("*.py"):
        assert not {"autotrack", "mlflow"} & set(script.read_text(encoding="utf-8").split())
    assert main(["--list"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(scripts())


def test_a_finding_without_reason_is_unexplained():
    assert Finding("SVC", "param", "C", "1", "2", same=False).is_unexplained
    assert not Finding("SVC", "param", "C", "1", "1", same=True).is_unexplained
