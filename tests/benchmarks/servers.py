"""The servers under test: Hearth, programs that this run starts beside it, and addresses where something listens already."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shlex
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tests.benchmarks.client import Client, RequestFailed

__all__ = ["Flags", "Hearth", "Listening", "Server", "Started"]

_START_S = 180.0
_STOP_S = 30.0
_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Flags:
    """What all servers are started with."""

    model: Path
    parallel: int
    ctx: int
    threads: int


class Server:
    """Something that answers on an address. `name` without what follows a slash is its family."""

    def __init__(self, name: str, client: Client) -> None:
        self.name = name
        self.client = client

    @property
    def family(self) -> str:
        return self.name.partition("/")[0]

    @property
    def pid(self) -> int | None:
        """Its first process, if this run started it."""
        return None

    def close(self) -> None:
        """End it, if this run started it."""


class Listening(Server):
    """A server somebody else started. What it has in memory is meant, or the first model it lists."""

    def __init__(self, name: str, address: str) -> None:
        super().__init__(name, Client(address))

    async def connect(self) -> None:
        """Raises SystemExit if it can't be used."""
        try:
            await _meet(self.client)
        except RequestFailed as error:
            raise SystemExit(f"{self.name}: {error}.") from error


class _Child(Server):
    """A server in a process of this run."""

    def __init__(self, name: str) -> None:
        super().__init__(name, Client("127.0.0.1"))
        self._process: subprocess.Popen[str] | None = None

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def close(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._process = None


class Hearth(_Child):
    """This program, with a throw-away profile that survives `restart`."""

    def __init__(self, flags: Flags, profile: Path, log: Path) -> None:
        super().__init__("hearth")
        self._flags = flags
        self._profile = profile
        self._log = log

    async def start(self) -> None:
        """Raises SystemExit if it ends early."""
        self._address = await asyncio.to_thread(self._spawn)
        self.client = Client(self._address)
        await _meet(self.client)

    @property
    def kept_bytes(self) -> int:
        """What its workers keep of prompts in memory, within the budget that it was given."""
        with urllib.request.urlopen(f"{self._address}/models") as answer:
            models = json.load(answer)["data"]
        return sum(model["stats"]["saved_bytes"] for model in models if model.get("stats"))

    async def restart(self) -> None:
        self.close()
        await self.start()

    def _spawn(self) -> str:
        """Start the process and wait for the address it listens on."""
        flags = self._flags
        arguments = ("serve", "--port", "0", "--profile", self._profile, "--model", flags.model)
        numbers = ("--parallel", flags.parallel, "--ctx-size", flags.ctx, "--threads", flags.threads)
        command = [sys.executable, "-m", "app", *map(str, (*arguments, *numbers))]
        with self._log.open("a") as log:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, cwd=_ROOT)
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if match := re.search(r"^Hearth is listening on (http://\S+/v1)$", line):
                return match[1]
        raise SystemExit(f"hearth ended early: {self._log.read_text()[-2000:]}")


class Started(_Child):
    """Another program. `command` may name {model}, {port}, {parallel}, {ctx} and {threads}."""

    def __init__(self, name: str, command: str, flags: Flags, log: Path) -> None:
        super().__init__(name)
        self._command = command
        self._flags = flags
        self._log = log

    async def start(self) -> None:
        """Start it and wait until it answers. Raises SystemExit if it ends early or never does."""
        port = _free_port()
        with self._log.open("a") as log:
            self._process = _spawn(self._command, self._flags, port, log)
        self.client = Client(f"127.0.0.1:{port}")
        deadline = time.monotonic() + _START_S
        while True:
            with contextlib.suppress(RequestFailed):
                await _meet(self.client)
                return
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.close()
                raise SystemExit(f"{self.name} did not start: {self._log.read_text()[-2000:]}")
            await asyncio.sleep(0.3)


def _spawn(command: str, flags: Flags, port: int, log: IO[str]) -> subprocess.Popen[str]:
    values: Mapping[str, object] = {
        "model": flags.model,
        "port": port,
        "parallel": flags.parallel,
        "ctx": flags.ctx,
        "threads": flags.threads,
    }
    # VARIABLE=VALUE in front, as in a shell.
    words = [part.format_map(values) for part in shlex.split(command)]
    variables = {}
    while words and re.match(r"[A-Za-z_]\w*=", words[0]):
        name, _, value = words.pop(0).partition("=")
        variables[name] = value
    return subprocess.Popen(
        words, stdout=log, stderr=subprocess.STDOUT, text=True, cwd=tempfile.gettempdir(), env={**os.environ, **variables}
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _meet(client: Client) -> None:
    """Find out the model's name, and let the first request pay for pages that are not in memory yet. Raises RequestFailed."""
    listed = (await client.get("/v1/models"))["data"]
    if not listed:
        raise RequestFailed("it lists no model")
    ready = [model for model in listed if model.get("state") == "ready"]
    client.model = (ready or listed)[0]["id"]
    try:
        await client.post("/v1/completions", {"prompt": "warm up " * 16, "max_tokens": 4, "temperature": 0})
    except RequestFailed:
        # A model that only embeds.
        await client.post("/v1/embeddings", {"input": "warm up"})
