"""S1 to S6: which pages and programs may use the port at all."""

from __future__ import annotations

import json
import os
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from app.bootstrap import Running
from tests.cli.program import hearth, run_hearth
from tests.conformance.security.conftest import Port

EVIL = "https://evil.example"
PAGE = "http://localhost:3000"
STAINLESS = (
    "authorization, content-type, x-stainless-arch, x-stainless-async, x-stainless-lang, x-stainless-os, x-stainless-timeout, "
    "x-stainless-package-version, x-stainless-retry-count, x-stainless-runtime, x-stainless-runtime-version"
)
ANTHROPIC = "anthropic-dangerous-direct-browser-access, anthropic-version, anthropic-beta, content-type, x-api-key"


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.0.0.1:{port}", "127.0.0.2", "localhost", "LocalHost:{port}", "localhost.", "a.b.localhost"),
        *("[::1]", "[::1]:{port}", "[::ffff:127.0.0.1]", "host.docker.internal:{port}", "host.containers.internal"),
        *(socket.gethostname(), "0.0.0.0:{port}"),
    ],
)
def test_s1_a_host_that_names_this_machine_is_answered(port: Port, host: str) -> None:
    assert port.ask("GET", "/v1/models", headers={"Host": host.format(port=port.number)}).status == 200


@pytest.mark.parametrize(
    "host",
    [
        *(
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "evil.example:{port}",
            "localhost.evil",
            "xlocalhost",
        ),
        *("192.168.0.1", "8.8.8.8", "[::ffff:8.8.8.8]", "[2001:db8::1]", "2130706433", "0x7f000001", "0177.0.0.1", "127.1"),
        *(
            "",
            "localhost,evil.example",
            "localhost evil.example",
            "evil.example@localhost",
            "localhost/evil",
            "localhost#",
            "[::1",
        ),
        *("localhost:port", "127.0.0.1:{port}:{port}", "xn--localhost-", "docker.internal", "lócalhost"),
    ],
)
def test_s1_dns_rebinding_any_other_host_is_refused(port: Port, host: str) -> None:
    reply = port.ask("GET", "/v1/models", headers={"Host": host.format(port=port.number)})
    assert reply.status in (400, 403)
    assert "ember" not in reply.body


def test_s1_two_hosts_or_none_are_refused(port: Port) -> None:
    for head in ("Host: localhost\r\nHost: evil.example", "X: y"):
        answer = port.say(f"GET /v1/models HTTP/1.1\r\n{head}\r\n\r\n".encode())
        assert answer.split(b" ")[1] in (b"400", b"403")


def test_s1_the_body_of_a_refused_request_is_never_read(port: Port) -> None:
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 1000000\r\n\r\n"
    assert port.say(head.encode()).startswith(b"HTTP/1.1 403")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": EVIL, "Content-Type": "text/plain"},
        {"Origin": EVIL, "Content-Type": "application/json"},
        {"Origin": "null", "Content-Type": "application/x-www-form-urlencoded"},
        {"Origin": PAGE, "Content-Type": "text/plain"},
        {"Origin": PAGE, "Content-Type": "multipart/form-data; boundary=x"},
        {"Origin": PAGE},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Content-Type": "text/plain"},
        {"Sec-Fetch-Mode": "no-cors", "Content-Type": "application/x-www-form-urlencoded"},
        {"Sec-Fetch-Site": "cross-site", "Content-Type": "application/json"},
    ],
    ids=str,
)
def test_s2_csrf_what_a_page_sends_without_asking_runs_nothing(program: Running, port: Port, headers: dict[str, str]) -> None:
    reply = port.chat(headers=headers)
    assert reply.status in (403, 415)
    assert reply.error["type"] == "invalid_request_error"
    assert program.services.activity.records[-1].model == ""


def test_s2_a_program_may_post_without_a_content_type(port: Port) -> None:
    for kind in ("application/x-www-form-urlencoded", "text/plain", "application/json"):
        assert port.chat(headers={"Content-Type": kind}).status == 200
    assert port.chat().status == 200


@pytest.mark.parametrize("wanted", [STAINLESS, ANTHROPIC], ids=["openai", "anthropic"])
def test_s3_cors_a_page_that_is_allowed_may_send_what_sdks_send(port: Port, wanted: str) -> None:
    headers = {"Origin": PAGE, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": wanted}
    reply = port.ask("OPTIONS", "/v1/chat/completions", headers=headers)
    assert reply.status == 204
    assert reply.headers["access-control-allow-origin"] == PAGE
    assert set(wanted.split(", ")) <= set(reply.headers["access-control-allow-headers"].split(", "))
    assert {"GET", "POST", "DELETE"} <= set(reply.headers["access-control-allow-methods"].split(", "))
    assert "Origin" in reply.headers["vary"]


@pytest.mark.parametrize("origin", [PAGE, "app://obsidian.md", "tauri://localhost", "vscode-webview://1a2b", EVIL, "null", ""])
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_s3_cors_never_a_wildcard_never_credentials(port: Port, origin: str, method: str) -> None:
    headers = {"Origin": origin, "Access-Control-Request-Method": "POST", "Content-Type": "application/json"}
    reply = port.ask(method, "/v1/models", headers=headers)
    assert reply.headers.get("access-control-allow-origin") == (origin if origin not in (EVIL, "null", "") else None)
    assert "access-control-allow-credentials" not in reply.headers
    assert "Origin" in reply.headers["vary"]


def test_s3_a_refused_page_can_be_allowed_and_nothing_but_that_page(
    program: Running, port: Port, on_loop: Callable[[Callable[[], Any]], Any]
) -> None:
    services = program.services
    assert port.ask("GET", "/v1/models", headers={"Origin": EVIL}).status == 403
    assert EVIL in [caller.name for caller in services.refusals.callers]
    on_loop(lambda: services.settings.update(allowed_origins=(EVIL,)))
    try:
        reply = port.ask("GET", "/v1/models", headers={"Origin": EVIL})
        assert (reply.status, reply.headers["access-control-allow-origin"]) == (200, EVIL)
        for other in ("http://evil.example", f"{EVIL}:444", "https://a.evil.example", "https://evil.example.org"):
            assert port.ask("GET", "/v1/models", headers={"Origin": other}).status == 403
    finally:
        on_loop(lambda: services.settings.update(allowed_origins=()))
    assert port.ask("GET", "/v1/models", headers={"Origin": EVIL}).status == 403


def test_s4_private_network_access_is_granted_to_allowed_pages_alone(port: Port) -> None:
    asking = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Private-Network": "true"}
    granted = port.ask("OPTIONS", "/v1/models", headers={"Origin": PAGE, **asking})
    assert granted.headers["access-control-allow-private-network"] == "true"
    refused = port.ask("OPTIONS", "/v1/models", headers={"Origin": EVIL, **asking})
    assert (refused.status, "access-control-allow-private-network" in refused.headers) == (403, False)


def test_s4_the_address_that_means_all_is_for_programs_only(port: Port) -> None:
    assert port.ask("GET", "/v1/models", headers={"Host": "0.0.0.0"}).status == 200
    for headers in ({"Origin": PAGE}, {"Origin": EVIL}):
        assert port.ask("GET", "/v1/models", headers={"Host": "0.0.0.0", **headers}).status == 403


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="needs Linux")
def test_s5_it_listens_on_loopback_alone(port: Port) -> None:
    listening = [line.split()[1] for name in ("tcp", "tcp6") for line in Path("/proc/net", name).read_text().splitlines()[1:]]
    ours = {where.partition(":")[0] for where in listening if int(where.partition(":")[2], 16) == port.number}
    assert ours == {"0100007F"}


def test_s5_other_computers_are_let_in_with_a_key_only(tmp_path: Path) -> None:
    where = ("--profile", str(tmp_path))
    alone = run_hearth("serve", "--host", "0.0.0.0", "--port", "0", *where)
    assert alone.returncode == 1
    assert "hearth keys create" in alone.stderr
    key = run_hearth("keys", "create", "phone", *where).stdout.strip()
    with hearth("serve", "--host", "0.0.0.0", "--port", "0", *where) as running:
        port = Port(urlsplit(running.address).port or 0)
        away = {"Host": "192.168.1.5"}
        assert port.ask("GET", "/health", headers=away).status == 200
        assert port.ask("GET", "/v1/models", headers=away).status == 401
        assert port.ask("GET", "/v1/models", headers={**away, "Authorization": "Bearer x"}).error["code"] == "invalid_api_key"
        assert port.ask("GET", "/v1/models", headers={**away, "Authorization": f"Bearer {key}"}).status == 200
        assert port.ask("GET", "/v1/models", headers={"Origin": EVIL, "Authorization": f"Bearer {key}"}).status == 403
        run_hearth("keys", "revoke", "phone", *where)
        assert port.ask("GET", "/v1/models", headers={**away, "Authorization": f"Bearer {key}"}).status == 401


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer anything"}, {"x-api-key": "anything"}, {"Authorization": "x"}]
)
def test_s6_programs_here_need_no_key_unless_a_person_wants_it(port: Port, headers: dict[str, str]) -> None:
    assert port.ask("GET", "/v1/models", headers=headers).status == 200


@pytest.fixture
def key(program: Running, on_loop: Callable[[Callable[[], Any]], Any]) -> Iterator[str]:
    """A key, and a server that asks for one."""
    services = program.services
    key: str = on_loop(lambda: services.api_keys.create("laptop"))
    on_loop(lambda: services.settings.update(require_api_key=True))
    yield key
    on_loop(lambda: services.settings.update(require_api_key=False))
    on_loop(lambda: services.api_keys.revoke("laptop"))


def test_s6_where_a_key_is_asked_for_only_the_right_one_opens(port: Port, key: str) -> None:
    for wrong in (
        "",
        "Bearer",
        "Bearer x",
        f"Bearer {key[:-1]}",
        f"Bearer {key}x",
        f"Basic {key}",
        key,
        f"Bearer {key.upper()}",
    ):
        for path in ("/v1/models", "/v1/models/ember", "/openapi.json", "/metrics", "/nothing"):
            reply = port.ask("GET", path, headers={"Authorization": wrong})
            assert (reply.status, reply.error["code"]) == (401, "invalid_api_key")
            assert reply.headers["www-authenticate"] == "Bearer"
        assert port.chat(headers={"Authorization": wrong}).status == 401
    assert port.chat(headers={"Authorization": f"Bearer {key}"}).status == 200
    assert port.ask("GET", "/v1/models", headers={"x-api-key": key}).status == 200
    for path in ("/", "/health"):
        assert port.ask("GET", path).status == 200


@pytest.mark.parametrize(
    "path", ["//health", "/health/", "/./health", "/v1/../health", "/health%00", "/health/../v1/models", "/HEALTH"]
)
def test_s6_no_spelling_of_an_open_path_opens_another(port: Port, key: str, path: str) -> None:
    assert port.ask("GET", path).status == 401


@pytest.mark.skipif(os.name == "nt", reason="modes are POSIX's")
def test_s6_keys_are_kept_as_digests_that_nobody_else_can_read(program: Running, key: str) -> None:
    (file,) = program.services.paths.api_keys.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert key.removeprefix("hearth-") not in file.name + file.read_text()
    assert json.loads(file.read_text())["name"] == "laptop"
