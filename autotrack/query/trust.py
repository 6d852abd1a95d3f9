"""Where a model comes from, and whether what it holds may run.

Yours without being told: a folder store that is in force or was named by hand, as long as every file of the model and
every folder above it, up to the store's, is your own (`autotrack.models.ownership`), and ``memory:``. Others are what
the option ``trusted_sources`` names.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from autotrack import settings
from autotrack.models.ownership import doubt_of
from autotrack.spool import without_secrets
from autotrack.stores.base import Store

_SAME_WORDS: Final = {"abfs": "az", "abfss": "az", "postgres": "postgresql", "mariadb": "mysql"}


def doubt_of_store(store: Store, folder: Path) -> str:
    """Why a model of this store is not trusted, as half a sentence; empty when it is.

    Parameters
    ----------
    folder : where the model stands on this machine's disk.
    """
    from autotrack.stores.local import LocalStore
    from autotrack.stores.memory import MemoryStore

    uri = without_secrets(store.uri)
    if isinstance(store, MemoryStore) or is_named(uri):
        return ""
    if isinstance(store, LocalStore):
        doubt = doubt_of(store.folder, folder)
        return doubt and f"{uri}, where others may have put it: {doubt}"
    return f"{uri}, which is no folder of your own"


def doubt_of_place(place: str) -> str:
    """As `doubt_of_store`, of a folder outside of a store, or of an object store's URI."""
    if is_named(place):
        return ""
    if settings.scheme_of(place):
        return f"{without_secrets(place)}, which is no folder of your own"
    return f"{place}, which is not inside your own store, so that it may have come from anywhere"


def is_named(place: str) -> bool:
    """Whether the option ``trusted_sources`` names this store, URI or folder, or something above it."""
    return any(source == settings.EVERYWHERE or _covers(source, place) for source in settings.trusted_sources())


def _covers(source: str, place: str) -> bool:
    above, below = _plain(source), _plain(place)
    if above == below:
        return True
    separator = "/" if settings.scheme_of(above) else os.sep
    return below.startswith(above.rstrip(separator) + separator)


def _plain(place: str) -> str:
    """A store's URI or a folder in the form in which one is compared: no user, no options, links followed."""
    scheme = settings.scheme_of(place)
    if scheme == "mlruns":
        return "mlruns:" + os.path.realpath(settings.anchored(place)[len("mlruns:") :])
    if scheme == "file":
        from autotrack.stores.artifacts.folder import path_of_uri

        return os.path.realpath(path_of_uri(place))
    if not scheme:
        return os.path.realpath(settings.anchored(place))
    word = scheme.partition("+")[0]
    word = _SAME_WORDS.get(word, word)
    rest = without_secrets(place).partition("?")[0][len(scheme) + 1 :].rstrip("/")
    if word == "sqlite":
        return "sqlite:" + os.path.realpath(settings.anchored(rest.removeprefix("///")))
    host, slash, path = rest.removeprefix("//").partition("/")
    return f"{word}://{host.rpartition('@')[2].lower()}{slash}{path}" if rest.startswith("//") else f"{word}:{rest}"
