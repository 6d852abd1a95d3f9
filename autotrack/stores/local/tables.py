"""The tables of the SQLite index of a folder store.

A metric's, param's or tag's name is stored once, in ``keys``. Each of these tables stands in the order of runs, to tell
what a run has, and has one index in the order of its values, to find and sort runs by them: of params the numbers and
the other texts apart, of texts the first `TEXT_LENGTH` bytes (``start``).

``unregistered`` names the models with a registered name that the registry of the folder may not have yet.
``removed_tags`` has the tags that were taken away, each with the journal that said so, so that one set before, which is
met later, does not come back. ``experiments`` names those that were described, ``experiment_facts`` has what was told.
"""

from __future__ import annotations

from typing import Final

SCHEMA_VERSION: Final = 9

# States of a journal file.
HEADLESS: Final = 0
"""Its first line is not complete yet."""
LIVE: Final = 1
DEAD: Final = 2
APPLIED: Final = 3
"""Made by `apply`, for events of a process that this folder does not know."""
UNREADABLE: Final = 4
PACK: Final = 5
PACKED: Final = 6
"""A journal in a pack; its name is the pack's and its own."""

TEXT_LENGTH: Final = 64
"""Bytes in ``start``, the beginning of a text by which an index sorts."""

SCHEMA: Final = """
CREATE TABLE files (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, size INTEGER NOT NULL, offset INTEGER NOT NULL,
    mark BLOB NOT NULL, state INTEGER NOT NULL);
CREATE INDEX files_on_disk ON files (state) WHERE state <> 6;
CREATE TABLE journals (id INTEGER PRIMARY KEY, journal_id TEXT NOT NULL UNIQUE, last_number INTEGER NOT NULL);
CREATE TABLE runs (
    id INTEGER PRIMARY KEY, run_id TEXT NOT NULL UNIQUE, name TEXT NOT NULL, experiment TEXT NOT NULL,
    experiment_id TEXT NOT NULL, status TEXT NOT NULL, start_time INTEGER, end_time INTEGER, parent_run_id TEXT,
    process_id TEXT NOT NULL, error TEXT, damage TEXT, file INTEGER, started INTEGER,
    start_journal TEXT, start_number INTEGER, end_journal TEXT, end_number INTEGER,
    deleted_time INTEGER, lifecycle_journal TEXT, lifecycle_number INTEGER);
CREATE INDEX runs_newest ON runs (start_time DESC, start_journal DESC, start_number DESC, run_id DESC);
CREATE INDEX runs_ended ON runs (end_time);
CREATE INDEX runs_experiment ON runs (experiment, deleted_time);
CREATE INDEX runs_name ON runs (name);
CREATE INDEX runs_parent ON runs (parent_run_id) WHERE parent_run_id IS NOT NULL;
CREATE INDEX runs_open ON runs (file) WHERE end_journal IS NULL;
CREATE INDEX runs_unfinished ON runs (status) WHERE status <> 'FINISHED';
CREATE INDEX runs_deleted ON runs (deleted_time) WHERE deleted_time IS NOT NULL;
CREATE TABLE keys (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE);
CREATE TABLE params (
    run INTEGER, key INTEGER, value TEXT NOT NULL, number REAL, journal INTEGER NOT NULL,
    start BLOB AS (coalesce(substr(CAST(value AS BLOB), 1, 64), x'')) VIRTUAL, PRIMARY KEY (run, key)) WITHOUT ROWID;
CREATE TABLE tags (
    run INTEGER, key INTEGER, value TEXT NOT NULL, journal INTEGER NOT NULL,
    start BLOB AS (coalesce(substr(CAST(value AS BLOB), 1, 64), x'')) VIRTUAL, PRIMARY KEY (run, key)) WITHOUT ROWID;
CREATE TABLE removed_tags (run INTEGER, key INTEGER, journal INTEGER NOT NULL, PRIMARY KEY (run, key)) WITHOUT ROWID;
CREATE TABLE metrics (
    run INTEGER, key INTEGER, value REAL, step INTEGER NOT NULL, timestamp INTEGER NOT NULL, journal INTEGER NOT NULL,
    PRIMARY KEY (run, key)) WITHOUT ROWID;
CREATE TABLE points (
    run INTEGER, key INTEGER, step INTEGER, timestamp INTEGER, journal INTEGER, number INTEGER, position INTEGER,
    value REAL, PRIMARY KEY (run, key, step, timestamp, journal, number, position)) WITHOUT ROWID;
CREATE TABLE datasets (
    run INTEGER, name TEXT, context TEXT, digest TEXT NOT NULL, body TEXT NOT NULL, journal INTEGER NOT NULL,
    number INTEGER NOT NULL, PRIMARY KEY (run, name, context)) WITHOUT ROWID;
CREATE TABLE artifacts (
    run INTEGER, path TEXT, size INTEGER, digest TEXT NOT NULL, journal INTEGER NOT NULL, PRIMARY KEY (run, path)
) WITHOUT ROWID;
CREATE TABLE models (
    run INTEGER, path TEXT, estimator_class TEXT NOT NULL, serialization_format TEXT NOT NULL, size INTEGER,
    registered_model_name TEXT, digest TEXT NOT NULL, model_id TEXT NOT NULL, details TEXT, journal INTEGER NOT NULL,
    number INTEGER NOT NULL, PRIMARY KEY (run, path)
) WITHOUT ROWID;
CREATE INDEX models_registered ON models (registered_model_name) WHERE registered_model_name IS NOT NULL;
CREATE TABLE unregistered (run INTEGER, path TEXT, PRIMARY KEY (run, path)) WITHOUT ROWID;
CREATE TABLE notes (
    run INTEGER, kind TEXT, subject TEXT, message TEXT, count INTEGER NOT NULL, journal INTEGER NOT NULL,
    number INTEGER NOT NULL, PRIMARY KEY (run, kind, subject, message)) WITHOUT ROWID;
CREATE TABLE facts (
    process_id TEXT, key TEXT, value TEXT NOT NULL, text TEXT, journal INTEGER NOT NULL, PRIMARY KEY (process_id, key)
) WITHOUT ROWID;
CREATE TABLE experiments (name TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE experiment_facts (
    experiment TEXT, key TEXT, value TEXT NOT NULL, journal INTEGER NOT NULL, PRIMARY KEY (experiment, key)
) WITHOUT ROWID;
CREATE TABLE problems (id INTEGER PRIMARY KEY, file INTEGER NOT NULL, message TEXT NOT NULL);
"""

VALUE_INDEXES: Final = {
    "params_number": "params (key, number, run) WHERE number IS NOT NULL",
    "params_text": "params (key, start, run, number) WHERE number IS NULL",
    "tags_text": "tags (key, start, run)",
    "metrics_value": "metrics (key, value, run)",
    "datasets_name": "datasets (name)",
    "datasets_digest": "datasets (digest)",
}
"""Indexes that only searches need, with what they are on: they may be lacking while many journals are folded."""
