"""The folder store: what it makes of journals that are torn, damaged, moved or from another version."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from autotrack import journal
from autotrack.entities import BROKEN, FINISHED, RUNNING, Artifact, LoggedModel, Metric
from autotrack.errors import ArtifactNotFound, StoreError
from autotrack.events import ArtifactLogged, Event, MetricsLogged, ModelLogged, ParamsLogged, RunEnded, TagsSet
from autotrack.journal import JournalWriter
from autotrack.stores.local import LocalStore
from autotrack.stores.local.tables import SCHEMA_VERSION
from autotrack.testing.samples import ESCAPES, Journal, started

A, B, C = "a" * 32, "b" * 32, "c" * 32


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / ".autotrack"


@pytest.fixture
def writer(folder: Path) -> Iterator[JournalWriter]:
    writer = JournalWriter(folder)
    yield writer
    writer.close()


def whole_run(run_id: str) -> list[Event]:
    metrics = MetricsLogged(run_id, (Metric("m", 1.0),))
    return [
        started(run_id, name="whole"),
        ParamsLogged(run_id, {"p": "1"}),
        metrics,
        RunEnded(run_id, FINISHED, 2 * 10**12),
    ]


def add_line(path: Path, line: bytes) -> None:
    with path.open("ab") as file:
        file.write(line)


def test_a_live_journal_is_read_as_it_grows(folder: Path, writer: JournalWriter) -> None:
    store, other = LocalStore(folder), LocalStore(folder)
    assert store.search_runs() == []
    writer.append([started(A)])
    assert store.get_run(A).status == RUNNING
    writer.append([ParamsLogged(A, {"p": "1"})])
    assert other.get_run(A) == store.get_run(A)
    assert store.get_run(A).params == {"p": "1"}
    writer.append([RunEnded(A, FINISHED, 2 * 10**12)])
    assert store.search_runs("status = 'FINISHED'") == [other.get_run(A)]


def test_a_torn_last_line_is_left_until_it_is_whole(folder: Path, writer: JournalWriter) -> None:
    writer.append(whole_run(A))
    whole = writer.path.read_bytes()
    store = LocalStore(folder)
    for cut in range(len(whole.split(b"\n")[0]) - 3, len(whole), 7):
        writer.path.write_bytes(whole[:cut])
        assert store.problems() == []
        assert [run.broken for run in store.search_runs()] in ([], [None])
    writer.path.write_bytes(whole)
    run = store.get_run(A)
    assert (run.params, run.metrics, run.status, run.broken) == ({"p": "1"}, {"m": 1.0}, FINISHED, None)


def test_a_garbage_line_breaks_its_run_only(folder: Path, writer: JournalWriter) -> None:
    writer.append(whole_run(A))
    writer.append(whole_run(B)[:2])
    add_line(writer.path, b'{"n":7,"type":"metrics_logged","run_id":"' + B.encode() + b'","metrics":[["m"\n')
    add_line(writer.path, b"\xff\xfe garbage without a run\n")
    add_line(writer.path, b'{"n":9,"type":"tags_set","run_id":"' + B.encode() + b'","tags":{"t":"1"}}\n')
    store = LocalStore(folder)
    sound, damaged = store.get_run(A), store.get_run(B)
    assert sound.broken is None
    assert damaged.broken is not None
    assert writer.path.name in damaged.broken
    assert (damaged.params, damaged.tags) == ({"p": "1"}, {"t": "1"})
    assert store.search_runs("broken is not null") == [damaged]
    problems = store.problems()
    assert len(problems) == 2
    assert all(writer.path.name in problem for problem in problems)
    assert LocalStore(folder).problems() == problems


def test_a_run_whose_start_is_the_garbage_is_listed(folder: Path, writer: JournalWriter) -> None:
    add_line(writer.path, b'{"n":1,"type":"run_started","run_id":"' + A.encode() + b'","na\n')
    add_line(writer.path, b'{"n":2,"type":"params_logged","run_id":"' + A.encode() + b'","params":{"p":"1"}}\n')
    (run,) = LocalStore(folder).search_runs()
    assert (run.run_id, run.params, run.status) == (A, {"p": "1"}, BROKEN)
    assert run.broken is not None
    assert "its start is not recorded" in run.broken


def test_thousands_of_garbage_lines_are_summed_up(folder: Path, writer: JournalWriter) -> None:
    writer.append([started(A)])
    add_line(writer.path, b'{"run_id":"' + A.encode() + b'"}\n' * 3000)
    store = LocalStore(folder)
    assert len(store.problems()) == 101
    assert "and 2899 more" in store.problems()[-1]
    assert len(store.get_run(A).broken or "") < 3000


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"garbage\n", "not an autotrack journal"),
        (b"garbage without a newline", "not an autotrack journal"),
        (b"\0" * 5000, "not an autotrack journal"),
        (b"[" * 100_000 + b"\n", "not an autotrack journal"),
        (b'{"journal":"x","version":99,"created":1,"owner":{"host":"","pid":1,"started":"","boot":""}}\n', "format 99"),
    ],
)
def test_a_journal_that_cannot_be_read_is_listed_beside_the_others(folder: Path, content: bytes, words: str) -> None:
    writer = JournalWriter(folder)
    writer.append(whole_run(A))
    (folder / "journals" / "odd.jsonl").write_bytes(content)
    store = LocalStore(folder)
    for _ in range(2):
        broken = store.get_run("odd")
        assert (broken.name, broken.status) == ("(unreadable)", BROKEN)
        assert words in (broken.broken or "")
        assert len(store.search_runs()) == 2
        assert len(store.problems()) == 1
        assert words in store.problems()[0]
        store = LocalStore(folder)
    assert store.get_run(A).status == FINISHED
    writer.close()


def test_a_folder_or_dangling_link_among_the_journals_is_named(folder: Path, writer: JournalWriter) -> None:
    writer.append([started(A)])
    (folder / "journals" / "dir.jsonl").mkdir()
    (folder / "journals" / "link.jsonl").symlink_to("nowhere")
    store = LocalStore(folder)
    for _ in range(2):
        assert {run.run_id for run in store.search_runs()} == {A, "dir", "link"}
        assert len(store.problems()) == 2
    (folder / "journals" / "dir.jsonl").rmdir()
    (folder / "journals" / "link.jsonl").unlink()
    assert [run.run_id for run in store.search_runs()] == [A]
    assert store.problems() == []


def test_a_journal_that_becomes_readable_is_read(folder: Path, writer: JournalWriter) -> None:
    writer.append(whole_run(A))
    elsewhere = JournalWriter(folder.parent / "elsewhere")
    elsewhere.append(whole_run(B))
    elsewhere.close()
    other = folder / "journals" / "other.jsonl"
    other.write_bytes(b"garbage")
    store = LocalStore(folder)
    assert store.get_run("other").status == BROKEN
    shutil.copyfile(elsewhere.path, other)
    assert {run.run_id: run.status for run in store.search_runs()} == {A: FINISHED, B: FINISHED}
    assert store.problems() == []


def test_an_event_of_a_newer_version_is_named_and_passed_over(folder: Path, writer: JournalWriter) -> None:
    writer.append([started(A)])
    add_line(writer.path, b'{"n":2,"type":"run_teleported","run_id":"' + A.encode() + b'"}\n')
    add_line(writer.path, b'{"n":3,"type":"params_logged","run_id":"' + A.encode() + b'","params":{"p":"1"}}\n')
    store = LocalStore(folder)
    assert store.get_run(A).params == {"p": "1"}
    assert "run_teleported" in store.problems()[0]


def test_numbers_that_fit_nowhere_do_no_harm(folder: Path, writer: JournalWriter) -> None:
    writer.append([started(A)])
    huge = b"9" * 400
    for number, event in enumerate(
        [
            b'"type":"metrics_logged","metrics":[["m",1.5,%b,-%b]]' % (huge, huge),
            b'"type":"metrics_logged","metrics":[["m",%b,0,0]]' % huge,
            b'"type":"metrics_logged","metrics":[["m",1e999,0,1e999]]',
            b'"type":"metrics_logged","metrics":[["m","NaN",0,0]]',
            b'"type":"artifact_logged","path":"x","size":%b' % huge,
            b'"type":"run_ended","status":"FINISHED","end_time":%b' % huge,
        ],
        2,
    ):
        add_line(writer.path, b'{"n":%d,"run_id":"%b",%b}\n' % (number, A.encode(), event))
    add_line(writer.path, b'{"n":%b,"type":"params_logged","run_id":"%b","params":{"p":"1"}}\n' % (huge, A.encode()))
    store = LocalStore(folder)
    run = store.get_run(A)
    assert (run.status, run.metrics, run.params) == (FINISHED, {"m": 1.5}, {"p": "1"})
    assert len(store.metric_history(A, "m")) == 2
    assert len(store.problems()) == 2
    assert LocalStore(folder).search_runs("duration > 0") == [run]


def test_facts_nested_as_deep_as_json_allows_do_no_harm(folder: Path, writer: JournalWriter) -> None:
    for number, depth in enumerate((50, 300, 600, 900, 980, 500_000), 1):
        nested = b"[" * depth + b"]" * depth
        add_line(
            writer.path, b'{"n":%d,"type":"process_described","process_id":"p","facts":{"f":%b}}\n' % (number, nested)
        )
    writer.append([started(A)])
    store = LocalStore(folder)
    add_line(writer.path, b'{"n":9,"type":"run_started","run_id":"%b","name":"n","start_time":1}\n' % A.encode())
    assert store.get_run(A).name == "n"
    assert store.problems()


@pytest.mark.parametrize("damage", ["deleted", "garbage", "cut", "older", "no tables", "not ours", "pages"])
def test_an_index_that_cannot_be_used_is_made_anew(folder: Path, writer: JournalWriter, damage: str) -> None:
    for number in range(200):
        writer.append(whole_run(f"{number:032x}"))
    expected = LocalStore(folder).search_runs()
    path = folder / "runs.db"
    still_open = LocalStore(folder)
    still_open.search_runs()
    content = path.read_bytes()
    match damage:
        case "deleted":
            path.unlink()
        case "garbage":
            path.write_bytes(b"garbage" * 1000)
        case "cut":
            path.write_bytes(content[: len(content) // 3])
        case "pages":
            path.write_bytes(content[:8192] + os.urandom(len(content) - 8192))
        case "not ours":
            path.unlink()
            with sqlite3.connect(path) as connection:
                connection.execute("CREATE TABLE runs (x)")
            connection.close()
        case _:
            with sqlite3.connect(path) as connection:
                version = 5 if damage == "older" else SCHEMA_VERSION
                connection.execute("DROP TABLE points")
                connection.execute(f"PRAGMA user_version = {version}")
            connection.close()
    store = LocalStore(folder)
    assert store.search_runs() == expected
    assert len(store.metric_history(f"{7:032x}", "m")) == 1
    if damage not in ("cut", "pages"):  # an open connection may go on with the pages that it remembers
        assert still_open.search_runs() == expected
    writer.append([started(A)])
    assert LocalStore(folder).get_run(A).run_id == A
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM runs").fetchone() == (201,)
    connection.close()


def test_a_folder_moved_elsewhere_has_everything(folder: Path, tmp_path: Path) -> None:
    writer = JournalWriter(folder)
    (folder / "artifacts" / A / "model").mkdir(parents=True)
    (folder / "artifacts" / A / "model" / "MLmodel").write_text("x")
    writer.append([*whole_run(A)[:-1], ModelLogged(A, LoggedModel("model")), whole_run(A)[-1]])
    writer.close()
    before = LocalStore(folder).get_run(A)
    moved = tmp_path / "else where"
    shutil.move(folder, moved)
    for path in [moved / "runs.db", *(moved / "journals").iterdir()]:
        assert str(tmp_path).encode() not in path.read_bytes()
    store = LocalStore(moved)
    assert store.get_run(A) == before
    assert store.artifact_path(A, "model/MLmodel").read_text() == "x"
    assert LocalStore(folder).search_runs() == []


def test_reading_a_missing_or_foreign_folder_makes_nothing(tmp_path: Path, folder: Path) -> None:
    store = LocalStore(folder)
    assert (store.search_runs(), store.experiments(), store.problems()) == ([], [], [])
    assert not folder.exists()
    folder.mkdir()
    assert store.search_runs() == []
    assert list(folder.iterdir()) == []
    writer = JournalWriter(folder)
    writer.append([started(A)])
    assert store.get_run(A).run_id == A
    shutil.rmtree(folder)
    assert store.search_runs() == []
    assert not folder.exists()
    writer.close()


def test_a_deleted_journal_takes_its_runs_along(folder: Path, writer: JournalWriter) -> None:
    writer.append([started(A)])
    store = LocalStore(folder)
    store.apply(Journal().entries(started(B)))
    assert len(store.search_runs()) == 2
    writer.path.unlink()
    assert [run.run_id for run in store.search_runs()] == [B]


def test_a_journal_cut_back_and_written_on_is_read_as_it_stands(folder: Path, writer: JournalWriter) -> None:
    """A writer whose disk was full takes back a batch of which a reader may have seen the first lines."""
    writer.append([started(A), ParamsLogged(A, {"p": "kept"})])
    size = writer.path.stat().st_size
    writer.append([TagsSet(A, {"t": "taken back", "more": "x" * 100})])
    store = LocalStore(folder)
    assert store.get_run(A).tags
    os.truncate(writer.path, size)
    add_line(
        writer.path, b'{"n":3,"type":"tags_set","run_id":"' + A.encode() + b'","tags":{"t":"' + b"new" * 99 + b'"}}\n'
    )
    assert store.get_run(A).tags == {"t": "new" * 99}
    assert store.problems() == []


def test_an_index_that_cannot_be_made_is_kept_in_memory(folder: Path, writer: JournalWriter) -> None:
    (folder / "runs.db").mkdir()
    writer.append(whole_run(A))
    store = LocalStore(folder)
    assert store.get_run(A).status == FINISHED
    writer.append([started(B)])
    assert len(store.search_runs()) == 2


READ_ONLY = """
import subprocess, sys
from autotrack.journal import JournalWriter
from autotrack.errors import StoreError
from autotrack.stores.local import LocalStore
from autotrack.testing.samples import Journal, started
from pathlib import Path
folder, index_first = Path(sys.argv[1]), sys.argv[2] == "True"
writer = JournalWriter(folder)
writer.append([started("a" * 32)])
store = LocalStore(folder)
if index_first:
    assert len(store.search_runs()) == 1
    writer.append([started("b" * 32)])
subprocess.run(["mount", "--bind", folder, folder], check=True)
subprocess.run(["mount", "-o", "remount,ro,bind", folder], check=True)
before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
for store in (store, LocalStore(folder)):
    assert len(store.search_runs()) == 1 + index_first
    assert store.get_run("a" * 32).status == "RUNNING"
    try:
        store.apply(Journal().entries(started("c" * 32)))
    except StoreError as error:
        assert "cannot write" in str(error)
    else:
        raise AssertionError("written")
    assert len(store.search_runs()) == 1 + index_first
assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
print("done")
"""


FULL_DISK = """
import subprocess, sys
from autotrack.journal import JournalWriter
from autotrack.errors import StoreError
from autotrack.stores.local import LocalStore
from autotrack.testing.samples import Journal, started
from pathlib import Path
folder = Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder], check=True)
writer = JournalWriter(folder)
writer.append([started(f"{number:032x}") for number in range(500)])
store = LocalStore(folder)
if sys.argv[2] == "True":
    assert len(store.search_runs(limit=1)) == 1
writer.append([started("a" * 32)])
with open(folder / "filler", "wb", buffering=0) as file:
    try:
        while True:
            file.write(b"x" * 512)
    except OSError:
        pass
for store in (store, LocalStore(folder)):
    assert len(store.search_runs()) == 501
    try:
        store.apply(Journal().entries(*(started(f"c{number:031x}") for number in range(2000))))
    except StoreError as error:
        assert "cannot write" in str(error)
    else:
        raise AssertionError("written")
    assert len(store.search_runs()) == 501
    assert store.problems() == []
(folder / "filler").unlink()
store.apply(Journal().entries(started("d" * 32)))
assert len(LocalStore(folder).search_runs()) == 502
print("done")
"""


@pytest.mark.parametrize("index_first", [True, False])
def test_a_full_disk_is_read_and_takes_nothing_by_halves(folder: Path, index_first: bool) -> None:
    run_mounting(FULL_DISK, folder, index_first)


@pytest.mark.parametrize("index_first", [True, False])
def test_a_read_only_folder_is_read(folder: Path, index_first: bool) -> None:
    """On a real read-only mount, because permissions mean nothing to root."""
    run_mounting(READ_ONLY, folder, index_first)


def run_mounting(program: str, folder: Path, *arguments: object) -> None:
    """Run a program that mounts something, where only it sees it."""
    folder.mkdir()
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
        pytest.skip("mounting needs a private mount namespace, which this machine does not give")
    command = ["unshare", "-m", sys.executable, "-c", program, str(folder), *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True)
    if "mount:" in result.stderr:
        pytest.skip(f"cannot mount here: {result.stderr.strip()[-200:]}")
    assert result.stdout == "done\n", result.stderr


def test_what_cannot_be_written_is_not_applied(folder: Path) -> None:
    store = LocalStore(folder)
    store.apply(Journal().entries(started(A)))
    events = Journal("20260101T000000-x").entries(started(B), ArtifactLogged(B, Artifact(b"bytes")))  # type: ignore[arg-type]
    with pytest.raises(StoreError, match="cannot write"):
        store.apply([*Journal("20250101T000000-x").entries(started(C)), *events])
    assert [run.run_id for run in store.search_runs()] == [A]
    store.apply(events[:1])
    assert len(store.search_runs()) == 2


def test_a_torn_line_of_an_applied_journal_is_taken_away(folder: Path) -> None:
    store, entries = LocalStore(folder), Journal("20260101T000000-x").entries(*whole_run(A))
    store.apply(entries[:2])
    add_line(folder / "journals" / "20260101T000000-x.copy.jsonl", b'{"n":3,"type":"metr')
    store.apply(entries)
    assert (store.get_run(A).metrics, store.problems()) == ({"m": 1.0}, [])


def test_entries_of_a_journal_that_stands_in_the_folder_are_known(folder: Path, writer: JournalWriter) -> None:
    writer.append(whole_run(A))
    store = LocalStore(folder)
    before, content = store.get_run(A), writer.path.read_bytes()
    store.apply(journal.read(writer.path).entries)
    assert store.get_run(A) == before
    assert writer.path.read_bytes() == content
    (folder / "runs.db").unlink()
    assert LocalStore(folder).get_run(A) == before
    assert len(store.metric_history(A, "m")) == 1


def test_a_journal_that_comes_after_its_entries_were_applied_repeats_nothing(folder: Path, tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path / "elsewhere")
    writer.append(whole_run(A))
    store = LocalStore(folder)
    store.apply(journal.read(writer.path).entries[:3])
    writer.append(whole_run(B))
    shutil.copy(writer.path, folder / "journals")
    for _ in range(2):
        assert {run.run_id: run.status for run in store.search_runs()} == {A: FINISHED, B: FINISHED}
        assert (store.get_run(A).params, len(store.metric_history(A, "m"))) == ({"p": "1"}, 1)
        (folder / "runs.db").unlink()
    writer.close()


@pytest.mark.parametrize("journal_id", ["../../evil", "/evil", "", "x" * 500, "nul\0", "\ud800", "CON"])
def test_no_journal_id_leads_out_of_the_folder(folder: Path, journal_id: str) -> None:
    store = LocalStore(folder)
    entries = Journal(journal_id or " ").entries(started(A))
    store.apply(entries)
    store.apply(entries)
    assert len(store.search_runs()) == 1
    assert {path.name for path in folder.iterdir()} == {"journals", "runs.db"}
    assert {path.name for path in folder.parent.iterdir()} == {folder.name}


def test_no_link_leads_out_of_a_runs_artifacts(folder: Path, writer: JournalWriter, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("x")
    inside = folder / "artifacts" / A
    inside.mkdir(parents=True)
    (inside / "real.txt").write_text("x")
    (inside / "fine").symlink_to("real.txt")
    (inside / "out").symlink_to(secret)
    (inside / "file").symlink_to(secret / "key")
    (inside / "loop").symlink_to("loop")
    (folder / "artifacts" / B).symlink_to(secret)
    writer.append([started(A), started(B), *(ArtifactLogged(A, Artifact(path)) for path in ESCAPES)])
    store = LocalStore(folder)
    for path in ("out", "out/key", "file", "loop", "loop/x", "fine/x", "x" * 5000, "\ud800"):
        with pytest.raises(ArtifactNotFound):
            store.artifact_path(A, path)
    for path in ("", "key"):
        with pytest.raises(ArtifactNotFound):
            store.artifact_path(B, path)
    assert store.artifact_path(A, "fine").read_text() == "x"
    assert [artifact.path for artifact in store.artifacts(A)] == ["fine", "real.txt"]
    assert (store.artifacts(A, "out"), store.artifacts(B)) == ([], [])


@pytest.mark.parametrize("run_id", ["..", ".", "../secret", "a/b", ""])
def test_no_run_id_leads_out_of_the_artifacts(folder: Path, tmp_path: Path, run_id: str) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key").write_text("x")
    store = LocalStore(folder)
    (folder / "artifacts" / "a" / "b").mkdir(parents=True)
    store.apply(Journal().entries(started(run_id)))
    assert store.artifacts(run_id) == []
    for path in ("", "key", "runs.db", "journals"):
        with pytest.raises(ArtifactNotFound):
            store.artifact_path(run_id, path)
    with pytest.raises(StoreError):
        store.artifact_folder(run_id)


def test_an_artifact_that_is_gone_is_told_from_one_that_never_was(folder: Path, writer: JournalWriter) -> None:
    there = folder / "artifacts" / A / "there.txt"
    there.parent.mkdir(parents=True)
    there.write_text("x")
    writer.append([started(A), started(B), ModelLogged(A, LoggedModel("model"))])
    store = LocalStore(folder)
    with pytest.raises(
        ArtifactNotFound, match=r"'model' of run 'a+' was recorded, and is no longer there; .*there\.txt"
    ):
        store.artifact_path(A, "model")
    with pytest.raises(
        ArtifactNotFound, match=r"'modle' of run 'a+' does not exist; looked in .*; its artifacts are there"
    ):
        store.artifact_path(A, "modle")
    with pytest.raises(ArtifactNotFound, match="it has no artifacts there"):
        store.artifact_path(B, "model")


def test_many_journals_are_folded_in_few_transactions(folder: Path) -> None:
    (folder / "journals").mkdir(parents=True)
    for number in range(300):
        path = folder / "journals" / f"20260101T000000-{number:012x}.jsonl"
        header = {"journal": path.stem, "version": 1, "created": 1}
        header["owner"] = {"host": "h", "pid": 1, "started": "", "boot": ""}
        line = {"n": 1, "type": "run_started", "run_id": f"{number:032x}", "name": "n", "start_time": number}
        path.write_text(json.dumps(header) + "\n" + json.dumps(line) + "\n")
    store = LocalStore(folder)
    assert len(store.search_runs("status = 'KILLED'")) == 300
    changed = (folder / "runs.db").stat().st_mtime_ns
    assert len(store.search_runs()) == 300
    assert (folder / "runs.db").stat().st_mtime_ns == changed
