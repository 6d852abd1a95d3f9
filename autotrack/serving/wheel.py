"""A wheel of the package that is running, from its own files: autotrack is pure Python and needs no build tool."""

from __future__ import annotations

import base64
import hashlib
import re
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import autotrack
from autotrack.errors import ModelError

_TIME: Final = (2020, 1, 1, 0, 0, 0)
"""The same files make the same wheel."""


def build_wheel(folder: Path) -> Path:
    """Write a wheel of autotrack as it runs here into a folder.

    Dependencies and extras are those of the source checkout that it runs from, else of the installed distribution.

    Raises
    ------
    ModelError
        When there is neither.
    """
    package = Path(autotrack.__file__).parent
    version = autotrack.__version__
    described, scripts = _metadata(package, version)
    info = f"autotrack-{version}.dist-info"
    path = folder / f"autotrack-{version}-py3-none-any.whl"
    record: list[str] = []
    with zipfile.ZipFile(path, "x", zipfile.ZIP_DEFLATED) as wheel:

        def add(name: str, data: bytes) -> None:
            entry = zipfile.ZipInfo(name, _TIME)
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            wheel.writestr(entry, data)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            record.append(f"{name},sha256={digest},{len(data)}")

        for file in _files(package):
            add(f"autotrack/{file.relative_to(package).as_posix()}", file.read_bytes())
        add(f"{info}/METADATA", described.encode())
        add(f"{info}/WHEEL", b"Wheel-Version: 1.0\nGenerator: autotrack\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        add(f"{info}/entry_points.txt", scripts.encode())
        record.append(f"{info}/RECORD,,")
        wheel.writestr(zipfile.ZipInfo(f"{info}/RECORD", _TIME), "\n".join(record) + "\n")
    return path


def _files(package: Path) -> Iterator[Path]:
    for path in sorted(package.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc":
            yield path


def _metadata(package: Path, version: str) -> tuple[str, str]:
    """The texts of ``METADATA`` and ``entry_points.txt``."""
    project = package.parent / "pyproject.toml"
    if project.is_file():
        import tomllib

        with project.open("rb") as file:
            data = tomllib.load(file).get("project", {})
        if data.get("name") == "autotrack":
            return _from_project(data, version)
    try:
        found = metadata.distribution("autotrack")
    except metadata.PackageNotFoundError:
        found = None
    if found is None or found.version != version:
        raise ModelError(
            "autotrack is not installed here as a package, so that no wheel can be made of it; say what the image is "
            "to install: --autotrack FILE.whl, or a requirement"
        )
    return found.read_text("METADATA") or "", found.read_text("entry_points.txt") or ""


def _from_project(project: dict[str, Any], version: str) -> tuple[str, str]:
    lines = [
        "Metadata-Version: 2.4",
        "Name: autotrack",
        f"Version: {version}",
        f"Summary: {project.get('description', '')}",
        f"Requires-Python: {project.get('requires-python', '')}",
    ]
    lines += [f"Requires-Dist: {requirement}" for requirement in project.get("dependencies", ())]
    for extra, requirements in project.get("optional-dependencies", {}).items():
        lines.append(f"Provides-Extra: {extra}")
        for requirement in requirements:
            name, _, marker = requirement.partition(";")
            also = f"({marker.strip()}) and " if marker.strip() else ""
            lines.append(f"Requires-Dist: {name.strip()}; {also}extra == '{extra}'")
    scripts = ["[console_scripts]"]
    scripts += [f"{name} = {place}" for name, place in project.get("scripts", {}).items()]
    for group, entries in project.get("entry-points", {}).items():
        scripts += ["", f"[{re.sub(r'[^A-Za-z0-9._-]', '', group)}]"]
        scripts += [f"{name} = {place}" for name, place in entries.items()]
    return "\n".join(lines) + "\n", "\n".join(scripts) + "\n"
