"""HTTP to a tracking server, against servers that are slow, broken, guarded, or none."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path

import pytest

from autotrack.errors import StoreError
from autotrack.stores import open_store
from autotrack.stores.mlflow.rest.address import read_address
from autotrack.stores.mlflow.rest.client import MAX_BYTES, batches
from autotrack.stores.mlflow.rest.transport import Refused, Transport, dumps

Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Answers with what the test says, and keeps what it was sent."""

    protocol_version = "HTTP/1.1"
    server: Server

    def handle_one(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with self.server.lock:
            self.server.seen.append(self)
            number = len(self.server.seen)
        self.server.answers[min(number, len(self.server.answers)) - 1](self)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = handle_one

    def reply(self, status: int, content: bytes = b"{}", kind: str = "application/json", **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    """A real server on this machine."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.lock = threading.Lock()
        self.seen: list[Handler] = []
        self.answers: list[Answer] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def answer(status: int, content: bytes = b"{}", kind: str = "application/json", **headers: str) -> Answer:
    return lambda handler: handler.reply(status, content, kind, **headers)


def break_off(handler: Handler) -> None:
    handler.close_connection = True
    handler.connection.close()


def break_in_the_middle(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "100")
    handler.end_headers()
    handler.wfile.write(b"half")
    handler.close_connection = True


def transport(url: str) -> Transport:
    return Transport(read_address(url))


def test_a_server_that_is_busy_is_asked_again(server: Server) -> None:
    server.answers = [answer(503), answer(429, Retry_After="0"), break_off, answer(200, b'{"a": 1}')]
    assert transport(server.url).json("POST", "/x", {"b": 2}) == {"a": 1}
    assert [handler.body for handler in server.seen] == [b'{"b":2}'] * 4


def test_what_may_not_be_done_twice_is_not_asked_twice_when_its_answer_is_lost(server: Server) -> None:
    for lost in (break_off, answer(500), answer(504)):
        server.answers = [lost, answer(200)]
        server.seen.clear()
        with pytest.raises(StoreError):
            transport(server.url).json("POST", "/create", {}, repeatable=False)
        assert len(server.seen) == 1
    server.seen.clear()
    server.answers = [answer(503), answer(200)]
    transport(server.url).json("POST", "/create", {}, repeatable=False)
    assert len(server.seen) == 2


def test_it_gives_up_with_a_word_of_what_was_said(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    server.answers = [answer(500, b'{"error_code": "INTERNAL_ERROR", "message": "disk full"}')]
    with pytest.raises(Refused, match="INTERNAL_ERROR: disk full") as caught:
        transport(server.url).json("GET", "/x")
    assert (caught.value.status, len(server.seen)) == (500, 2)


def test_nobody_there_is_said_with_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    from services import free_port

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    url = f"http://me:secret@127.0.0.1:{free_port()}"
    with pytest.raises(StoreError, match=r"cannot reach the tracking server http://127.0.0.1:\d+: .*refused") as caught:
        open_store(url).search_runs()
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (answer(200, b"<html>Welcome to nginx</html>", "text/html"), "no MLflow tracking server.*text/html.*nginx"),
        (answer(404, b"<h1>Not Found</h1>", "text/html"), "404 .*is that an MLflow tracking server"),
        (answer(302, b"", "text/html", Location="https://login.example/?next=1"), "login.example/'.*login page"),
        (answer(401, b"", "text/plain"), "wants to know who you are.*MLFLOW_TRACKING_TOKEN"),
        (answer(403, b'{"error_code": "PERMISSION_DENIED", "message": "not yours"}'), "may not.*not yours"),
        (answer(200, b"[1, 2]"), "no MLflow tracking server"),
    ],
)
def test_what_answers_and_is_no_mlflow_is_named(server: Server, given: Answer, said: str) -> None:
    server.answers = [given]
    with pytest.raises(StoreError, match=said):
        open_store(server.url).search_runs()


def test_one_connection_serves_many_requests(server: Server) -> None:
    server.answers = [answer(200)]
    one = transport(server.url)
    for _ in range(5):
        one.json("POST", "/x", {})
    assert len({handler.client_address for handler in server.seen}) == 1


def test_files_go_up_and_down_in_pieces_and_again_when_the_connection_breaks(server: Server, tmp_path: Path) -> None:
    content = bytes(range(256)) * 20_000
    (tmp_path / "f").write_bytes(content)
    server.answers = [answer(503), answer(200)]
    transport(server.url).upload("/f", tmp_path / "f")
    assert [handler.body == content for handler in server.seen] == [True, True]
    server.seen.clear()
    server.answers = [break_in_the_middle, answer(200, content)]
    target = BytesIO()
    transport(server.url).download("/f", target)
    assert target.getvalue() == content
    with pytest.raises(StoreError, match="cannot read"):
        transport(server.url).upload("/f", tmp_path / "none")


def test_who_one_is_comes_from_the_uri_then_from_mlflows_variables(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    server.answers = [answer(200)]

    def sent(uri: str) -> str | None:
        transport(uri).json("GET", "/x")
        return server.seen[-1].headers.get("Authorization")

    def basic(text: str) -> str:
        return "Basic " + base64.b64encode(text.encode()).decode()

    host = server.url.removeprefix("http://")
    assert sent(server.url) is None
    (tmp_path / ".mlflow").mkdir()
    (tmp_path / ".mlflow" / "credentials").write_text(
        "[mlflow]\nmlflow_tracking_username = file\nmlflow_tracking_password = pa%ss\n"
    )
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "t0ken")
    assert sent(server.url) == basic("file:pa%ss")
    (tmp_path / ".mlflow" / "credentials").unlink()
    assert sent(server.url) == "Bearer t0ken"
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "env")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "pw")
    assert sent(server.url) == basic("env:pw")
    assert sent(f"http://me:p%40ss@{host}") == basic("me:p@ss")
    assert sent(f"http://mytoken@{host}") == "Bearer mytoken"


def test_certificates_are_checked_and_can_be_given(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import ssl

    certificate = certificate_for("127.0.0.1", tmp_path / "cert.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.answers = [answer(200)]
    url = server.url.replace("http:", "https:")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(StoreError, match="CERTIFICATE_VERIFY_FAILED.*MLFLOW_TRACKING_SERVER_CERT_PATH"):
        transport(url).json("GET", "/x")
    monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", str(certificate))
    assert transport(url).json("GET", "/x") == {}
    monkeypatch.delenv("MLFLOW_TRACKING_SERVER_CERT_PATH")
    monkeypatch.setenv("MLFLOW_TRACKING_INSECURE_TLS", "true")
    with pytest.warns(Warning, match="Unverified HTTPS request"):
        assert transport(url).json("GET", "/x") == {}


def certificate_for(address: str, path: Path) -> Path:
    """A certificate that nobody has signed, with its key."""
    from datetime import UTC, datetime, timedelta
    from ipaddress import ip_address

    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, address)])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))])
    made = builder.add_extension(names, critical=False).sign(key, hashes.SHA256())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    return path


def test_the_address_shows_no_secret() -> None:
    store = open_store("https://me:s3cret@mlflow.example:8080/prefix/")
    assert store.uri == "https://mlflow.example:8080/prefix"
    assert "s3cret" not in repr(read_address("https://me:s3cret@mlflow.example"))
    for wrong in ("http://", "http://me:s3cret@host:port", "http://me@host/?token=s3cret"):
        with pytest.raises(StoreError, match="tracking server") as caught:
            open_store(wrong)
        assert "s3cret" not in str(caught.value)


def test_batches_keep_to_the_limits_of_the_api() -> None:
    metrics = [{"key": "m", "value": float(i), "timestamp": i, "step": i} for i in range(2500)]
    params = {f"p{i}": "x" * 6000 for i in range(250)}
    tags = {f"t{i}": "1" for i in range(60)}
    made = batches(metrics, params, tags)
    assert [len(body.get("metrics", ())) for body in made][:3] == [1000, 1000, 500]
    for body in made:
        assert len(dumps(body)) <= MAX_BYTES + 1000
        assert len(body.get("params", ())) <= 100
        assert sum(len(items) for items in body.values()) <= 1000
    assert [item for body in made for item in body.get("metrics", ())] == metrics
    assert sum(len(body.get("params", ())) for body in made) == 250
    assert len(made[-1]["tags"]) == 60
    assert batches([], {}, {}) == []


def test_an_installation_without_urllib3_is_told_what_to_install() -> None:
    import subprocess
    import sys

    program = "import sys; sys.modules['urllib3'] = None\nfrom autotrack.stores import open_store\n"
    program += "try:\n    open_store('http://host')\nexcept Exception as error: print(type(error).__name__, error)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "StoreError" in done.stdout
    assert "pip install 'autotrack[http]'" in done.stdout
