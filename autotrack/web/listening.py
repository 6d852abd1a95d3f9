"""The socket that the workers of a program share."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
from typing import Final

from autotrack.errors import ServingError

_BACKLOG: Final = 2048


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens there."""
    try:
        found = socket.getaddrinfo(host or None, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        return False
    return bool(found) and all(_address(str(entry[4][0])).is_loopback for entry in found)


def bind(host: str, port: int) -> socket.socket:
    """A socket that is bound, but does not listen yet: until a model can answer, connections are refused.

    Raises
    ------
    ServingError
        When the port is taken, or there is no such address here.
    """
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise ServingError(f"--host {host}: there is no such address here: {error}") from error
    family, kind, protocol, _, address = found[0]
    listener = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":  # a port that a server has just left can be had at once; elsewhere it means sharing
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise _not_bound(host, port, error) from error
    return listener


def listen(listener: socket.socket, host: str) -> None:
    """Let connections come.

    Raises
    ------
    ServingError
        When another has taken the port in the meantime.
    """
    try:
        listener.listen(_BACKLOG)
    except OSError as error:
        raise _not_bound(host, int(listener.getsockname()[1]), error) from error
    listener.setblocking(False)


def url(listener: socket.socket, host: str) -> str:
    """The address at which it is reached from here."""
    address = _address(str(listener.getsockname()[0]))
    name = "127.0.0.1" if address.is_unspecified and address.version == 4 else host
    if address.is_unspecified and address.version == 6:
        name = "::1"
    return f"http://{f'[{name}]' if ':' in name else name}:{listener.getsockname()[1]}"


def _not_bound(host: str, port: int, error: OSError) -> ServingError:
    if error.errno == errno.EADDRINUSE:
        return ServingError(
            f"port {port} of {host} is in use by another program; choose another with --port, or --port 0 for any "
            "that is free"
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return ServingError(f"port {port} of {host} is not for this user to listen on; choose one above 1023")
    return ServingError(f"cannot listen on port {port} of {host}: {error.strerror or error}")


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return ipaddress.ip_address(text.partition("%")[0])
