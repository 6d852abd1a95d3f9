"""A store that cannot be reached, hangs or refuses delays runs and never training, and loses none."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace

import journals
from shipping_tools import Awkward, wait_for

from autotrack import journal, spool
from autotrack.entities import Artifact
from autotrack.events import ArtifactLogged, Event, ParamsLogged, RunEnded, RunStarted
from autotrack.shipping.shipper import Shipper

START = """
    import os, sys, time
    import autotrack
    autotrack.autolog(store=sys.argv[1])
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression, Ridge
    X, y = load_iris(return_X_y=True)
"""
TRAINING = (
    START
    + """
    for C in (0.25, 0.5, 1.0):
        model = LogisticRegression(C=C, max_iter=300).fit(X, y)
        print(model.coef_.tobytes().hex())
"""
)
A, B = "a" * 32, "b" * 32


def sync(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "autotrack", "sync", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def spooled(awkward: Awkward, *events: Event) -> journal.JournalWriter:
    """A spool with a journal, as of a process that is dead when the writer is closed with `bury`."""
    awkward.spool.make(spool.of_store(awkward.uri)[1])
    writer = journal.JournalWriter(awkward.spool.folder)
    writer.append(events)
    return writer


def bury(writer: journal.JournalWriter) -> None:
    writer.close()
    journals.bury(writer.path)


def test_training_is_the_same_while_the_store_is_down_and_all_arrives_later(script, awkward, tmp_path):
    bare = script(TRAINING.replace("autotrack.autolog(store=sys.argv[1])", ""), "x").stdout
    awkward.tell("down", "connection refused")
    done = script(TRAINING, awkward.uri)
    assert done.stdout == bare
    (line,) = done.stderr.splitlines()
    assert "could not yet send all" in line
    assert "(connection refused): 3 runs wait in " + str(awkward.spool.folder) in line
    assert f"autotrack sync --spool {awkward.spool.folder}" in line
    left = sync()
    assert left.returncode == 1
    assert "3 runs left" in left.stderr
    awkward.stop("down")
    done = sync()
    assert (done.returncode, done.stderr) == (0, "")
    runs = awkward.store.search_runs(order_by=["params.C"])
    assert [(run.params["C"], run.status) for run in runs] == [(C, "FINISHED") for C in ("0.25", "0.5", "1.0")]
    assert all((awkward.store.artifact_path(run.run_id, "model") / "MLmodel").is_file() for run in runs)
    assert awkward.spool.paths() == []
    assert sync().stdout == "Nothing waits to be sent.\n"


def test_a_store_that_goes_and_comes_back_is_warned_of_once(script, awkward, tmp_path):
    code = """
    Ridge(alpha=0).fit(X, y)
    assert autotrack.flush()
    place = sys.argv[1].partition(":")[2]
    open(place + "/down", "w").write("gone away")
    for alpha in range(1, 31):
        Ridge(alpha=alpha).fit(X, y)
        time.sleep(0.2)
    assert not autotrack.flush()
    os.unlink(place + "/down")
    Ridge(alpha=31).fit(X, y)
    assert autotrack.flush(60)
    """
    done = script(START + code, awkward.uri)
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"autotrack cannot send to the store {awkward.uri} (gone away); runs wait in")
    alphas = sorted(int(run.params["alpha"]) for run in awkward.store.search_runs())
    assert alphas == list(range(32))


def test_a_script_goes_on_past_a_store_that_hangs(script, awkward):
    awkward.tell("hang")
    code = """
    Ridge().fit(X, y)
    begun = time.monotonic()
    assert not autotrack.flush(0.5)
    assert time.monotonic() - begun < 5
    """
    done = script(START + code, awkward.uri, env={"AUTOTRACK_EXIT_TIMEOUT": "1"})
    (line,) = done.stderr.splitlines()
    assert "1 run waits in" in line
    awkward.stop("hang")
    wait_for(lambda: len(awkward.store.search_runs()) == 1)


def test_a_read_waits_shortly_only_while_the_store_is_down(script, awkward):
    awkward.tell("down", "connection refused")
    code = """
    Ridge().fit(X, y)
    begun = time.monotonic()
    for _ in range(3):
        try:
            autotrack.search_runs()
        except autotrack.StoreError as error:
            assert "connection refused" in str(error)
        else:
            raise AssertionError
    assert time.monotonic() - begun < 20
    """
    script(START + code, awkward.uri)


def test_silent_says_nothing_of_a_store_that_is_down(script, awkward):
    awkward.tell("down", "connection refused")
    assert script(TRAINING, awkward.uri, env={"AUTOTRACK_SILENT": "1"}).stderr == ""


def test_a_wrong_password_is_said_and_a_script_with_the_right_one_takes_over(script, awkward):
    awkward.tell("password", "right-one")
    done = script(TRAINING, awkward.uri + "?password=wrong-one")
    (line,) = done.stderr.splitlines()
    assert "the password is wrong" in line
    assert "wrong-one" not in line
    assert awkward.spool.is_tended()
    done = script(START + "    Ridge(alpha=9).fit(X, y)\n", awkward.uri + "?password=right-one")
    assert done.stderr == ""
    wait_for(lambda: not awkward.spool.paths())
    assert len(awkward.store.search_runs()) == 4


def test_sync_takes_the_password_from_the_uri_that_is_the_same_but_for_it(script, awkward, monkeypatch):
    awkward.tell("password", "right-one")
    script(TRAINING, awkward.uri + "?password=wrong-one")
    assert sync().returncode == 1
    monkeypatch.setenv("AUTOTRACK_STORE", awkward.uri + "?password=right-one")
    done = sync()
    assert (done.returncode, done.stderr) == (0, "")
    assert "right-one" not in done.stdout
    assert len(awkward.store.search_runs()) == 3


def test_a_value_that_the_store_refuses_costs_only_itself(awkward):
    awkward.tell("poison", "arsenic")
    runs = [f"{number:032x}" for number in range(30)]
    events: list[Event] = []
    for number, run_id in enumerate(runs):
        value = "arsenic" if number in (7, 8, 21) else "water"
        events += [RunStarted(run_id, f"r{number}", number), ParamsLogged(run_id, {"drink": value})]
        events += [RunEnded(run_id, "FINISHED", number)]
    bury(spooled(awkward, *events))
    shipper = Shipper(awkward.spool, awkward.uri)
    for _ in range(20):
        outcome = shipper.run()
        if not outcome.error:
            break
    assert outcome.error == ""
    found = {run.run_id: run for run in awkward.store.search_runs()}
    assert set(found) == set(runs)
    assert {run.status for run in found.values()} == {"FINISHED"}
    assert [n for n, run_id in enumerate(runs) if "drink" not in found[run_id].params] == [7, 8, 21]
    kept = [json.loads(path.read_text()) for path in awkward.spool.quarantined()]
    assert sorted(one["entry"]["run_id"] for one in kept) == [runs[7], runs[8], runs[21]]
    assert all("arsenic" in one["reason"] and one["entry"]["params"] == {"drink": "arsenic"} for one in kept)
    assert awkward.spool.paths() == []


def test_the_last_value_of_a_journal_is_set_aside_when_others_are_taken(awkward):
    awkward.tell("poison", "arsenic")
    bury(spooled(awkward, RunStarted(A, "a", 1), RunEnded(A, "FINISHED", 2), ParamsLogged(A, {"drink": "arsenic"})))
    shipper = Shipper(awkward.spool, awkward.uri)
    assert [shipper.run().left for _ in range(8)] == [1] * 8, "nothing shows whose fault it is"
    assert awkward.spool.quarantined() == []
    bury(spooled(awkward, RunStarted(B, "b", 1), RunEnded(B, "FINISHED", 2)))
    for _ in range(3):
        shipper.run()
    assert awkward.spool.paths() == []
    assert len(awkward.spool.quarantined()) == 1
    assert awkward.store.get_run(A).status == "FINISHED"


def test_a_store_that_takes_nothing_has_nothing_set_aside(awkward):
    awkward.tell("read-only")
    bury(spooled(awkward, *(RunStarted(f"{n:032x}", "r", n) for n in range(10))))
    shipper = Shipper(awkward.spool, awkward.uri)
    for _ in range(12):
        outcome = shipper.run()
    assert outcome.error == "this store is read-only"
    assert awkward.spool.quarantined() == []
    awkward.stop("read-only")
    assert shipper.run().error == ""
    assert len(awkward.store.search_runs()) == 10


def test_a_file_that_was_lost_is_named_in_its_run(awkward):
    artifact = Artifact("gone.txt", 3, "sha256:00")
    bury(spooled(awkward, RunStarted(A, "a", 1), ArtifactLogged(A, artifact), RunEnded(A, "FINISHED", 2)))
    remarks: list[str] = []
    assert Shipper(awkward.spool, awkward.uri, remark=remarks.append).run().error == ""
    assert any("gone.txt" in remark for remark in remarks)
    (note,) = awkward.store.get_run(A).notes
    assert (note.kind, note.subject) == ("skipped", "gone.txt")
    assert awkward.store.get_run(A).status == "FINISHED"


def test_a_path_in_a_journal_never_leaves_the_spool(awkward, tmp_path):
    (tmp_path / "secret.txt").write_text("secret")
    paths = ("../../../secret.txt", str(tmp_path / "secret.txt"), "link")
    events = [
        RunStarted(A, "a", 1),
        *(ArtifactLogged(A, Artifact(path, 6)) for path in paths),
        RunEnded(A, "FINISHED", 2),
    ]
    writer = spooled(awkward, *events)
    (awkward.spool.artifacts / A).mkdir(parents=True)
    (awkward.spool.artifacts / A / "link").symlink_to(tmp_path / "secret.txt")
    bury(writer)
    assert Shipper(awkward.spool, awkward.uri).run().error == ""
    assert not [
        path for path in (awkward.folder / "store").rglob("*") if path.is_file() and path.read_bytes() == b"secret"
    ]
    assert awkward.store.get_run(A).status == "FINISHED"


def test_what_cannot_be_read_is_kept_and_the_rest_is_sent(awkward):
    writer = spooled(awkward, RunStarted(A, "a", 1))
    broken = b'{"n":2,"type":"params_logged","run_id":"' + A.encode() + b'","par\xffams":{"p":"1"}}\n'
    with writer.path.open("ab") as file:
        file.write(broken + b'{"n":3,"type":"from_the_future","run_id":"x"}\n')
        file.write(b'{"n":4,"type":"params_logged","run_id":"' + A.encode() + b'","params":{"q":"2"}}\n{"n":5,"ty')
    bury(writer)
    remarks: list[str] = []
    assert Shipper(awkward.spool, awkward.uri, remark=remarks.append).run().error == ""
    run = awkward.store.get_run(A)
    assert (run.params, run.status) == ({"q": "2"}, "KILLED")
    kept = b"".join(path.read_bytes() for path in awkward.spool.quarantined())
    assert broken in kept
    assert b"from_the_future" in kept
    assert kept.endswith(b'{"n":5,"ty')
    assert len(remarks) == 3
    assert awkward.spool.paths() == []


def test_a_journal_of_a_future_version_waits_in_quarantine_for_a_newer_autotrack(awkward, monkeypatch):
    writer = spooled(awkward, RunStarted(A, "a", 1), RunEnded(A, "FINISHED", 2))
    place = awkward.spool.artifacts / A
    place.mkdir(parents=True)
    (place / "f").write_text("x")
    bury(writer)
    old = time.time() - 60
    lines = writer.path.read_bytes().partition(b"\n")[2]
    writer.path.write_bytes(journal.header_line(replace(journal.read_header(writer.path), version=8)) + lines)
    os.utime(writer.path, (old, old))
    remarks: list[str] = []
    assert Shipper(awkward.spool, awkward.uri, remark=remarks.append).run().error == ""
    (kept,) = awkward.spool.quarantined()
    assert kept.name == writer.path.name
    assert "a newer one is needed" in remarks[0]
    assert (place / "f").exists()
    monkeypatch.setattr(journal, "PACK_VERSION", 9)
    assert Shipper(awkward.spool, awkward.uri).run().error == ""
    assert awkward.store.get_run(A).status == "FINISHED"
    assert awkward.spool.quarantined() == []


def test_where_no_process_can_be_started_runs_wait_for_sync(script, awkward):
    code = "    sys.executable = ''\n    Ridge().fit(X, y)\n    assert not autotrack.flush()\n"
    done = script(START + code, awkward.uri)
    first, last = done.stderr.splitlines()
    assert "no Python interpreter can be started" in first
    assert "1 run waits" in last
    assert sync().returncode == 0
    assert len(awkward.store.search_runs()) == 1


def test_a_spool_that_cannot_be_written_stops_nothing(script, awkward, tmp_path):
    (tmp_path / "blocked").write_text("")
    done = script(TRAINING, awkward.uri, env={"AUTOTRACK_SPOOL": str(tmp_path / "blocked" / "spool")})
    assert len(done.stdout.splitlines()) == 3
    assert len(done.stderr.splitlines()) == 1


def test_a_spool_that_is_removed_under_a_live_script_is_made_again(script, awkward):
    code = """
    import shutil
    from autotrack.spool import of_store
    Ridge(alpha=1).fit(X, y)
    assert autotrack.flush()
    shutil.rmtree(of_store(sys.argv[1])[0].folder)
    Ridge(alpha=2).fit(X, y)
    assert autotrack.flush(60)
    """
    script(START + code, awkward.uri)
    assert sorted(run.params["alpha"] for run in awkward.store.search_runs()) == ["1", "2"]


def test_ctrl_c_ends_the_waiting_at_the_end(awkward, tmp_path):
    awkward.tell("hang")
    (tmp_path / "s.py").write_text(textwrap.dedent(START + "    Ridge().fit(X, y)\n    print('ready', flush=True)\n"))
    code = "import signal, runpy; signal.signal(signal.SIGINT, signal.default_int_handler); runpy.run_path('s.py')"
    process = subprocess.Popen(
        [sys.executable, "-c", code, awkward.uri], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout.readline() == b"ready\n"
    time.sleep(1.5)
    process.send_signal(signal.SIGINT)
    begun = time.monotonic()
    _, errors = process.communicate(timeout=60)
    assert time.monotonic() - begun < 15
    assert b"Traceback" not in errors
    assert b"1 run waits in" in errors
    awkward.stop("hang")


def test_a_bar_shows_at_the_end_what_is_left(script, awkward):
    awkward.tell("slow", "1.5")
    done = script(TRAINING, awkward.uri, env={"AUTOTRACK_PROGRESS": "1"})
    assert "sending runs to the store" in done.stderr
    assert "events" in done.stderr
    assert len(awkward.store.search_runs()) == 3
