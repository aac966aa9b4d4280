"""The computer's own memory: how much there is, how much can still be had, and how much this process holds."""

from __future__ import annotations

import ctypes
import os
import platform
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["HostMemory", "host_memory", "resident_bytes"]


@dataclass(frozen=True, slots=True)
class HostMemory:
    """`free_bytes` can be had without swapping: files that are only cached count. 0 and 0 where the system does not tell."""

    free_bytes: int
    total_bytes: int


def host_memory() -> HostMemory:
    """Asks the system anew each time."""
    match platform.system():
        case "Linux":
            return linux_memory(Path("/proc"), Path("/sys/fs/cgroup"))
        case "Darwin":
            return _mac_memory()
        case "Windows":
            return _windows_memory()
    return HostMemory(0, 0)


def resident_bytes(pid: int | None = None) -> int:
    """Memory of a process, or of this one, that is in RAM now, mapped files included; 0 where the system does not tell."""
    fields = _text(Path("/proc", "self" if pid is None else str(pid), "statm")).split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") if fields else 0


# ----------------------------------------------------------------------------------------------------------------- Linux
def linux_memory(proc: Path, cgroups: Path) -> HostMemory:
    """What the kernel calls available, or less where this process is in a container with a limit."""
    fields = _fields(proc / "meminfo")
    total, free = fields.get("MemTotal", 0) * 1024, fields.get("MemAvailable", 0) * 1024
    for limit, used in (*_limits_v2(proc, cgroups), *_limits_v1(proc, cgroups)):
        if 0 < limit < total:
            total, free = limit, min(free, max(0, limit - used))
    return HostMemory(free, total)


def _limits_v2(proc: Path, cgroups: Path) -> Iterator[tuple[int, int]]:
    """Limit and use of this process's group and of all groups around it."""
    for group in _groups(proc, cgroups, marker="0::"):
        cached = _fields(group / "memory.stat").get("inactive_file", 0)
        yield _number(group / "memory.max"), _number(group / "memory.current") - cached


def _limits_v1(proc: Path, cgroups: Path) -> Iterator[tuple[int, int]]:
    for group in _groups(proc, cgroups / "memory", marker=":memory:"):
        cached = _fields(group / "memory.stat").get("total_inactive_file", 0)
        yield _number(group / "memory.limit_in_bytes"), _number(group / "memory.usage_in_bytes") - cached


def _groups(proc: Path, root: Path, *, marker: str) -> Iterator[Path]:
    """From this process's group to the root. Within a container only the root may be there: it is the container's own."""
    lines = _text(proc / "self" / "cgroup").splitlines()
    own = next((line.partition(marker)[2] for line in lines if marker in line), "/")
    folder = root / own.strip("/")
    yield from (group for group in (folder, *folder.parents) if group.is_relative_to(root) and group.is_dir())


def _fields(file: Path) -> dict[str, int]:
    """Lines of a name and a number, with or without a colon."""
    words = (line.replace(":", " ").split() for line in _text(file).splitlines())
    return {word[0]: int(word[1]) for word in words if len(word) > 1 and word[1].isdigit()}


def _number(file: Path) -> int:
    """0 for no file, and for "max"."""
    text = _text(file).strip()
    return int(text) if text.isdigit() else 0


def _text(file: Path) -> str:
    try:
        return file.read_text("ascii", "replace")
    except OSError:
        return ""


# ---------------------------------------------------------------------------------------------------- macOS and Windows
def _mac_memory() -> HostMemory:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        told = subprocess.run(("/usr/bin/vm_stat",), capture_output=True, text=True, timeout=5, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return HostMemory(0, total)
    return HostMemory(mac_free_bytes(told), total)


def mac_free_bytes(told: str) -> int:
    """Of the output of `vm_stat`: pages that nobody uses, or that can be read again from their files."""
    lines = (line.partition(":") for line in told.splitlines())
    pages = {name.strip(): value.strip(" .") for name, _, value in lines}
    usable = ("Pages free", "Pages inactive", "Pages speculative", "Pages purgeable")
    size = next((int(word) for word in told.partition("\n")[0].split() if word.isdigit()), 16384)
    return size * sum(int(pages[name]) for name in usable if pages.get(name, "").isdigit())


class _MemoryStatus(ctypes.Structure):
    """MEMORYSTATUSEX."""

    _fields_ = (
        ("length", ctypes.c_uint32),
        ("load", ctypes.c_uint32),
        ("total", ctypes.c_uint64),
        ("free", ctypes.c_uint64),
        ("others", ctypes.c_uint64 * 5),
    )


def _windows_memory() -> HostMemory:
    status = _MemoryStatus(length=ctypes.sizeof(_MemoryStatus))
    # Looked up by name: other systems have no `windll`.
    kernel = getattr(ctypes, "windll").kernel32  # noqa: B009
    return HostMemory(status.free, status.total) if kernel.GlobalMemoryStatusEx(ctypes.byref(status)) else HostMemory(0, 0)
