"""The spool: where runs wait on this machine until they are in a store that is somewhere else.

A spool is a folder per store, laid out like a folder store (``journals/``, ``artifacts/``), with besides:

- ``spool.json``: which store it is for, without its password.
- ``journals/<journal id>.ack``: how much of a journal is in the store. It is written behind `Store.apply`; whoever is
  killed between the two sends entries again, which changes nothing.
- ``shipper.lock``: held by the process that sends, `autotrack.shipping`; ``shipper.json``: how it is doing;
  ``shipper.wake``: a named pipe, by which it is asked to look at once, or to leave.
- ``quarantine/``: what could not be read, or what the store refused while it took the rest.

Both halves share this module, so it is light: no URL library, no store.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from autotrack.journal import JOURNALS, SUFFIX, journal_paths
from autotrack.owners import Identity, is_here
from autotrack.settings import scheme_of

try:
    import fcntl
except ImportError:  # pragma: no cover - not on this platform
    fcntl = None  # type: ignore[assignment]

VERSION: Final = 1
INFO: Final = "spool.json"
STATUS: Final = "shipper.json"
LOCK: Final = "shipper.lock"
PIPE: Final = "shipper.wake"
LOG: Final = "shipper.log"
ACK: Final = ".ack"
ARTIFACTS: Final = "artifacts"
QUARANTINE: Final = "quarantine"

STARTING: Final = "starting"
IDLE: Final = "idle"
SENDING: Final = "sending"
DOWN: Final = "down"
"""The store cannot be reached, or takes nothing; the shipper goes on trying."""
LEFT: Final = "left"

LOOK: Final = b"w"
LEAVE: Final = b"L"

_CLOEXEC: Final = getattr(os, "O_CLOEXEC", 0)
_SECRET_NAME: Final = re.compile(
    r"pass|pwd|token|secret|credential|signature|(^|[_-])(key|sig|auth)$|apikey|accesskey", re.I
)
_WEB_USER: Final = re.compile(r"(https?://)([^/?#\s]*)@", re.I)
_USER: Final = re.compile(r"([a-z][a-z0-9+.\-]*://[^:/?#@\s]*):([^\s?]*|[^\s@]*)@", re.I)
_FILES: Final = re.compile(r"[?&]artifacts=([^&]*)")
_TAIL: Final = re.compile(rb'\{"n":\s*(\d+)')
_RUN: Final = re.compile(rb'"run_id":\s*"((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True)
class Info:
    """What a spool is for. ``store`` has no password; ``folder`` is what a relative path in it starts from."""

    store: str
    folder: str = ""
    version: int = VERSION


@dataclass(frozen=True, slots=True)
class Ack:
    """How much of a journal is in the store.

    Parameters
    ----------
    offset : so many bytes of the journal are.
    number : the number of the last entry that is; behind ``offset`` there may be some that are too.
    open : the runs that have begun and not ended by then.
    done : all is, its process is dead, and nothing will come any more.
    """

    offset: int = 0
    number: int = 0
    open: tuple[str, ...] = ()
    done: bool = False


@dataclass(frozen=True, slots=True)
class Status:
    """How the shipper is doing. Times are in milliseconds since the epoch, 0 for never.

    Parameters
    ----------
    state : ``"starting"``, ``"idle"``, ``"sending"``, ``"down"`` or ``"left"``.
    owner : the process.
    error : why the last attempt failed, without secrets; empty after one that did not.
    failures : so many attempts failed in a row.
    since : when the first of them did.
    tried : when the last attempt ended.
    updated : when this was written.
    """

    state: str
    owner: Identity
    error: str = ""
    failures: int = 0
    since: int = 0
    tried: int = 0
    updated: int = 0


@dataclass(slots=True)
class Waiting:
    """What a spool holds that is not in the store. ``since`` in milliseconds since the epoch, ``None`` for nothing."""

    journals: int = 0
    entries: int = 0
    bytes: int = 0
    since: int | None = None
    run_ids: set[str] = field(default_factory=set)

    @property
    def runs(self) -> int:
        """How many runs have something that waits."""
        return len(self.run_ids)


class Spool:
    """One spool's folder, which need not exist yet."""

    def __init__(self, folder: Path) -> None:
        self.folder: Final = folder
        self.journals: Final = folder / JOURNALS
        self.artifacts: Final = folder / ARTIFACTS
        self.quarantine: Final = folder / QUARANTINE

    def make(self, info: Info) -> None:
        """Make the folder, for this user only.

        Raises
        ------
        OSError
            When that cannot be done.
        """
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self.folder / INFO
        if not path.exists():
            write_whole(path, asdict(info))

    def info(self) -> Info | None:
        """What the spool is for; ``None`` where that cannot be read, or a newer autotrack made the spool."""
        data = _read_json(self.folder / INFO)
        try:
            found = Info(str(data["store"]), str(data.get("folder", "")), int(data["version"]))
        except (KeyError, TypeError, ValueError):
            return None
        return found if found.version <= VERSION else None

    def paths(self) -> list[Path]:
        """The journals, oldest first."""
        return journal_paths(self.folder)

    def ack(self, journal: Path) -> Ack:
        """How much of a journal is in the store; nothing where that is not known."""
        data = _read_json(ack_path(journal))
        try:
            opened = tuple(str(run_id) for run_id in data.get("open", ()))
            return Ack(int(data["offset"]), int(data["number"]), opened, bool(data.get("done", False)))
        except (KeyError, TypeError, ValueError):
            return Ack()

    def acknowledge(self, journal: Path, ack: Ack) -> None:
        """Note how much of a journal is in the store. Raises ``OSError`` when that cannot be written."""
        write_whole(ack_path(journal), asdict(ack))

    def has_shipped(self, journal: Path, size: int) -> bool:
        """Whether the first so many bytes of a journal are in the store; a journal that is gone was shipped whole."""
        ack = self.ack(journal)
        return ack.done or ack.offset >= size or not journal.exists()

    def waiting(self) -> Waiting:
        """What is not in the store yet, counted line by line."""
        found = Waiting()
        for path in self.paths():
            ack = self.ack(path)
            try:
                size = path.stat().st_size
                if ack.done or size <= ack.offset:
                    continue
                entries = 0
                for number, run_id in _tail(path, ack.offset):
                    if number > ack.number:
                        entries += 1
                        if run_id is not None:
                            found.run_ids.add(run_id)
                known = ack_path(path)
                began = int((known if known.exists() else path).stat().st_mtime * 1000)
            except OSError:  # shipped and removed meanwhile
                continue
            if entries or not ack.offset:
                found.journals += 1
                found.entries += entries
                found.bytes += size - ack.offset
                found.since = began if found.since is None else min(found.since, began)
        return found

    def quarantined(self) -> list[Path]:
        """The files in quarantine, by name."""
        try:
            return sorted(path for path in self.quarantine.iterdir() if not path.name.startswith("."))
        except OSError:
            return []

    def status(self) -> Status | None:
        """How the shipper is doing, or was when it last wrote that."""
        data = _read_json(self.folder / STATUS)
        try:
            owner = Identity(**data.pop("owner"))
            return Status(owner=owner, **data)
        except (KeyError, TypeError, AttributeError):
            return None

    def tell(self, status: Status) -> None:
        """Write how the shipper is doing. Raises ``OSError`` when that cannot be done."""
        write_whole(self.folder / STATUS, asdict(status))

    def is_tended(self) -> bool:
        """Whether a shipper is running or being started."""
        try:
            fd = os.open(self.folder / LOCK, os.O_RDWR | _CLOEXEC)
        except OSError:
            return False
        try:
            if fcntl is not None:
                fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
                return False
        except BlockingIOError:
            return True
        except OSError:  # no locks on this file system
            pass
        finally:
            os.close(fd)
        status = self.status()
        return status is not None and status.state != LEFT and is_here(status.owner)

    def lock(self) -> int | None:
        """The descriptor that holds the shipper's lock, to be closed; ``None`` while another process holds it.

        Raises
        ------
        OSError
            When the file cannot be made.
        """
        fd = os.open(self.folder / LOCK, os.O_RDWR | os.O_CREAT | _CLOEXEC, 0o600)
        try:
            if fcntl is not None:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return None
        except OSError:  # no locks on this file system: two shippers at once do the work twice, and nothing else
            pass
        return fd

    def signal(self, message: bytes = LOOK) -> bool:
        """Ask the shipper to look at once, or to leave; false where none listens."""
        try:
            fd = os.open(self.folder / PIPE, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except (OSError, AttributeError):
            return False
        try:
            os.write(fd, message)
        except OSError:  # full of requests that say the same
            pass
        finally:
            os.close(fd)
        return True


def root() -> Path:
    """The folder of this user's spools: ``AUTOTRACK_SPOOL``, else one in the place for what programs remember."""
    given = os.environ.get("AUTOTRACK_SPOOL", "").strip()
    if given:
        return Path(os.path.abspath(os.path.expanduser(given)))
    state = os.environ.get("XDG_STATE_HOME", "")
    if not os.path.isabs(state):
        state = os.path.expanduser("~/.local/state")
    if state.startswith("~"):  # a user without a home
        state = os.path.join(tempfile.gettempdir(), f"autotrack-{os.getuid()}")
    return Path(state) / "autotrack" / "spool"


def of_store(uri: str, folder: str = "") -> tuple[Spool, Info]:
    """The spool of a store's URI, and what stands in it.

    ``folder`` is the working folder; it counts where the URI holds a path that starts from there.
    """
    info = Info(without_secrets(uri), folder if _is_relative(uri) else "")
    digest = hashlib.sha256(f"{info.store}\0{info.folder}".encode("utf-8", "surrogatepass")).hexdigest()[:12]
    slug = re.sub(r"[^A-Za-z0-9.]+", "-", info.store).strip("-.")[:48]
    return Spool(root() / f"{slug}-{digest}"), info


def every(folder: Path) -> list[Spool]:
    """The spools below a folder, or that folder itself where it is one."""
    if (folder / INFO).is_file():
        return [Spool(folder)]
    try:
        return [Spool(path) for path in sorted(folder.iterdir()) if (path / INFO).is_file()]
    except OSError:
        return []


def without_secrets(uri: str) -> str:
    """The URI without passwords, tokens and keys: fit for files, messages and logs."""
    head, mark, query = _without_user(uri).partition("?")
    kept = []
    for part in query.split("&") if mark else ():
        name, _, value = part.partition("=")
        if not _SECRET_NAME.search(name):
            encoded = "%40" in value and "%3A%2F%2F" in value.upper()
            kept.append(f"{name}=***" if encoded else _without_user(part))
    return head + (f"?{'&'.join(kept)}" if kept else "")


def scrubbed(text: str, uri: str) -> str:
    """A text in which the secrets of this URI, should they stand in it, are hidden."""
    pairs = [part.partition("=") for part in uri.partition("?")[2].split("&")]
    secrets = [value for name, _, value in pairs if _SECRET_NAME.search(name)]
    secrets += [part for found in _WEB_USER.finditer(uri) for part in (found[2], found[2].partition(":")[2])]
    secrets += [] if _WEB_USER.match(uri) else [found[2] for found in _USER.finditer(uri)]
    for secret in sorted(secrets, key=len, reverse=True):
        for form in (secret, _unquoted(secret)):
            if len(form) > 2:
                text = text.replace(form, "***")
    return " ".join(_without_user(word) if "://" in word else word for word in text.split(" "))


def _without_user(uri: str) -> str:
    # In the web's URLs a token often stands alone, in the place of the user's name.
    uri = _WEB_USER.sub(r"\1", uri)
    return uri if uri.lower().startswith("http") else _USER.sub(r"\1@", uri)


def ack_path(journal: Path) -> Path:
    """Where it is noted how much of a journal is in the store."""
    return journal.with_name(journal.name.removesuffix(SUFFIX) + ACK)


def write_whole(path: Path, data: Any) -> None:
    """Write JSON for this user only, so that a reader finds the old or the new. Raises ``OSError``."""
    partial = path.with_name(f".{path.name}.tmp-{os.urandom(4).hex()}")
    try:
        fd = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(json.dumps(data, separators=(",", ":")).encode())
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def now() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def _unquoted(text: str) -> str:
    try:
        return re.sub(r"%([0-9A-Fa-f]{2})", lambda found: chr(int(found[1], 16)), text)
    except ValueError:
        return text


def _is_relative(uri: str) -> bool:
    """Whether what stands behind the scheme may be a path that starts from the working folder."""
    scheme, rest = scheme_of(uri), uri.partition(":")[2]
    files = _FILES.search(uri)
    if files is not None and not os.path.isabs(files[1]) and not scheme_of(files[1]):
        return True
    if scheme.startswith("sqlite") and rest.startswith("///"):
        return not rest.startswith("////")
    return not rest.startswith("/")


def _tail(path: Path, offset: int) -> Iterator[tuple[int, str | None]]:
    """Number and run of each complete line from ``offset`` on."""
    with path.open("rb") as file:
        file.seek(offset)
        for line in file:
            found = _TAIL.match(line)
            if found is not None and line.endswith(b"\n"):
                run = _RUN.search(line)
                yield int(found[1]), run[1].decode("utf-8", "replace") if run is not None else None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}
