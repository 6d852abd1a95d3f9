"""Options: one frozen `Settings`, resolved keyword > environment > ``pyproject.toml`` > default.

Every option ``name`` of `Settings` has the environment variable ``AUTOTRACK_NAME`` and the key ``name`` of
``[tool.autotrack]`` in the nearest ``pyproject.toml`` upwards.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final

from autotrack.entities import DEFAULT_EXPERIMENT
from autotrack.errors import SettingsError

FOLDER: Final = ".autotrack"
SERIALIZATION_FORMATS: Final = ("cloudpickle", "pickle", "skops")
EVERYWHERE: Final = "*"
"""The trusted source that stands for all of them."""

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]+):")
"""As URIs have them, but of two letters or more: one letter and a colon is a drive."""

_PREFIX: Final = "AUTOTRACK_"


@dataclass(frozen=True, slots=True)
class Settings:
    """What a user can choose.

    Parameters
    ----------
    store : URI of the store; empty for the nearest ``.autotrack`` folder upwards, else a new one here.
    experiment : name of the experiment that runs belong to.
    log_models : write the fitted model of every run.
    log_model_signatures : describe the model's inputs and outputs in its ``MLmodel``.
    log_input_examples : keep the first rows of X beside the model.
    log_datasets : fingerprint X and y (columns, dtypes, shape, missing counts, content digest).
    log_post_training_metrics : record ``score`` and ``sklearn.metrics`` calls made after the fit.
    log_plots : keep confusion matrix, ROC curve, residuals … of the training data as plot data.
    max_tuning_runs : so many of a search's best candidates become child runs; ``None`` for all of them.
    max_metric_rows : at most so many training rows are predicted for the training metrics.
    pos_label : the positive class of binary precision, recall and F1; ``None`` for weighted averages.
    extra_tags : tags set on every run.
    registered_model_name : the name under which every run's model is registered; ``None`` for no registration.
    serialization_format : how models are written: ``"cloudpickle"``, ``"pickle"`` or ``"skops"``.
    trusted_sources : stores and folders whose pickled models may be loaded, beside your own folder; ``"*"`` for all.
    exclusive : record nothing of fits inside a run that was opened by hand.
    integrations : names of the libraries to observe; ``None`` for all that are known.
    progress : show a bar on stderr during long searches; ``None`` for in a terminal or notebook.
    silent : print no message and log no warning of our own. Yours are never touched.
    """

    store: str = ""
    experiment: str = DEFAULT_EXPERIMENT
    log_models: bool = True
    log_model_signatures: bool = True
    log_input_examples: bool = False
    log_datasets: bool = True
    log_post_training_metrics: bool = True
    log_plots: bool = True
    max_tuning_runs: int | None = 5
    max_metric_rows: int = 100_000
    pos_label: str | int | None = None
    extra_tags: Mapping[str, str] = field(default_factory=dict)
    registered_model_name: str | None = None
    serialization_format: str = "cloudpickle"
    trusted_sources: tuple[str, ...] = ()
    exclusive: bool = False
    integrations: tuple[str, ...] | None = None
    progress: bool | None = None
    silent: bool = False


OPTIONS: Final = tuple(option.name for option in fields(Settings))

_MLFLOW_ONLY: Final = frozenset(
    {
        "disable_for_unsupported_versions",
        "log_metrics",
    }
)

_uri_set: str | None = None
_uri_pinned: str | None = None
_trusted_pinned: tuple[str, ...] | None = None
_uri_used: ContextVar[str | None] = ContextVar("autotrack_store", default=None)


def resolve(
    keywords: Mapping[str, Any], *, environ: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Settings:
    """The settings that hold for these keywords.

    Raises
    ------
    SettingsError
        For an unknown option or a value that does not fit, naming where it was found.
    """
    environ = os.environ if environ is None else environ
    cwd = cwd or working_folder()
    found: dict[str, Any] = {}
    folder, table = _pyproject(cwd)
    for key, value in table.items():
        _check_name(key, "[tool.autotrack] in pyproject.toml")
        found[key] = _convert(key, value, f"[tool.autotrack] {key}")
    if "store" in found:
        # A store named in a project's file is the same one from every folder of the project.
        found["store"] = anchored(found["store"], folder)
    if "trusted_sources" in found:
        found["trusted_sources"] = _anchored_all(found["trusted_sources"], folder)
    for name in OPTIONS:
        text = environ.get(_PREFIX + name.upper())
        if text is not None:
            found[name] = _convert(name, text, _PREFIX + name.upper())
    for key, value in keywords.items():
        _check_name(key, "autolog()")
        found[key] = _convert(key, value, key)
    if "store" in found:
        found["store"] = anchored(found["store"])
    if "trusted_sources" in found:
        found["trusted_sources"] = _anchored_all(found["trusted_sources"])
    return replace(Settings(), **found)


def store_uri(*, environ: Mapping[str, str] | None = None, cwd: Path | None = None) -> str:
    """The store in force: `use_store` > `set_store` (and ``autolog(store=…)``) > environment > pyproject > default."""
    uri = _uri_used.get() or _uri_set or _uri_pinned
    return uri or resolve({}, environ=environ, cwd=cwd).store or str(default_folder(cwd or working_folder()))


def pin_store(configured: Settings | None) -> None:
    """Settle on the store that these settings, or the default, name now; with ``None`` stop doing so.

    A script that changes its working folder between two fits goes on writing to one store.
    """
    global _uri_pinned
    _uri_pinned = None if configured is None else configured.store or str(default_folder(working_folder()))


def trusted_sources(*, environ: Mapping[str, str] | None = None, cwd: Path | None = None) -> tuple[str, ...]:
    """The sources trusted now: those of ``autolog(trusted_sources=…)`` > environment > pyproject > none."""
    if _trusted_pinned is not None:
        return _trusted_pinned
    return resolve({}, environ=environ, cwd=cwd).trusted_sources


def pin_trusted_sources(configured: Settings | None) -> None:
    """Settle on the sources that these settings trust; with ``None`` stop doing so."""
    global _trusted_pinned
    _trusted_pinned = None if configured is None else configured.trusted_sources


def set_store(uri: str | os.PathLike[str] | None) -> None:
    """Use this store from now on, in the whole process; ``None`` goes back to environment, pyproject and default.

    Raises
    ------
    SettingsError
        When it is neither text nor a path, or empty.
    """
    global _uri_set
    _uri_set = None if uri is None else anchored(_convert("store", uri, "store"))


@contextmanager
def use_store(uri: str | os.PathLike[str]) -> Iterator[None]:
    """Use this store inside the ``with`` block, in this thread or task only.

    Raises
    ------
    SettingsError
        When it is neither text nor a path, or empty.
    """
    token = _uri_used.set(anchored(_convert("store", uri, "store")))
    try:
        yield
    finally:
        _uri_used.reset(token)


def working_folder() -> Path:
    """The working folder; the root of all folders where it was deleted."""
    try:
        return Path.cwd()
    except OSError:  # it was deleted under us
        return Path(os.path.abspath(os.sep))


def default_folder(cwd: Path) -> Path:
    """The nearest ``.autotrack`` folder upwards, as git looks for ``.git``; else the one to make in ``cwd``."""
    for folder in (cwd, *cwd.parents):
        if (folder / FOLDER).is_dir():
            return folder / FOLDER
    return cwd / FOLDER


def scheme_of(uri: str) -> str:
    """The scheme of a store's URI; empty for a plain folder."""
    found = _SCHEME.match(uri)
    return found[1].lower() if found else ""


def anchored(uri: str, folder: Path | None = None) -> str:
    """The URI with a relative folder made absolute, from ``folder`` or the working folder of now."""
    scheme = scheme_of(uri)
    if scheme == "mlruns" and not scheme_of(uri[len("mlruns:") :]):
        return "mlruns:" + anchored(uri[len("mlruns:") :] or "mlruns", folder)
    if scheme:
        return uri
    path = os.path.expanduser(uri)
    return path if os.path.isabs(path) else os.path.normpath(os.path.join(folder or working_folder(), path))


def _anchored_all(places: tuple[str, ...], folder: Path | None = None) -> tuple[str, ...]:
    return tuple(place if place == EVERYWHERE else anchored(place, folder) for place in places)


def _check_name(key: str, where: str) -> None:
    if key in OPTIONS:
        return
    if key in _MLFLOW_ONLY:
        raise SettingsError(
            f"{where} has no option {key!r}: it is one of MLflow's that autotrack does not have; leave it out"
        )
    near = difflib.get_close_matches(key, OPTIONS, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"the options are {', '.join(OPTIONS)}"
    raise SettingsError(f"{where} has no option {key!r}; {hint}")


def _convert(name: str, value: Any, where: str) -> Any:
    match name:
        case "store":
            if isinstance(value, os.PathLike):
                value = os.fspath(value)
            if not isinstance(value, str) or not value.strip():
                raise SettingsError(f"{where}={value!r}: a store is a URI or a folder, such as './runs' or 'memory:'")
            return value
        case "experiment":
            if not isinstance(value, str) or not value.strip():
                raise SettingsError(f"{where}={value!r}: an experiment needs a name")
            return value
        case "max_metric_rows":
            return _count(value, where)
        case "max_tuning_runs":
            return None if _is_none(value) else _count(value, where, least=0)
        case "progress":
            return None if _is_none(value) else _switch(value, where)
        case "registered_model_name":
            if value is not None and (not isinstance(value, str) or not value.strip()):
                raise SettingsError(f"{where}={value!r}: a registered model needs a name")
            return value
        case "serialization_format":
            if value not in SERIALIZATION_FORMATS:
                raise SettingsError(f"{where}={value!r}: expected one of {', '.join(SERIALIZATION_FORMATS)}")
            return value
        case "trusted_sources":
            places = _names(value, where, "stores and folders, such as ['s3://team/models', '/data/runs']") or ()
            if any(not place.strip() for place in places):
                raise SettingsError(f"{where}={value!r}: a source is a store's URI or a folder, not an empty text")
            return places
        case "pos_label":
            if value is not None and (isinstance(value, bool) or not isinstance(value, (str, int))):
                raise SettingsError(f"{where}={value!r}: a class label is a string or an integer")
            return value
        case "extra_tags":
            return _tags(value, where)
        case "integrations":
            return _names(value, where)
        case _:
            return _switch(value, where)


def _switch(value: Any, where: str) -> bool:
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    if text in ("1", "true", "yes", "on"):
        return True
    if text in ("0", "false", "no", "off"):
        return False
    raise SettingsError(f"{where}={value!r}: expected true or false")


def _is_none(value: Any) -> bool:
    # Environment variables and TOML have no None.
    return value is None or (isinstance(value, str) and value.strip().lower() in ("none", ""))


def _count(value: Any, where: str, least: int = 1) -> int:
    try:
        number = int(value)
        if isinstance(value, bool) or number != float(value) or number < least:
            raise ValueError
    except (TypeError, ValueError, OverflowError) as error:
        raise SettingsError(f"{where}={value!r}: expected a whole number from {least} up") from error
    return number


def _tags(value: Any, where: str) -> dict[str, str]:
    if value is None:
        return {}
    if isinstance(value, str):
        pairs = [part.partition("=") for part in value.split(",") if part.strip()]
        if not all(equals for _, equals, _ in pairs):
            raise SettingsError(f"{where}={value!r}: expected key=value,key=value")
        return {key.strip(): text.strip() for key, _, text in pairs}
    if not isinstance(value, Mapping):
        raise SettingsError(f"{where}={value!r}: expected a mapping of tag names to values")
    return {str(key): str(text) for key, text in value.items()}


def _names(
    value: Any, where: str, expected: str = "names, such as ['sklearn', 'matplotlib']"
) -> tuple[str, ...] | None:
    if value is None:
        return None
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if not isinstance(value, (list, tuple, set, frozenset)) or not all(isinstance(name, str) for name in value):
        raise SettingsError(f"{where}={value!r}: expected a list of {expected}")
    return tuple(value)


def _pyproject(cwd: Path) -> tuple[Path, Mapping[str, Any]]:
    for folder in (cwd, *cwd.parents):
        path = folder / "pyproject.toml"
        if path.is_file():
            import tomllib

            try:
                table = tomllib.loads(path.read_text(encoding="utf-8")).get("tool", {}).get("autotrack", {})
            except (OSError, ValueError):
                return folder, {}  # not ours to complain about: other tools will
            if not isinstance(table, dict):
                raise SettingsError(f"{path}: [tool.autotrack] must be a table, not {table!r}")
            return folder, table
    return cwd, {}
