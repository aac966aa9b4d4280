from __future__ import annotations

from pathlib import Path

import pytest

from app.engine.host_memory import host_memory, linux_memory, mac_free_bytes, resident_bytes

KIB, GIB = 1024, 1024**3


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A computer with 16 GiB, of which 10 are available, in no group."""
    proc = tmp_path / "proc"
    (proc / "self").mkdir(parents=True)
    (tmp_path / "cgroup").mkdir()
    lines = (f"MemTotal: {16 * GIB // KIB} kB", f"MemFree: {GIB // KIB} kB", f"MemAvailable: {10 * GIB // KIB} kB")
    (proc / "meminfo").write_text("\n".join(lines))
    return tmp_path


def _limit(folder: Path, *, limit: str, used: int, cached: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.max").write_text(limit)
    (folder / "memory.current").write_text(str(used))
    (folder / "memory.stat").write_text(f"anon 5\ninactive_file {cached}\n")


def _free(machine: Path) -> tuple[int, int]:
    memory = linux_memory(machine / "proc", machine / "cgroup")
    return memory.free_bytes, memory.total_bytes


def test_what_is_cached_counts_as_free(machine: Path) -> None:
    assert _free(machine) == (10 * GIB, 16 * GIB)


def test_a_containers_limit_counts_less_what_it_uses(machine: Path) -> None:
    _limit(machine / "cgroup", limit=str(4 * GIB), used=3 * GIB, cached=GIB)
    assert _free(machine) == (2 * GIB, 4 * GIB)


def test_the_limit_of_a_group_further_up_counts_too(machine: Path) -> None:
    (machine / "proc" / "self" / "cgroup").write_text("0::/user/app\n")
    _limit(machine / "cgroup" / "user" / "app", limit="max", used=GIB, cached=0)
    _limit(machine / "cgroup" / "user", limit=str(6 * GIB), used=5 * GIB, cached=0)
    assert _free(machine) == (GIB, 6 * GIB)


def test_a_limit_beyond_the_computers_memory_is_none(machine: Path) -> None:
    _limit(machine / "cgroup", limit=str(64 * GIB), used=60 * GIB, cached=0)
    assert _free(machine) == (10 * GIB, 16 * GIB)


def test_groups_of_the_old_kind_are_read_too(machine: Path) -> None:
    (machine / "proc" / "self" / "cgroup").write_text("4:memory:/box\n0::/\n")
    group = machine / "cgroup" / "memory" / "box"
    group.mkdir(parents=True)
    (group / "memory.limit_in_bytes").write_text(str(2 * GIB))
    (group / "memory.usage_in_bytes").write_text(str(GIB))
    assert _free(machine) == (GIB, 2 * GIB)


def test_this_computer_tells_something_sensible() -> None:
    memory = host_memory()
    assert 0 < memory.free_bytes <= memory.total_bytes
    assert 1024 * KIB < resident_bytes() < memory.total_bytes


def test_what_macos_says_is_understood() -> None:
    told = (
        "Mach Virtual Memory Statistics: (page size of 16384 bytes)\n"
        "Pages free:                               10.\n"
        "Pages active:                            500.\n"
        "Pages inactive:                           20.\n"
        "Pages speculative:                         3.\n"
        "Pages purgeable:                           2.\n"
    )
    assert mac_free_bytes(told) == 35 * 16384
