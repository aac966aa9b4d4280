"""How fast downloads are beside curl, over loopback. By hand:

    python -m tests.benchmarks.bench_downloads

The server is a process of its own that leaves the work to the kernel. Hearth's time goes from the start of a download to its
end: hashed, brought to the disk for good, and installed. curl's ends with the last byte written, which is not on the disk yet;
what it takes to have the same of it, `sync` and a look at the hash, is shown besides. Processor time is the client's.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.domain.models import RemoteFile, RemoteRepository
from app.library.downloads import DownloadManager
from app.library.hub import Hub
from app.settings import SettingsStore
from tests.benchmarks.report import print_table

_TARGET = 0.9


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    if options.serve is not None:
        _serve(options.serve)
    with tempfile.TemporaryDirectory(prefix="hearth-benchmark-", dir=options.folder) as folder:
        _measure(Path(folder), options.megabytes * 1_000_000, options.repeat)
    return 0


def _measure(folder: Path, size: int, repeat: int) -> None:
    served = folder / "served.bin"
    sha256 = _write(served, size)
    with _server(served) as url:
        curl = [["curl", "--silent", "--output", str(folder / "by-curl"), url]]
        checked = [*curl, ["sync", str(folder / "by-curl")], ["sha256sum", str(folder / "by-curl")]]
        ways: dict[str, Callable[[], _Cost]] = {
            "curl": lambda: _timed_commands(curl),
            "curl, sync, sha256sum": lambda: _timed_commands(checked),
            **{
                f"hearth, {n} connection{'s' * (n > 1)}": lambda n=n: asyncio.run(  # type: ignore[misc]
                    _timed_download(folder / "by-hearth", url, size, sha256, n)
                )
                for n in (1, 2, 4)
            },
        }
        costs: dict[str, list[_Cost]] = {way: [] for way in ways}
        for _ in range(repeat):
            for way, run in ways.items():
                costs[way].append(run())
    _report(costs, size)


@dataclass(frozen=True, slots=True)
class _Cost:
    took_s: float
    processor_s: float


def _report(costs: dict[str, list[_Cost]], size: int) -> None:
    times = {way: [size / cost.took_s / 1e6 for cost in made] for way, made in costs.items()}
    processor = {way: statistics.median(cost.processor_s for cost in made) / size * 1e9 for way, made in costs.items()}
    by_curl = statistics.median(times["curl"])
    rows = []
    for way, speeds in times.items():
        middle = statistics.median(speeds)
        speed = f"{middle:.0f} [{min(speeds):.0f}..{max(speeds):.0f}]"
        rows.append([way, speed, f"{middle / by_curl:.2f}x", f"{processor[way]:.2f}"])
    print_table([f"{size / 1e6:.0f} MB", "MB/s", "of curl", "processor s/GB"], rows)
    best = max(statistics.median(speeds) for way, speeds in times.items() if way.startswith("hearth"))
    print(f"\ntarget: {_TARGET} of curl, {'met' if best >= _TARGET * by_curl else 'NOT MET'}")


def _timed_commands(commands: Sequence[Sequence[str]]) -> _Cost:
    started, used = time.perf_counter(), os.times()
    for command in commands:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    took, after = time.perf_counter() - started, os.times()
    Path(commands[0][-2]).unlink()
    children_s = after.children_user + after.children_system - used.children_user - used.children_system
    return _Cost(took, children_s)


async def _timed_download(folder: Path, url: str, size: int, sha256: str, connections: int) -> _Cost:
    settings = SettingsStore(folder / "settings.json", overrides={"download_connections": connections})
    manager = DownloadManager(Hub(), settings, lambda: folder)
    file = RemoteFile(("m.gguf",), size, "", (sha256,), urls=(url,))
    repository = RemoteRepository("files", "", (file,))
    # Once without measuring: the client is imported, and certificates are read, with the first download of a program.
    await manager.wait(manager.start(repository, RemoteFile(("s.gguf",), size, "", (sha256,), urls=(url,))))
    (folder / "files" / "s.gguf").unlink()
    started, used = time.perf_counter(), time.process_time()
    await manager.wait(manager.start(repository, file))
    cost = _Cost(time.perf_counter() - started, time.process_time() - used)
    await manager.close()
    (folder / "files" / "m.gguf").unlink()
    return cost


def _write(file: Path, size: int) -> str:
    digest = hashlib.sha256()
    with file.open("wb") as stream:
        for start in range(0, size, 1 << 24):
            piece = os.urandom(min(1 << 24, size - start))
            digest.update(piece)
            stream.write(piece)
    return digest.hexdigest()


@contextmanager
def _server(file: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "tests.benchmarks.bench_downloads", "--serve", str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}/m.gguf"
        finally:
            process.kill()


def _serve(file: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(server.getsockname()[1], flush=True)
        while True:
            connection, _ = server.accept()
            threading.Thread(target=_answer, args=(connection, file), daemon=True).start()


def _answer(connection: socket.socket, file: Path) -> None:
    size, received = file.stat().st_size, b""
    with connection, file.open("rb") as stream:
        while True:
            while b"\r\n\r\n" not in received:
                if not (piece := connection.recv(1 << 16)):
                    return
                received += piece
            head, _, received = received.partition(b"\r\n\r\n")
            wanted = re.search(rb"(?i)range: bytes=(\d+)-(\d*)", head)
            start = int(wanted[1]) if wanted else 0
            end = int(wanted[2]) + 1 if wanted and wanted[2] else size
            status = f"206 Partial Content\r\nContent-Range: bytes {start}-{end - 1}/{size}" if wanted else "200 OK"
            connection.sendall(f'HTTP/1.1 {status}\r\nContent-Length: {end - start}\r\nETag: "1"\r\n\r\n'.encode())
            try:
                connection.sendfile(stream, start, end - start)
            except OSError:
                return


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.bench_downloads")
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="on the disk to measure")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
