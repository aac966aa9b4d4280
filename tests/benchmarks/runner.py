"""Runs scenarios on all servers, repetition by repetition, and on each server in turn within one."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tests.benchmarks import hearth_only
from tests.benchmarks.client import RequestFailed
from tests.benchmarks.processes import cpu_seconds
from tests.benchmarks.prompts import Texts
from tests.benchmarks.report import print_scenario
from tests.benchmarks.results import OURS, Results
from tests.benchmarks.scenarios import SCENARIOS, Load, Metric, Scenario, Sizes
from tests.benchmarks.servers import Flags, Hearth, Listening, Server, Started

__all__ = ["ALL_SCENARIOS", "Plan", "run"]

ALL_SCENARIOS = (*SCENARIOS, "reopen", "memory", "steps")
_SERVER_CPU = Metric("server's processor time", "s", digits=2)
_CLIENT_CPU = Metric("client's share of a processor", "%")
# A server that fails this often at a scenario is not asked again.
_GIVE_UP = 2


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run. `peers` are (name, address) of servers that run, `commands` (name, command) of servers to start for each
    model, and `embedding_commands` of those to start for the embedding model."""

    scenarios: tuple[str, ...]
    repeat: int
    sizes: Sizes
    seed: str
    peers: tuple[tuple[str, str], ...] = ()
    commands: tuple[tuple[str, str], ...] = ()
    embedding_commands: tuple[tuple[str, str], ...] = ()
    hearth: bool = True


async def run(plan: Plan, name: str, flags: Flags, embedding_model: Path | None, folder: Path) -> Results:
    """Measure one model, and print each table as soon as it is complete. `folder` takes profiles and logs."""
    results = Results(name)
    generating = [scenario for key, scenario in SCENARIOS.items() if key in plan.scenarios and not scenario.of_embedding_models]
    if generating or {"reopen", "memory"} & set(plan.scenarios):
        async with _servers(plan, flags, folder) as servers:
            for scenario in generating:
                await _repeat(plan, scenario, servers, results)
            await _hearth_alone(plan, flags, servers, results)
    if "embeddings" in plan.scenarios and embedding_model is not None:
        embedding_flags = replace(flags, model=embedding_model)
        embedding_plan = replace(plan, peers=(), commands=plan.embedding_commands)
        async with _servers(embedding_plan, embedding_flags, folder) as servers:
            await _repeat(plan, SCENARIOS["embeddings"], servers, results)
    if "steps" in plan.scenarios:
        await _steps(plan, flags, results)
    return results


@asynccontextmanager
async def _servers(plan: Plan, flags: Flags, folder: Path) -> AsyncIterator[Sequence[Server]]:
    servers: list[Server] = []
    try:
        if plan.hearth:
            hearth = Hearth(flags, folder / f"profile-{flags.model.stem}", folder / "hearth.log")
            servers.append(hearth)
            await hearth.start()
        for name, command in plan.commands:
            started = Started(name, command, flags, folder / f"{name.replace('/', '-')}.log")
            servers.append(started)
            await started.start()
        for name, address in plan.peers:
            listening = Listening(name, address)
            servers.append(listening)
            await listening.connect()
        yield servers
    finally:
        for server in servers:
            await asyncio.to_thread(server.close)


async def _repeat(plan: Plan, scenario: Scenario, servers: Sequence[Server], results: Results) -> None:
    failed: dict[str, int] = {}
    for repetition in range(plan.repeat):
        texts = Texts(f"{plan.seed}/{scenario.name}/{repetition}")
        # Who comes first changes: what goes on beside this run must not always hit the same one.
        turn = repetition % len(servers)
        for server in (*servers[turn:], *servers[:turn]):
            if failed.get(server.name, 0) < _GIVE_UP:
                _tell(f"{scenario.name}: {server.name}, {repetition + 1} of {plan.repeat}")
                ok = await _measure(scenario, server, Load(server.client, texts, plan.sizes), results)
                failed[server.name] = 0 if ok else failed.get(server.name, 0) + 1
    _tell("")
    print_scenario(results, scenario.name, scenario.about, [server.name for server in servers])


async def _measure(scenario: Scenario, server: Server, load: Load, results: Results) -> bool:
    metrics = scenario.metrics(load.sizes)
    wall, client, theirs = time.perf_counter(), time.process_time(), cpu_seconds(server.pid)
    try:
        figures = await scenario.run(load)
    except RequestFailed as error:
        results.fail(scenario.name, server.name, str(error))
        return False
    costs = {_CLIENT_CPU.name: 100 * (time.process_time() - client) / (time.perf_counter() - wall)}
    after = cpu_seconds(server.pid)
    if theirs is not None and after is not None:
        costs[_SERVER_CPU.name] = after - theirs
    results.add(scenario.name, (*metrics, _SERVER_CPU, _CLIENT_CPU), server.name, {**figures, **costs})
    return True


async def _hearth_alone(plan: Plan, flags: Flags, servers: Sequence[Server], results: Results) -> None:
    names = [server.name for server in servers]
    if "memory" in plan.scenarios:
        # Before anything restarts: memory grows with use.
        for name, figures in (await asyncio.to_thread(hearth_only.memory, servers, flags)).items():
            results.add("memory", hearth_only.MEMORY_METRICS, name, figures)
        print_scenario(results, "memory", "resident, without the model's file", names)
    if "reopen" in plan.scenarios:
        for server in servers:
            if isinstance(server, Hearth):
                await _reopen(plan, server, results)
        print_scenario(results, "reopen", "a long conversation after a restart", names)


async def _reopen(plan: Plan, hearth: Hearth, results: Results) -> None:
    for repetition in range(plan.repeat):
        _tell(f"reopen: {repetition + 1} of {plan.repeat}")
        try:
            figures = await hearth_only.reopen(hearth, Texts(f"{plan.seed}/reopen/{repetition}"), plan.sizes)
        except RequestFailed as error:
            results.fail("reopen", hearth.name, str(error))
            break
        results.add("reopen", hearth_only.REOPEN_METRICS, hearth.name, figures)
    _tell("")


async def _steps(plan: Plan, flags: Flags, results: Results) -> None:
    _tell("steps")
    table, figures = await asyncio.to_thread(hearth_only.steps, flags.model, flags, plan.sizes)
    _tell("")
    results.add("steps", hearth_only.STEP_METRICS, OURS, figures)
    print(f"\nsteps: where the time of a step goes\n{table}")


def _tell(what: str) -> None:
    """Progress, where somebody watches."""
    if sys.stderr.isatty():
        print(f"\r\033[K{what}", end="", file=sys.stderr, flush=True)
