"""A worker's manners: it lives and dies with the program that started it, and nothing outside steers it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, Listener
from pathlib import Path

import pytest

from app.domain.generation import SamplingParams
from app.domain.prompt import PlainText
from app.engine.protocol import EngineConfig, GenerateJob, Load, LoadFailed, LoadProgress, Ready, Shutdown, TokenizeJob, Tokens
from tests.engine.scripted_engine import COMMAND

ROOT = Path(__file__).parents[2]
KEY = b"key"


@contextmanager
def worker(**environment: str) -> Iterator[tuple[subprocess.Popen[bytes], Connection]]:
    """A worker that called back, driven by hand."""
    with Listener(authkey=KEY) as listener:
        process = subprocess.Popen(
            COMMAND, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT, env={**os.environ, **environment}
        )
        with process:
            assert process.stdin is not None
            process.stdin.write(json.dumps({"address": listener.address, "key": KEY.hex()}).encode() + b"\n")
            process.stdin.flush()
            try:
                with listener.accept() as pipe:
                    yield process, pipe
            finally:
                process.kill()


def load(pipe: Connection, file: str = "good.gguf") -> None:
    pipe.send(Load(EngineConfig(Path(file))))
    while not isinstance(pipe.recv()[0], Ready):
        pass


def generate(pipe: Connection, script: str) -> None:
    """Start an answer and wait for its first piece."""
    pipe.send(GenerateJob("a", (PlainText(script),), SamplingParams()))
    while not any(isinstance(event, Tokens) for event in pipe.recv()):
        pass


def test_shutdown_ends_it_cleanly() -> None:
    with worker() as (process, pipe):
        load(pipe)
        pipe.send(Shutdown())
        assert process.wait(5) == 0


@pytest.mark.parametrize("script", ["say one", "forever", "stuck"])
def test_the_end_of_the_pipe_ends_it_at_once(script: str) -> None:
    with worker() as (process, pipe):
        load(pipe)
        generate(pipe, script)
        pipe.close()
        process.wait(5)


def test_the_end_of_the_pipe_ends_it_while_it_prepares_a_job() -> None:
    with worker() as (process, pipe):
        load(pipe)
        pipe.send(GenerateJob("a", (PlainText("ponder"),), SamplingParams()))
        pipe.close()
        process.wait(5)


def test_the_end_of_the_pipe_ends_it_while_it_loads() -> None:
    with worker() as (process, pipe):
        pipe.send(Load(EngineConfig(Path("stuck.gguf"))))
        assert pipe.recv() == (LoadProgress(0.5),)
        pipe.close()
        process.wait(5)


def test_ctrl_c_is_the_programs_business() -> None:
    with worker() as (process, pipe):
        load(pipe)
        process.send_signal(signal.SIGINT)
        pipe.send(TokenizeJob("t", (PlainText("a"),)))
        assert pipe.recv()[0].ids == (97,)


def test_another_version_of_the_program_is_refused() -> None:
    with worker() as (process, pipe):
        pipe.send(Load(EngineConfig(Path("good.gguf")), version=-1))
        (event,) = pipe.recv()
        assert isinstance(event, LoadFailed)
        assert "versions" in str(event.error)
        assert process.wait(5) == 0


def test_all_events_of_a_step_come_in_one_frame() -> None:
    with worker() as (_, pipe):
        load(pipe)
        generate(pipe, "forever")
        pipe.send(GenerateJob("b", (PlainText("forever"),), SamplingParams()))
        while True:
            frame = pipe.recv()
            if {event.id for event in frame if isinstance(event, Tokens)} == {"a", "b"}:
                break


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_it_settles_in_a_folder_of_ours_without_strangers_libraries() -> None:
    with worker(GGML_BACKEND_PATH="/tmp/evil.so", LLAMA_CPP_LIB_PATH="/tmp") as (process, pipe):
        load(pipe)
        proc = Path("/proc", str(process.pid))
        assert (proc / "cwd").readlink() == ROOT / "app" / "engine"
        assert KEY.hex() not in (proc / "cmdline").read_text()
        assert (proc / "oom_score_adj").read_text().strip() == "500"
        assert "Max core file size        0" in (proc / "limits").read_text()


def test_a_killed_program_leaves_no_worker() -> None:
    program = (
        "import asyncio, pathlib, sys, threading\n"
        "from app.engine.process import ProcessLauncher\n"
        "from app.engine.protocol import EngineConfig\n"
        "from tests.engine.scripted_engine import COMMAND\n"
        "async def main():\n"
        "    config = EngineConfig(pathlib.Path('good.gguf'))\n"
        "    client = await ProcessLauncher(COMMAND).launch(config, on_progress=lambda fraction: None)\n"
        "    print(client.pid, flush=True)\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        watch = os.pidfd_open(pid)
        process.kill()
        try:
            assert ended(watch, timeout_s=5)
        finally:
            os.close(watch)


def ended(pidfd: int, *, timeout_s: float) -> bool:
    """Wait for a process that is not a child of this one."""
    import select

    ready, _, _ = select.select([pidfd], [], [], timeout_s)
    return bool(ready)


def test_its_imports_stay_few() -> None:
    """Each load pays for them."""
    heavy = ("PySide6", "fastapi", "uvicorn", "typer", "rich", "pydantic", "huggingface_hub", "jinja2", "numpy", "llama_cpp")
    code = f"import sys, app.__main__, app.engine.worker; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"
