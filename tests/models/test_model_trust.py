"""Where a pickle may be loaded from, and what is said where it may not."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sklearn.linear_model import LinearRegression

import autotrack
from autotrack import digests, settings
from autotrack.entities import LoggedModel
from autotrack.errors import ModelError, ModelRefused, SettingsError
from autotrack.events import Entry, ModelLogged, RunEnded, RunStarted
from autotrack.models import load_model as load_folder
from autotrack.models import write_model
from autotrack.models.ownership import doubt_of
from autotrack.query.locating import locate_model
from autotrack.query.trust import is_named
from autotrack.stores import open_store

RUN = "a" * 32
Write = Callable[..., Path]


@pytest.fixture
def model() -> LinearRegression:
    return LinearRegression().fit([[0.0], [1.0]], [0.0, 2.0])


@pytest.fixture
def folder(model: Any, tmp_path: Path) -> Path:
    """A model's folder that is in no store."""
    write_model(tmp_path / "elsewhere" / "model", model, run_id=RUN, signature=None, created=0)
    return tmp_path / "elsewhere" / "model"


def put(uri: str, folder: Path, form: str = "cloudpickle") -> Any:
    """A store with a run that has this model."""
    store = open_store(uri)
    logged = LoggedModel("model", "LinearRegression", form, digest=digests.of_folder(folder))
    events = [RunStarted(RUN, "Ridge", 1_780_000_000_000, process_id="p"), ModelLogged(RUN, logged)]
    events.append(RunEnded(RUN, "FINISHED", 1_780_000_001_000))
    entries = [Entry("20260528T000000-0123456789ab", number, event) for number, event in enumerate(events, 1)]
    store.apply(entries[:1])
    store.put_artifact(RUN, "model", folder)
    store.apply(entries)
    return store


@pytest.fixture
def fitted(logged: Path) -> Any:
    """A run of one's own store."""
    LinearRegression().fit([[0.0], [1.0]], [0.0, 2.0])
    autotrack.flush()
    return autotrack.get_run("latest")


# one's own


def test_ones_own_folder_is_trusted_by_every_name(fitted: Any, logged: Path) -> None:
    path = fitted.artifact_path("model")
    for reference in ("runs:/latest/model", path, str(path), path.as_uri(), os.path.relpath(path)):
        assert autotrack.load_model(reference).coef_ == pytest.approx([2.0])
        assert locate_model(reference).digest == digests.of_folder(path)
    assert autotrack.load_model("runs:/latest/model", store=logged).coef_ == pytest.approx([2.0])
    assert fitted.model().coef_ == pytest.approx([2.0])


def test_what_was_changed_in_ones_own_folder_is_refused_by_every_name(fitted: Any) -> None:
    path = fitted.artifact_path("model")
    (path / "extra.txt").write_text("x")
    for reference in ("runs:/latest/model", path, path.as_uri()):
        with pytest.raises(ModelError, match="is not what was logged"):
            autotrack.load_model(reference)
    with pytest.raises(ModelError, match="is not what was logged"):
        autotrack.load_model("runs:/latest/model", trusted=True)
    assert autotrack.load_model(path, trusted=True).coef_ == pytest.approx([2.0])


def test_memory_is_ones_own(model: Any, folder: Path) -> None:
    store = put("memory:trust", folder)
    assert autotrack.load_model(f"runs:/{RUN}/model", store=store).coef_ == pytest.approx([2.0])
    assert autotrack.load_model(store.artifact_path(RUN, "model"), store=store).coef_ == pytest.approx([2.0])


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="there are no owners here")
@pytest.mark.parametrize("place", ["", "artifacts", "model", "model/model.pkl", "model/extra"])
def test_a_folder_that_others_can_write_to_is_not(place: str, fitted: Any, logged: Path) -> None:
    path = fitted.artifact_path("model")
    target = {"": logged, "artifacts": path.parent, "model": path}.get(place) or path / place.partition("/")[2]
    if place == "model/extra":
        target.mkdir()
    target.chmod(0o777)
    with pytest.raises(ModelRefused, match=r"every user of this machine can write to .*chmod -R go-w"):
        autotrack.load_model(path if place != "model/extra" else "runs:/latest/model", trusted_types=None)
    target.chmod(0o700)
    if place != "model/extra":
        assert autotrack.load_model(path).coef_ == pytest.approx([2.0])


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("place", [".", "model.pkl", "MLmodel"])
def test_a_folder_with_files_of_another_user_is_not(place: str, fitted: Any) -> None:
    path = fitted.artifact_path("model")
    os.chown(path / place, 65534, -1)
    with pytest.raises(ModelRefused, match="belongs to another user"):
        fitted.model()
    assert fitted.model(trusted=True).coef_ == pytest.approx([2.0])


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away")
def test_the_group_may_write_only_where_it_is_the_users_own(fitted: Any, logged: Path) -> None:
    path = fitted.artifact_path("model") / "model.pkl"
    path.chmod(0o664)
    assert doubt_of(logged, path.parent) == ""  # the group root is root's own
    os.chown(path, -1, 65534)
    assert "can write to" in doubt_of(logged, path.parent)


# everything else


@pytest.mark.parametrize("scheme", ["sqlite:///{}/runs.db", "mlruns:{}/mlruns"])
def test_other_stores_are_refused_until_they_are_trusted(
    scheme: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = scheme.format(tmp_path)
    store = put(uri, folder)
    run = autotrack.get_run(RUN, store=store)
    reference = f"runs:/{RUN}/model"
    for load in (run.model, lambda **how: autotrack.load_model(reference, store=uri, **how)):
        with pytest.raises(ModelRefused, match=r"no folder of your own.*trusted=True.*trusted_sources"):
            load()
        assert load(trusted=True).coef_ == pytest.approx([2.0])
    monkeypatch.setenv("AUTOTRACK_TRUSTED_SOURCES", f"/nowhere,{uri}")
    assert run.model().coef_ == pytest.approx([2.0])
    store.close()


def test_a_folder_outside_of_the_store_is_refused(folder: Path, tmp_path: Path) -> None:
    for reference in (folder, str(folder), folder.as_uri(), os.path.relpath(folder)):
        with pytest.raises(ModelRefused, match="not inside your own store"):
            autotrack.load_model(reference)
        assert autotrack.load_model(reference, trusted=True).coef_ == pytest.approx([2.0])


def test_a_folder_that_looks_like_a_store_is_not_ones_own(fitted: Any, logged: Path, tmp_path: Path) -> None:
    shutil.copytree(logged, tmp_path / "downloads" / ".autotrack")
    path = tmp_path / "downloads" / ".autotrack" / fitted.artifact_path("model").relative_to(logged)
    with pytest.raises(ModelRefused, match="not inside your own store"):
        autotrack.load_model(path)


def test_a_link_in_ones_own_store_is_not_ones_own(fitted: Any, logged: Path, folder: Path) -> None:
    link = fitted.artifact_path("model").parent / "other"
    link.symlink_to(folder)
    with pytest.raises(ModelRefused, match="not inside your own store"):
        autotrack.load_model(link)


def test_a_skops_file_loads_from_anywhere(model: Any, tmp_path: Path) -> None:
    pytest.importorskip("skops")
    folder = tmp_path / "elsewhere"
    write_model(folder, model, run_id=RUN, signature=None, created=0, serialization_format="skops")
    assert autotrack.load_model(folder).coef_ == pytest.approx([2.0])
    store = put(f"sqlite:///{tmp_path}/runs.db", folder, "skops")
    assert autotrack.load_model(f"runs:/{RUN}/model", store=store).coef_ == pytest.approx([2.0])
    store.close()


@pytest.mark.parametrize("way", ["environment", "pyproject", "autolog", "star"])
def test_a_source_is_trusted_by_every_way_of_saying_so(
    way: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if way == "environment":
        monkeypatch.setenv("AUTOTRACK_TRUSTED_SOURCES", "elsewhere, s3://bucket")
    elif way == "star":
        monkeypatch.setenv("AUTOTRACK_TRUSTED_SOURCES", "*")
    elif way == "pyproject":
        (tmp_path / "pyproject.toml").write_text('[tool.autotrack]\ntrusted_sources = ["./elsewhere"]\n')
        (tmp_path / "deeper").mkdir()
        monkeypatch.chdir(tmp_path / "deeper")
    else:
        autotrack.autolog(trusted_sources=[str(tmp_path / "elsewhere")])
    assert autotrack.load_model(folder).coef_ == pytest.approx([2.0])
    shutil.copytree(folder, tmp_path / "elsewhere else")
    if way != "star":
        with pytest.raises(ModelRefused):
            autotrack.load_model(tmp_path / "elsewhere else")


@pytest.mark.parametrize(
    ("source", "place", "expected"),
    [
        ("s3://team/models", "s3://team/models/a/model", True),
        ("s3://team/models/", "s3://team/models", True),
        ("s3://team/models", "s3://team/models-of-others/a", False),
        ("s3://team", "gs://team/a", False),
        ("az://team", "abfss://team/a", True),
        ("postgresql://ann:secret@db/runs", "postgresql://ann:***@db/runs?artifacts=s3://b", True),
        ("postgresql+psycopg://db/runs", "postgres://ben@DB/runs", True),
        ("postgresql://db/runs", "postgresql://db/runs2", False),
        ("http://host:5000", "http://host:5000/", True),
        ("http://host:5000", "http://host:50001", False),
        ("http://host", "https://host", False),
        ("/data/runs", "/data/runs/a", True),
        ("file:///data/runs", "/data/runs/a", True),
        ("/data/runs", "/data/runs2", False),
        ("/data/runs", "mlruns:/data/runs", False),
        ("sqlite:////data/runs.db", "sqlite:////data/../data/runs.db", True),
        ("/", "/data", True),
    ],
)
def test_what_a_source_covers(source: str, place: str, expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOTRACK_TRUSTED_SOURCES", source)
    assert is_named(place) is expected


@pytest.mark.parametrize("value", [[""], 3, [3]])
def test_a_source_that_is_none(value: Any) -> None:
    if value == "x, ,y":
        assert settings.resolve({"trusted_sources": value}).trusted_sources == (
            os.path.abspath("x"),
            os.path.abspath("y"),
        )
        return
    with pytest.raises(SettingsError, match="trusted_sources"):
        settings.resolve({"trusted_sources": value})


def test_sources_in_the_environment_are_told_apart_by_commas() -> None:
    found = settings.resolve({}, environ={"AUTOTRACK_TRUSTED_SOURCES": "x, ,s3://team , *"}).trusted_sources
    assert found == (os.path.abspath("x"), "s3://team", "*")


# object stores


def upload(uri: str, folder: Path, *, extra: dict[str, bytes] | None = None) -> None:
    import obstore

    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    store: Any = obstore.store.S3Store(bucket, client_options={"allow_http": True})
    for path in folder.rglob("*"):
        if path.is_file():
            obstore.put(store, f"{prefix}/{path.relative_to(folder).as_posix()}", path.read_bytes())
    for key, content in (extra or {}).items():
        obstore.put(store, f"{prefix}/{key}", content)


def test_a_model_is_loaded_from_an_object_store(s3_uri: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = f"{s3_uri}/team/model"
    (folder / "deep").mkdir()
    (folder / "deep" / "file.txt").write_text("x")
    upload(uri, folder)
    with pytest.raises(ModelRefused, match=rf"comes from {uri}, which is no folder of your own"):
        autotrack.load_model(uri)
    assert autotrack.load_model(uri, trusted=True).coef_ == pytest.approx([2.0])
    assert digests.of_folder(locate_model(uri).folder) == digests.of_folder(folder)
    monkeypatch.setenv("AUTOTRACK_TRUSTED_SOURCES", f"{s3_uri}/team")
    assert autotrack.load_model(uri + "/").coef_ == pytest.approx([2.0])
    with pytest.raises(ModelError, match="there is nothing at"):
        autotrack.load_model(f"{s3_uri}/team/mode")
    with pytest.raises(ModelError, match=r"no MLmodel in it \(it holds model\)"):
        autotrack.load_model(f"{s3_uri}/team")


def test_a_key_that_climbs_is_no_file(s3_uri: str, folder: Path, tmp_path: Path) -> None:
    from autotrack.stores.artifacts.fetching import _wanted
    from autotrack.stores.artifacts.object_client import Bucket, Found

    for key in ("../evil", "a/../../evil", "/evil", "a//../b"):
        with pytest.raises(autotrack.StoreError, match="can be no file"):
            _wanted(Bucket(f"{s3_uri}/model"), [Found(key, 1, 0.0)])


def test_a_run_s_model_in_a_bucket_is_found_after_it_was_replaced(s3_uri: str, folder: Path, model: Any) -> None:
    from autotrack.stores.artifacts import open_artifacts

    storage = open_artifacts(f"{s3_uri}/artifacts")
    storage.put(RUN, "model", folder)
    uri = f"{s3_uri}/artifacts/{RUN}/model"
    assert autotrack.load_model(uri, trusted=True).coef_ == pytest.approx([2.0])
    other = folder.parent / "other"
    model.coef_ = model.coef_ * 2
    write_model(other, model, run_id=RUN, signature=None, created=0)
    storage.put(RUN, "model", other)
    assert autotrack.load_model(uri, trusted=True).coef_ == pytest.approx([4.0])


def test_a_folder_larger_than_the_disk_is_not_fetched(
    s3_uri: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"{s3_uri}/model"
    upload(uri, folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: shutil._ntuple_diskusage(10, 10, 64 * 2**20 + 10))  # type: ignore[attr-defined]
    with pytest.raises(ModelError, match="has room for"):
        autotrack.load_model(uri, trusted=True)


def test_the_low_level_function_trusts_nothing_by_itself(folder: Path) -> None:
    with pytest.raises(ModelRefused, match="nobody has said that it can be trusted"):
        load_folder(folder)
