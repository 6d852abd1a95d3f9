"""A folder from which ``docker build`` makes an image that serves one model, and that asks no service of ours."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from autotrack.digests import open_file
from autotrack.errors import ModelError
from autotrack.models.files import ModelFiles
from autotrack.models.mlmodel import PYTHON, ModelInfo
from autotrack.serving.wheel import build_wheel

PORT: Final = 8080
MODEL: Final = "model"
REQUIREMENTS: Final = "requirements.txt"
_OLDEST: Final = (3, 11)
_MAX_REQUIREMENTS: Final = 2**20
_PIN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(\[[A-Za-z0-9,._ -]+\])?\s*([=<>!~;(]|$)")
_ENDINGS: Final = (".whl", ".tar.gz")


@dataclass(slots=True)
class Packaged:
    """What was written. ``remarks`` tell what the image will lack, or has differently."""

    folder: Path
    files: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def package_model(info: ModelInfo, folder: Path, *, reference: str, autotrack: str | None = None) -> Packaged:
    """Write a Dockerfile, what it copies, and a README into a folder; all of it or nothing.

    Parameters
    ----------
    info : of the model's folder, which is copied as it is. Nothing of it is loaded.
    folder : is made; must be new or empty.
    reference : how the user named the model, for the README.
    autotrack : what pip is to install autotrack from: a wheel or sdist, which is copied, or a requirement. When left
        out, a wheel is made of the package that is running.

    Raises
    ------
    ModelError
        When the folder holds something, the model leads out of its folder, or there is no such wheel.
    """
    folder = Path(os.path.abspath(os.path.expanduser(folder)))
    if os.path.lexists(folder) and not (folder.is_dir() and not os.listdir(folder)):
        raise ModelError(f"{folder} is there and not empty; name a folder that is new")
    partial = folder.with_name(f"{folder.name}.tmp-{os.urandom(4).hex()}")
    done = Packaged(folder)
    try:
        partial.mkdir(parents=True)
        _copy_model(info.folder, partial / MODEL)
        ours = _bring_autotrack(autotrack, partial)
        pins = list(_model_pins(partial / MODEL / REQUIREMENTS, done.remarks))
        python = _python(info, done.remarks)
        if info.local_modules and not (partial / MODEL / "code").is_dir():
            done.remarks.append(
                f"the model needs modules that no package installs and that it does not bring along: "
                f"{', '.join(info.local_modules)}. Put them beside the Dockerfile and copy them to /opt/app, which is "
                "on the image's path"
            )
        texts = {
            REQUIREMENTS: _requirements(pins, ours),
            "Dockerfile": _dockerfile(python, ours, pins),
            ".dockerignore": _IGNORE,
            "README.md": _readme(reference, info, python, done.remarks),
        }
        for name, text in texts.items():
            (partial / name).write_text(text, encoding="utf-8")
        if folder.is_dir():
            folder.rmdir()
        os.rename(partial, folder)
    except OSError as error:
        raise ModelError(f"{folder} cannot be written: {error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    done.files = sorted(os.listdir(folder))
    return done


def _copy_model(source: Path, target: Path) -> None:
    """Copy a model folder: its files, opened inside of it and nowhere else."""
    with ModelFiles(source) as files:
        root = Path(os.path.realpath(source))
        for place, folders, names in os.walk(root):
            for name in folders:
                if os.path.islink(os.path.join(place, name)):
                    raise ModelError(f"{source}: {name!r} is a link to a folder, which is not followed")
            if os.path.basename(place) == "__pycache__":
                continue
            below = target / os.path.relpath(place, root)
            below.mkdir(parents=True, exist_ok=True)
            for name in names:
                found = os.path.relpath(os.path.join(place, name), root)
                with files.open(files.find(found, "file")) as file, (below / name).open("xb") as copy:
                    shutil.copyfileobj(file, copy)


def _bring_autotrack(wanted: str | None, folder: Path) -> str:
    """What pip installs autotrack from: a file that stands in the folder now, or a requirement."""
    if wanted is None:
        return f"./{build_wheel(folder).name}[serving]"
    if wanted.endswith(_ENDINGS) and "://" not in wanted:
        path = Path(wanted).expanduser()
        if not path.is_file():
            raise ModelError(f"there is no file {wanted!r} to install autotrack from")
        shutil.copyfile(path, folder / path.name)
        return f"./{path.name}[serving]"
    if "\n" in wanted or not re.match(r"autotrack\b", wanted):
        raise ModelError(
            f"{wanted!r} is no requirement for autotrack; expected a wheel, or such as 'autotrack[serving]==0.1.0' or "
            "'autotrack[serving] @ git+https://…'"
        )
    if "[" not in wanted:
        wanted = wanted.replace("autotrack", "autotrack[serving]", 1)
    return wanted


def _model_pins(path: Path, remarks: list[str]) -> Iterator[str]:
    """The model's requirements, without lines that would make pip do something else."""
    if not path.is_file():
        remarks.append("the model folder has no requirements.txt: the image gets the newest of what autotrack needs")
        return
    with open_file(path) as file:
        text = file.read(_MAX_REQUIREMENTS).decode("utf-8", "replace")
    for line in map(str.strip, text.splitlines()):
        if not line or line.startswith("#"):
            continue
        if not _PIN.match(line) or re.search(r"://|@|\s-", line):
            remarks.append(f"the line {line[:100]!r} of the model's requirements.txt is no package's name: left out")
        elif not re.match(r"autotrack\b", line):
            yield line


def _python(info: ModelInfo, remarks: list[str]) -> str:
    found = re.match(r"(\d+)\.(\d+)", info.python_version)
    if found is None:
        python = ".".join(PYTHON.split(".")[:2])
        remarks.append(f"the model does not say which Python wrote it; the image has {python}")
        return python
    wrote = int(found[1]), int(found[2])
    if wrote < _OLDEST:
        remarks.append(
            f"the model was written by Python {info.python_version}, which autotrack does not run on; the image has "
            f"{_OLDEST[0]}.{_OLDEST[1]}"
        )
    return ".".join(map(str, max(wrote, _OLDEST)))


def _requirements(pins: Iterable[str], ours: str) -> str:
    lines = ["# What the model was trained with: loading it elsewhere may change its predictions.", *pins]
    return "\n".join([*lines, "# What serves it.", ours]) + "\n"


def _dockerfile(python: str, ours: str, pins: Iterable[str]) -> str:
    file = ours.removeprefix("./").partition("[")[0]
    names = {re.split(r"[^A-Za-z0-9._-]", pin, maxsplit=1)[0].lower() for pin in pins}
    native = _LIBGOMP if "lightgbm" in names else ""
    git = _GIT if "git+" in ours else ""
    copied = f"{REQUIREMENTS} {file}" if ours.startswith("./") else REQUIREMENTS
    return f"""\
# Serves the model in ./{MODEL} on port {PORT}.
#
#   docker build -t my-model .
#   docker run -p {PORT}:{PORT} -e AUTOTRACK_SERVING_TOKEN=... my-model

# The Python that wrote the model.
FROM python:{python}-slim

{native}{git}# An account of its own, without rights: the model is code that runs.
RUN useradd --create-home --uid 10001 app
WORKDIR /opt/app

# First what changes seldom, so that a new version of the model builds in seconds.
COPY {copied} ./
RUN pip install --no-cache-dir -r {REQUIREMENTS}

COPY {MODEL} ./{MODEL}

# Modules beside the model can be imported; output is not held back.
ENV PYTHONPATH=/opt/app \\
    PYTHONUNBUFFERED=1 \\
    PYTHONDONTWRITEBYTECODE=1

USER app
EXPOSE {PORT}

# /ping answers without a token.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \\
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:{PORT}/ping', timeout=4)"]

# The server does not start without AUTOTRACK_SERVING_TOKEN, because it listens to others than this machine.
# --trusted: the model was checked when it was packaged, and is the one that was built in.
CMD ["autotrack", "models", "serve", "/opt/app/{MODEL}", "--host", "0.0.0.0", "--port", "{PORT}", "--trusted"]
"""


_LIBGOMP: Final = """\
# LightGBM's wheel expects OpenMP of the system.
RUN apt-get update && apt-get install -y --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/*

"""
_GIT: Final = """\
# autotrack is installed from a repository.
RUN apt-get update && apt-get install -y --no-install-recommends git && rm -rf /var/lib/apt/lists/*

"""
_IGNORE: Final = """\
# Nothing but what the Dockerfile copies needs to be sent to the builder.
README.md
.dockerignore
Dockerfile
.git
**/__pycache__
**/*.pyc
.env
"""


def _readme(reference: str, info: ModelInfo, python: str, remarks: Iterable[str]) -> str:
    notes = "".join(f"- {_plain(remark)}\n" for remark in remarks)
    notes = f"\n## To be looked at\n\n{notes}" if notes else ""
    return f"""\
# A model in an image

`{_plain(reference)}`: {_plain(info.estimator_class) or "a model"}, written {_plain(info.created) or "at some time"}
by Python {_plain(info.python_version) or "(unknown)"} and scikit-learn {_plain(info.sklearn_version) or "(unknown)"}.

    docker build -t my-model .
    docker run -p {PORT}:{PORT} -e AUTOTRACK_SERVING_TOKEN=$(openssl rand -hex 32) my-model

    curl http://127.0.0.1:{PORT}/ping
    curl http://127.0.0.1:{PORT}/invocations -H "Authorization: Bearer $TOKEN" \\
         -H 'Content-Type: application/json' -d '{{"columns": ["..."], "data": [[1.0]]}}'

What is here: `Dockerfile` (Python {python}), `{REQUIREMENTS}` (what the model was trained with, and what serves it),
`{MODEL}/` (the model's folder as it was logged) and, unless it comes from elsewhere, autotrack itself as a wheel.
Building downloads the other packages from the package index and needs nothing else. Options of the server go behind
the image's name: `docker run … my-model autotrack models serve /opt/app/{MODEL} --host 0.0.0.0 --port {PORT} --trusted
--workers 4`.
{notes}"""


def _plain(text: str) -> str:
    """A recorded text in one line, without what Markdown or a terminal would obey."""
    return re.sub(r"[^\x20-\x7e\u00a1-\ud7ff]|[`<>]", "?", text)[:300]
