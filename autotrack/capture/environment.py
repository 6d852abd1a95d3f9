"""What program makes the runs: script, arguments, git, packages, machine. Collected once per process.

`quick_facts` are taken at the first run, before its fit; `slow_facts` (packages, git) by the worker.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from autotrack import __version__

_GIT_SECONDS: Final = 10.0


def quick_facts() -> dict[str, Any]:
    """Facts that cost microseconds."""
    main = sys.modules.get("__main__")
    script = getattr(main, "__file__", None)
    return {
        "script": os.path.abspath(script) if isinstance(script, str) else "",
        "args": [str(argument) for argument in sys.argv[1:]],
        "cwd": _quietly_cwd(),
        "user": _user(),
        "host": platform.node(),
        "pid": os.getpid(),
        "python": platform.python_version(),
        "autotrack": __version__,
    }


def slow_facts(script: str, cwd: str) -> dict[str, Any]:
    """Facts that cost a look through folders and a call of git.

    Parameters
    ----------
    script : path of the script, empty for an interactive session; its repository is the one looked at.
    cwd : the folder to look in instead where there is no script.
    """
    facts: dict[str, Any] = {
        "executable": sys.executable,
        "platform": _platform(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "packages": dict(sorted(_packages().items())),
    }
    git = _git(Path(script).parent if script else Path(cwd))
    if git:
        facts["git"] = git
    return facts


def _platform() -> str:
    if sys.platform != "linux":
        return platform.platform()
    # platform.platform() starts a process, and starting one by a bare name swaps the process's warning filters for a
    # moment: the user's own, when we run beside them.
    about = platform.uname()
    return f"{about.system}-{about.release}-{about.machine}-with-{''.join(platform.libc_ver())}"


def _packages() -> dict[str, str]:
    # Reading every distribution's metadata takes a second where there are hundreds; the folder names say the same.
    found: dict[str, str] = {}
    for folder in sys.path:
        try:
            names = os.listdir(folder or ".")
        except OSError:
            continue
        for name in names:
            if name.endswith((".dist-info", ".egg-info")):
                package, _, version = name.rpartition(".")[0].partition("-")
                version = version.partition("-py")[0]
                if version:
                    found.setdefault(package.replace("_", "-").lower(), version)
    return found


def _git(folder: Path) -> Mapping[str, Any]:
    commit = _git_says(folder, "rev-parse", "HEAD")
    if commit is None:
        return {}
    facts: dict[str, Any] = {"commit": commit}
    branch = _git_says(folder, "rev-parse", "--abbrev-ref", "HEAD")
    if branch and branch != "HEAD":
        facts["branch"] = branch
    changed = _git_says(folder, "status", "--porcelain", "--untracked-files=no")
    if changed is not None:
        facts["dirty"] = bool(changed)
    remote = _git_says(folder, "config", "--get", "remote.origin.url")
    if remote:
        facts["remote"] = _without_password(remote)
    return facts


def _git_says(folder: Path, *words: str) -> str | None:
    git = shutil.which("git")  # by its path, see _platform
    if git is None:
        return None
    try:
        done = subprocess.run(
            [git, "-C", str(folder), *words],
            capture_output=True,
            timeout=_GIT_SECONDS,
            check=True,
            stdin=subprocess.DEVNULL,
            # A lock taken for a mere look could make the user's own git command fail.
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode("utf-8", "replace").strip()


def _without_password(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    if not separator or "@" not in rest.partition("/")[0]:
        return url
    return f"{scheme}://{rest.partition('@')[2]}"


def _quietly_cwd() -> str:
    try:
        return os.getcwd()
    except OSError:  # the folder was deleted under us
        return ""


def _user() -> str:
    try:
        import pwd

        return pwd.getpwuid(os.getuid()).pw_name
    except (ImportError, KeyError):
        return os.environ.get("USER") or os.environ.get("USERNAME") or ""
