"""`autotrack.ui`: one server per store, found again, and gone with who started it unless told otherwise."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

import autotrack
from autotrack.query import showing
from autotrack.query.showing import store_digest
from autotrack.spool import root


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/about.json", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


def gone(url: str) -> bool:
    deadline = time.monotonic() + 20
    while answers(url):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_the_address_leads_to_the_runs_and_is_the_same_when_asked_again(recorded_copy, capfd):
    found = autotrack.ui(recorded_copy)
    try:
        assert httpx.get(f"{found.url}/about.json").json()["store"] == store_digest(str(recorded_copy))
        assert repr(found) == found.url
        assert f'<a href="{found.url}"' in found._repr_html_()
        assert autotrack.ui(recorded_copy).url == found.url
        with autotrack.settings.use_store(recorded_copy):
            assert autotrack.ui().url == found.url
        assert found.url in autotrack.get_run("latest", store=recorded_copy)._repr_html_()
        other = recorded_copy.parent / "other"
        # A note that says what is not so, as one of a process that is gone may: another store answers there.
        showing.remember(str(other), found.url)
        assert showing._running(str(other), str(other)) is None
    finally:
        found.stop()
    assert gone(found.url)
    assert found.url not in autotrack.get_run("latest", store=recorded_copy)._repr_html_()
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize(("keep", "end"), [(False, "killed"), (True, "over")])
def test_a_server_ends_with_who_started_it_unless_it_is_kept(tmp_path, script, keep, end):
    ending = "os.kill(os.getpid(), 9)" if end == "killed" else ""
    code = f"""
        import os, autotrack
        found = autotrack.ui("store", keep={keep})
        print(found, flush=True)
        {ending}
    """
    done = script(code, check=False, command=(sys.executable, "-W", "error"))
    assert done.returncode == (-signal.SIGKILL if end == "killed" else 0), done.stderr
    assert done.stderr == ""
    url = done.stdout.strip()
    if not keep:
        assert gone(url)
        return
    assert answers(url)
    (note,) = (root() / "ui").glob("*.json")
    assert note.stat().st_mode & 0o077 == 0
    os.kill(json.loads(note.read_text())["pid"], signal.SIGTERM)
    assert gone(url)


def test_what_is_missing_is_said_with_the_way_out(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(autotrack.AutotrackError, match=r"jinja2: pip install 'autotrack\[server\]'"):
        autotrack.ui(tmp_path / "store")


def test_a_store_in_memory_is_refused():
    with pytest.raises(autotrack.AutotrackError, match="in this process's memory"):
        autotrack.ui("memory:")


def test_a_server_that_does_not_start_says_why(tmp_path: Path):
    with pytest.raises(autotrack.AutotrackError, match="port 1000000|65535"):
        autotrack.ui(tmp_path / "store", port=1_000_000)


def test_importing_it_loads_nothing_of_the_web():
    code = "import sys, autotrack; autotrack.ui; print({'starlette', 'http.client', 'jinja2'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
