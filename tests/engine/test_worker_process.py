"""Starting a worker: who may call, what it is told, and how its end is known."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client
from pathlib import Path

import pytest

from app.engine.protocol import EngineConfig, Frame, Load, Ready
from app.engine.worker_process import WorkerProcess, worker_command
from tests.engine.scripted_engine import COMMAND


class Started:
    """A worker whose frames and end can be waited for."""

    def __init__(self, *command: str) -> None:
        self.frames: queue.SimpleQueue[Frame] = queue.SimpleQueue()
        self.ends: queue.SimpleQueue[int] = queue.SimpleQueue()
        self.process = WorkerProcess(command or COMMAND, on_frame=self.frames.put, on_end=self.ends.put)

    def end(self) -> int:
        exit_code = self.ends.get(timeout=10)
        self.process.join()
        return exit_code


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


def test_the_worker_is_this_same_program(monkeypatch: pytest.MonkeyPatch) -> None:
    assert worker_command() == (sys.executable, "-m", "app", "engine-worker")
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert worker_command() == (sys.executable, "engine-worker")


def test_a_command_sent_before_the_worker_called_back_reaches_it() -> None:
    started = Started()
    started.process.send(Load(EngineConfig(Path("good.gguf"))))
    while not isinstance(started.frames.get(timeout=10)[0], Ready):
        pass
    started.process.kill()
    assert started.end() == -9


def test_a_program_that_ends_without_calling_back_is_noticed() -> None:
    assert Started(*python("raise SystemExit(3)")).end() == 3


def test_a_call_without_the_key_is_turned_away() -> None:
    code = (
        "import json, sys\n"
        "from multiprocessing import AuthenticationError\n"
        "from multiprocessing.connection import Client\n"
        "hello = json.loads(sys.stdin.readline())\n"
        "try:\n"
        "    Client(hello['address'], authkey=b'guess')\n"
        "except AuthenticationError:\n"
        "    pipe = Client(hello['address'], authkey=bytes.fromhex(hello['key']))\n"
        "    pipe.send(('the key was asked for',))\n"
    )
    started = Started(*python(code))
    assert started.end() == 0
    assert started.frames.get_nowait() == ("the key was asked for",)


def test_nobody_can_call_once_the_worker_has() -> None:
    started = Started(*python("import sys; print(sys.stdin.readline(), file=sys.stderr)"))
    started.end()
    address, key = started.process._address, started.process._key
    with pytest.raises((OSError, EOFError, AuthenticationError)):
        Client(address, authkey=key)


def test_the_key_is_in_no_command_line_and_no_environment() -> None:
    code = "import os, sys; print(os.environ, sys.argv, file=sys.stderr); print(sys.stdin.readline(), file=sys.stderr)"
    started = Started(*python(code))
    started.end()
    seen, hello = "\n".join(started.process.log_tail[:-1]), started.process.log_tail[-1]
    key = started.process._key.hex()
    assert key in hello
    assert key not in seen


def test_the_log_keeps_its_last_lines_and_no_more() -> None:
    code = (
        "import sys\nfor n in range(5000): print('line', n, 'x' * 100, file=sys.stderr)\nprint('y' * 100_000, file=sys.stderr)"
    )
    started = Started(*python(code))
    assert started.end() == 0
    tail = started.process.log_tail
    assert len(tail) == 60
    assert tail[0].startswith(("line", "y"))
    assert sum(len(line) for line in tail) <= 60 * 2000


def test_no_socket_file_is_left() -> None:
    started = Started(*python("pass"))
    started.end()
    address = started.process._address
    assert not (isinstance(address, str) and os.path.exists(address))


@pytest.mark.skipif(sys.platform == "win32", reason="named pipes have short names")
def test_a_deep_temporary_folder_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "import tempfile, sys\n"
        "from pathlib import Path\n"
        "from app.engine.process import ProcessLauncher\n"
        "from app.engine.protocol import EngineConfig\n"
        "from tests.engine.scripted_engine import COMMAND\n"
        "import asyncio\n"
        "async def main():\n"
        "    launcher = ProcessLauncher(COMMAND)\n"
        "    client = await launcher.launch(EngineConfig(Path('good.gguf')), on_progress=lambda fraction: None)\n"
        "    await client.close()\n"
        "asyncio.run(main())\n"
    )
    deep = tmp_path / ("deep" * 30)
    deep.mkdir()
    monkeypatch.setenv("TMPDIR", str(deep))
    done = subprocess.run(python(code), capture_output=True, text=True, timeout=30, cwd=Path(__file__).parents[2])
    assert done.stderr == ""
    assert done.returncode == 0


def test_a_worker_that_sends_nonsense_is_ended_and_its_end_is_told() -> None:
    code = (
        "import json, sys\n"
        "from multiprocessing.connection import Client\n"
        "hello = json.loads(sys.stdin.readline())\n"
        "pipe = Client(hello['address'], authkey=bytes.fromhex(hello['key']))\n"
        "pipe.send_bytes(b'nonsense')\n"
        "sys.stdin.close()\n"
        "pipe.recv()\n"
    )
    assert Started(*python(code)).end() != 0
