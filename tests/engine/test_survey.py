from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import pytest

from app.domain.errors import ModelLoadFailed
from app.domain.memory import HOST, DeviceKind
from app.engine.inprocess import ThreadLauncher
from app.engine.process import ProcessLauncher
from app.engine.protocol import EngineConfig, Surveyed
from app.engine.survey import survey, surveys
from app.engine.worker_process import worker_command

pytestmark = pytest.mark.anyio


async def test_a_worker_names_the_devices_of_this_computer() -> None:
    found = await survey(None)
    assert found.plan is None
    host = next(device for device in found.devices if device.name == HOST)
    assert host.kind is DeviceKind.CPU
    assert 0 < host.free_bytes <= host.total_bytes


@pytest.mark.parametrize("launcher", [ProcessLauncher(), ThreadLauncher()], ids=["process", "thread"])
async def test_a_launcher_says_what_a_load_would_take(launcher: ProcessLauncher | ThreadLauncher, ember_path: Path) -> None:
    plan = (await launcher.survey(EngineConfig(ember_path, n_ctx=1024))).plan
    assert plan is not None
    assert plan.fits
    assert plan.n_ctx == 1024
    assert plan.total_bytes > plan.needs[0].weights_bytes > 0


async def test_a_plan_that_does_not_fit_is_told_all_the_same(ember_path: Path) -> None:
    plan = (await survey(EngineConfig(ember_path, memory_limit_bytes=1))).plan
    assert plan is not None
    assert not plan.fits


async def test_a_file_that_cant_be_loaded_in_any_case_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadFailed, match="does not exist"):
        await survey(EngineConfig(tmp_path / "none.gguf"))


async def test_a_worker_that_ends_or_never_starts_is_told() -> None:
    with pytest.raises(ModelLoadFailed, match="ended"):
        await survey(None, command=("/bin/true",))
    with pytest.raises(ModelLoadFailed, match="can't be started"):
        await survey(None, command=("/no/such/program",))


async def _each(configs: Sequence[EngineConfig]) -> AsyncGenerator[EngineConfig, None]:
    for config in configs:
        yield config


async def test_one_worker_answers_many_questions_and_a_bad_file_is_only_its_own_problem(
    tmp_path: Path, ember_path: Path
) -> None:
    starts = tmp_path / "starts"
    command = tmp_path / "worker"
    command.write_text(f'#!/bin/sh\necho >> "{starts}"\nexec {" ".join(worker_command())}\n')
    command.chmod(0o755)
    configs = [
        EngineConfig(ember_path, n_ctx=1024),
        EngineConfig(tmp_path / "none.gguf"),
        EngineConfig(ember_path, n_ctx=2048),
    ]
    first, missing, last = [answer async for answer in surveys(_each(configs), command=(str(command),))]
    assert isinstance(first, Surveyed)
    assert first.plan is not None
    assert first.plan.n_ctx == 1024
    assert isinstance(missing, ModelLoadFailed)
    assert missing.model == "none.gguf"
    assert isinstance(last, Surveyed)
    assert last.plan is not None
    assert last.plan.n_ctx == 2048
    assert starts.read_text() == "\n"


async def test_those_after_a_file_that_ends_the_worker_get_another(tmp_path: Path, ember_path: Path) -> None:
    starts = tmp_path / "starts"
    command = tmp_path / "worker"
    command.write_text(f'#!/bin/sh\n[ -e "{starts}" ] && exec {" ".join(worker_command())}\ntouch "{starts}"\n')
    command.chmod(0o755)
    died, answered = [answer async for answer in surveys(_each([EngineConfig(ember_path)] * 2), command=(str(command),))]
    assert isinstance(died, ModelLoadFailed)
    assert isinstance(answered, Surveyed)


async def test_surveys_by_a_worker_that_never_starts_all_say_so() -> None:
    answers = [answer async for answer in surveys(_each([EngineConfig(Path("a.gguf"))] * 2), command=("/no/such/program",))]
    assert [type(answer) for answer in answers] == [ModelLoadFailed] * 2
