"""The programs behind two runs: code, machine, packages, and the text files that both runs keep."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from autotrack.entities import Artifact
from autotrack.errors import AutotrackError
from autotrack.query.comparing import flat
from autotrack.query.view import RunView
from autotrack.server import places

_CODE: Final = ("script", "args", "git.commit", "git.branch", "git.dirty", "git.remote")
_PACKAGES: Final = "packages."
_OF_ONE_PROCESS: Final = frozenset({"pid"})
_ENDINGS: Final = (
    ".cfg", ".conf", ".diff", ".ini", ".md", ".patch", ".py", ".r", ".sh", ".sql", ".toml", ".txt", ".yaml", ".yml",
)  # fmt: skip
_FILES: Final = 20
_BYTES: Final = 200_000
_LINES: Final = 1_000


def between(left: RunView, right: RunView) -> dict[str, Any]:
    """What differs from the left run to the right one.

    ``code`` and ``machine`` are rows of key, left, right and whether they differ; ``packages`` has those that
    ``differs``, and how many are ``equal``; ``git`` is the command that shows what lies between two commits, empty
    without them; ``files`` are differences of text files that both runs keep under one path.
    """
    facts = [flat(left.environment), flat(right.environment)]
    packages: list[Mapping[str, str]] = [_packages(left), _packages(right)]
    names = sorted({*packages[0], *packages[1]})
    rows = [_row(name, packages) for name in names]
    others = [key for key in dict.fromkeys([*facts[0], *facts[1]]) if not key.startswith(_PACKAGES)]
    told = [one for one in facts if one]
    return {
        "left": left.run_id,
        "right": right.run_id,
        "is_known": len(told) == 2,
        "same_process": bool(told) and left.environment == right.environment,
        "code": [_row(key, facts) for key in _CODE if key in others],
        "machine": [_row(key, facts) for key in others if key not in _CODE and key not in _OF_ONE_PROCESS],
        "packages": {
            "differs": [row for row in rows if row["differs"]],
            "equal": sum(not row["differs"] for row in rows),
        },
        "git": _git_command(*facts),
        "is_dirty": [bool(one.get("git.dirty")) for one in facts],
        "files": _files(left, right),
    }


def _row(key: str, sides: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    left, right = (None if side.get(key) is None else str(side[key]) for side in sides)
    return {"key": key, "left": left, "right": right, "differs": left != right}


def _packages(run: RunView) -> dict[str, str]:
    told = run.environment.get("packages")
    return {str(name): str(version) for name, version in told.items()} if isinstance(told, Mapping) else {}


def _git_command(left: Mapping[str, Any], right: Mapping[str, Any]) -> str:
    """The command for a terminal; only ids of commits get into it, whatever was recorded."""
    commits = [str(side.get("git.commit", "")) for side in (left, right)]
    if commits[0] == commits[1] or not all(_is_commit(commit) for commit in commits):
        return ""
    return f"git diff {commits[0][:12]} {commits[1][:12]}"


def _is_commit(text: str) -> bool:
    return len(text) >= 12 and all(character in "0123456789abcdef" for character in text)


def _files(left: RunView, right: RunView) -> list[dict[str, Any]]:
    """The text files of the same path that differ, the first `_FILES` of them."""
    try:
        sides = [{file.path: file for file in run.artifact_files() if _is_text(file)} for run in (left, right)]
    except AutotrackError:
        return []
    both = [path for path in sides[0] if path in sides[1]]
    changed = [path for path in both if not sides[0][path].digest or sides[0][path].digest != sides[1][path].digest]
    found = [{"path": path, **_difference(left, right, path)} for path in changed[:_FILES]]
    return [file for file in found if file["lines"] or file["problem"]]


def _is_text(file: Artifact) -> bool:
    return file.path.lower().endswith(_ENDINGS) and (file.size is None or file.size <= _BYTES)


def _difference(left: RunView, right: RunView, path: str) -> dict[str, Any]:
    try:
        before, after = (
            run.artifact_path(path).read_bytes()[:_BYTES].decode("utf-8", "replace") for run in (left, right)
        )
    except (AutotrackError, OSError) as error:
        return {"lines": [], "cut": 0, "problem": f"it cannot be read: {places.told(error, left.store)}"}
    lines = [
        {"kind": {"+": "added", "-": "removed", "@": "place"}.get(line[:1], "same"), "text": line}
        for line in list(difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=2))[2:]
    ]
    return {"lines": lines[:_LINES], "cut": max(0, len(lines) - _LINES), "problem": ""}
