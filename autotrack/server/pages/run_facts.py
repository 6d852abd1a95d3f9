"""What stands on a run's page beside its results: data, environment, how to run it again, params with defaults."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, Final

from autotrack.entities import Dataset, Run, shown_tags
from autotrack.models.defaults import NoDefault, defaults_of

_MAIN_PACKAGES: Final = (
    "scikit-learn",
    "numpy",
    "scipy",
    "pandas",
    "polars",
    "joblib",
    "xgboost",
    "lightgbm",
    "catboost",
    "autotrack",
)
_COLUMNS: Final = 500


def params(run: Run, changed: Mapping[str, bool]) -> list[dict[str, Any]]:
    """The params; ``is_default`` is ``None`` where it cannot be told.

    Parameters
    ----------
    changed : of params, whether the model's own file says that they differ from the default.
    """
    module, _, name = run.tags.get("estimator_class", "").rpartition(".")
    defaults = (defaults_of(module, name) if module else None) or {}
    found = []
    for key, value in run.params.items():
        is_default: bool | None = None
        if key in changed:
            is_default = not changed[key]
        elif key in defaults and not isinstance(defaults[key], NoDefault):
            is_default = str(defaults[key]) == value
        found.append({"key": key, "value": value, "is_default": is_default})
    return found


def command(process: Mapping[str, Any]) -> str | None:
    """What to type into a shell to run the program again; ``None`` where there was no script."""
    script = process.get("script")
    if not isinstance(script, str) or not script:
        return None
    arguments = process.get("args")
    words = [str(word) for word in arguments] if isinstance(arguments, (list, tuple)) else []
    python = process.get("executable")
    line = shlex.join([python if isinstance(python, str) and python else "python", script, *words])
    folder = process.get("cwd")
    return f"cd {shlex.quote(folder)} && {line}" if isinstance(folder, str) and folder else line


def checkout(process: Mapping[str, Any]) -> str | None:
    """How to get the code of that time; ``None`` where it is not known."""
    git = process.get("git")
    commit = git.get("commit") if isinstance(git, Mapping) else None
    return f"git checkout {shlex.quote(commit)}" if isinstance(commit, str) and commit else None


def environment(process: Mapping[str, Any]) -> dict[str, Any]:
    """The program that made the run, for a table; ``packages`` with those that matter most first."""
    git = process.get("git")
    git = git if isinstance(git, Mapping) else {}
    known = process.get("packages")
    known = known if isinstance(known, Mapping) else {}
    by = "@".join(str(process[key]) for key in ("user", "host") if process.get(key))
    arguments = process.get("args")
    facts = {
        "script": process.get("script"),
        "arguments": shlex.join(map(str, arguments)) if isinstance(arguments, (list, tuple)) else None,
        "folder": process.get("cwd"),
        "commit": git.get("commit"),
        "branch": git.get("branch"),
        "remote": git.get("remote"),
        "uncommitted changes": {True: "yes", False: "none"}.get(git.get("dirty")),  # type: ignore[arg-type]
        "Python": process.get("python"),
        "executable": process.get("executable"),
        "platform": process.get("platform"),
        "processors": process.get("cpus"),
        "by": by or None,
        "process": process.get("pid"),
        "autotrack": process.get("autotrack"),
    }
    diff = git.get("diff")
    order = sorted(known, key=lambda name: (name not in _MAIN_PACKAGES, name))
    return {
        "facts": {key: str(value) for key, value in facts.items() if value not in (None, "")},
        "git_diff": diff if isinstance(diff, str) else None,
        "packages": {str(name): str(known[name]) for name in order},
        "main_packages": {name: str(known[name]) for name in order if name in _MAIN_PACKAGES},
    }


def dataset(data: Dataset) -> dict[str, Any]:
    """What is known of a run's data. ``source`` is what another tool told: MLflow's texts, read where they are JSON."""
    missing = [count for column in data.columns if isinstance(count := column.get("missing"), int)]
    return {
        "name": data.name,
        "context": data.context,
        "kind": data.kind,
        "digest": data.digest,
        "shape": list(data.shape),
        "columns": [dict(column) for column in data.columns[:_COLUMNS]],
        "n_columns": len(data.columns),
        "missing": sum(missing) if missing else None,
        "target": _target(data.target),
        "source": {str(key): _read(value) for key, value in data.source.items()},
    }


def _target(target: Mapping[str, Any]) -> dict[str, Any]:
    """The summary of y; ``shares`` of the classes where they are counted."""
    found = dict(target)
    classes = target.get("classes")
    if isinstance(classes, Mapping) and classes and all(isinstance(count, (int, float)) for count in classes.values()):
        most = max(classes.values()) or 1
        total = sum(classes.values()) or 1
        found["shares"] = [
            {"name": str(name), "count": count, "share": count / total, "width": round(100 * count / most, 2)}
            for name, count in list(classes.items())[:30]
        ]
    return found


def _read(value: Any) -> Any:
    if isinstance(value, str) and value[:1] in "{[":
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def notes(run: Run) -> dict[str, list[dict[str, Any]]]:
    """The notes of a run by kind."""
    found: dict[str, list[dict[str, Any]]] = {"warning": [], "check": [], "skipped": []}
    for note in run.notes:
        told = {"subject": note.subject, "message": " ".join(note.message.split()), "count": note.count}
        found.setdefault(note.kind, []).append(told)
    return found


def tags(run: Run, hidden: Sequence[str] = ()) -> dict[str, str]:
    """The tags, by key."""
    return {key: value for key, value in sorted(shown_tags(run.tags).items()) if key not in hidden}
