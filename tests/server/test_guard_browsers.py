"""What a browser could be made to do by a page of somebody else: names that resolve here, forms, frames, scripts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from exchanges import Asked, reached
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from autotrack.errors import SettingsError
from autotrack.server.guard.hosts import Hosts, host_name
from autotrack.server.options import ServerOptions
from autotrack.server.problems import Problem
from autotrack.server.routing import OPEN, READ, WRITE, Endpoint


async def page(site: Any, request: Request) -> Response:
    return HTMLResponse("<p>a page</p>")


async def data(site: Any, request: Request) -> Response:
    return JSONResponse({})


async def sandboxed(site: Any, request: Request) -> Response:
    headers = {"content-security-policy": "sandbox", "cache-control": "private, max-age=60"}
    return HTMLResponse("<script>alert(1)</script>", headers=headers)


async def broken(site: Any, request: Request) -> Response:
    raise RuntimeError("a secret")


ENDPOINTS = [
    Endpoint("GET", "/page", page, READ, "page"),
    Endpoint("GET", "/data", data, READ),
    Endpoint("GET", "/raw", sandboxed, READ),
    Endpoint("GET", "/open", data, OPEN),
    Endpoint("GET", "/broken", broken, READ),
    Endpoint("GET", "/health", reached, OPEN),
    Endpoint("POST", "/change", reached, WRITE),
    Endpoint("DELETE", "/change", reached, WRITE),
    Endpoint("PUT", "/change", reached, WRITE),
]


@pytest.fixture(scope="module")
def asked() -> Iterator[Asked]:
    made = Asked(ENDPOINTS)
    yield made
    made.close()


def status(asked: Asked, method: str, path: str, body: bytes = b"{}", **headers: str) -> int:
    told = {"host": "127.0.0.1:5000"} | {name.replace("_", "-"): value for name, value in headers.items()}
    return asked(method, path, [*told.items()], body).status


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LocalHost:80",
        "localhost.:5000",
        "127.0.0.1",
        "127.0.0.1:1",
        "127.8.9.1:5000",
        "[::1]",
        "[::1]:5000",
    ],
)
def test_this_machines_own_names_are_answered_on_any_port(asked: Asked, host: str):
    assert status(asked, "GET", "/data", host=host) == 200


@pytest.mark.parametrize(
    "host",
    [
        "attacker.example",
        "attacker.example:5000",
        "localhost.attacker.example",
        "127.0.0.1.attacker.example",
        "127.0.0.1.nip.io:5000",
        "attacker.localhost",
        "xlocalhost",
        "192.168.1.5",
        "[2001:db8::1]:5000",
        "0.0.0.0:5000",
        "2130706433",
        "0x7f.1",
    ],
)
def test_a_name_of_somebody_else_that_resolves_here_is_refused(asked: Asked, host: str):
    answer = asked("GET", "/data", [("host", host)])
    assert (answer.status, answer.json["error_code"]) == (403, "PERMISSION_DENIED")
    assert f"--allowed-host {host_name(host)}" in answer.json["message"]
    assert asked("POST", "/change", [("host", host)]).status == 403
    assert asked("GET", "/health", [("host", host)]).status == 299


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("host", "")],
        [("host", "127.0.0.1"), ("host", "attacker.example")],
        [("host", "127.0.0.1"), ("host", "127.0.0.1")],
        [("host", "127.0.0.1, attacker.example")],
        [("host", "127.0.0.1@attacker.example")],
        [("host", "attacker.example/127.0.0.1")],
        [("host", "127.0.0.1:99999")],
        [("host", "127.0.0.1:80:80")],
        [("host", "[::1")],
        [("host", "[127.0.0.1]")],
        [("host", "local host")],
        [("host", "\xe4")],
        [("host", "localhost" * 100)],
        [("x-forwarded-host", "127.0.0.1")],
    ],
)
def test_a_host_header_that_is_missing_double_or_garbage_is_refused(asked: Asked, headers: list[tuple[str, str]]):
    assert asked("GET", "/data", headers).status == 400


def test_forwarded_names_count_for_nothing(asked: Asked):
    headers = [("host", "attacker.example"), ("x-forwarded-host", "localhost"), ("forwarded", "host=localhost")]
    assert asked("GET", "/data", headers).status == 403


def test_other_names_are_answered_when_they_are_allowed():
    hosts = Hosts("127.0.0.1", True, ["Runs.Example.org", "10.0.0.7"])
    assert hosts.check(["runs.example.org:8443"]) == "runs.example.org"
    assert hosts.check(["10.0.0.7"]) == "10.0.0.7"
    with pytest.raises(Problem):
        hosts.check(["evil.runs.example.org"])


def test_a_server_for_others_answers_to_its_name_and_to_addresses():
    hosts = Hosts("runs.lan", False)
    for host in ("runs.lan:5000", "10.1.2.3", "[2001:db8::1]:5000", "localhost"):
        hosts.check([host])
    with pytest.raises(Problem, match="attacker"):
        hosts.check(["attacker.example"])


@pytest.mark.parametrize("name", ["http://runs.example.org", "runs.example.org:5000", "a b", "", "*"])
def test_an_allowed_host_that_is_no_name_is_said_at_the_start(name: str):
    with pytest.raises(SettingsError, match="--allowed-host"):
        ServerOptions(allowed_hosts=(name,)).check()


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://attacker.example"},
        {"origin": "http://127.0.0.1:5001"},
        {"origin": "http://127.0.0.1"},
        {"origin": "http://127.0.0.1:5000.attacker.example"},
        {"origin": "http://localhost:5000"},
        {"origin": "null"},
        {"origin": ""},
        {"origin": "http://[::1"},
        {"origin": "http://127.0.0.1:x"},
        {"referer": "http://attacker.example/127.0.0.1:5000"},
        {"referer": "http://127.0.0.1:5000@attacker.example/"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"sec_fetch_site": "same-site", "origin": "http://127.0.0.1:5000"},
        {"sec_fetch_site": "same-origin", "origin": "http://attacker.example"},
        {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "document"},
        {"origin": "file://"},
    ],
)
def test_a_page_of_another_site_changes_nothing(asked: Asked, method: str, headers: dict[str, str]):
    assert status(asked, method, "/change", content_type="application/json", **headers) == 403


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "http://127.0.0.1:5000"},
        {"origin": "https://127.0.0.1:5000"},
        {"referer": "http://127.0.0.1:5000/runs?page=2"},
        {"sec_fetch_site": "same-origin", "origin": "http://127.0.0.1:5000"},
        {"sec_fetch_site": "none"},
    ],
)
def test_our_own_pages_and_programs_do(asked: Asked, headers: dict[str, str]):
    assert status(asked, "POST", "/change", content_type="application/json", **headers) == 299


def test_a_proxy_that_speaks_tls_leaves_the_port_out(asked: Asked):
    made = Asked(ENDPOINTS, allowed_hosts=("runs.example.org",))
    try:
        kind = {"host": "runs.example.org", "content_type": "application/json"}
        assert status(made, "POST", "/change", origin="https://runs.example.org", **kind) == 299
        assert status(made, "POST", "/change", origin="https://runs.example.org:444", **kind) == 403
    finally:
        made.close()


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "Text/Plain"])
def test_forms_of_browsers_that_tell_nothing_of_the_page_are_not_read(asked: Asked, kind: str):
    length = {"content_length": "2"}
    assert status(asked, "POST", "/change", content_type=kind, **length) == 415
    assert status(asked, "POST", "/change", **length) == 415  # a page can send bytes without saying what they are
    assert status(asked, "POST", "/change", content_type="application/json; charset=utf-8", **length) == 299
    assert status(asked, "PUT", "/change", content_type=kind, **length) == 299  # no form sends PUT


def test_a_page_of_another_site_links_here_and_shows_nothing_from_here(asked: Asked):
    opened = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}
    assert status(asked, "GET", "/page", **opened) == 200
    for dest in ("iframe", "script", "image", "empty", "object"):
        mode = "navigate" if dest in ("iframe", "object") else "no-cors"
        told = {"sec_fetch_site": "cross-site", "sec_fetch_mode": mode, "sec_fetch_dest": dest}
        assert status(asked, "GET", "/data", **told) == 403


def test_nobody_is_told_that_other_sites_may_read(asked: Asked):
    origin = "http://attacker.example"
    preflight = asked(
        "OPTIONS", "/change", [("host", "localhost"), ("origin", origin), ("access-control-request-method", "PUT")]
    )
    for answer in (preflight, asked("GET", "/data", [("host", "localhost"), ("origin", origin)])):
        assert not [name for name in answer.headers if name.startswith("access-control")]
    assert preflight.status == 405


def test_pages_run_no_script_but_those_of_static_and_stand_in_no_frame(asked: Asked):
    headers = asked("GET", "/page").headers
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["form-action"] == policy["connect-src"] == "'self'"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cross-origin-opener-policy"] == headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["cache-control"] == "private, no-cache"


@pytest.mark.parametrize("path", ["/data", "/broken", "/nowhere"])
def test_data_and_errors_are_not_kept_and_run_nothing(asked: Asked, path: str):
    answer = asked("GET", path)
    assert answer.headers["cache-control"] == "no-store"
    assert "sandbox" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert b"secret" not in answer.body


def test_what_a_handler_says_of_its_answer_stays(asked: Asked):
    headers = asked("GET", "/raw").headers
    assert headers["content-security-policy"] == "sandbox"
    assert headers["cache-control"] == "private, max-age=60"
    assert headers["x-content-type-options"] == "nosniff"


def test_a_long_address_is_refused(asked: Asked):
    assert asked("GET", "/data?" + "x" * 16_384).status == 414
    assert asked("GET", "/" + "x" * 16_385).status == 414


def test_what_is_asked_for_is_not_sent_back_as_a_page(asked: Asked):
    answer = asked("GET", "/<script>alert(1)</script>\x1b[31m", [("host", "localhost"), ("accept", "text/html")])
    assert answer.status == 404
    assert answer.headers["content-type"] == "application/json"
    assert b"\x1b" not in answer.body
