"""What `autotrack server` and `autotrack ui` can be told."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Final

from autotrack.errors import SettingsError

MEGABYTE: Final = 2**20
_MOST_WORKERS: Final = 64
_HOST: Final = re.compile(r"[A-Za-z0-9._-]{1,253}|[0-9A-Fa-f:.]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How the server runs.

    Parameters
    ----------
    host : name or address to listen on.
    port : 0 for any that is free.
    workers : processes that answer.
    allowed_hosts : names beside those of this machine that a request's Host header may have.
    token_file : a file with the tokens that requests may show; empty for none.
    max_body : bytes that the body of a request may have, uploads of artifacts aside.
    max_batch : params, tags and metrics together that one request may log.
    page_size : entries of one answer to a search, at the most.
    read_threads : reads of the store that one worker does at a time.
    grace : seconds that requests in flight have when the server is told to end.
    access_log : a line on stderr for each request.
    log_format : ``"text"`` or ``"json"``.
    patience : seconds in which a request's headers have to be here; and in which of its body, or of the answer that
        its sender reads, at least a little has to move.
    keep_alive : seconds that a connection without a request stays open.
    """

    host: str = "127.0.0.1"
    port: int = 5000
    workers: int = 1
    allowed_hosts: tuple[str, ...] = ()
    token_file: str = ""
    max_body: int = 64 * MEGABYTE
    max_batch: int = 100_000
    page_size: int = 50_000
    read_threads: int = 4
    grace: float = 30.0
    access_log: bool = False
    log_format: str = "text"
    patience: float = 30.0
    keep_alive: float = 65.0

    def check(self) -> None:
        """See that they can be used together.

        Raises
        ------
        SettingsError
            Naming the option, its value and what it may be; and for a host beyond this machine without tokens.
        """
        from autotrack.web.listening import is_loopback

        _between("--port", self.port, 0, 65_535)
        _between("--workers", self.workers, 1, _MOST_WORKERS)
        _between("--grace", self.grace, 0, 3600)
        for name in self.allowed_hosts:
            if not _HOST.fullmatch(name):
                raise SettingsError(
                    f"--allowed-host {name!r}: a name such as runs.example.org, without http:// and without a port"
                )
        if self.workers > 1 and not hasattr(os, "fork"):
            raise SettingsError("--workers: this system cannot fork a process; use one worker")
        if not self.token_file and not is_loopback(self.host):
            raise SettingsError(
                f"--host {self.host}: others could reach this server, and read and change every run. Give it a file of "
                "tokens that they have to show: autotrack token add NAME --token-file tokens.txt, then "
                "--token-file tokens.txt; or leave --host out to serve this machine only"
            )


def _between(name: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:  # false for NaN too
        raise SettingsError(f"{name} is {value:g}; it has to be between {least:g} and {most:g}")
