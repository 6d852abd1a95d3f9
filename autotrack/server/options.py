"""What `autotrack server` and `autotrack ui` can be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MEGABYTE: Final = 2**20


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
