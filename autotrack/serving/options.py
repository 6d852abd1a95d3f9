"""What `autotrack models serve` can be told, checked."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final

from autotrack.errors import SettingsError
from autotrack.web.listening import is_loopback

TOKEN_VARIABLE: Final = "AUTOTRACK_SERVING_TOKEN"
_MOST_WORKERS: Final = 256


@dataclass(frozen=True, slots=True)
class ServingOptions:
    """How a model is served.

    Parameters
    ----------
    host : name or address to listen on. Another than a loopback one asks for a token.
    port : 0 for any that is free.
    workers : processes that answer.
    token : what ``Authorization: Bearer …`` has to say; empty for no need of it.
    max_batch : rows that are predicted at once for several requests; 0 or 1 for none together.
    max_delay : seconds that a request may wait for others to come along; 0 for no waiting.
    max_body : bytes that a body may have, also once it is unpacked.
    body_timeout : seconds until a request has to be here whole, from its first byte, headers and body each.
    keep_alive : seconds that a connection without a request stays open.
    grace : seconds that requests in flight have when the server is told to end.
    max_waiting : requests that may wait for the model in one worker; those beyond get 503.
    access_log : a line on stderr for each request.
    """

    host: str = "127.0.0.1"
    port: int = 5002
    workers: int = 1
    token: str = ""
    max_batch: int = 256
    max_delay: float = 0.0
    max_body: int = 100 * 2**20
    body_timeout: float = 30.0
    keep_alive: float = 65.0
    grace: float = 30.0
    max_waiting: int = 1024
    access_log: bool = False

    def __repr__(self) -> str:  # the token stays out of logs and tracebacks
        return f"ServingOptions(host={self.host!r}, port={self.port}, workers={self.workers})"

    def check(self) -> None:
        """See that they can be used together.

        Raises
        ------
        SettingsError
            Naming the option, its value and what it may be; and for a host beyond this machine without a token.
        """
        _between("--port", self.port, 0, 65_535)
        _between("--workers", self.workers, 1, _MOST_WORKERS)
        _between("--max-batch", self.max_batch, 0, 1_000_000)
        _between("--max-delay-ms", self.max_delay * 1000, 0, 60_000)
        _between("--max-body", self.max_body, 1, 2**40)
        if self.workers > 1 and not hasattr(os, "fork"):
            raise SettingsError("--workers: this system cannot fork a process; start one server per port instead")
        if self.token and not (self.token.isascii() and self.token.isprintable() and " " not in self.token):
            raise SettingsError(
                f"the token has characters that no Authorization header carries: use letters, digits and signs of "
                f"ASCII, without blanks ({TOKEN_VARIABLE}=$(openssl rand -hex 32))"
            )
        if not self.token and not is_loopback(self.host):
            raise SettingsError(
                f"--host {self.host}: others could reach this server and use the model. Give it a token that they have "
                f"to send as 'Authorization: Bearer …': {TOKEN_VARIABLE}=$(openssl rand -hex 32) in its environment, "
                "or --token; or leave --host out to serve this machine only"
            )


def _between(name: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:  # false for NaN too
        raise SettingsError(f"{name} is {value:g}; it has to be between {least:g} and {most:g}")
