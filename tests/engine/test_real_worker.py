"""The built-in model in a real worker: what the scripted engine can't show."""

from __future__ import annotations

import os
import select
import signal
import struct
import subprocess
import sys
from contextlib import aclosing
from pathlib import Path

import pytest

from app.domain.errors import EngineCrashed, ModelLoadFailed
from app.domain.generation import SamplingParams
from app.domain.messages import Message, Role
from app.domain.prompt import ControlText
from app.engine.client import EngineClient, EngineLauncher
from app.engine.inprocess import ThreadLauncher
from app.engine.process import ProcessLauncher
from app.engine.protocol import Done, EngineConfig, GenerateJob, Tokens

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]


def question(text: str, id: str, *, max_tokens: int = 24, temperature: float = 0.0) -> GenerateJob:
    message = Message.of(Role.USER, text)
    prompt = f"<|im_start|>{message.role}\n{message.text}<|im_end|>\n<|im_start|>assistant\n"
    sampling = SamplingParams(temperature=temperature, seed=1)
    return GenerateJob(id, (ControlText(prompt),), sampling, max_tokens=max_tokens)


def endless(id: str) -> GenerateJob:
    """An answer that ends only at its limit: its one stop is made unlikely."""
    banned = tuple((token, -1e9) for token in range(2030, 2048))
    sampling = SamplingParams(temperature=0.0, logit_bias=banned)
    return GenerateJob(id, (ControlText("Once upon a time"),), sampling, max_tokens=1500)


async def launch(launcher: EngineLauncher, path: Path) -> EngineClient:
    return await launcher.launch(EngineConfig(path, n_ctx=2048, n_threads=1), on_progress=lambda fraction: None)


async def answer(client: EngineClient, job: GenerateJob) -> str:
    outputs = [output async for output in client.generate(job)]
    assert isinstance(outputs[-1], Done)
    return "".join(piece.text for output in outputs if isinstance(output, Tokens) for piece in output.pieces)


async def first_text(answer: object) -> None:
    """Read until the answer has begun to be written."""
    async for output in answer:  # type: ignore[attr-defined]
        if isinstance(output, Tokens):
            return


async def test_a_process_and_a_thread_give_the_same_answers(ember_path: Path) -> None:
    texts = ("Hello", "What is the capital of France?", "Who are you?")
    answers: list[list[str]] = []
    for launcher in (ProcessLauncher(), ThreadLauncher()):
        client = await launch(launcher, ember_path)
        answers.append([await answer(client, question(text, text)) for text in texts])
        await client.close()
    assert answers[0] == answers[1]
    assert all(answers[0])


async def test_an_answer_that_is_left_leaves_the_engine_to_others(ember_path: Path) -> None:
    client = await launch(ProcessLauncher(), ember_path)
    alone = await answer(client, question("Hello", "alone"))
    async with aclosing(client.generate(endless("left"))) as left:
        await first_text(left)
        assert await answer(client, question("Hello", "beside")) == alone
    assert await answer(client, question("Hello", "after")) == alone
    await client.close()


async def test_a_worker_killed_while_it_writes_fails_its_answers(ember_path: Path) -> None:
    client = await launch(ProcessLauncher(), ember_path)
    assert client.pid is not None
    async with aclosing(client.generate(endless("a"))) as running:
        await first_text(running)
        os.kill(client.pid, signal.SIGKILL)
        with pytest.raises(EngineCrashed) as caught:
            async for _ in running:
                pass
    assert caught.value.exit_code == -signal.SIGKILL
    await client.close()


@pytest.fixture
def flipped_path(ember_path: Path, tmp_path: Path) -> Path:
    """The built-in model with one wrong bit, of which llama.cpp aborts."""
    broken = bytearray(ember_path.read_bytes())
    length = struct.pack("<Q", 1)
    # The vocabulary's "b" becomes a second "c": llama.cpp asserts that tokens are unique.
    place = broken.index(length + b"b" + length + b"c") + len(length)
    broken[place] ^= 1
    path = tmp_path / "flipped.gguf"
    path.write_bytes(broken)
    return path


async def test_one_flipped_bit_that_aborts_llama_cpp_costs_only_the_worker(flipped_path: Path) -> None:
    with pytest.raises(ModelLoadFailed, match="damaged") as caught:
        await launch(ProcessLauncher(), flipped_path)
    assert any("GGML_ASSERT" in line for line in caught.value.log_tail)


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="waits for a process that is not a child")
def test_a_program_killed_while_its_worker_computes_leaves_no_worker(ember_path: Path) -> None:
    program = (
        "import asyncio, pathlib, sys\n"
        "from app.engine.process import ProcessLauncher\n"
        "from tests.engine.test_real_worker import endless, first_text, launch\n"
        "async def main():\n"
        "    client = await launch(ProcessLauncher(), pathlib.Path(sys.argv[1]))\n"
        "    await first_text(client.generate(endless('a')))\n"
        "    print(client.pid, flush=True)\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, ember_path], stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout is not None
        watch = os.pidfd_open(int(process.stdout.readline()))
        process.kill()
        try:
            assert select.select([watch], [], [], 5)[0]
        finally:
            os.close(watch)
