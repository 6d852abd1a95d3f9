"""``autotrack models predict``, ``package`` and ``export``."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import venv
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from packaging.requirements import Requirement
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_diabetes
from sklearn.ensemble import GradientBoostingRegressor, RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

import autotrack
from autotrack.cli.app import app
from autotrack.models import infer_signature, write_model

Call = Callable[..., Result]


def folder_of(model: Any, X: Any, place: Path) -> Path:
    write_model(
        place,
        model,
        run_id="0" * 32,
        signature=infer_signature(X, model.predict(X)).signature,
        created=1_780_000_000_000,
    )
    return place


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "age": rng.normal(40, 10, 90),
            "visits": rng.integers(0, 9, 90),
            "town": rng.choice(["Ulm", "Köln", "Bonn"], 90),
        }
    )


@pytest.fixture(scope="module")
def model(data: pd.DataFrame) -> Any:
    picks = make_column_transformer((OneHotEncoder(), ["town"]), (StandardScaler(), ["age", "visits"]))
    return make_pipeline(picks, LogisticRegression()).fit(data, data["visits"] > 4)


def test_a_model_of_a_run_predicts_a_file(store: Path, call: Call, tmp_path: Path) -> None:
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    autotrack.autolog(store=store)
    fitted = LinearRegression().fit(X, y)
    autotrack.flush()
    X.assign(patient=range(len(X))).to_csv(tmp_path / "rows.csv", index=False)
    arguments = ("models", "predict", "runs:/latest/model", "--input", "rows.csv", "--output", "out.parquet")
    refused = call(*arguments)
    assert refused.exit_code == 1
    assert "rows.csv: the input has a column that the model does not know: 'patient'" in refused.stderr
    assert "--keep COLUMN" in refused.stderr
    assert not (tmp_path / "out.parquet").exists()
    done = call(*arguments, "--keep", "patient", "--chunk-rows", "100")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "442 rows by predict in out.parquet\n", "")
    found = pd.read_parquet(tmp_path / "out.parquet")
    assert np.allclose(found["prediction"], fitted.predict(X), rtol=1e-12)
    assert found["patient"].tolist() == [str(number) for number in range(442)]


def test_pipes_methods_and_trust(data: pd.DataFrame, model: Any, call: Call, tmp_path: Path) -> None:
    place = str(folder_of(model, data, tmp_path / "model"))
    options = ["--input", "-", "--output", "-", "--output-format", "jsonl", "--method", "predict_proba"]
    untrusted = call("models", "predict", place, *options)
    assert (untrusted.exit_code, "holds a pickle" in untrusted.stderr) == (1, True)
    for form, content in (
        ("csv", data.to_csv(index=False).encode()),
        ("parquet", _bytes(data.to_parquet)),
        ("arrow", _bytes(data.to_feather)),
    ):
        command = ["models", "predict", place, *options, "--trusted", "--input-format", form]
        done = CliRunner().invoke(app, command, input=content)
        assert (done.exit_code, done.stderr) == (0, "90 rows by predict_proba in -\n")
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        assert list(rows[0]) == ["probability_False", "probability_True"]
        assert np.allclose([list(row.values()) for row in rows], model.predict_proba(data), rtol=1e-12)
    nameless = call("models", "predict", place, "--trusted", "-i", "-", "-o", "x.csv")
    assert "--input - needs --input-format" in nameless.stderr
    missing = call("models", "predict", place, "--trusted", "-i", "nowhere.csv", "-o", "x.csv")
    assert (missing.exit_code, "nowhere.csv" in missing.stderr) == (1, True)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_an_output_that_is_no_file_is_written_to_as_it_comes(
    data: pd.DataFrame, model: Any, call: Call, tmp_path: Path
) -> None:
    place = str(folder_of(model, data, tmp_path / "model"))
    data.to_csv(tmp_path / "rows.csv", index=False)
    os.mkfifo(tmp_path / "pipe")
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit((tmp_path / "pipe").read_text)
        done = call("models", "predict", place, "--trusted", "-i", "rows.csv", "-o", "pipe", "--output-format", "csv")
        assert (done.exit_code, done.stderr) == (0, "")
        assert len(found.result(30).splitlines()) == 91
    assert (tmp_path / "pipe").is_fifo()
    command = [sys.executable, "-m", "autotrack", "models", "predict", place, "--trusted", "-i", "rows.csv"]
    command += ["--output-format", "csv", "-o", "/dev/stdout"]
    piped = subprocess.run(command, check=True, capture_output=True, text=True)
    assert piped.stdout.startswith("prediction\n")


def test_rows_that_may_depend_on_one_another_are_said_to_be_in_chunks(call: Call, tmp_path: Path) -> None:
    X = pd.DataFrame({"a": np.arange(10.0)})
    centred = make_pipeline(FunctionTransformer(_centred), LinearRegression()).fit(X, X["a"])
    place = str(folder_of(centred, X, tmp_path / "model"))
    X.to_csv(tmp_path / "rows.csv", index=False)
    arguments = ("models", "predict", place, "--trusted", "-i", "rows.csv", "-o", "out.csv", "--chunk-rows")
    assert "predict all at once with --chunk-rows 10" in call(*arguments, "4").stderr
    assert call(*arguments, "10").stderr == ""


def test_a_packaged_model_has_all_that_its_dockerfile_copies_and_installs(
    data: pd.DataFrame, model: Any, call: Call, tmp_path: Path
) -> None:
    source = folder_of(model, data, tmp_path / "model")
    target = tmp_path / "image"
    arguments = ("models", "package", str(source), "--to", str(target))
    refused = call(*arguments)
    assert (refused.exit_code, "which the image would run" in refused.stderr) == (1, True)
    assert not target.exists()
    done = call(*arguments, "--trusted")
    assert (done.exit_code, done.stderr) == (0, "")
    assert _tree(target / "model") == _tree(source)
    steps = _dockerfile(target / "Dockerfile")
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert steps[0] == ("FROM", f"python:{python}-slim")
    for step, text in steps:
        if step == "COPY":
            *files, _ = text.split()
            assert all((target / file).exists() for file in files)
    names = [step for step, _ in steps]
    assert names.index("USER") < names.index("CMD")
    assert ("EXPOSE", "8080") in steps
    assert any(step == "HEALTHCHECK" and "http://127.0.0.1:8080/ping" in text for step, text in steps)
    command = json.loads(dict(steps)["CMD"])
    assert command[:4] == ["autotrack", "models", "serve", "/opt/app/model"]
    assert "token" not in " ".join(command).lower()
    lines = [line for line in (target / "requirements.txt").read_text().splitlines() if not line.startswith("#")]
    assert lines[:-1] == (source / "requirements.txt").read_text().splitlines()
    assert {Requirement(line).name for line in lines[:-1]} >= {"scikit-learn", "numpy", "pandas"}
    wheel = re.fullmatch(r"\./(autotrack-.*\.whl)\[serving\]", lines[-1])
    assert wheel is not None
    assert (target / wheel[1]).is_file()
    again = call(*arguments, "--trusted")
    assert (again.exit_code, "not empty" in again.stderr) == (1, True)


def test_the_wheel_in_a_package_installs_and_predicts_in_an_environment_of_its_own(
    data: pd.DataFrame, model: Any, call: Call, tmp_path: Path
) -> None:
    source = folder_of(model, data, tmp_path / "model")
    assert call("models", "package", str(source), "--to", "image", "--trusted").exit_code == 0
    # What the Dockerfile's RUN does, but that the packages of the index are those of this environment.
    venv.create(tmp_path / "env", with_pip=False, symlinks=True)
    binaries = tmp_path / "env" / ("Scripts" if os.name == "nt" else "bin")
    (wheel,) = (tmp_path / "image").glob("*.whl")
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(binaries / "python"),
        "install",
        "--no-deps",
        "--no-index",
        "--no-compile",
    ]
    subprocess.run([*pip, "--disable-pip-version-check", "-q", str(wheel)], check=True, cwd=tmp_path)
    (site,) = (tmp_path / "env").rglob("site-packages")
    others = next(path for path in sys.path if path.endswith("site-packages"))
    (site / "others.pth").write_text(others + "\n")
    data.to_csv(tmp_path / "rows.csv", index=False)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    code = "import autotrack, runpy, sys; print(autotrack.__file__, flush=True); del sys.argv[0]; "
    code += "runpy.run_path(sys.argv[0], run_name='__main__')"
    options = ["models", "predict", "image/model", "--trusted", "-i", "rows.csv", "-o", "o.csv"]
    command = [binaries / "python", "-c", code, binaries / "autotrack", *options]
    done = subprocess.run(command, check=True, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.startswith(str(site))
    assert pd.read_csv(tmp_path / "o.csv")["prediction"].tolist() == model.predict(data).tolist()
    described = zipfile.ZipFile(wheel).read(f"autotrack-{autotrack.__version__}.dist-info/METADATA").decode()
    wanted = [line.partition(": ")[2] for line in described.splitlines() if line.startswith("Requires-Dist")]
    parsed = [Requirement(line) for line in wanted]
    assert {one.name for one in parsed if one.marker is None} >= {"scikit-learn", "pandas", "click"}
    assert {one.name for one in parsed if one.marker and one.marker.evaluate({"extra": "serving"})} >= {"uvicorn"}


def test_a_package_takes_nothing_from_outside_of_the_model(
    data: pd.DataFrame, model: Any, call: Call, tmp_path: Path
) -> None:
    source = folder_of(model, data, tmp_path / "model")
    pins = source / "requirements.txt"
    pins.write_text(
        pins.read_text()
        + "--index-url https://example.org\nevil @ https://example.org/x.whl\n"
        + "numpy --config-settings=a=b\nlightgbm==4.6\n"
    )
    done = call("models", "package", str(source), "--to", "image", "--trusted", "--autotrack", "autotrack==0.1.0")
    assert done.exit_code == 0
    assert done.stderr.count("left out") == 3
    text = (tmp_path / "image" / "requirements.txt").read_text()
    assert "example.org" not in text
    assert text.endswith("autotrack[serving]==0.1.0\n")
    assert "libgomp1" in (tmp_path / "image" / "Dockerfile").read_text()
    for wrong in ("pandas", "nowhere.whl"):
        refused = call("models", "package", str(source), "--to", "other", "--trusted", "--autotrack", wrong)
        assert (refused.exit_code, repr(wrong) in refused.stderr) == (1, True)
    (tmp_path / "secret").write_text("secret")
    (source / "link").symlink_to(tmp_path / "secret")
    refused = call("models", "package", str(source), "--to", "other", "--trusted")
    assert (refused.exit_code, "outside of the folder" in refused.stderr) == (1, True)
    assert not [name for name in os.listdir(tmp_path) if name.startswith("other")]


def test_an_exported_model_predicts_the_same_in_onnxruntime(
    data: pd.DataFrame, model: Any, call: Call, tmp_path: Path
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("skl2onnx")
    place = str(folder_of(model, data, tmp_path / "model"))
    arguments = ("models", "export", place, "--format", "onnx", "--trusted", "--output")
    done = call(*arguments, "by-name.onnx")
    assert (done.exit_code, done.stderr) == (0, "")
    assert "age tensor(float), visits tensor(int64), town tensor(string) → label, probabilities" in done.stdout
    assert "compared with the model on 64 rows that were made up" in done.stdout
    session = onnxruntime.InferenceSession(str(tmp_path / "by-name.onnx"))
    feed = {
        "age": data[["age"]].to_numpy(np.float32),
        "visits": data[["visits"]].to_numpy(),
        "town": data[["town"]].to_numpy(object),
    }
    assert np.allclose(session.run(["probabilities"], feed)[0], model.predict_proba(data), atol=1e-5)
    data.assign(id=1).to_csv(tmp_path / "rows.csv", index=False)
    assert "model on 90 rows: the" in call(*arguments, "checked.onnx", "--check", "rows.csv").stdout

    X, y = load_diabetes(return_X_y=True, as_frame=True)
    for number, fitted in enumerate(
        [LinearRegression().fit(X, y), GradientBoostingRegressor(n_estimators=9).fit(X, y)]
    ):
        place = str(folder_of(fitted, X, tmp_path / f"model-{number}"))
        done = call("models", "export", place, "--format", "onnx", "--trusted", "-o", "array.onnx")
        assert done.exit_code == 0, done.stderr
        session = onnxruntime.InferenceSession(str(tmp_path / "array.onnx"))
        columns = json.loads(session.get_modelmeta().custom_metadata_map["autotrack.columns"])
        found = session.run(None, {"input": X[columns].to_numpy(np.float32)})[0].ravel()
        assert np.allclose(found, fitted.predict(X), rtol=1e-4)


def test_what_cannot_be_exported_is_said_and_nothing_is_written(call: Call, tmp_path: Path) -> None:
    pytest.importorskip("skl2onnx")
    X = pd.DataFrame({"a": np.arange(20.0), "b": np.arange(20.0)[::-1]})

    def refusal(model: Any, name: str, X: Any = X) -> str:
        place = str(folder_of(model, X, tmp_path / name))
        done = call("models", "export", place, "--format", "onnx", "--trusted", "-o", "model.onnx")
        assert done.exit_code == 1
        assert not (tmp_path / "model.onnx").exists()
        return done.stderr

    function = make_pipeline(FunctionTransformer(_centred), LinearRegression()).fit(X, X["a"])
    assert "skl2onnx cannot convert Pipeline" in refusal(function, "function")
    frame = X.assign(when=pd.Timestamp("2026-01-01"))
    picks = make_column_transformer((StandardScaler(), ["a"]), ("drop", ["when"]))
    dated = make_pipeline(picks, LinearRegression()).fit(frame, X["a"])
    assert "column 'when' has the type datetime" in refusal(dated, "dated", frame)
    xgboost = pytest.importorskip("xgboost")
    boosted = make_pipeline(StandardScaler(), xgboost.XGBRegressor(n_estimators=2)).fit(X, X["a"])
    assert "XGBRegressor is xgboost's" in refusal(boosted, "boosted")


def test_a_file_that_predicts_something_else_is_not_written(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("skl2onnx")
    from autotrack.errors import ModelError
    from autotrack.models import ModelInfo
    from autotrack.serving.onnx_file import export_onnx
    from autotrack.serving.schema import InputSchema

    X = np.random.default_rng(0).normal(size=(80, 3)) * 1e-3 + 1e6  # 32 bits see one number where 64 see many
    forest = RandomForestClassifier(5, random_state=0).fit(X - 1e6, X[:, 0] > 1e6)
    shifted = LinearRegression().fit(X, X[:, 0] * 1e3 - 1e9)
    for model, rows, is_same in ((forest, X - 1e6, True), (shifted, X, False)):
        schema = InputSchema.of(ModelInfo(Path("m"), signature=infer_signature(X).signature), model)
        target = tmp_path / f"{is_same}.onnx"
        if is_same:
            assert export_onnx(model, schema, target, rows=rows).difference < 1e-4
        else:
            with pytest.raises(ModelError, match="predicts something else than LinearRegression"):
                export_onnx(model, schema, target, rows=rows)
        assert target.exists() == is_same


def test_texts_are_exported_and_a_missing_extra_is_named(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("skl2onnx")
    texts = ["good wine", "bad wine", "very good", "very bad"] * 5
    # Lower case needs a locale of the system's in onnxruntime, which not every machine has.
    words = make_pipeline(CountVectorizer(lowercase=False), LogisticRegression()).fit(texts, [1, 0, 1, 0] * 5)
    place = str(folder_of(words, texts, tmp_path / "words"))
    arguments = ("models", "export", place, "--format", "onnx", "--trusted", "-o", "words.onnx")
    done = call(*arguments)
    assert (done.exit_code, done.stderr) == (0, "")
    assert "input tensor(string)" in done.stdout
    monkeypatch.setitem(sys.modules, "skl2onnx", None)
    assert "pip install 'autotrack[onnx]'" in call(*arguments).stderr


def _centred(X: Any) -> Any:
    return X - X.mean()


def _bytes(write: Callable[[Any], Any]) -> bytes:
    buffer = io.BytesIO()
    write(buffer)
    return buffer.getvalue()


def _tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _dockerfile(path: Path) -> list[tuple[str, str]]:
    text = re.sub(r"\\\n\s*", "", re.sub(r"(?m)^#.*\n", "", path.read_text()))
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in text.splitlines() if line.strip())]
