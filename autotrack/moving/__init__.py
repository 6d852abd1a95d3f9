"""Runs from one store into another, or into files that other tools read."""

from __future__ import annotations

from autotrack.moving.copying import Copying, CopyResult, Trouble, copy_runs

__all__ = ["CopyResult", "Copying", "Trouble", "copy_runs"]
