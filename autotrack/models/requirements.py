"""From the modules that a pickle names to pinned distributions."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import metadata, util
from pathlib import Path
from typing import Final

from autotrack.models.formats import CLOUDPICKLE, NEEDS
from autotrack.settings import NATIVE_FORMATS

FRAMEWORKS: Final = ("numpy", "sklearn")
"""Pinned for every model, named by its bytes or not; a library's own file takes numpy alone."""

# Distributions that are not called like the module they install. Any other is found too, only not as fast.
_DISTRIBUTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "Bio": ("biopython",),
    "PIL": ("pillow",),
    "attr": ("attrs",),
    "bs4": ("beautifulsoup4",),
    "cv2": ("opencv-python", "opencv-python-headless", "opencv-contrib-python"),
    "dateutil": ("python-dateutil",),
    "faiss": ("faiss-cpu", "faiss-gpu"),
    "imblearn": ("imbalanced-learn",),
    "skimage": ("scikit-image",),
    "sklearn": ("scikit-learn",),
    "sklearn_extra": ("scikit-learn-extra",),
    "skopt": ("scikit-optimize",),
    "sksurv": ("scikit-survival",),
    "umap": ("umap-learn",),
    "yaml": ("PyYAML",),
}

_SITES: Final = frozenset({"site-packages", "dist-packages"})
_SCRIPTS: Final = frozenset({"__main__", "__mp_main__"})


@dataclass(frozen=True, slots=True)
class Requirements:
    """What an environment must hold to load a model.

    Parameters
    ----------
    pins : ``name==version`` lines, sorted by name. Local version labels (``2.1.0+cu118``) are left out, because no
        index serves them.
    local_modules : top-level modules that no distribution here installs: beside the script, or installed in editable
        mode. They have to be brought along.
    """

    pins: tuple[str, ...]
    local_modules: tuple[str, ...] = ()


def find_requirements(modules: Iterable[str], *, serialization_format: str = CLOUDPICKLE) -> Requirements:
    """The requirements of a model file that names these modules (dotted names are allowed)."""
    tops = {name.partition(".")[0] for name in modules}
    if serialization_format in NEEDS:
        tops.add(NEEDS[serialization_format])
    frameworks = FRAMEWORKS[:1] if serialization_format in NATIVE_FORMATS else FRAMEWORKS
    return _find(frozenset(tops.union(frameworks)))


def is_local(top: str) -> bool:
    """Whether this top-level module is the user's own: part of no distribution, of no Python, and not the script."""
    return top not in sys.stdlib_module_names and top not in _SCRIPTS and _pins(top) is None


@lru_cache(maxsize=256)
def _find(tops: frozenset[str]) -> Requirements:
    pins: set[str] = set()
    local: set[str] = set()
    for top in tops - sys.stdlib_module_names - _SCRIPTS:
        found = _pins(top)
        if found is None:
            local.add(top)
        else:
            pins.update(found)
    return Requirements(tuple(sorted(pins, key=str.lower)), tuple(sorted(local)))


@cache
def _pins(top: str) -> tuple[str, ...] | None:
    """The pins that install this module; none for an optional one that is not here, ``None`` for a local module."""
    place = _location(top)
    if place == "built-in" or (place is None and top not in sys.modules and util.find_spec(top) is None):
        return ()
    for name in (*_DISTRIBUTIONS.get(top, ()), top):
        try:
            distribution = metadata.distribution(name)
        except (metadata.PackageNotFoundError, ValueError):
            continue
        if top in FRAMEWORKS or _installs(distribution, place):
            return (_pin(distribution),)
    if place is None or _is_installed(place):
        # A compiled module may call itself ``_loss`` and stand inside a package.
        owners = {*_owners().get(top, ()), *(() if place is None else _owners().get(_installed_as(place), ()))}
        found = [metadata.distribution(name) for name in owners]
        if pins := tuple(_pin(distribution) for distribution in found if _installs(distribution, place)):
            return pins
    return None


def _pin(distribution: metadata.Distribution) -> str:
    return f"{distribution.name}=={distribution.version.partition('+')[0]}"


@cache
def _owners() -> Mapping[str, list[str]]:
    return metadata.packages_distributions()  # type: ignore[return-value, unused-ignore]


def _location(top: str) -> str | None:
    """The file or folder that the module was, or would be, imported from; ``None`` where it has none."""
    module = sys.modules.get(top)
    try:
        spec = module.__spec__ if module is not None else util.find_spec(top)
    except (ImportError, AttributeError, ValueError):
        spec = None
    if spec is None:
        return getattr(module, "__file__", None)
    if spec.origin in ("built-in", "frozen"):
        return "built-in"
    if spec.submodule_search_locations:
        return next(iter(spec.submodule_search_locations))
    return spec.origin


def _installs(distribution: metadata.Distribution, place: str | None) -> bool:
    """Whether the module at this place is this distribution's; not so for an editable install."""
    if place is None:
        return True
    return Path(place).resolve().is_relative_to(Path(str(distribution.locate_file(""))).resolve())


def _is_installed(place: str) -> bool:
    return not _SITES.isdisjoint(Path(place).parts)


def _installed_as(place: str) -> str:
    """The top-level name under which a file or folder stands in the packages that are installed."""
    parts = Path(place).parts
    after = max(index for index, part in enumerate(parts) if part in _SITES) + 1
    return parts[after].partition(".")[0] if after < len(parts) else ""
