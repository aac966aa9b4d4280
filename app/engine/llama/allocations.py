"""What llama.cpp says of its memory, in its log: the C interface has no other way to ask.

A dry run allocates nothing, so there the lines of buffers read 0.00; what counts then are the layers' devices, the size of each
cache, and the compute buffers, whose lines are right in both cases. The lines are those of llama.cpp 0.5.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from app.domain.memory import HOST

__all__ = ["Allocations", "Heard", "listening", "parse"]

_NATIVE = logging.getLogger("app.engine.llama.native")
_PROGRAM = logging.getLogger("app.engine.llama.backend")
_MIB = 1024 * 1024
_BUFFER = re.compile(r"\s(\S+)\s+(model|KV|RS|compute|output|LoRA) buffer size = +([\d.]+) MiB")
_CACHE = re.compile(r"llama_kv_cache\w*: size = +([\d.]+) MiB")
_CACHED_LAYER = re.compile(r"llama_kv_cache\w*: layer +\d+: dev = (\S+)")
_LAYER = re.compile(r"load_tensors: layer +(\d+) assigned to device ([^,\s]+)")
_UNUSED = re.compile(r"model has unused tensor (\S+) ")
_PLAIN_HOST = re.compile(r"CPU(_Mapped)?|\S+_Host")


@dataclass(slots=True)
class Allocations:
    """Bytes by the name of the buffer type (`buffers`, by kind) or device (`caches`).

    `layers` are the devices of the layers, the output last. `unused` are tensors of the file that are not loaded.
    """

    layers: list[str] = field(default_factory=list)
    caches: Counter[str] = field(default_factory=Counter)
    buffers: dict[str, Counter[str]] = field(default_factory=dict)
    unused: set[str] = field(default_factory=set)

    def forget_context(self) -> None:
        """A context is made anew in place of the last one."""
        self.caches.clear()
        for kind in ("KV", "RS", "compute", "output"):
            self.buffers.pop(kind, None)

    def of(self, *kinds: str) -> Counter[str]:
        return sum((self.buffers.get(kind, Counter()) for kind in kinds), Counter())

    @property
    def repacks(self) -> bool:
        """Whether the host keeps some weights in an order of its own beside those of the file."""
        return any(name.startswith(("CPU_", "AMX", "KLEIDIAI")) and not _PLAIN_HOST.fullmatch(name) for name in self._models)

    @property
    def repacked_bytes(self) -> int:
        return sum(size for name, size in self._models.items() if not _PLAIN_HOST.fullmatch(name))

    @property
    def is_mapped(self) -> bool:
        return any(name.endswith("_Mapped") for name in self._models)

    @property
    def _models(self) -> Counter[str]:
        return self.buffers.get("model", Counter())


def parse(lines: Iterable[str]) -> Allocations:
    found = Allocations()
    layers: dict[int, str] = {}
    caching: list[str] = []
    for line in lines:
        if "constructing llama_context" in line:
            found.forget_context()
        elif buffer := _BUFFER.search(line):
            found.buffers.setdefault(buffer[2], Counter())[buffer[1]] += round(float(buffer[3]) * _MIB)
        elif cached := _CACHED_LAYER.search(line):
            caching.append(cached[1])
        elif cache := _CACHE.search(line):
            # Its layers, of one size each, were named just before.
            for device in caching or [HOST]:
                found.caches[device] += round(float(cache[1]) * _MIB / max(1, len(caching)))
            caching.clear()
        elif layer := _LAYER.search(line):
            layers[int(layer[1])] = layer[2]
        elif unused := _UNUSED.search(line):
            found.unused.add(unused[1])
    found.layers = [layers[i] for i in sorted(layers)]
    return found


@contextmanager
def listening(*, quietly: bool = False) -> Iterator[Heard]:
    """Collect what llama.cpp says, details included. `quietly`, nothing of it reaches the program's log."""
    handler = _Collector()
    level = _NATIVE.level
    _NATIVE.addHandler(handler)
    _NATIVE.setLevel(logging.DEBUG)
    if quietly:
        _PROGRAM.addFilter(_nothing)
    try:
        yield handler.heard
    finally:
        _PROGRAM.removeFilter(_nothing)
        _NATIVE.setLevel(level)
        _NATIVE.removeHandler(handler)


@dataclass(slots=True)
class Heard:
    """All lines, and those among them that are errors."""

    lines: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


class _Collector(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.heard = Heard()

    def emit(self, record: logging.LogRecord) -> None:
        line = record.getMessage()
        self.heard.lines.append(line)
        if record.levelno >= logging.ERROR:
            self.heard.errors.append(line)


def _nothing(_record: logging.LogRecord) -> bool:
    return False
