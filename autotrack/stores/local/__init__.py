"""The folder store: ``journals/*.jsonl``, ``artifacts/<run id>/…`` and ``runs.db``, an index that can be rebuilt."""

from __future__ import annotations

from autotrack.stores.local.store import ARTIFACTS, INDEX, LocalStore, open_uri

__all__ = ["ARTIFACTS", "INDEX", "LocalStore", "open_uri"]
