"""The command line: ``autotrack``."""

from __future__ import annotations


def main() -> None:
    """Entry point of ``autotrack`` and ``python -m autotrack``; never returns."""
    from autotrack.cli.app import app

    app(prog_name="autotrack")
