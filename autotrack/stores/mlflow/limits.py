"""What MLflow takes for a key, a value and a time, and what becomes of what it does not take.

A key with characters that MLflow refuses, or that could not be a file's name, is written with ``_`` for them and eight
hexadecimal digits of its hash behind it, so that two keys never meet. A value that is too long is cut, and its end says
how long it was. Characters that are no text (lone surrogates) or that databases refuse (NUL) become U+FFFD.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
from typing import Final

MAX_KEY: Final = 250
MAX_PARAM: Final = 6_000
MAX_TAG: Final = 8_000
MAX_EXPERIMENT_NAME: Final = 500
MAX_DATASET_NAME: Final = 500
MAX_DATASET_DIGEST: Final = 36
MAX_DATASET_SOURCE: Final = 65_535
MAX_DATASET_SCHEMA: Final = 1_048_575
MAX_DATASET_PROFILE: Final = 16_777_215
MAX_INPUT_TAG_KEY: Final = 255
MAX_INPUT_TAG: Final = 500

MAX_METRICS_PER_BATCH: Final = 1_000
MAX_PARAMS_PER_BATCH: Final = 100
MAX_TAGS_PER_BATCH: Final = 100
MAX_ENTITIES_PER_BATCH: Final = 1_000
MAX_BATCH_BYTES: Final = 1_000_000

LATEST_TIME: Final = 9_200_000_000_000
"""Milliseconds of a day in 2261: pandas, by which MLflow shows times, has no later ones."""

_MAX_NAME_BYTES: Final = 255
"""So long may a file's name be."""

_KEY: Final = re.compile(r"[/\w.\- :]*")
_NOT_IN_KEY: Final = re.compile(r"[^\w.\- :]")
_NOT_IN_MODEL_NAME: Final = re.compile(r"""[/:.%"']""")
_NO_TEXT: Final = re.compile("[\ud800-\udfff\0]")
_RUN_ID: Final = re.compile(r"[a-zA-Z0-9][\w\-]{0,255}", re.ASCII)


def run_id_is_valid(run_id: str) -> bool:
    """Whether MLflow takes this for a run's id."""
    return _RUN_ID.fullmatch(run_id) is not None


def key_is_valid(key: str) -> bool:
    """Whether MLflow takes this for the key of a param, metric or tag."""
    if not key or len(key) > MAX_KEY or _KEY.fullmatch(key) is None:
        return False
    if posixpath.normpath(key) != key or key == "." or key.startswith(("..", "/")):
        return False
    return all(len(part.encode("utf-8", "replace")) <= _MAX_NAME_BYTES for part in key.split("/"))


def key_for(key: str) -> str:
    """The key itself where MLflow takes it, else one that it takes."""
    return key if key_is_valid(key) else other_key(key)


def other_key(key: str) -> str:
    """A key that MLflow takes and that is no folder of another one, in the place of this one."""
    kept = _NOT_IN_KEY.sub("_", key[:MAX_KEY]).strip(". ")
    while len(kept) > 200 or len(kept.encode()) > 200:
        kept = kept[:-1]
    return f"{kept or '_'}-{hash_of(key)}"


def hash_of(text: str) -> str:
    """Eight hexadecimal digits."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def clean(text: str) -> str:
    """The text with U+FFFD for what is no character."""
    return _NO_TEXT.sub("\ufffd", text)


def cut(text: str, limit: int) -> str:
    """The clean text, of at most so many characters."""
    text = clean(text)
    if len(text) <= limit:
        return text
    mark = f"… [cut: {len(text):,} characters]"
    return text[: limit - len(mark)] + mark


def name_for(name: str, limit: int) -> str:
    """A name that is neither empty nor too long nor that of another thing with a longer one."""
    cleaned = clean(name).strip("\r\n")
    if cleaned == name and name.strip() and len(name) <= limit:
        return name
    return f"{cleaned[: limit - 9].strip() or 'unnamed'}-{hash_of(name)}"


def model_name_for(name: str) -> str:
    """A name for a logged model."""
    return _NOT_IN_MODEL_NAME.sub("_", clean(name))[:MAX_KEY] or "model"


def time_for(milliseconds: int) -> int:
    """The nearest time that MLflow can show."""
    return max(0, min(milliseconds, LATEST_TIME))
