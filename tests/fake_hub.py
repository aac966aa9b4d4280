"""A model hub on loopback that the real huggingface_hub client talks to, with faults to order.

    with FakeHub() as hub:
        hub.add("org/repo", {"model-Q4_K_M.gguf": data})
        hub.faults.drop_after.append(1000)      # cut the next transfer after 1,000 bytes
        ... Hub(endpoint=hub.endpoint) ...
        hub.transfers[0].headers["range"]

Besides listings and files it answers searches (`tests.fake_hub_api`), whose they are (`users`), and model cards.

Files over 1 kB are "large files" as on the hub: the resolve address redirects to another origin (`localhost` instead of
`127.0.0.1`), and the listing has their SHA-256.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

from tests.fake_hub_api import HubFacts, described, page_of, searched

__all__ = ["FakeHub", "Faults", "HubFacts", "Request"]

_LARGE_BYTES: Final = 1000
_CHUNK_BYTES: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Request:
    """One request that arrived; names of headers are in small letters."""

    method: str
    path: str
    headers: Mapping[str, str]
    query: str = ""


@dataclass(slots=True)
class Faults:
    """What goes wrong. Lists are used up, one entry per transfer; flags stay until they are cleared.

    `pause_after`: after so many bytes of a transfer, wait for `FakeHub.resume` (`FakeHub.paused` tells when it is reached).
    `changes_after`: from that many transfers on, the storage has other bytes (and another ETag) at the same address.
    `statuses_from`: the number of the first transfer that `statuses` are for.
    `link_uses`: so often a link to the storage can be used before it is over; `drip_s`: so long between two bytes.
    `lie_about_sha256`: the listing promises another hash than the one of what is sent.
    `refuse_tokens`: whoever sends a token is told that it is none. `pause_api`: the API waits likewise before it answers.
    `redirects_to`: the API sends whoever asks here to another endpoint.
    `links_to`: the endpoint that links to a search's next page lead to, as a mirror passes them on.
    """

    drop_after: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    statuses_from: int = 0
    pause_after: int | None = None
    corrupt: bool = False
    ignore_ranges: bool = False
    changes_after: int | None = None
    link_uses: int | None = None
    drip_s: float | None = None
    lie_about_sha256: bool = False
    refuse_tokens: bool = False
    links_to: str = ""
    redirects_to: str = ""
    api_status: int | None = None
    pause_api: bool = False
    retry_after_s: int | None = None


@dataclass(slots=True)
class _Repository:
    files: dict[str, bytes]
    commit: str
    gated: bool
    private: bool
    token: str
    facts: HubFacts


class FakeHub:
    """Runs on threads of its own between `__enter__` and `__exit__`. Its fields may be changed at any time."""

    def __init__(self) -> None:
        self.faults = Faults()
        self.requests: list[Request] = []
        self.users = {"hf_secret": "ada"}
        self.paused = threading.Event()
        self.resume = threading.Event()
        self._link_uses: list[int] = []
        # By their hashes, as the storage behind the hub knows them; it keeps what no repository holds any more.
        self._data: dict[str, bytes] = {}
        self._repositories: dict[str, _Repository] = {}
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, name="fake-hub")

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def transfers(self) -> list[Request]:
        """Requests for the bytes of large files."""
        return [request for request in self.requests if request.method == "GET" and request.path.startswith("/cdn/")]

    def add(
        self,
        repository: str,
        files: Mapping[str, bytes],
        *,
        gated: bool = False,
        private: bool = False,
        token: str = "hf_secret",
        facts: HubFacts | None = None,
    ) -> None:
        """Publish a repository, or a new commit of it. `token` opens a gated or private one."""
        hashes = {name: _digest("sha256", data) for name, data in files.items()}
        self._data |= {hashes[name]: data for name, data in files.items()}
        contents = "".join(f"{name}:{sha256}" for name, sha256 in hashes.items())
        commit = hashlib.sha1(f"{repository}{contents}".encode()).hexdigest()
        self._repositories[repository] = _Repository(dict(files), commit, gated, private, token, facts or HubFacts())

    def find(self, repository: str) -> _Repository | None:
        return self._repositories.get(repository)

    def found(self, query: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
        """What a search gives that nobody is known of."""
        public = {name: repository for name, repository in self._repositories.items() if not repository.private}
        return searched(((_told(name, repository), repository.facts) for name, repository in public.items()), query)

    def data(self, sha256: str) -> bytes | None:
        return self._data.get(sha256)

    def new_link(self) -> int:
        """The number of a link to the storage that nobody has used yet."""
        self._link_uses.append(0)
        return len(self._link_uses) - 1

    def use_link(self, number: int) -> bool:
        """Whether it is still good."""
        self._link_uses[number] += 1
        return self.faults.link_uses is None or self._link_uses[number] <= self.faults.link_uses

    def __enter__(self) -> FakeHub:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.resume.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub
    protocol_version = "HTTP/1.1"
    # Head and body are two writes: otherwise each answer waits 40 ms for the client's delayed acknowledgement.
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append(Request(self.command, path, headers, urlsplit(self.path).query))
        if path.startswith("/api/") and self._is_refused():
            return
        if path == "/api/models":
            self._search()
        elif path == "/api/whoami-v2":
            self._whoami()
        elif found := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/([^/]+))?", path):
            self._info(found[1])
        elif found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/tree/[^/]+", path):
            self._tree(found[1])
        elif found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self._resolve(found[1], found[3])
        elif found := re.fullmatch(r"/cdn/([0-9a-f]{64})", path):
            self._transfer(found[1])
        else:
            self._json({"error": "Not found"}, 404)

    def _is_refused(self) -> bool:
        """Whether the answer was an error."""
        faults = self.hub.faults
        if faults.pause_api:
            self.hub.paused.set()
            self.hub.resume.wait()
        if faults.api_status is not None:
            self._json({"error": "Something went wrong"}, faults.api_status)
        elif faults.redirects_to and urlsplit(faults.redirects_to).netloc != self.headers["host"]:
            self._head(307, 0, {"Location": f"{faults.redirects_to}{self.path}"})
        elif faults.refuse_tokens and self.headers.get("authorization"):
            refused = {"X-Error-Message": "Invalid credentials in Authorization header"}
            self._json({"error": "Invalid credentials in Authorization header"}, 401, headers=refused)
        else:
            return False
        return True

    def _search(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        items, link = page_of(self.hub.found(query), query, f"{self.hub.faults.links_to or self.hub.endpoint}/api/models")
        self._json(items, headers={"Link": link} if link else {})

    def _whoami(self) -> None:
        user = self.hub.users.get(self.headers.get("authorization", "").removeprefix("Bearer "))
        if user is None:
            self._json({"error": "Invalid username or password."}, 401)
        else:
            self._json({"type": "user", "name": user, "orgs": []})

    def _opened(self, name: str, *, for_files: bool) -> _Repository | None:
        """The repository, unless the answer was an error."""
        if self.hub.faults.api_status is not None:
            self._json({"error": "Something went wrong"}, self.hub.faults.api_status)
            return None
        repository = self.hub.find(name)
        has_token = repository is not None and self.headers.get("authorization") == f"Bearer {repository.token}"
        if repository is None or (repository.private and not has_token):
            # The hub does not tell strangers which private repositories exist.
            self._json(
                {"error": "Repository not found"}, 404 if self.headers.get("authorization") else 401, code="RepoNotFound"
            )
            return None
        if repository.gated and for_files and not has_token:
            status = 403 if self.headers.get("authorization") else 401
            self._json({"error": f"Access to model {name} is restricted"}, status, code="GatedRepo")
            return None
        return repository

    def _info(self, name: str) -> None:
        repository = self._opened(name, for_files=False)
        if repository is None:
            return
        siblings = []
        for file, data in repository.files.items():
            entry: dict[str, Any] = {"rfilename": file, "size": len(data), "blobId": _digest("sha1", data)}
            if len(data) > _LARGE_BYTES:
                entry["lfs"] = {"sha256": self._promised(data), "size": len(data), "pointerSize": 134}
            siblings.append(entry)
        self._json({**_told(name, repository), "siblings": siblings})

    def _tree(self, name: str) -> None:
        repository = self._opened(name, for_files=False)
        if repository is None:
            return
        entries: list[dict[str, Any]] = []
        for file, data in repository.files.items():
            entry: dict[str, Any] = {"type": "file", "path": file, "size": len(data), "oid": _digest("sha1", data)}
            if len(data) > _LARGE_BYTES:
                entry["lfs"] = {"oid": self._promised(data), "size": len(data), "pointerSize": 134}
            entries.append(entry)
        query = parse_qs(urlsplit(self.path).query)
        page, link = page_of(entries, query, f"{self.hub.endpoint}{urlsplit(self.path).path}")
        self._json(page, headers={"Link": link} if link else {})

    def _resolve(self, name: str, file: str) -> None:
        repository = self._opened(name, for_files=True)
        if repository is None:
            return
        data = repository.files.get(file)
        commit = {"X-Repo-Commit": repository.commit}
        if data is None:
            self._json({"error": "Entry not found"}, 404, code="EntryNotFound", headers=commit)
        elif len(data) <= _LARGE_BYTES:
            self._bytes(data, {**commit, "ETag": f'"{_digest("sha1", data)}"'})
        else:
            sha256 = _digest("sha256", data)
            headers = {
                **commit,
                "Location": f"http://localhost:{self.hub.port}/cdn/{sha256}?Signature={self.hub.new_link()}",
                "X-Linked-Etag": f'"{self._promised(data)}"',
                "X-Linked-Size": str(len(data)),
                "Accept-Ranges": "bytes",
            }
            self._head(302, 0, headers)

    def _transfer(self, sha256: str) -> None:
        faults = self.hub.faults
        data = self.hub.data(sha256)
        if data is not None and faults.changes_after is not None and len(self.hub.transfers) > faults.changes_after:
            data = data[::-1]
        if faults.statuses and len(self.hub.transfers) > faults.statuses_from:
            self._json({"error": "Something went wrong"}, faults.statuses.pop(0))
        elif not self.hub.use_link(int(urlsplit(self.path).query.partition("=")[2])):
            self._json({"error": "Request has expired"}, 403)
        elif data is None:
            self._json({"error": "Not found"}, 404)
        else:
            self._bytes(bytes(len(data)) if faults.corrupt else data, {"ETag": f'"{_digest("md5", data)}"'})

    def _bytes(self, data: bytes, headers: Mapping[str, str]) -> None:
        """The whole file or the rest of it, as asked by Range and If-Range, with the faults that were ordered."""
        start, end = 0, len(data)
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("range", ""))
        unchanged = self.headers.get("if-range") in (None, headers["ETag"])
        if wanted and unchanged and not self.hub.faults.ignore_ranges:
            start = int(wanted[1])
            if start >= len(data):
                self._head(416, 0, {"Content-Range": f"bytes */{len(data)}"})
                return
            end = min(end, int(wanted[2]) + 1) if wanted[2] else end
            headers = {**headers, "Content-Range": f"bytes {start}-{end - 1}/{len(data)}"}
        self._head(206 if "Content-Range" in headers else 200, end - start, {**headers, "Accept-Ranges": "bytes"})
        if self.command == "GET":
            self._send(data[start:end])

    def _send(self, data: bytes) -> None:
        faults = self.hub.faults
        dropped = bool(faults.drop_after)
        limit = faults.drop_after.pop(0) if dropped else len(data)
        pause_at = faults.pause_after
        sent = 0
        try:
            while sent < min(limit, len(data)):
                end = min(sent + (1 if faults.drip_s else _CHUNK_BYTES), limit, len(data))
                if pause_at is not None and sent <= pause_at:
                    end = min(end, pause_at) if sent < pause_at else end
                self.wfile.write(data[sent:end])
                sent = end
                if faults.drip_s:
                    self.hub.resume.wait(faults.drip_s)
                if sent == pause_at:
                    self.wfile.flush()
                    self.hub.paused.set()
                    self.hub.resume.wait()
        except OSError:
            dropped = True
        if dropped:
            self.close_connection = True

    def _json(self, content: Any, status: int = 200, *, code: str = "", headers: Mapping[str, str] | None = None) -> None:
        body = json.dumps(content).encode()
        extra = {"Content-Type": "application/json", **(headers or {})}
        if code:
            extra |= {"X-Error-Code": code, "X-Error-Message": str(content.get("error", ""))}
        if self.hub.faults.retry_after_s is not None and status == 429:
            extra["Retry-After"] = str(self.hub.faults.retry_after_s)
        self._head(status, len(body), extra)
        if self.command == "GET":
            self.wfile.write(body)

    def _head(self, status: int, length: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def _promised(self, data: bytes) -> str:
        return _digest("sha256", data + b"!" if self.hub.faults.lie_about_sha256 else data)


def _told(name: str, repository: _Repository) -> dict[str, Any]:
    return described(name, repository.commit, repository.facts, gated=repository.gated, private=repository.private)


@functools.lru_cache(maxsize=256)
def _digest(algorithm: str, data: bytes) -> str:
    """Once for each file: the storage behind the hub does not look through files when it is asked for them."""
    return hashlib.new(algorithm, data).hexdigest()


def _handler(hub: FakeHub) -> type[_Handler]:
    return type("_BoundHandler", (_Handler,), {"hub": hub})
