"""What the processes of a server cost, from Linux's /proc. Elsewhere nothing can be told."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["cpu_seconds", "private_bytes", "tree", "worker_of"]

_PROC = Path("/proc")


def tree(pid: int) -> tuple[int, ...]:
    """A process and all below it; empty where that can't be told."""
    return tuple(_tree(pid)) if (_PROC / str(pid)).exists() else ()


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for children in (_PROC / str(pid) / "task").glob("*/children"):
        for child in children.read_text().split():
            yield from _tree(int(child))


def worker_of(pid: int) -> int | None:
    """The one engine worker below a process."""
    workers = [child for child in tree(pid) if b"engine-worker" in (_PROC / str(child) / "cmdline").read_bytes()]
    return workers[0] if len(workers) == 1 else None


def cpu_seconds(pid: int | None) -> float | None:
    """Processor time of a process and those below it, so far."""
    if pid is None or not (processes := tree(pid)):
        return None
    ticks = 0
    for process in processes:
        fields = (_PROC / str(process) / "stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def private_bytes(pid: int, model: Path) -> int:
    """Resident memory of one process, without the pages of the model's file."""
    total, counted = 0, True
    for line in (_PROC / str(pid) / "smaps").read_text().splitlines():
        head = line.split(None, 5)
        if "-" in head[0] and not head[0].endswith(":"):
            counted = len(head) < 6 or Path(head[5]) != model
        elif counted and head[0] == "Rss:":
            total += 1024 * int(head[1])
    return total
