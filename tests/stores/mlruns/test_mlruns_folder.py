"""An MLflow folder that is broken, old, moved, half written or read-only; without MLflow."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path

import hypothesis
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from autotrack import settings
from autotrack.entities import BROKEN, FAILED, FINISHED, Artifact, Dataset, LoggedModel, Metric
from autotrack.errors import StoreError
from autotrack.events import (
    ArtifactLogged,
    DatasetLogged,
    LifecycleSet,
    MetricsLogged,
    ModelLogged,
    ParamsLogged,
    ProcessDescribed,
    RunEnded,
    TagsSet,
)
from autotrack.plots import files as plot_files
from autotrack.stores import open_store
from autotrack.stores.mlflow.folder import MlrunsStore
from autotrack.testing.samples import Journal, started

RUN = "a" * 32

META = """\
artifact_uri: file:///home/other/mlruns/0/{run}/artifacts
end_time: 1700000001000
entry_point_name: ''
experiment_id: '0'
lifecycle_stage: active
name: ''
run_id: {run}
run_name: theirs
run_uuid: {run}
source_name: ''
source_type: 4
source_version: ''
start_time: 1700000000000
status: {status}
tags: []
user_id: me
"""


def theirs(root: Path, run_id: str = RUN, *, experiment: str = "0", name: str = "Default", status: int = 3) -> Path:
    """A run as MLflow 2 leaves it."""
    folder = root / experiment / run_id
    for below in ("params", "metrics", "tags", "artifacts"):
        (folder / below).mkdir(parents=True)
    (root / ".trash").mkdir(exist_ok=True)
    (folder.parent / "meta.yaml").write_text(
        f"artifact_location: file:///home/other/mlruns/{experiment}\ncreation_time: 1700000000000\n"
        f"experiment_id: '{experiment}'\nlast_update_time: 1700000000000\nlifecycle_stage: active\nname: {name}\n"
    )
    (folder / "meta.yaml").write_text(META.format(run=run_id, status=status))
    (folder / "params" / "alpha").write_text("0.5")
    (folder / "metrics" / "rmse").write_text("1700000000500 0.25 0\n1700000000600 0.125 1\n")
    (folder / "metrics" / "old").write_text("1700000000500 nan\n")
    (folder / "tags" / "mlflow.source.name").write_text("train.py")
    return folder


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_uri_opens_the_folder(tmp_path: Path) -> None:
    os.chdir(tmp_path)
    for uri in (
        "mlruns:",
        "mlruns:mlruns",
        "mlruns:./mlruns",
        f"mlruns:{tmp_path}/mlruns",
        f"mlruns:file://{tmp_path}/mlruns",
    ):
        store = open_store(uri)
        assert store.uri == f"mlruns:{tmp_path}/mlruns"
    assert not (tmp_path / "mlruns").exists()
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="is a file"):
        open_store("mlruns:file")
    with pytest.raises(StoreError, match="mlruns:./folder"):
        open_store("mlruns://host/folder")


def test_a_folder_of_mlflow_2_is_read_and_not_touched(tmp_path: Path) -> None:
    folder = theirs(tmp_path)
    (folder / "tags" / "mlflow.log-model.history").write_text(
        json.dumps(
            [{"run_id": RUN, "artifact_path": "model", "flavors": {"sklearn": {"serialization_format": "pickle"}}}]
        )
    )
    (folder / "artifacts" / "model").mkdir()
    (folder / "artifacts" / "model" / "MLmodel").write_text("flavors: {}")
    before = files_below(tmp_path)
    store = MlrunsStore(tmp_path)
    (run,) = store.search_runs("params.alpha < 1 and script = 'train.py'")
    assert (run.name, run.status, run.start_time, run.end_time) == ("theirs", FINISHED, 1700000000000, 1700000001000)
    assert run.metrics["rmse"] == 0.125
    assert run.models == (LoggedModel("model", "", "pickle"),)
    assert store.metric_history(RUN, "rmse") == [
        Metric("rmse", 0.25, 0, 1700000000500),
        Metric("rmse", 0.125, 1, 1700000000600),
    ]
    assert [artifact.path for artifact in store.artifacts(RUN, "model")] == ["model/MLmodel"]
    assert store.problems() == []
    assert files_below(tmp_path) == before


def test_what_is_broken_is_named_and_the_rest_is_read(tmp_path: Path) -> None:
    theirs(tmp_path)
    for number, text in enumerate(["", "a: [", "!!python/object/apply:os.system ['touch hacked']", "just text"]):
        broken = theirs(tmp_path, f"{number:032x}", status=3)
        (broken / "meta.yaml").write_text(text)
    (theirs(tmp_path, "b" * 32) / "meta.yaml").unlink()
    elsewhere = theirs(tmp_path, "c" * 32, experiment="7", name="seven")
    meta = elsewhere / "meta.yaml"
    meta.write_text(
        meta.read_text().replace("file:///home/other/mlruns/0/", "s3://bucket/7/").replace("cc/artifacts", "cc/x")
    )
    (elsewhere / "metrics" / "rmse").write_text("1 2 3 4\nnonsense\n5 0.5 1\n")
    (elsewhere / "params" / "bytes").write_bytes(b"\xff\xfe")
    no_meta = theirs(tmp_path, "d" * 32, experiment="8", name="eight")
    (no_meta.parent / "meta.yaml").unlink()
    (tmp_path / "0" / "stray").mkdir()
    (tmp_path / "notes.txt").touch()
    store = MlrunsStore(tmp_path)
    runs = {run.run_id: run for run in store.search_runs()}
    assert len(runs) == 8
    assert sorted(run.run_id for run in store.search_runs("broken is not null")) == [
        *(f"{number:032x}" for number in range(4)),
        "b" * 32,
    ]
    assert runs["b" * 32].status == BROKEN
    assert "meta.yaml" in (runs["b" * 32].broken or "")
    assert runs["b" * 32].params == {"alpha": "0.5"}
    assert runs["c" * 32].metrics["rmse"] == 0.5
    assert runs["d" * 32].experiment == "8"
    problems = store.problems()
    for words in ("0" * 32, "b" * 32, "nonsense", "s3://bucket", "experiment 8"):
        assert any(words in problem for problem in problems), words
    assert not list(tmp_path.rglob("hacked"))
    assert not Path("hacked").exists()


def test_a_change_of_a_file_is_seen_by_an_open_store(tmp_path: Path) -> None:
    folder = theirs(tmp_path)
    store = MlrunsStore(tmp_path)
    assert store.get_run(RUN).metrics["rmse"] == 0.125
    with (folder / "metrics" / "rmse").open("a") as file:
        file.write("1700000000700 0.0625 2\n")
    (folder / "meta.yaml").write_text(META.format(run=RUN, status=4))
    (folder / "tags" / "new").write_text("1")
    run = store.get_run(RUN)
    assert (run.metrics["rmse"], run.status, run.tags["new"]) == (0.0625, FAILED, "1")
    theirs(tmp_path, "e" * 32)
    assert len(store.search_runs()) == 2
    shutil.rmtree(folder)
    assert [run.run_id for run in store.search_runs()] == ["e" * 32]


def whole(store: MlrunsStore, journal: Journal) -> None:
    store.apply(
        journal.entries(
            ProcessDescribed("p", {"user": "me", "script": "s.py"}),
            started(RUN, experiment="e", process_id="p"),
            ParamsLogged(RUN, {"a": "1", "b": "2"}),
            TagsSet(RUN, {"t": "1"}),
            MetricsLogged(RUN, (Metric("m", 1.0, 0, 5), Metric("m", 2.0, 1, 6))),
            DatasetLogged(RUN, Dataset("X", "train", "k", "sha256:" + "0" * 64, (3, 4))),
            ModelLogged(RUN, LoggedModel("model", "k.E")),
            RunEnded(RUN, FINISHED, 1_700_000_001_000),
        )
    )


def test_files_that_are_older_than_our_record_are_brought_up_to_date(store: MlrunsStore) -> None:
    """As after a writer that was killed between the two."""
    journal = Journal("20260101T000000-a")
    store.apply(journal.entries(started(RUN, experiment="e"), TagsSet(RUN, {"t": "0"}), ParamsLogged(RUN, {"a": "0"})))
    (folder,) = store.folder.glob(f"*/{RUN}")
    old = {name: (folder / name).read_bytes() for name in ("autotrack.json", "tags/t", "params/a", "meta.yaml")}
    whole(store, journal)
    run, expected = store.get_run(RUN), files_below(folder)
    for name, content in old.items():
        (folder / name).write_bytes(content)
    shutil.rmtree(folder / "metrics")
    shutil.rmtree(folder / "inputs")
    (folder / ".autotrack-tmp-0123").mkdir()
    again = MlrunsStore(store.folder)
    assert again.get_run(RUN) == run
    ours = files_below(folder)
    assert {name: ours[name] for name in ours if name != "autotrack.json"} == {
        name: expected[name] for name in expected if name != "autotrack.json"
    }
    assert not (folder / ".autotrack-tmp-0123").exists()
    assert again.search_runs() == [run]


NESTED = {
    "params": {"a": ["x", 1]},
    "tags": {"t": 5},
    "metrics": {"m": ["x", "1", "2", "3", "4"]},
    "names": {"tags": 3},
    "pictures": {"plots/a.json": "x"},
    "problems": [3],
    "models": {"m": None},
    "meta": [],
}


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"version": 99}', '{"version": 1, "offset": "x"}', *NESTED])
def test_the_note_of_what_was_written_can_be_lost(damage: str, store: MlrunsStore) -> None:
    whole(store, Journal("20260101T000000-a"))
    (folder,) = store.folder.glob(f"*/{RUN}")
    run, expected = store.get_run(RUN), files_below(folder)
    note = folder / "autotrack.json"
    if damage in NESTED:
        note.write_text(json.dumps(json.loads(note.read_text()) | {damage: NESTED[damage]}))
    else:
        note.write_text(damage)
    again = MlrunsStore(store.folder)
    assert again.get_run(RUN) == run
    assert files_below(folder).keys() == expected.keys()
    assert (folder / "metrics" / "m").read_bytes() == expected["metrics/m"]
    assert again.problems() == []


def test_a_torn_line_of_our_record_is_cut_off_by_the_next_writer(store: MlrunsStore) -> None:
    journal = Journal("20260101T000000-a")
    whole(store, journal)
    (record,) = store.folder.glob(f"*/{RUN}/autotrack.jsonl")
    run = store.get_run(RUN)
    with record.open("ab") as file:
        file.write(b'{"j":"20260101T000000-a","n":9,"type":"tags_s')
    again = MlrunsStore(store.folder)
    assert again.get_run(RUN) == run
    again.apply(journal.entries(TagsSet(RUN, {"t": "2"})))
    assert MlrunsStore(store.folder).get_run(RUN).tags == {"t": "2"}
    assert again.problems() == []


def test_a_line_that_cannot_be_read_and_a_newer_record_are_named(store: MlrunsStore) -> None:
    journal = Journal("20260101T000000-a")
    whole(store, journal)
    store.apply(journal.entries(started("b" * 32)))
    records = {path.parent.name: path for path in store.folder.glob("*/*/autotrack.jsonl")}
    lines = records[RUN].read_bytes().splitlines(keepends=True)
    records[RUN].write_bytes(b"".join([*lines[:3], b"garbage\n", *lines[4:]]))
    newer = records["b" * 32]
    newer.write_bytes(newer.read_bytes().replace(b'"autotrack":1', b'"autotrack":99'))
    again = MlrunsStore(store.folder)
    assert len(again.search_runs()) == 2
    assert again.get_run(RUN).params == {"a": "1", "b": "2"}
    assert any("the line at byte" in problem for problem in again.problems())
    assert any("format 99" in problem for problem in again.problems())
    with pytest.raises(StoreError, match="format 99"):
        again.apply(journal.entries(TagsSet("b" * 32, {"t": "1"}), TagsSet(RUN, {"not": "stored"})))
    assert "not" not in MlrunsStore(store.folder).get_run(RUN).tags


def test_a_model_that_mlflow_2_logs_to_a_run_of_ours_is_seen(store: MlrunsStore) -> None:
    whole(store, Journal())
    (history,) = store.folder.glob(f"*/{RUN}/tags/mlflow.log-model.history")
    history.write_text(json.dumps([*json.loads(history.read_text()), {"artifact_path": "second", "flavors": {}}]))
    run = MlrunsStore(store.folder).get_run(RUN)
    assert run.models == (LoggedModel("model", "k.E"), LoggedModel("second"))
    assert run.tags == {"t": "1"}


def test_a_parent_whose_id_can_name_no_folder_is_named_as_its_folder_is(store: MlrunsStore) -> None:
    store.apply(Journal().entries(started("odd/id"), started(RUN, parent_run_id="odd/id")))
    assert store.get_run(RUN).parent_run_id == "odd/id"
    (parent,) = store.folder.glob("0/odd-*")
    assert (store.folder / "0" / RUN / "tags" / "mlflow.parentRunId").read_text() == parent.name
    assert store.get_run("odd/id").name == "a run"


def test_facts_that_come_late_reach_mlflows_files(store: MlrunsStore) -> None:
    journal = Journal("20260101T000000-a")
    whole(store, journal)
    (folder,) = store.folder.glob(f"*/{RUN}")
    assert not (folder / "tags" / "mlflow.source.git.commit").exists()
    store.apply(journal.entries(ProcessDescribed("p", {"git": {"commit": "c0ffee"}})))
    assert (folder / "tags" / "mlflow.source.git.commit").read_text() == "c0ffee"
    MlrunsStore(store.folder).apply(journal.entries(ProcessDescribed("p", {"git": {"commit": "decaf"}})))
    assert store.get_run(RUN).process["git"] == {"commit": "decaf"}
    assert (folder / "tags" / "mlflow.source.git.commit").read_text() == "decaf"


def test_something_in_the_way_of_a_file_holds_nothing_up(store: MlrunsStore) -> None:
    journal = Journal("20260101T000000-a")
    store.apply(journal.entries(started(RUN)))
    (folder,) = store.folder.glob(f"*/{RUN}")
    (folder / "params" / "a" / "theirs").mkdir(parents=True)
    (folder / "params" / "b").write_text("theirs")
    shutil.rmtree(folder / "metrics")
    (folder / "metrics").touch()
    store.apply(journal.entries(ParamsLogged(RUN, {"a": "1", "b/c": "2"}), started("b" * 32)))
    assert store.get_run(RUN).params == {"a": "1", "b/c": "2", "b": "theirs"}
    assert (store.folder / "0" / ("b" * 32) / "meta.yaml").exists()
    assert any(RUN in problem for problem in store.problems())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
def test_a_read_only_folder_is_read() -> None:
    with tempfile.TemporaryDirectory() as folder:  # not pytest's: the child's user may not enter root's
        os.chmod(folder, 0o755)
        store = MlrunsStore(Path(folder, "mlruns"))
        whole(store, Journal())
        run = store.get_run(RUN)
        (note,) = store.folder.glob(f"*/{RUN}/autotrack.json")
        note.unlink()  # there is something to be mended, and it cannot be
        for path in (store.folder, *store.folder.rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                if os.getuid() == 0:  # root may write everywhere
                    os.setuid(65534)
                opened = MlrunsStore(store.folder)
                refused = False
                try:
                    opened.apply(Journal().entries(TagsSet(RUN, {"t": "2"})))
                except StoreError as error:
                    refused = str(store.folder) in str(error)
                status = 0 if opened.search_runs() == [run] and opened.problems() == [] and refused else 2
            finally:
                os._exit(status)
        _, status = os.waitpid(child, 0)
        for path in (store.folder, *store.folder.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
    assert os.waitstatus_to_exitcode(status) == 0


def test_a_write_that_fails_leaves_none_of_its_entries(store: MlrunsStore, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal("20260101T000000-a")
    store.apply(journal.entries(started(RUN), started("b" * 32)))
    before = {path: path.read_bytes() for path in store.folder.glob("*/*/autotrack.jsonl")}
    write, calls = os.write, []

    def failing(descriptor: int, data: bytes) -> int:
        calls.append(data)
        if len(calls) == 2:
            write(descriptor, bytes(data)[:10])
            raise OSError(28, "No space left on device")
        return write(descriptor, data)

    entries = journal.entries(TagsSet(RUN, {"t": "1"}), TagsSet("b" * 32, {"t": "1"}))
    monkeypatch.setattr(os, "write", failing)
    with pytest.raises(StoreError, match="No space left"):
        store.apply(entries)
    monkeypatch.undo()
    assert {path: path.read_bytes() for path in before} == before
    assert store.get_run(RUN).tags == {}
    store.apply(entries)
    assert [run.tags for run in store.search_runs()] == [{"t": "1"}, {"t": "1"}]


def test_plots_are_drawn_when_the_run_has_ended(store: MlrunsStore, tmp_path: Path) -> None:
    journal = Journal("20260101T000000-a")
    store.apply(journal.entries(started(RUN)))

    def log(path: str, content: bytes) -> None:
        (tmp_path / "file").write_bytes(content)
        store.put_artifact(RUN, path, tmp_path / "file")
        store.apply(journal.entries(ArtifactLogged(RUN, Artifact(path, len(content)))))

    lines = {"kind": "lines", "series": [{"name": "loss", "x": [0, 1], "y": [1.0, 0.5]}]}
    plots = {"training_roc_curve": lines, "../escape": lines, "odd": {"kind": "?"}}
    log("plots/training.json", plot_files.to_json(plots))
    assert [artifact.path for artifact in store.artifacts(RUN)] == ["plots"]
    store.apply(journal.entries(RunEnded(RUN, FINISHED, 1_700_000_001_000)))
    log("plots/later.json", plot_files.to_json({"later": lines}))
    log("plots/broken.json", b"{")
    pictures = [artifact.path for artifact in store.artifacts(RUN) if artifact.path.endswith(".png")]
    assert pictures == ["_escape.png", "later.png", "training_roc_curve.png"]
    assert store.artifact_path(RUN, "later.png").read_bytes().startswith(b"\x89PNG")
    assert sum("plots/" in problem for problem in store.problems()) == 2
    drawn = store.artifact_path(RUN, "later.png").stat().st_mtime_ns
    store.apply(journal.entries(TagsSet(RUN, {"t": "1"})))
    assert store.artifact_path(RUN, "later.png").stat().st_mtime_ns == drawn


def test_a_link_does_not_lead_out_of_the_folder(store: MlrunsStore, tmp_path: Path) -> None:
    whole(store, Journal())
    (folder,) = store.folder.glob(f"*/{RUN}")
    secret = tmp_path / "secret"
    secret.write_text("secret")
    (folder / "artifacts" / "link").symlink_to(secret)
    (folder / "tags" / "link").symlink_to(secret)
    (folder / "params" / "link").symlink_to(secret)
    run = MlrunsStore(store.folder).get_run(RUN)
    assert "secret" not in {*run.tags.values(), *run.params.values()}
    assert "link" not in [artifact.path for artifact in store.artifacts(RUN)]


def test_a_relative_folder_is_the_same_one_from_everywhere(tmp_path: Path) -> None:
    assert settings.anchored("mlruns:runs", tmp_path) == f"mlruns:{tmp_path / 'runs'}"
    assert settings.anchored("mlruns:", tmp_path) == f"mlruns:{tmp_path / 'mlruns'}"
    for uri in (f"mlruns:{tmp_path}", "mlruns:file:///x"):
        assert settings.anchored(uri, Path("/elsewhere")) == uri


NOISE = (b"\n", b": [", b"&a [*a]", b'"', b"1e999", b"null", b"-1", b"{}", b"99999999999999999999999")


@hypothesis.settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_whatever_stands_in_a_file_the_runs_are_listed(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = MlrunsStore(Path(folder, "mlruns"))
        whole(store, Journal("20260101T000000-a"))
        theirs(store.folder, "b" * 32)
        files = sorted(path for path in store.folder.rglob("*") if path.is_file())
        for path in data.draw(st.lists(st.sampled_from(files), min_size=1, max_size=3)):
            content = path.read_bytes()
            place = data.draw(st.integers(0, len(content)))
            noise = data.draw(
                st.one_of(st.binary(max_size=20), st.sampled_from([b"\n", b": [", b"&a [*a]", b'"', b"1e999"]))
            )
            keep = data.draw(st.booleans())
            path.write_bytes(content[:place] + noise + (content[place + len(noise) :] if keep else b""))
        for opened in (store, MlrunsStore(store.folder)):
            runs = opened.search_runs(view="all")
            assert {run.run_id for run in runs} >= {"b" * 32}
            for run in runs:
                opened.metric_history(run.run_id, "m")
                opened.artifacts(run.run_id)
            opened.problems()


def test_a_deleted_run_stays_whole(store: MlrunsStore) -> None:
    journal = Journal("20260101T000000-a")
    whole(store, journal)
    run = store.get_run(RUN)
    store.apply(journal.entries(LifecycleSet(RUN, "deleted", 5000)))
    (deleted,) = MlrunsStore(store.folder).search_runs(view="deleted")
    assert deleted.params == run.params
    assert deleted.deleted_time == 5000
