"""Tokens and the file that keeps what is needed to know them again.

A token is 256 random bits, so its hash may be a fast one. Slow hashes (scrypt, Argon2) are for passwords, which people
choose and others guess; here there is nothing to guess from, and every request would pay for them. The file tells
nobody a token, but whoever may write to it could add one of his own.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import re
import secrets
import stat
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from autotrack.errors import SettingsError

PREFIX: Final = "autotrack_"
"""By it those who look for secrets in code and logs know one."""
READ: Final = "read"
WRITE: Final = "write"

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}", re.ASCII)
_LINE: Final = re.compile(r"(\S+)\s+(read|write)\s+(\S+)\s+sha256:([0-9a-f]{32}):([0-9a-f]{64})", re.ASCII)
_HEAD: Final = (
    "# Who may ask the autotrack server: name, scope, day, salted hash of the token.\n"
    "# Written by 'autotrack token add' and 'autotrack token remove'; running servers read it again when it changes.\n"
)
_MOST_BYTES: Final = 4 * 2**20


@dataclass(frozen=True, slots=True)
class Token:
    """A line of the file.

    Parameters
    ----------
    name : of whom it was given to.
    scope : what requests that show it may do; writing includes reading.
    day : on which it was made.
    """

    name: str
    scope: str
    day: str
    salt: bytes
    digest: bytes

    def __repr__(self) -> str:
        return f"Token({self.name!r}, {self.scope})"


def find(tokens: Iterable[Token], shown: bytes, name: str | None = None) -> Token | None:
    """The token that was shown; with a name only the one of that name.

    All are compared, whichever it is, and each in a time that does not tell how much of it was right.
    """
    found = None
    for token in tokens:
        same = hmac.compare_digest(_digest(token.salt, shown), token.digest)
        if same and (name is None or name == token.name):
            found = token
    return found


def read(path: Path) -> list[Token]:
    """The tokens of a file.

    Raises
    ------
    SettingsError
        When it cannot be read, others may write to it, or a line is none of ours.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise SettingsError(f"--token-file {path}: it cannot be read: {error.strerror or error}") from error
    if os.name == "posix" and mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise SettingsError(f"--token-file {path}: others may write to it, and add a token of theirs: chmod 600 {path}")
    found: dict[str, Token] = {}
    for number, line in enumerate(content[:_MOST_BYTES].decode("utf-8", "replace").splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        parts = _LINE.fullmatch(line.strip())
        # The line itself is not shown: somebody may have written a token into it.
        if parts is None or not _NAME.fullmatch(parts[1]):
            raise SettingsError(f"--token-file {path}: line {number} is none that 'autotrack token add' writes")
        if parts[1] in found:
            raise SettingsError(f"--token-file {path}: line {number} is a second token named {parts[1]}")
        found[parts[1]] = Token(parts[1], parts[2], parts[3], bytes.fromhex(parts[4]), bytes.fromhex(parts[5]))
    return list(found.values())


def is_open_to_others(path: Path) -> bool:
    """Whether other users of this machine may read it: no danger as such, but seldom meant."""
    return os.name == "posix" and bool(path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH))


def add(path: Path, name: str, scope: str) -> str:
    """Make a token, put its hash into a file, which need not be there yet, and give the token.

    Raises
    ------
    SettingsError
        When the name is taken or no good, or the file cannot be written.
    """
    if not _NAME.fullmatch(name):
        raise SettingsError(
            f"a token's name is up to 64 letters, digits and . _ @ -, and begins with a letter or digit; not {name!r}"
        )
    token = PREFIX + secrets.token_urlsafe(32)
    salt = secrets.token_bytes(16)
    with _changing(path):
        there = read(path) if path.exists() else []
        if any(one.name == name for one in there):
            raise SettingsError(
                f"{path} has a token named {name}; take another name, or 'autotrack token remove {name}' first"
            )
        day = datetime.now(UTC).strftime("%Y-%m-%d")
        _write(path, [*there, Token(name, scope, day, salt, _digest(salt, token.encode()))])
    return token


def remove(path: Path, name: str) -> None:
    """Take a token away.

    Raises
    ------
    SettingsError
        When there is none of this name, or the file cannot be written.
    """
    with _changing(path):
        there = read(path)
        left = [one for one in there if one.name != name]
        if len(left) == len(there):
            known = ", ".join(one.name for one in there) or "none"
            raise SettingsError(f"{path} has no token named {name!r}; there are: {known}")
        _write(path, left)


def _digest(salt: bytes, token: bytes) -> bytes:
    return hashlib.sha256(salt + token).digest()


def _write(path: Path, tokens: list[Token]) -> None:
    lines = [f"{one.name} {one.scope} {one.day} sha256:{one.salt.hex()}:{one.digest.hex()}\n" for one in tokens]
    target = Path(os.path.realpath(path))
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}-", dir=target.parent)  # of mode 0600
        try:
            with open(descriptor, "w", encoding="ascii") as file:
                file.write(_HEAD + "".join(lines))
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, target)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        raise SettingsError(f"--token-file {path}: it cannot be written: {error.strerror or error}") from error


@contextlib.contextmanager
def _changing(path: Path) -> Iterator[None]:
    """Two who change a file at the same time come one after the other, where the system can do that."""
    folder = os.path.dirname(os.path.realpath(path))
    try:
        import fcntl
    except ImportError:
        yield
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise SettingsError(f"--token-file {path}: {error.strerror or error}: {folder}") from error
    try:
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
