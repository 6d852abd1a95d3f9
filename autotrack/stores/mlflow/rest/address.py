"""Where a tracking server is and how one shows who one is: from the URI and from MLflow's own variables."""

from __future__ import annotations

import base64
import configparser
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from autotrack.errors import StoreError

_TRUE: Final = ("1", "true", "yes", "on")


@dataclass(frozen=True, slots=True)
class Address:
    """A tracking server.

    Parameters
    ----------
    url : what every request's address begins with, without a slash at its end and without secrets.
    authorization : the header's value, ``None`` for none; never shown.
    verify : whether the server's certificate is checked.
    ca_certs : file with the certificates to check against, ``None`` for this machine's.
    client_cert : file with a certificate and key of our own.
    timeout : seconds that one request may be without an answer.
    retries : how often a request is repeated.
    """

    url: str
    authorization: str | None = field(default=None, repr=False)
    verify: bool = True
    ca_certs: str | None = None
    client_cert: str | None = None
    timeout: float = 60.0
    retries: int = 4


def read_address(uri: str, environment: Mapping[str, str] | None = None) -> Address:
    """The address that a URI and the environment describe.

    ``http://USER:PASSWORD@HOST`` and ``http://TOKEN@HOST`` come before ``MLFLOW_TRACKING_USERNAME`` with
    ``MLFLOW_TRACKING_PASSWORD`` (or ``~/.mlflow/credentials``), and these before ``MLFLOW_TRACKING_TOKEN``.

    Raises
    ------
    StoreError
        For a URI that names no host, and for numbers that are none.
    """
    environment = os.environ if environment is None else environment
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError:
        raise StoreError(
            "the address of a tracking server is written http://HOST:PORT, with a port that is a number"
        ) from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise StoreError("the address of a tracking server is written http://HOST:PORT or https://HOST/PREFIX")
    if parts.query or parts.fragment:
        raise StoreError(
            f"the address of a tracking server ends before '?' and '#': write {parts.scheme}://{parts.hostname}…; "
            "a token goes into MLFLOW_TRACKING_TOKEN"
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    url = f"{parts.scheme}://{host}{'' if port is None else f':{port}'}{parts.path.rstrip('/')}"
    return Address(
        url=url,
        authorization=_authorization(parts.username, parts.password, environment),
        verify=environment.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() not in _TRUE,
        ca_certs=environment.get("MLFLOW_TRACKING_SERVER_CERT_PATH") or environment.get("REQUESTS_CA_BUNDLE") or None,
        client_cert=environment.get("MLFLOW_TRACKING_CLIENT_CERT_PATH") or None,
        timeout=_number("MLFLOW_HTTP_REQUEST_TIMEOUT", 60.0, environment),
        retries=int(_number("MLFLOW_HTTP_REQUEST_MAX_RETRIES", 4, environment)),
    )


def _authorization(user: str | None, password: str | None, environment: Mapping[str, str]) -> str | None:
    if user and password is None:
        return _bearer(unquote(user))
    if user or password:
        return _basic(unquote(user or ""), unquote(password or ""))
    user, password = environment.get("MLFLOW_TRACKING_USERNAME"), environment.get("MLFLOW_TRACKING_PASSWORD")
    if not (user and password):
        from_file = _credentials_file()
        user = user or from_file.get("mlflow_tracking_username")
        password = password or from_file.get("mlflow_tracking_password")
    if user and password:
        return _basic(user, password)
    token = environment.get("MLFLOW_TRACKING_TOKEN")
    return _bearer(token) if token else None


def _bearer(token: str) -> str:
    return f"Bearer {_one_line(token)}"


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode("utf-8", "surrogatepass")).decode()


def _one_line(text: str) -> str:
    if not text.isascii() or not text.isprintable():
        raise StoreError("the token for the tracking server has characters that no HTTP header can carry")
    return text


def _credentials_file() -> Mapping[str, str]:
    config = configparser.ConfigParser(interpolation=None)
    try:
        config.read(Path("~/.mlflow/credentials").expanduser(), encoding="utf-8")
        return dict(config["mlflow"])
    except (configparser.Error, KeyError, OSError, RuntimeError, UnicodeDecodeError):
        return {}


def _number(name: str, default: float, environment: Mapping[str, str]) -> float:
    text = environment.get(name, "")
    if not text.strip():
        return default
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < 10**6:
        raise StoreError(f"{name}={text!r} is not a number of seconds or repetitions; unset it, or write one")
    return number
