"""The public functions of the registry, and loading what it names."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sklearn.linear_model import Ridge

import autotrack
from autotrack import ModelError, ModelNotFound, RunNotFound, StoreError
from autotrack.errors import ArtifactNotFound
from autotrack.events import ModelLogged
from autotrack.models import write_model
from autotrack.query.registered import find_registered
from autotrack.stores.memory import MemoryStore
from autotrack.testing.samples import Journal


def fit(alpha: float) -> Ridge:
    return Ridge(alpha=alpha).fit([[0.0], [1.0], [2.0]], [0.0, 1.0, 3.0])


@pytest.fixture(params=["folder", "memory"])
def uri(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A store that autologging writes to, with one run."""
    place = str(tmp_path / ".autotrack") if request.param == "folder" else f"memory:{tmp_path.name}"
    autotrack.autolog(store=place)
    fit(1.0)
    autotrack.flush()
    yield place
    MemoryStore.forget(place)


def test_a_model_is_registered_described_found_and_deleted(uri: str) -> None:
    run = autotrack.get_run("latest")
    version = autotrack.register_model(
        "runs:/latest/model", "price", description="first", tags={"a": "1"}, alias="champion"
    )
    assert (version.name, version.version, version.run_id, version.path) == ("price", 1, run.run_id, "model")
    assert version.digest == run.models[0].digest != ""
    assert version.aliases == ("champion",)
    for asked in (1, "1", "latest", "@champion"):
        assert autotrack.get_model_version("price", asked) == version
    assert autotrack.get_model_version("price", 1, store=uri) == version
    assert autotrack.list_model_versions("price") == [version]
    (model,) = autotrack.list_registered_models()
    assert model == autotrack.get_registered_model("price")
    assert (model.latest_version, model.aliases) == (1, {"champion": 1})

    changed = autotrack.update_model_version("price", "@champion", description="better", tags={"a": None, "b": "2"})
    assert changed == replace(version, description="better", tags={"b": "2"})
    assert autotrack.update_registered_model("price", description="of houses", tags={"t": "u"}).tags == {"t": "u"}
    again = autotrack.register_model("models:/price@champion", "price")
    assert (again.version, again.run_id, again.digest) == (2, run.run_id, version.digest)
    assert autotrack.set_model_alias("price", "champion", "latest") == replace(again, aliases=("champion",))
    with pytest.raises(ModelError, match="champion"):
        autotrack.delete_model_version("price", 2)
    autotrack.delete_model_alias("price", "champion")
    autotrack.delete_model_version("price", 2)
    autotrack.delete_registered_model("price")
    assert autotrack.list_registered_models() == []
    assert autotrack.get_run("latest").run_id == run.run_id


def test_what_is_not_there_is_named(uri: str) -> None:
    with pytest.raises(RunNotFound, match="nothing"):
        autotrack.register_model("runs:/nothing/model", "m")
    for model_uri, message in (
        ("runs:/latest/other", "has no model 'other'; it has 'model'"),
        ("runs:/latest", "is no model URI"),
        ("model", "is no model URI"),
        ("models:/m/1", "no model 'm' is registered"),
    ):
        with pytest.raises(ModelError, match=message):
            autotrack.register_model(model_uri, "n")
    with pytest.raises(ModelError, match="'a/b' cannot be the name"):
        autotrack.register_model("runs:/latest/model", "a/b")
    with pytest.raises(ModelError, match="would read as a version"):
        autotrack.register_model("runs:/latest/model", "m", alias="v1")
    assert autotrack.list_registered_models() == []
    autotrack.register_model("runs:/latest/model", "m")
    odd: Any
    for odd in (7, "7", "Production", "@none", True, None, "x y"):
        with pytest.raises(ModelNotFound, match="'m'"):
            autotrack.get_model_version("m", odd)


def test_the_model_of_a_deleted_run_is_loaded_by_its_version(uri: str) -> None:
    autotrack.register_model("runs:/latest/model", "m", alias="champion")
    autotrack.delete_runs("latest")
    assert autotrack.search_runs().empty
    for reference in ("models:/m/1", "models:/m@champion", "models:/m/latest"):
        assert autotrack.load_model(reference).alpha == 1.0


def test_a_version_is_loaded_as_it_was_registered_or_not_at_all(uri: str) -> None:
    """Another model in its place is no version, and neither are changed bytes."""
    run = autotrack.get_run("latest")
    version = autotrack.register_model("runs:/latest/model", "m")
    found = find_registered("models:/m/1")
    assert (found.run.run_id, found.path, found.digest, found.version) == (
        *(run.run_id, "model"),
        *(version.digest, version),
    )
    folder = run.artifact_path("model")
    (folder / "model.pkl").write_bytes((folder / "model.pkl").read_bytes() + b"x")
    with pytest.raises(ModelError, match="not what was logged"):
        autotrack.load_model("models:/m/1")


def test_a_model_that_was_logged_anew_in_the_same_place_is_registered_anew(store: Path) -> None:
    autotrack.autolog(store=store, log_models=False)
    first = [fit(alpha) for alpha in (1.0, 2.0)]
    autotrack.autolog(store=store, log_models=True)
    with autotrack.start_run() as run:
        run.log_model(first[0], "kept", registered_model_name="m")
        run.log_model(first[0], "replaced", registered_model_name="n")
        assert autotrack.load_model("models:/n/1").alpha == 1.0
    autotrack.flush()
    # Another program writes another model there, as a notebook does that runs a cell again.
    opened = autotrack.open_store(str(store))
    run_id = autotrack.get_run("latest").run_id
    place = store / "artifacts" / run_id / "replaced"
    shutil.rmtree(place)
    written = write_model(place, first[1], run_id=run_id, signature=None, created=1, artifact_path="replaced")
    told = replace(written, path="replaced", registered_model_name="n")
    opened.apply(Journal("20990101T000000-x").entries(ModelLogged(run_id, told)))
    with pytest.raises(ModelError, match=r"logged another model at 'replaced' since.*register_model\('runs:/"):
        autotrack.load_model("models:/n/1")
    assert autotrack.load_model("models:/m/1").alpha == 1.0
    assert autotrack.register_model(f"runs:/{run_id}/replaced", "n").version == 2
    assert autotrack.load_model("models:/n/latest").alpha == 2.0
    assert any("logged another model" in finding.message for finding in opened.check())  # type: ignore[attr-defined]


class Plain:
    """A store that keeps no registered models: what it does not have of another's is not there."""

    def __init__(self, store: Any) -> None:
        self._store = store

    uri = property(lambda self: self._store.uri)
    for _name in (
        *("apply", "get_run", "find_runs", "search_runs", "metric_history", "experiments", "artifacts"),
        *("artifact_path", "put_artifact", "problems", "close"),
    ):
        locals()[_name] = (lambda name: lambda self, *a, **k: getattr(self._store, name)(*a, **k))(_name)


def test_a_store_that_is_no_registry_counts_logged_models_and_says_what_it_cannot(store: Path) -> None:
    autotrack.autolog(store=store, registered_model_name="m")
    for alpha in (1.0, 2.0):
        fit(alpha)
    autotrack.flush()
    plain: Any = Plain(autotrack.open_store(str(store)))
    assert autotrack.load_model("models:/m/1", store=plain, trusted=True).alpha == 1.0
    assert autotrack.load_model("models:/m/latest", store=plain, trusted=True).alpha == 2.0
    with pytest.raises(ModelError, match="keeps no aliases"):
        autotrack.load_model("models:/m@champion", store=plain)
    for ask in (
        lambda: autotrack.list_registered_models(store=plain),
        lambda: autotrack.register_model("runs:/latest/model", "m", store=plain),
    ):
        with pytest.raises(StoreError, match="keeps no registered models"):
            ask()


def test_a_version_whose_run_or_files_are_gone_says_so(uri: str) -> None:
    store: Any = autotrack.open_store(uri)
    store.create_model_version("gone", "f" * 32, "model")
    with pytest.raises(ModelError, match=f"comes from the run '{'f' * 32}', which is not in"):
        autotrack.load_model("models:/gone/1")
    run_id = autotrack.get_run("latest").run_id
    store.create_model_version("nowhere", run_id, "other")
    with pytest.raises((ModelError, ArtifactNotFound), match="no model 'other'"):
        autotrack.load_model("models:/nowhere/1")
