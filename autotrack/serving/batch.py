"""Predicting the rows of a file, a chunk of them at a time, into another file."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final

from autotrack.errors import ModelError
from autotrack.serving.batch_reading import STDIN, Source, form_of, located
from autotrack.serving.batch_writing import FORMATS, STDOUT, Sink, prediction_frame
from autotrack.serving.choosing import Choice
from autotrack.serving.payloads import Payload
from autotrack.serving.problems import BadInput
from autotrack.serving.scoring import PREDICT_METHOD, Scorer

CHUNK_ROWS: Final = 20_000
_NOTHING: Final = Choice()


@dataclass(frozen=True, slots=True)
class Predicted:
    """What was done: so many rows in so many chunks, by this method of the model."""

    rows: int
    chunks: int
    method: str


Progress = Callable[[int, int | None, str], None]
"""Called with how much was read, of how much (``None`` where nobody knows), and in what unit: ``B`` or ``rows``."""


def predict_file(
    scorer: Scorer,
    source: str,
    target: str,
    *,
    source_format: str | None = None,
    target_format: str | None = None,
    method: str | None = None,
    choice: Choice = _NOTHING,
    chunk_rows: int = CHUNK_ROWS,
    progress: Progress | None = None,
) -> Predicted:
    """Predict the rows of a file into another, in their order; never more than a chunk of them is in memory.

    A JSON document is the exception: it is read whole, up to `batch_reading.MAX_JSON` bytes.

    Parameters
    ----------
    source, target : paths, or ``-`` for stdin and stdout. The target is written beside its place and renamed at the
        end: when anything fails nothing is there, or what was there before.
    source_format, target_format : ``csv``, ``jsonl``, ``parquet``, ``arrow``, the source's also ``json``; by the
        names' endings when left out.
    method : of the model; ``None`` for the one that it predicts by.
    choice : which columns go where.
    chunk_rows : rows that are predicted in one call. Chunks of wide rows have fewer.

    Raises
    ------
    BadInput
        As the server answers for the same rows; it names the column, the row and the line of the file.
    ScoringFailed
        When the model fails otherwise.
    ModelError
        For a method that the model does not have, an unknown format, and a library that is not installed.
    NotWritten
        When the target cannot be written.
    OSError
        When the source cannot be opened.
    """
    if chunk_rows < 1:
        raise ModelError(f"chunks of {chunk_rows} rows cannot be read: at least 1")
    if method is not None and method not in scorer.methods:
        raise ModelError(
            f"{type(scorer.model).__name__} has no method {method!r} to predict by; it has {', '.join(scorer.methods)}"
        )
    form = target_format or form_of(target, "output", FORMATS)
    if source != STDIN and target != STDOUT and os.path.exists(target) and os.path.samefile(source, target):
        raise ModelError(f"{target} is both the input and the output; name another file for the predictions")
    rows = chunks = 0
    used = method or scorer.default_method
    with Source(source, source_format) as opened, Sink(target, form) as sink:
        # Closed before the file is: a reader that is left in the middle lets go of its buffers.
        with closing(opened.chunks(scorer.schema, choice, chunk_rows)) as parts:  # type: ignore[type-var]
            for chunk in parts:
                params: dict[str, Any] = {PREDICT_METHOD: method} if method is not None else chunk.params
                used = scorer.method(params)
                last = chunk.first_row + chunk.n_rows - 1
                with located(chunk.first_row, chunk.line_of, f"rows {chunk.first_row} to {last}, counted from 0"):
                    predictions = scorer.predict(Payload(chunk.data, chunk.n_rows, params))
                frame = prediction_frame(predictions, used, scorer, chunk.n_rows)
                sink.write(frame, chunk.kept)
                rows, chunks = rows + chunk.n_rows, chunks + 1
                if progress is not None:
                    progress(chunk.done, opened.total, opened.unit)
        if not chunks:
            raise BadInput("empty", "the input has no rows")
    return Predicted(rows, chunks, used)
