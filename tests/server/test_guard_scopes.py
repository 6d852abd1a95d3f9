"""Every endpoint of the server, asked by nobody, by a reader and by a writer: what is not allowed is refused."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from exchanges import LOCAL, REACHED, Answer, Asked, of_every_room, reached

from autotrack.server.guard import tokens
from autotrack.server.routing import OPEN, READ, WRITE, Endpoint

ENDPOINTS = [
    *of_every_room(),
    *(Endpoint(method, "/stand-in", reached, WRITE) for method in ("POST", "PUT", "PATCH", "DELETE")),
    Endpoint("POST", "/stand-in/search", reached, READ),
]
"""Those of the server, and one of each kind."""
OPEN_TO_ALL = {("GET", "/health"), ("GET", "/static/{name:path}"), ("GET", "/favicon.ico")} | {
    ("GET", f"{prefix}/3.0/mlflow/server-info") for prefix in ("/api", "/ajax-api")
}
"""What anybody may ask for: an endpoint that is opened has to be written down here too."""
QUESTIONS = re.compile(
    r"search|get-|/get|/list|download|/query|/pages|/columns|/complet|/bulk|batch-get|history|histories"
    r"|/api/2.0/autotrack/(runs/(find|page|count|children)|names|mark|experiments|problems|artifacts/about"
    r"|registry/(registered_models?|model_versions?))$"
)
"""What a path is called whose POST only reads."""


class People:
    """Asks as one of those who have a token, or have none."""

    def __init__(self, asked: Asked, shown: dict[str, str]) -> None:
        self.asked = asked
        self.shown = shown

    def __call__(self, who: str, method: str, path: str, **others: str) -> Answer:
        headers = dict(LOCAL) | {"content-type": "application/json"}
        if self.shown.get(who):
            headers["authorization"] = f"Bearer {self.shown[who]}"
        return self.asked(method, path, [*(headers | others).items()], b"{}" if method != "GET" else b"")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tokens") / "tokens.txt"


@pytest.fixture(scope="module")
def people(file: Path) -> Iterator[People]:
    shown = {"reader": tokens.add(file, "reader", "read"), "writer": tokens.add(file, "writer", "write")}
    asked = Asked(ENDPOINTS, token_file=str(file))
    yield People(asked, shown)
    asked.close()


def address(endpoint: Endpoint) -> str:
    """A path that the endpoint answers."""
    return re.sub(r"\{\w+(:\w+)?\}", "1", endpoint.path)


def names(endpoint: Endpoint) -> str:
    return f"{endpoint.method} {endpoint.path}"


def test_there_are_endpoints_to_walk_over():
    assert {"/health", "/version", "/metrics", "/static/{name:path}"} <= {endpoint.path for endpoint in ENDPOINTS}


def test_an_endpoint_without_a_scope_cannot_be_written():
    with pytest.raises(TypeError, match="scope"):
        Endpoint("GET", "/new", reached)  # type: ignore[call-arg]


def test_only_what_is_listed_here_is_open_to_all():
    opened = {(endpoint.method, endpoint.path) for endpoint in ENDPOINTS if endpoint.scope is OPEN}
    assert opened <= OPEN_TO_ALL


def test_what_changes_something_asks_for_a_token_that_may_write():
    reading = [one for one in ENDPOINTS if one.method not in ("GET", "HEAD") and one.scope is not WRITE]
    assert [names(one) for one in reading if one.method != "POST" or not QUESTIONS.search(one.path)] == []


def test_no_get_asks_for_a_token_that_may_write():
    assert [names(one) for one in ENDPOINTS if one.method == "GET" and one.scope is WRITE] == []


def test_nobody_reaches_what_is_not_open(people: People):
    for endpoint in ENDPOINTS:
        answer = people("nobody", endpoint.method, address(endpoint))
        if endpoint.scope is OPEN:
            assert answer.body == REACHED, names(endpoint)
        else:
            assert (answer.status, answer.json["error_code"]) == (401, "UNAUTHENTICATED"), names(endpoint)
            assert answer.headers["www-authenticate"].startswith("Basic realm="), names(endpoint)


def test_a_reader_reaches_what_is_read_and_a_writer_everything(people: People):
    for endpoint in ENDPOINTS:
        answer = people("reader", endpoint.method, address(endpoint))
        if endpoint.scope is WRITE:
            assert (answer.status, answer.json["error_code"]) == (403, "PERMISSION_DENIED"), names(endpoint)
        else:
            assert answer.body == REACHED, names(endpoint)
        assert people("writer", endpoint.method, address(endpoint)).body == REACHED, names(endpoint)


@pytest.mark.parametrize("who", ["nobody", "reader", "writer"])
def test_nobody_at_all_asks_under_a_name_that_is_not_the_servers(people: People, who: str):
    for endpoint in ENDPOINTS:
        answer = people(who, endpoint.method, address(endpoint), host="attacker.example")
        assert (answer.body == REACHED) == (endpoint.path == "/health"), names(endpoint)
        assert endpoint.path == "/health" or answer.status == 403, names(endpoint)


def test_a_page_of_another_site_reaches_nothing_even_with_a_token(people: People):
    for endpoint in ENDPOINTS:
        for told in ({"origin": "http://attacker.example"}, {"sec-fetch-site": "cross-site"}, {"origin": "null"}):
            if endpoint.method == "GET" and "origin" in told:
                continue  # what a browser does not let the page read; it changes nothing
            answer = people("writer", endpoint.method, address(endpoint), **told)
            assert (answer.body == REACHED) == (endpoint.scope is OPEN), (names(endpoint), told)


def test_what_is_nowhere_is_told_only_to_those_who_have_a_token(people: People):
    assert people("nobody", "GET", "/nowhere").status == 401
    assert people("reader", "GET", "/nowhere").status == 404
    assert people("nobody", "DELETE", "/version").status == 401
    assert people("reader", "DELETE", "/version").status == 405


def test_a_method_in_other_letters_is_another_method(people: People):
    for method in ("get", "Post", "BREW"):
        assert people("nobody", method, "/version").status == 401
        assert people("writer", method, "/version").status in (403, 405)


@pytest.mark.parametrize(
    "spelling", ["/version/", "//version", "/./version", "/x/../version", "/VERSION", "/version%00", "/version;x"]
)
def test_another_spelling_of_a_path_goes_round_no_check(people: People, spelling: str):
    assert people("nobody", "GET", spelling).status == 401


def test_a_head_request_is_guarded_as_a_get(people: People):
    assert people("nobody", "HEAD", "/version").status == 401
    assert people("reader", "HEAD", "/version").status == 299


def test_name_and_token_do_as_user_and_password(people: People):
    token = people.shown["reader"]

    def basic(credentials: str) -> int:
        value = base64.b64encode(credentials.encode()).decode()
        headers = [*LOCAL, ("authorization", f"Basic {value}")]
        return people.asked("GET", "/version", headers, client=credentials).status

    assert basic(f"reader:{token}") == 299
    assert basic(f"writer:{token}") == 401
    assert basic("reader:") == 401
    assert basic(":") == 401
    assert basic("") == 401
    assert basic("admin:password1234") == 401


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Basic ", "Basic %%%", "Digest abc", "Bearer \xff\xff", "Token x", "bearer  \x00"],
)
def test_other_credentials_are_none(people: People, header: str):
    assert people.asked("GET", "/version", [*LOCAL, ("authorization", header)], client=header).status == 401


def test_two_authorization_headers_are_none(people: People):
    good = ("authorization", f"Bearer {people.shown['writer']}")
    assert people.asked("GET", "/version", [*LOCAL, good]).status == 299
    assert people.asked("GET", "/version", [*LOCAL, good, good], client="two").status == 401


def test_a_part_of_a_token_and_its_hash_are_no_token(people: People, file: Path):
    token = people.shown["writer"]
    line = file.read_text().splitlines()[-1]
    for shown in (token[:-1], token + "x", token.upper(), token.removeprefix("autotrack_"), line.split(":")[-1], line):
        headers = [*LOCAL, ("authorization", f"Bearer {shown}")]
        assert people.asked("GET", "/version", headers, client=shown).status == 401


def test_without_tokens_this_machine_reads_and_writes():
    asked = Asked([Endpoint("GET", "/a", reached, READ), Endpoint("POST", "/a", reached, WRITE)])
    try:
        assert asked("GET", "/a").status == 299
        assert asked("POST", "/a").status == 299
    finally:
        asked.close()
