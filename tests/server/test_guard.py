from __future__ import annotations

from pathlib import Path

import pytest
from starlette.datastructures import Headers

from app.server.guard import AccessPolicy, is_loopback
from app.service.api_keys import ApiKeys
from app.service.refusals import CallerKind, RefusedCaller
from tests.server.serving import HELLO, RawClient, serving

POLICY = AccessPolicy(machine_name="Workbench")


def refusal(
    policy: AccessPolicy = POLICY, *, path: str = "/v1/models", method: str = "GET", key: str | None = None, **headers: str
) -> int | None:
    given = Headers({"host": "127.0.0.1", **{name.replace("_", "-"): value for name, value in headers.items()}})
    problem = policy.refusal(path=path, method=method, headers=given, key=key)
    return None if problem is None else problem.status


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.0.0.1:8642", "127.9.9.9", "localhost", "LOCALHOST:8642", "localhost.", "hearth.localhost"),
        *("[::1]", "[::1]:8642", "[::ffff:127.0.0.1]", "host.docker.internal", "host.containers.internal", "workbench"),
        *("WORKBENCH:1", "0.0.0.0:8642"),
    ],
)
def test_a_host_that_names_this_machine_passes(host: str) -> None:
    assert refusal(host=host) is None


@pytest.mark.parametrize(
    "host",
    [
        *(
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "evil-localhost",
            "notlocalhost:8642",
            "192.168.1.5",
        ),
        *(
            "",
            " ",
            "[::1",
            "[::2]",
            "127.0.0.1:port",
            "user@127.0.0.1",
            "127.0.0.1/x",
            "2130706433",
            "0x7f.1",
            "::ffff:8.8.8.8",
        ),
        *("docker.internal", "xhost.docker.internal", "localhost:99999999"),
    ],
)
def test_any_other_host_is_refused(host: str) -> None:
    assert refusal(host=host) == 403


def test_two_host_headers_are_refused() -> None:
    headers = Headers(raw=[(b"host", b"127.0.0.1"), (b"host", b"evil.example")])
    assert POLICY.refusal(path="/", method="GET", headers=headers) is not None


def test_no_host_header_is_refused() -> None:
    assert POLICY.refusal(path="/", method="GET", headers=Headers({})) is not None


def test_the_unspecified_address_as_host_is_for_programs_only() -> None:
    assert refusal(host="0.0.0.0", origin="http://localhost:3000") == 403


@pytest.mark.parametrize(
    "origin",
    [
        *("http://localhost:3000", "https://localhost", "http://127.0.0.1:5173", "http://[::1]:80", "http://app.localhost"),
        *("app://obsidian.md", "tauri://localhost", "vscode-webview://1a2b", "vscode-file://vscode-app", "file://"),
    ],
)
def test_pages_of_this_machine_may_call(origin: str) -> None:
    assert refusal(origin=origin) is None


@pytest.mark.parametrize(
    "origin",
    [
        *(
            "https://evil.example",
            "http://localhost.evil.example",
            "null",
            "",
            "http://",
            "chrome-extension://abc",
            "http://[bad",
        ),
        *("https://127.0.0.1.evil.example", "ftp://localhost"),
    ],
)
def test_other_pages_are_refused(origin: str) -> None:
    assert refusal(origin=origin) == 403


def test_an_origin_that_a_person_allowed_passes() -> None:
    policy = AccessPolicy(allowed_origins=frozenset({"https://chat.example.org"}))
    assert refusal(policy, origin="https://chat.example.org") is None
    assert refusal(policy, origin="https://chat.example.org.evil.example") == 403


def test_a_cross_site_request_without_an_origin_is_refused() -> None:
    assert refusal(sec_fetch_site="cross-site") == 403
    assert refusal(sec_fetch_site="same-origin") is None
    assert refusal(sec_fetch_site="cross-site", origin="http://localhost:3000") is None


def test_a_page_must_post_json_but_a_program_may_post_anything() -> None:
    page = "http://localhost:3000"
    form = {"content_type": "application/x-www-form-urlencoded", "content_length": "9"}
    assert refusal(method="POST", origin=page, content_type="text/plain", content_length="9") == 415
    assert refusal(method="POST", origin=page, content_length="9") == 415
    assert refusal(method="POST", origin=page, transfer_encoding="chunked") == 415
    assert refusal(method="POST", sec_fetch_mode="no-cors", **form) == 415
    assert refusal(method="POST", origin=page, content_type="application/json; charset=utf-8", content_length="9") is None
    assert refusal(method="POST", **form) is None
    # Node's fetch, and what has no body.
    assert refusal(method="POST", sec_fetch_mode="cors", content_type="multipart/form-data", content_length="9") is None
    assert refusal(method="POST", origin=page, content_length="0") is None


@pytest.mark.parametrize(
    "policy", [AccessPolicy(api_key="secret"), AccessPolicy(asks_for_key=True), AccessPolicy(host="0.0.0.0")]
)
def test_a_key_is_asked_for_where_one_is_needed(policy: AccessPolicy) -> None:
    assert refusal(policy) == 401
    assert refusal(policy, authorization="Bearer wrong") == 401
    assert refusal(policy, key="laptop") is None
    assert {path for path in ("/", "/v1", "/v1/", "/health") if refusal(policy, path=path) is None} == {
        "/",
        "/v1",
        "/v1/",
        "/health",
    }
    assert refusal(policy, path="/v1/models", method="OPTIONS") is None
    assert refusal(policy, path="/v1/health") == 401


def test_without_need_any_key_is_accepted() -> None:
    assert refusal(authorization="Bearer whatever") is None


def test_beyond_loopback_the_key_stands_in_for_the_host() -> None:
    policy = AccessPolicy(host="0.0.0.0")
    assert refusal(policy, host="192.168.1.5", key="laptop") is None
    assert refusal(policy, host="192.168.1.5") == 401


def test_a_name_that_a_person_added_passes() -> None:
    policy = AccessPolicy(allowed_hosts=("workbench.lan",), machine_name="x")
    assert refusal(policy, host="Workbench.LAN:8642") is None
    assert refusal(policy, host="other.lan") == 403


def test_two_origins_are_refused() -> None:
    headers = Headers(raw=[(b"host", b"127.0.0.1"), (b"origin", b"http://localhost"), (b"origin", b"https://evil.example")])
    problem = POLICY.refusal(path="/", method="GET", headers=headers)
    assert problem is not None
    assert problem.status == 403


def test_headers_that_are_too_long_in_all_are_refused() -> None:
    assert refusal(**{f"x_{index}": "y" * 1000 for index in range(40)}) == 431


def test_two_ways_to_end_a_body_are_refused() -> None:
    assert refusal(method="POST", content_length="5", transfer_encoding="chunked") == 400


@pytest.mark.anyio
async def test_the_right_key_opens_in_either_header(tmp_path: Path) -> None:
    async with serving(tmp_path, api_key="geheim-ü") as api:
        right = "geheim-ü".encode()
        tried: list[tuple[dict[str, bytes], int]] = [
            ({}, 401),
            ({"authorization": b"Bearer wrong"}, 401),
            ({"authorization": b"Basic " + right}, 401),
            ({"x-api-key": b""}, 401),
            ({"authorization": b"Bearer " + right}, 200),
            ({"authorization": b"bearer  " + right}, 200),
            ({"x-api-key": right}, 200),
            ({"authorization": b"Bearer made-up", "x-api-key": right}, 200),
        ]
        for headers, status in tried:
            answer = await api.http.get("/v1/models", headers=list(headers.items()))
            assert answer.status_code == status, headers


@pytest.mark.anyio
async def test_keys_count_from_the_moment_they_are_made_until_they_are_revoked(tmp_path: Path) -> None:
    async with serving(tmp_path, require_api_key=True) as api:
        elsewhere = ApiKeys(tmp_path / "api-keys")
        for name in ("laptop", "phone"):
            key = elsewhere.create(name)
            headers = {"authorization": f"Bearer {key}"}
            assert (await api.http.post("/v1/chat/completions", json=HELLO, headers=headers)).status_code == 200
            assert api.activity.records[-1].key == name
            elsewhere.revoke(name)
            assert (await api.http.get("/v1/models", headers=headers)).status_code == 401
            assert api.activity.records[-1].key == ""


@pytest.mark.anyio
async def test_a_change_of_what_is_allowed_holds_at_once(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        page, host = {"origin": "https://chat.example.org"}, {"host": "workbench.lan"}
        assert (await api.http.get("/v1/models", headers=page)).status_code == 403
        assert (await api.http.get("/v1/models", headers=host)).status_code == 403
        api.settings.update(allowed_origins=("https://Chat.Example.org/",), allowed_hosts=("Workbench.lan:80",))
        assert (await api.http.get("/v1/models", headers=page)).status_code == 200
        assert (await api.http.get("/v1/models", headers=host)).status_code == 200
        api.settings.update(require_api_key=True)
        assert (await api.http.get("/v1/models")).status_code == 401


@pytest.mark.anyio
async def test_who_could_be_let_in_is_told_once(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        seen: list[tuple[RefusedCaller, ...]] = []
        api.refusals.changed.subscribe(seen.append)
        for headers in (
            {"origin": "https://chat.example.org"},
            {"origin": "https://chat.example.org"},
            {"origin": "chrome-extension://abc"},
            {"origin": "null"},
            {"sec-fetch-site": "cross-site"},
            {"host": "workbench.lan:8642"},
            {"host": "127.0.0.1/x"},
            # A page whose name was made to lead here.
            {"host": "rebound.example", "origin": "http://rebound.example"},
            {"host": "rebound.example", "user-agent": "Mozilla/5.0 (X11; Linux x86_64)"},
        ):
            assert (await api.http.get("/v1/models", headers=headers)).status_code == 403
        assert [(caller.kind, caller.name) for caller in api.refusals.callers] == [
            (CallerKind.PAGE, "https://chat.example.org"),
            (CallerKind.PAGE, "chrome-extension://abc"),
            (CallerKind.HOST, "workbench.lan"),
        ]
        assert len(seen) == 3


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False), ("example.org", False)],
)
def test_loopback_is_told_from_the_rest(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


@pytest.mark.anyio
async def test_a_preflight_of_an_allowed_page_is_answered_for_exactly_that_page(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        answer = await api.http.options(
            "/v1/chat/completions",
            headers={
                "origin": "http://localhost:3000",
                "access-control-request-method": "POST",
                "access-control-request-headers": "authorization, x-stainless-os",
                "access-control-request-private-network": "true",
            },
        )
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == "http://localhost:3000"
    assert "x-stainless-os" in answer.headers["access-control-allow-headers"]
    assert answer.headers["access-control-allow-private-network"] == "true"
    assert {name.strip() for name in answer.headers["vary"].split(",")} >= {"Origin", "Access-Control-Request-Headers"}
    assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.anyio
async def test_a_preflight_of_another_page_gets_nothing(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        answer = await api.http.options(
            "/v1/models", headers={"origin": "https://evil.example", "access-control-request-method": "POST"}
        )
    assert answer.status_code == 403
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.anyio
async def test_answers_to_an_allowed_page_can_be_read_by_it_errors_included(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        headers = {"origin": "http://localhost:3000"}
        good = await api.http.post("/v1/chat/completions", json=HELLO, headers=headers)
        bad = await api.http.post("/v1/chat/completions", json={}, headers=headers)
    assert (good.status_code, bad.status_code) == (200, 400)
    for answer in (good, bad):
        assert answer.headers["access-control-allow-origin"] == "http://localhost:3000"
        assert "x-request-id" in answer.headers["access-control-expose-headers"]


@pytest.mark.anyio
async def test_a_rebound_name_is_refused_before_anything_runs(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        client = await RawClient.connect(api.port)
        await client.send("POST /v1/chat/completions HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 1000000\r\n\r\n")
        answer = await client.until("}}")
        await client.close()
        assert api.launcher.clients == []
    assert answer.startswith("HTTP/1.1 403")
    assert '"code":"forbidden"' in answer
