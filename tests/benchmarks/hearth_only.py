"""What can't be asked over HTTP alone: a restart, memory, and the inside of a step."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.benchmarks.own_memory import own_memory
from tests.benchmarks.processes import private_bytes, tree, worker_of
from tests.benchmarks.prompts import Texts
from tests.benchmarks.scenarios import Load, Metric, Sizes
from tests.benchmarks.servers import Flags, Hearth, Server

__all__ = ["MEMORY_METRICS", "REOPEN_METRICS", "STEP_METRICS", "memory", "reopen", "steps"]

_MB = 1e6

REOPEN_METRICS = (
    Metric("reading the prompt", "ms"),
    Metric("reopening after a restart", "ms"),
    Metric("times sooner", "x", more_is_better=True),
)
MEMORY_METRICS = (Metric("worker above the model's own", "MB"), Metric("prompts kept", "MB"), Metric("all processes", "MB"))
STEP_METRICS = tuple(
    Metric(f"{part}, {n} streams" if n > 1 else f"{part}, 1 stream", unit)
    for n in (1, 8)
    for part, unit in (("step", "ms"), ("sampling", "us"), ("Python outside sampling", "us"), ("Python of a step", "%"))
)


async def reopen(hearth: Hearth, texts: Texts, sizes: Sizes) -> Mapping[str, float]:
    """A long conversation with a `prompt_cache_key`, then a restart, then its next question."""
    messages = [{"role": "user", "content": texts.words(sizes.long, "reopen")}]
    key = {"prompt_cache_key": f"benchmark-{texts.words(3, 'key').replace(' ', '-')}"}
    read = await Load(hearth.client, texts, sizes).chat(messages, 16, **key)
    await hearth.restart()
    question = texts.words(16, "reopen", "question")
    messages += [{"role": "assistant", "content": read.text}, {"role": "user", "content": question}]
    reopened = await Load(hearth.client, texts, sizes).chat(messages, 4, **key)
    return {
        "reading the prompt": 1000 * read.first,
        "reopening after a restart": 1000 * reopened.first,
        "times sooner": read.first / reopened.first,
    }


def memory(servers: Iterable[Server], flags: Flags) -> Mapping[str, Mapping[str, float]]:
    """Megabytes of each server that this run started, besides the pages of the model's file. Empty where it can't be told."""
    found: dict[str, Mapping[str, float]] = {}
    for server in servers:
        if server.pid is None or not (processes := tree(server.pid)):
            continue
        figures = {"all processes": sum(private_bytes(process, flags.model) for process in processes) / _MB}
        worker = worker_of(server.pid)
        if worker is not None:
            own = own_memory(flags.model, parallel=flags.parallel, ctx=flags.ctx, threads=flags.threads)
            kept = server.kept_bytes if isinstance(server, Hearth) else 0
            figures["worker above the model's own"] = (private_bytes(worker, flags.model) - own - kept) / _MB
            figures["prompts kept"] = kept / _MB
        found[server.name] = figures
    return found


def steps(model: Path, flags: Flags, sizes: Sizes) -> tuple[str, Mapping[str, float]]:
    """A table to print, and Python's figures of an engine in a process of its own, with no server around it."""
    arguments = [str(model), "--threads", str(flags.threads), "--ctx", str(flags.ctx), "--tokens", str(sizes.answer)]
    command = [sys.executable, "-m", "tests.benchmarks.steps", *arguments]
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    table, _, last = result.stdout.rstrip().rpartition("\n")
    return table, json.loads(last)
