"""``autotrack models package``: a model as a folder from which ``docker build`` makes an image."""

from __future__ import annotations

from pathlib import Path

import click

from autotrack.cli.output import store_option


@click.command(short_help="Write a Dockerfile that serves a model, and what it needs.")
@click.argument("reference", metavar="REF")
@click.option("--to", "folder", required=True, metavar="FOLDER", type=click.Path(path_type=Path), help="A new folder.")
@click.option(
    "--autotrack",
    "autotrack_",
    metavar="FILE|REQUIREMENT",
    help="What the image installs autotrack from: a wheel, or a requirement such as 'autotrack[serving]==0.1.0'. "
    "[default: a wheel made of the one that is running]",
)
@click.option("--trusted", is_flag=True, help="Take a pickle wherever it comes from: the image runs what stands in it.")
@store_option
def package(reference: str, folder: Path, autotrack_: str | None, trusted: bool, store: str | None) -> None:
    """Write a folder from which 'docker build' makes an image that serves a model.

    It holds the model's folder, requirements.txt (what the model was trained with, and what serves it), a Dockerfile
    with comments, .dockerignore, a README, and autotrack as a wheel. Building it needs a package index and no service
    of autotrack's. The server in it runs as a user without rights, on port 8080, and asks for the token in the variable
    AUTOTRACK_SERVING_TOKEN.

    The model is not loaded; that it is what was logged is checked, and a pickle from a place that is not trusted is
    refused as it is by load_model.

    \b
    Examples:
      autotrack models package models:/churn@champion --to churn-image
      docker build -t churn churn-image
      docker run -p 8080:8080 -e AUTOTRACK_SERVING_TOKEN=secret churn
    """
    from autotrack.errors import ModelRefused
    from autotrack.models.formats import PICKLE
    from autotrack.models.loading import RUN_CODE
    from autotrack.models.mlmodel import read_mlmodel
    from autotrack.query.loading import verified_digest
    from autotrack.query.locating import locate_model
    from autotrack.query.text import plain, plain_lines
    from autotrack.serving.packaging import package_model

    found = locate_model(reference, store=store)
    info = read_mlmodel(found.folder)
    if found.doubt and not trusted and (info.serialization_format or PICKLE) in RUN_CODE:
        raise ModelRefused(
            f"{found.folder} holds a pickle, which the image would run, and it comes from {found.doubt}. If you trust "
            "that: --trusted. To look at it: autotrack models inspect"
        )
    verified_digest(found)
    done = package_model(info, folder, reference=reference, autotrack=autotrack_)
    for remark in done.remarks:
        click.echo(plain_lines(f"! {remark}"), err=True)
    click.echo(plain(f"{done.folder}: {', '.join(done.files)}"))
    click.echo(plain(f"docker build -t my-model {folder}"))
