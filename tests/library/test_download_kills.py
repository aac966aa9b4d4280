"""Programs that are killed while they download, again and again: what was brought to the disk is never fetched twice.

HEARTH_TEST_KILLS says how often; 200 take about a minute.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.library.byte_ranges import ByteRanges, Span
from tests.fake_hub import FakeHub

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="forks")

N_KILLS = int(os.environ.get("HEARTH_TEST_KILLS", "20"))
FILES = {"m-Q8_0.gguf": os.urandom(12_000_000), "mmproj-F16.gguf": os.urandom(3_000_000)}

# Imports once, then forks: a program that starts takes longer than it lives here.
PROGRAMS = """
import asyncio, os, signal, sys, time
from pathlib import Path
import app.library.fetch
from app.library.download_records import DownloadRecords
from app.library.downloads import DownloadManager
from app.library.hub import Hub
from app.library.retry_policy import RetryPolicy
from app.settings import SettingsStore
import huggingface_hub.hf_api

async def main(endpoint, root):
    hub = Hub(endpoint=endpoint)
    settings = SettingsStore(root / "settings.json", overrides={"download_limit_mb_s": 12})
    policy = RetryPolicy(span_bytes=1 << 20, sync_s=0.02, first_pause_s=0.0)
    manager = DownloadManager(hub, settings, lambda: root / "models", DownloadRecords(root / "downloads"), policy=policy)
    await manager.restore()
    if not manager.downloads and not (root / "models/org/repo/m-Q8_0.gguf").exists():
        repository = await hub.repository("org/repo")
        manager.start(repository, repository.models[0], repository.projectors[0])
    for progress in manager.downloads:
        await manager.wait(progress.id)
    await manager.close()

for line in sys.stdin:
    pid = os.fork()
    if not pid:
        asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
        os._exit(0)
    if line.strip():
        # It has no other parent who could have waited for it: the number is its own.
        time.sleep(float(line))
        os.kill(pid, signal.SIGKILL)
    print(os.waitpid(pid, 0)[1], flush=True)
"""


class Programs:
    """One after the other, each of which may be killed."""

    def __init__(self, endpoint: str, root: Path) -> None:
        command = [sys.executable, "-c", PROGRAMS, endpoint, str(root)]
        self._parent = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, life_s: float | None = None) -> int:
        """Start one, and kill it after a while, or else let it end; its status."""
        assert self._parent.stdin is not None
        assert self._parent.stdout is not None
        self._parent.stdin.write("\n" if life_s is None else f"{life_s}\n")
        self._parent.stdin.flush()
        return int(self._parent.stdout.readline())

    def close(self) -> None:
        assert self._parent.stdin is not None
        assert self._parent.stdout is not None
        self._parent.stdin.close()
        self._parent.wait(20)
        self._parent.stdout.close()


@pytest.fixture
def fake() -> Iterator[FakeHub]:
    with FakeHub() as hub:
        hub.add("org/repo", FILES)
        yield hub


@pytest.fixture
def programs(fake: FakeHub, tmp_path: Path) -> Iterator[Programs]:
    made = Programs(fake.endpoint, tmp_path)
    yield made
    made.close()


def synced(folder: Path) -> dict[str, tuple[Span, ...]]:
    """What is noted as being on the disk, by the file's hash."""
    notes = [json.loads(path.read_text("utf-8")) for path in folder.glob("*.part.json")]
    found = {note["expected"]["sha256"]: tuple((start, end) for start, end in note["have"]) for note in notes}
    for name, data in FILES.items():
        if (folder / name).exists():
            found[hashlib.sha256(data).hexdigest()] = ((0, len(data)),)
    return found


def asked(fake: FakeHub, since: int) -> Iterator[tuple[str, Span]]:
    """What storage was asked for."""
    sizes = {hashlib.sha256(data).hexdigest(): len(data) for data in FILES.values()}
    for request in fake.transfers[since:]:
        sha256 = request.path.rpartition("/")[2]
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", "bytes=0-"))
        assert found
        yield sha256, (int(found[1]), int(found[2]) + 1 if found[2] else sizes[sha256])


def test_nothing_that_was_brought_to_the_disk_is_fetched_twice(fake: FakeHub, programs: Programs, tmp_path: Path) -> None:
    folder = tmp_path / "models" / "org" / "repo"
    chance = random.Random(20)
    kills = finished = 0
    while kills < N_KILLS or not finished:
        before, n_transfers = synced(folder), len(fake.transfers)
        status = programs.run(chance.uniform(0.0, 0.4) if kills < N_KILLS else None)
        kills += status == signal.SIGKILL
        for sha256, span in asked(fake, n_transfers):
            there = ByteRanges(before.get(sha256, ()))
            n_there = there.total
            there.add(*span)
            assert there.total == n_there + span[1] - span[0], "a span was asked for that was there"
        if status == 0:
            finished += 1
            assert {path.name for path in folder.iterdir()} == {*FILES, ".hearth.json"}
            for name, data in FILES.items():
                assert (folder / name).read_bytes() == data
                (folder / name).unlink()
    assert kills >= N_KILLS
