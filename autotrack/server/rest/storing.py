"""Files between requests and the store: a body becomes an artifact with its event, an artifact becomes an answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from autotrack.entities import Artifact, LoggedModel, Run
from autotrack.errors import StoreError
from autotrack.events import ArtifactLogged, ModelLogged
from autotrack.server import problems
from autotrack.server.problems import Problem
from autotrack.server.rest.holding import held, in_thread
from autotrack.server.rest.locating import Place, writable
from autotrack.server.rest.streaming import Download, open_for, received, upload_folder
from autotrack.stores.base import Store

if TYPE_CHECKING:
    from starlette.requests import Request

    from autotrack.server.site import Site

Find = Callable[[Store], Place]
"""Looks a place up in the store; raises `Problem`."""


async def store_upload(site: Site, request: Request, find: Find) -> None:
    """Put a request's body, of any size, among a run's artifacts.

    Raises
    ------
    Problem
        When there is no such place, or nothing is put there; then the body is not read.
    """
    store = site.store
    place = writable(await site.read(find, store))
    run_id, path = place.run.run_id, place.path
    folder = await site.read(upload_folder, store, run_id)
    async with received(request, folder) as body, held(store, f"file {path} of {run_id}"):
        try:
            await in_thread(store.put_artifact, run_id, path, body.path)
        except StoreError as error:
            if await site.read(_is_in_the_way, store, run_id, path):
                raise Problem(problems.INVALID, f"{path!r} cannot be put there: a part of it is a file") from error
            raise
        run = await site.read(store.get_run, run_id)
        # The files of a logged model have no events of their own.
        if not any(model.model_id for model in _around(run, path)):
            await site.write(ArtifactLogged(run_id, Artifact(path, body.size, body.digest)))
    if any(model.digest for model in _around(run, path)):
        await _forget_digests(site, run_id, path)


async def _forget_digests(site: Site, run_id: str, path: str) -> None:
    """What was taken of a model when it was complete holds no more after one of its files was put anew."""
    async with held(site.store, models_of(run_id)):
        run = await site.read(site.store.get_run, run_id)
        changed = [replace(model, digest="", size=None) for model in _around(run, path) if model.digest]
        await site.write(*[ModelLogged(run_id, model) for model in changed])


def _around(run: Run, path: str) -> list[LoggedModel]:
    """The models in whose folders a file lies."""
    return [model for model in run.models if path.startswith(model.path + "/")]


def models_of(run_id: str) -> str:
    """The lock for changes of what is recorded of a run's models."""
    return f"models of {run_id}"


def _is_in_the_way(store: Store, run_id: str, path: str) -> bool:
    """Whether a part of the path is a file, below which nothing can stand."""
    parts = path.split("/")
    known: dict[str, bool] = {}
    for count in range(1, len(parts)):
        folder = "/".join(parts[: count - 1])
        known |= {artifact.path: artifact.is_dir for artifact in store.artifacts(run_id, folder)}
        if known.get("/".join(parts[:count])) is False:
            return True
    return False


async def download(site: Site, request: Request, find: Find) -> Download:
    """The answer with a file.

    Raises
    ------
    Problem
        When there is none, or it is a folder.
    """
    place = await site.read(find, site.store)
    name = PurePosixPath(place.path).name or "artifacts"
    inside: list[Artifact] = await site.read(site.store.artifacts, place.run.run_id, place.path)
    if not place.path or inside:
        raise Problem(problems.INVALID, f"{place.path!r} is a folder, not a file; list it and ask for its files")

    def fetch() -> Download:
        file = open_for(site.store.artifact_path(place.run.run_id, place.path), place.path)
        try:
            return Download(file, name, request)
        except BaseException:
            file.close()
            raise

    return await in_thread(fetch)


def model_at(run: Run, path: str) -> LoggedModel | None:
    """The model that stands exactly there."""
    return next((model for model in run.models if model.path == path), None)
