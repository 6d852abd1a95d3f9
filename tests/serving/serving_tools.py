"""Models with their schemas, and requests in every format, for the tests of serving."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pandas as pd

from autotrack.models import ModelInfo, infer_signature
from autotrack.serving.payloads import Payload, read_payload
from autotrack.serving.problems import BadInput
from autotrack.serving.schema import InputSchema
from autotrack.serving.scoring import Scorer

ARROW = "application/vnd.apache.arrow.stream"
ARROW_FILE = "application/vnd.apache.arrow.file"
PARQUET = "application/vnd.apache.parquet"


def describe(model: Any, X: Any = None) -> ModelInfo:
    """What a folder of this model would say; without a signature where no X is given."""
    signature = None if X is None else infer_signature(X, model.predict(X)).signature
    return ModelInfo(Path("model"), signature=signature)


def scorer(model: Any, X: Any = None) -> Scorer:
    info = describe(model, X)
    return Scorer(model, info, InputSchema.of(info, model))


def schema_of(X: Any) -> InputSchema:
    """What a model takes that was fitted on this, and tells nothing itself."""
    info = ModelInfo(Path("model"), signature=infer_signature(X).signature)
    assert info.signature is not None
    return InputSchema.of(info, object())


def read(request: Any, schema: InputSchema, content_type: str | None = "application/json", **options: Any) -> Payload:
    body = request if isinstance(request, bytes) else json.dumps(request).encode()
    return read_payload(body, content_type, schema, **options)


def refusal(
    request: Any, schema: InputSchema, content_type: str | None = "application/json", **options: Any
) -> BadInput:
    """The problem that reading it raises."""
    try:
        payload = read(request, schema, content_type, **options)
    except BadInput as problem:
        json.dumps(problem.to_json()).encode()  # it has to be sent
        return problem
    raise AssertionError(f"it was taken: {payload}")


def arrow_bytes(frame: pd.DataFrame, *, is_file: bool = False) -> bytes:
    import pyarrow as pa

    table = pa.Table.from_pandas(frame)
    sink = pa.BufferOutputStream()
    make = pa.ipc.new_file if is_file else pa.ipc.new_stream
    with make(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue().to_pybytes())


def parquet_bytes(frame: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.to_parquet(buffer)
    return buffer.getvalue()
