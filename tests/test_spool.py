"""The spool: where it is, what it says, and what never stands in it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from autotrack import journal, spool
from autotrack.events import RunStarted
from autotrack.spool import Ack, Info, Spool, Status, without_secrets

URIS = {
    "postgresql://me:secret@host:5432/db": "postgresql://me@host:5432/db",
    "postgresql+psycopg://me:s/e@c@host/db?sslmode=require": "postgresql+psycopg://me@host/db?sslmode=require",
    "postgresql://host/db?user=me&password=secret&sslmode=require": "postgresql://host/db?user=me&sslmode=require",
    "postgresql://me:secret@h/d?artifacts=s3://KEY:SECRET@bucket/p": "postgresql://me@h/d?artifacts=s3://KEY@bucket/p",
    "mysql://h/d?artifacts=s3%3A%2F%2FK%3AS%40b": "mysql://h/d?artifacts=***",
    "https://me:secret@host:5000/path": "https://host:5000/path",
    "https://token@host/": "https://host/",
    "http://host:5000/a@b": "http://host:5000/a@b",
    "sqlite:///runs.db": "sqlite:///runs.db",
    "https://host/?api_token=x&aws_secret_access_key=y&sig=z&page=1": "https://host/?page=1",
}


@pytest.mark.parametrize("uri", URIS)
def test_a_uri_without_its_secrets(uri):
    assert without_secrets(uri) == URIS[uri]
    assert without_secrets(URIS[uri]) == URIS[uri]


def test_secrets_are_taken_out_of_what_others_say():
    uri = "postgresql://me:pass%20word@host/db?sslpassword=other"
    text = f"cannot open {uri}: password 'pass word' or pass%20word or other is wrong"
    found = spool.scrubbed(text, uri)
    assert "pass%20word" not in found
    assert "pass word" not in found
    assert "is wrong" in found
    assert "host/db" in found


def test_where_spools_are(monkeypatch, tmp_path):
    assert spool.root() == tmp_path / "spool"
    monkeypatch.delenv("AUTOTRACK_SPOOL")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert spool.root() == tmp_path / "state" / "autotrack" / "spool"
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert spool.root() == tmp_path / "home" / ".local" / "state" / "autotrack" / "spool"


def test_one_store_has_one_spool_whatever_the_password():
    one, info = spool.of_store("postgresql://me:a@host/db", "/here")
    assert spool.of_store("postgresql://me:b@host/db", "/there")[0].folder == one.folder
    assert spool.of_store("postgresql://you:a@host/db", "/here")[0].folder != one.folder
    assert info == Info("postgresql://me@host/db")
    # A path in a URI that starts from the working folder names another store elsewhere.
    for uri in ("sqlite:///runs.db", "mlruns:runs", "postgresql://host/db?artifacts=files"):
        assert spool.of_store(uri, "/here")[0].folder != spool.of_store(uri, "/there")[0].folder
    assert (
        spool.of_store("sqlite:////runs.db", "/here")[0].folder == spool.of_store("sqlite:////runs.db", "/")[0].folder
    )


def test_what_is_written_is_read_again_and_only_by_its_owner(tmp_path):
    one = Spool(tmp_path / "deep" / "one")
    one.make(Info("memory:x", "/f"))
    assert one.info() == Info("memory:x", "/f")
    writer = journal.JournalWriter(one.folder)
    assert one.ack(writer.path) == Ack()
    one.acknowledge(writer.path, Ack(10, 2, ("a",), True))
    assert one.ack(writer.path) == Ack(10, 2, ("a",), True)
    status = Status(spool.IDLE, journal.own_identity(), "no", 3, 1, 2, 4)
    one.tell(status)
    assert one.status() == status
    assert (one.folder / spool.INFO).stat().st_mode & 0o077 == 0
    writer.close()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"offset": "x"}', '{"version": 99, "store": "s"}', "\0"])
def test_a_damaged_file_is_as_none(tmp_path, text):
    one = Spool(tmp_path)
    for name in (spool.INFO, spool.STATUS, "journals/j.ack"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert one.info() is None
    assert one.status() is None
    assert one.ack(tmp_path / "journals" / "j.jsonl") == Ack()


def test_what_waits_is_counted_from_the_acknowledgement_on(tmp_path):
    one = Spool(tmp_path)
    assert (one.waiting().entries, one.waiting().since) == (0, None)
    writer = journal.JournalWriter(tmp_path)
    writer.append([RunStarted("a" * 32, "a", 1)])
    size = writer.path.stat().st_size
    writer.append([RunStarted("b" * 32, "b", 1), RunStarted("c" * 32, "c", 1)])
    assert (one.waiting().journals, one.waiting().runs, one.waiting().entries) == (1, 3, 3)
    one.acknowledge(writer.path, Ack(size, 2))
    waiting = one.waiting()
    assert (waiting.run_ids, waiting.entries) == ({"c" * 32}, 1)
    one.acknowledge(writer.path, Ack(writer.path.stat().st_size, 3))
    assert one.waiting().journals == 0
    writer.close()


def test_the_lock_tells_whether_somebody_sends(tmp_path):
    one = Spool(tmp_path)
    assert not one.is_tended()
    lock = one.lock()
    assert lock is not None
    assert one.is_tended()
    assert one.lock() is None
    os.close(lock)
    assert not one.is_tended()


def test_bounded_reading_comes_to_the_same(tmp_path):
    writer = journal.JournalWriter(tmp_path)
    writer.append([RunStarted(f"{n:032x}", "r", n) for n in range(20)])
    writer.close()
    whole = journal.read(writer.path)
    for options in ({"max_entries": 3}, {"max_bytes": 1}, {"max_bytes": 500}):
        found, offset = [], 0
        while (chunk := journal.read(writer.path, offset, **options)).offset > offset:
            found += chunk.entries
            offset = chunk.offset
        assert tuple(found) == whole.entries
    assert journal.last_number(writer.path, writer.path.stat().st_size) == 20
    assert journal.last_number(writer.path, 10) == 0


def test_every_spool_below_a_folder_is_found(tmp_path):
    for name in ("a", "b"):
        Spool(tmp_path / name).make(Info(f"memory:{name}"))
    (tmp_path / "c").mkdir()
    assert [one.folder.name for one in spool.every(tmp_path)] == ["a", "b"]
    assert [one.folder.name for one in spool.every(tmp_path / "a")] == ["a"]
    assert spool.every(Path("/nowhere")) == []
