"""Real servers for tests (PostgreSQL, MariaDB, S3 by moto, MLflow), each started once per test process.

Where one is not installed its tests skip, and fail instead under ``AUTOTRACK_REQUIRE_SERVICES=1``.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

_SECONDS_TO_START = 60


def missing(name: str, why: str) -> None:
    """Skip, or fail where every service has to be there."""
    if os.environ.get("AUTOTRACK_REQUIRE_SERVICES") == "1":
        pytest.fail(f"{name} is required by AUTOTRACK_REQUIRE_SERVICES=1: {why}")
    pytest.skip(f"{name} is not here: {why}")


def free_port() -> int:
    """A port of the loopback interface that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """A program that listens; it can be stopped, killed and started again where it was."""

    def __init__(self, command: Sequence[str], ready: Callable[[], bool], log: Path, **options: Any) -> None:
        self.command = list(command)
        self.log = log
        self._ready = ready
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(self.command, stdout=log, stderr=log, **self._options)
        deadline = time.monotonic() + _SECONDS_TO_START
        while not self._ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.command[0]} did not start:\n{self.log.read_text(errors='replace')[-4000:]}")
            time.sleep(0.05)

    def stop(self) -> None:
        """End it in order."""
        self._end(signal.SIGTERM if self._options.get("start_new_session") else signal.SIGINT)

    def kill(self) -> None:
        """End it at once, as a crash does."""
        self._end(signal.SIGKILL)

    def _end(self, number: int) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if self._options.get("start_new_session"):
            _signal_group(process, number)
        else:
            process.send_signal(number)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        pass


def port_answers(port: int) -> bool:
    """Whether somebody listens there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _program(*names: str) -> str | None:
    """Where one of these programs is; Debian keeps PostgreSQL's outside of PATH."""
    for name in names:
        found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
        if found:
            return found
        for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
            if (folder / name).exists():
                return str(folder / name)
    return None


def _as_user(user: str) -> dict[str, Any]:
    """How to start a server that refuses to run as root."""
    if os.getuid() != 0:
        return {}
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        entry = pwd.getpwnam("nobody")
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


@contextmanager
def _folder(owner: dict[str, Any]) -> Iterator[Path]:
    # Not pytest's: the server's user may not enter root's, and a socket's path must be short.
    folder = Path(tempfile.mkdtemp(prefix="autotrack-"))
    try:
        if owner:
            os.chown(folder, owner["user"], owner["group"])
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Postgres(Server):
    """A PostgreSQL server; ``url(name)`` is that of a database in it, ``create`` makes one."""

    def __init__(self, folder: Path, postgres: str, owner: dict[str, Any]) -> None:
        self.port = free_port()
        command = [postgres, "-D", str(folder / "data"), "-p", str(self.port), "-h", "127.0.0.1", "-k", str(folder)]
        # No fsync: what is tested is our side of a crash; the machine itself stays up.
        command += ["-c", "fsync=off", "-c", "max_connections=200"]
        super().__init__(command, self._answers, folder / "log", **owner)

    def url(self, database: str) -> str:
        """The URI of a database."""
        return f"postgresql://autotrack:secret@127.0.0.1:{self.port}/{database}"

    def create(self, database: str) -> str:
        """Make a database and give its URI."""
        self._execute(f'CREATE DATABASE "{database}"')
        return self.url(database)

    def drop(self, database: str) -> None:
        """Remove a database, whoever is connected to it."""
        self._execute(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')

    def _answers(self) -> bool:
        import psycopg

        try:
            psycopg.connect(self.url("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _execute(self, statement: str) -> None:
        import psycopg

        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement.encode())


@contextmanager
def postgres_server() -> Iterator[Postgres]:
    """A PostgreSQL server of one's own."""
    postgres, initdb = _program("postgres"), _program("initdb")
    if postgres is None or initdb is None:
        missing("PostgreSQL", "there are no programs initdb and postgres")
    if importlib.util.find_spec("psycopg") is None:
        missing("PostgreSQL", "the package psycopg is not installed")
    assert postgres is not None
    assert initdb is not None
    owner = _as_user("postgres")
    with _folder(owner) as folder:
        password = folder / "password"
        password.write_text("secret")
        password.chmod(0o644)
        subprocess.run(
            [initdb, "-D", str(folder / "data"), "-U", "autotrack", f"--pwfile={password}", "-A", "scram-sha-256"]
            + ["-E", "UTF8", "--no-locale", "--no-sync"],
            check=True,
            capture_output=True,
            cwd=folder,
            **owner,
        )
        server = Postgres(folder, postgres, owner)
        server.start()
        try:
            yield server
        finally:
            server.stop()


class MariaDB(Server):
    """A MariaDB server, as `Postgres`."""

    def __init__(self, folder: Path, mariadbd: str, owner: dict[str, Any]) -> None:
        self.port = free_port()
        command = [mariadbd, "--no-defaults", f"--datadir={folder / 'data'}", f"--port={self.port}"]
        command += ["--bind-address=127.0.0.1", f"--socket={folder / 'socket'}", f"--pid-file={folder / 'pid'}"]
        command += ["--skip-grant-tables", "--skip-networking=0", "--innodb-flush-log-at-trx-commit=0"]
        command += ["--innodb-buffer-pool-size=64M", "--innodb-log-file-size=32M", "--max-connections=200"]
        super().__init__(command, self._answers, folder / "log", start_new_session=True, **owner)

    def url(self, database: str) -> str:
        """The URI of a database."""
        return f"mysql://autotrack@127.0.0.1:{self.port}/{database}"

    def create(self, database: str) -> str:
        """Make a database and give its URI."""
        self._execute(f"CREATE DATABASE `{database}`")
        return self.url(database)

    def drop(self, database: str) -> None:
        """Remove a database."""
        self._execute(f"DROP DATABASE IF EXISTS `{database}`")

    def _answers(self) -> bool:
        import pymysql

        try:
            pymysql.connect(host="127.0.0.1", port=self.port, user="autotrack").close()
        except pymysql.Error:
            return False
        return True

    def _execute(self, statement: str) -> None:
        import pymysql

        connection = pymysql.connect(host="127.0.0.1", port=self.port, user="autotrack")
        try:
            connection.cursor().execute(statement)
        finally:
            connection.close()


@contextmanager
def mariadb_server() -> Iterator[MariaDB]:
    """A MariaDB server of one's own."""
    mariadbd, install = _program("mariadbd", "mysqld"), _program("mariadb-install-db", "mysql_install_db")
    if mariadbd is None or install is None:
        missing("MariaDB", "there are no programs mariadbd and mariadb-install-db")
    if importlib.util.find_spec("pymysql") is None:
        missing("MariaDB", "the package pymysql is not installed")
    assert mariadbd is not None
    assert install is not None
    owner = _as_user("mysql")
    with _folder(owner) as folder:
        subprocess.run(
            [install, "--no-defaults", f"--datadir={folder / 'data'}", "--auth-root-authentication-method=normal"]
            + ["--skip-test-db"],
            check=True,
            capture_output=True,
            cwd=folder,
            **owner,
        )
        server = MariaDB(folder, mariadbd, owner)
        server.start()
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The PostgreSQL server of this test process."""
    with postgres_server() as server:
        yield server


@pytest.fixture
def postgres_uri(postgres: Postgres) -> Iterator[str]:
    """The URI of an empty database."""
    name = f"t_{os.urandom(6).hex()}"
    yield postgres.create(name)
    postgres.drop(name)


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDB]:
    """The MariaDB server of this test process."""
    with mariadb_server() as server:
        yield server


@pytest.fixture
def mariadb_uri(mariadb: MariaDB) -> Iterator[str]:
    """The URI of an empty database."""
    name = f"t_{os.urandom(6).hex()}"
    yield mariadb.create(name)
    mariadb.drop(name)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[Server]:
    """An S3 server, by moto; ``port`` tells where."""
    if importlib.util.find_spec("moto") is None or importlib.util.find_spec("flask") is None:
        missing("S3", "the package moto[server] is not installed")
    with _folder({}) as folder:
        port = free_port()
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        server = Server(command, lambda: port_answers(port), folder / "log")
        server.port = port  # type: ignore[attr-defined]
        server.start()
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture
def s3_uri(s3_server: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """``s3://BUCKET`` of an empty bucket; the environment says where it is."""
    import urllib.request

    port = s3_server.port  # type: ignore[attr-defined]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    bucket = f"bucket-{os.urandom(6).hex()}"
    request = urllib.request.Request(f"http://127.0.0.1:{port}/{bucket}", method="PUT")
    urllib.request.urlopen(request, timeout=10).close()
    return f"s3://{bucket}"


class Mlflow(Server):
    """MLflow's tracking server on an SQLite file; ``empty()`` takes everything out of it."""

    def __init__(self, folder: Path, *options: str, environment: dict[str, str] | None = None) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.database = folder / "mlflow.db"
        self.artifacts = folder / "artifacts"
        command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{self.database}"]
        command += ["--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"]
        command += [*options] if options else ["--artifacts-destination", str(self.artifacts)]
        # No jobs, no telemetry; its own settings are not those of the tests.
        own = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "AUTOTRACK_"))}
        own |= {
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            **(environment or {}),
        }
        super().__init__(
            command, lambda: port_answers(self.port), folder / "log", start_new_session=True, cwd=folder, env=own
        )

    def empty(self) -> None:
        """Forget every run, model and experiment but the default one, and remove all artifacts."""
        import sqlite3

        kept = ("alembic_version", "workspaces", "experiments", "sqlite_sequence")
        connection = sqlite3.connect(self.database, timeout=30)
        try:
            tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            for table in tables:
                if table not in kept:
                    connection.execute(f'DELETE FROM "{table}"')
            connection.execute("DELETE FROM experiments WHERE experiment_id != 0")
            connection.execute("UPDATE experiments SET lifecycle_stage = 'active' WHERE experiment_id = 0")
            connection.commit()
        finally:
            connection.close()
        shutil.rmtree(self.artifacts, ignore_errors=True)


@contextmanager
def mlflow_tracking_server(*options: str, environment: dict[str, str] | None = None) -> Iterator[Mlflow]:
    """An MLflow server of one's own."""
    if importlib.util.find_spec("mlflow") is None:
        missing("MLflow", "the package mlflow is not installed")
    with _folder({}) as folder:
        server = Mlflow(folder, *options, environment=environment)
        server.start()
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="session")
def mlflow_server() -> Iterator[Mlflow]:
    """The MLflow server of this test process, with what tests before this one left in it."""
    with mlflow_tracking_server() as server:
        yield server


@pytest.fixture
def mlflow_uri(mlflow_server: Mlflow) -> str:
    """The address of an MLflow server with nothing in it."""
    mlflow_server.empty()
    return mlflow_server.url
