"""The Host header: whoever makes a browser ask here under a name of his own, by changing what it resolves to
(DNS rebinding), is refused."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from typing import Final

from autotrack.server import problems
from autotrack.server.problems import Problem

_FORM: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?", re.ASCII)
_LOCAL_NAME: Final = "localhost"


def host_name(value: str) -> str | None:
    """The name or address of a Host header, without the port and in small letters; ``None`` for what is neither."""
    found = _FORM.fullmatch(value)
    if found is None or len(value) > 260 or (found[2] and int(found[2]) > 65_535):
        return None
    name = found[1].lower().strip("[]").removesuffix(".")
    if found[1].startswith("["):
        try:
            return str(ipaddress.IPv6Address(name))
        except ValueError:
            return None
    return name or None


def is_local_name(name: str) -> bool:
    """Whether it means this machine, whoever resolves it."""
    return name == _LOCAL_NAME or is_loopback_address(name)


def is_loopback_address(text: str) -> bool:
    """Whether it is an address of the loopback interface."""
    address = _address(text)
    return address is not None and address.is_loopback


class Hosts:
    """The names under which this server may be asked.

    Parameters
    ----------
    host : where it listens.
    is_local : whether only this machine reaches it there.
    allowed : names beside those.
    """

    def __init__(self, host: str, is_local: bool, allowed: Iterable[str] = ()) -> None:
        self._names = {name.lower().removesuffix(".") for name in allowed}
        self._takes_addresses = not is_local
        if not is_local:
            # An address cannot be made to mean another machine, and the machine's own name is given by its owner.
            self._names |= {host.lower(), socket.gethostname().lower()} - {""}

    def check(self, values: list[str]) -> str:
        """The name by which a request asks.

        Parameters
        ----------
        values : those of its Host headers.

        Raises
        ------
        Problem
            When there is not one, it is none, or it is not this server's.
        """
        name = host_name(values[0]) if len(values) == 1 else None
        if name is None:
            raise Problem(problems.BAD_REQUEST, "the request has not one Host header that names a host")
        if name in self._names or is_local_name(name) or (self._takes_addresses and _address(name) is not None):
            return name
        raise Problem(
            problems.DENIED,
            f"this server does not answer to the name {name!r}: if it is its own, start it with --allowed-host {name}",
        )


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
