"""One worker process as the program sees it: start it, send to it, hear from it, know when and how it ended."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import secrets
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from typing import IO, cast

from app.engine.protocol import Command, Frame

__all__ = ["WorkerProcess", "worker_command"]

_log = logging.getLogger(__name__)

_KEPT_LINES = 60
_LINE_BYTES = 2000
# How long a worker whose pipe has ended may take to be gone.
_EXIT_S = 2.0


def worker_command() -> tuple[str, ...]:
    """This same program as a worker."""
    if getattr(sys, "frozen", False):
        return (sys.executable, "engine-worker")
    return (sys.executable, "-m", "app", "engine-worker")


class WorkerProcess:
    """A child process and the pipe to it.

    Three threads serve it and end with it: `reader` calls `on_frame` for each frame and then, once, `on_end` with the exit
    code; `writer` sends, so that a large picture never blocks the caller; `log` drains stderr, keeps its last lines and waits
    for the exit. All methods may be called from any thread.
    """

    def __init__(self, command: Sequence[str], *, on_frame: Callable[[Frame], None], on_end: Callable[[int], None]) -> None:
        """Start the process. Raises OSError if it can't be started."""
        self._on_frame = on_frame
        self._on_end = on_end
        self._outbox: queue.SimpleQueue[Command | None] = queue.SimpleQueue()
        self._log_lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._exited = threading.Event()
        self._key = secrets.token_bytes(32)
        self._listener = _listen(self._key)
        self._address = self._listener.address
        try:
            self._process = _spawn(command)
        except OSError:
            self._listener.close()
            raise
        self._log_thread = threading.Thread(target=self._drain_log, name="worker log", daemon=True)
        self._reader = threading.Thread(target=self._read, name="worker reader", daemon=True)
        self._log_thread.start()
        self._reader.start()
        self._greet()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def log_tail(self) -> tuple[str, ...]:
        """The last lines it wrote to stderr."""
        return tuple(self._log_lines)

    def send(self, command: Command) -> None:
        """Queue a command. What can't be delivered any more is dropped."""
        self._outbox.put(command)

    def kill(self) -> None:
        """End it at once. `on_end` follows."""
        self._process.kill()

    def join(self) -> None:
        """Wait for the threads, which end a moment after `on_end`."""
        self._reader.join()

    def _greet(self) -> None:
        """Tell the worker where to call, over stdin: a command line can be read by every user of the machine."""
        hello = json.dumps({"address": self._address, "key": self._key.hex()})
        stdin = cast(IO[bytes], self._process.stdin)
        with contextlib.suppress(BrokenPipeError), stdin:
            stdin.write(hello.encode() + b"\n")

    def _read(self) -> None:
        pipe = self._accept()
        if pipe is not None:
            with pipe:
                self._exchange(pipe)
        if not self._exited.wait(_EXIT_S):
            self._process.kill()
        self._log_thread.join()
        self._on_end(self._process.returncode)

    def _accept(self) -> Connection | None:
        """Wait for the worker to call back; None if it ends before it does."""
        with self._listener:
            while not self._exited.is_set():
                try:
                    return self._listener.accept()
                except (AuthenticationError, EOFError, ConnectionError):
                    _log.warning("A stranger, or a worker that ended, called the worker's address")
        return None

    def _exchange(self, pipe: Connection) -> None:
        """Receive until the other end is gone, and send meanwhile."""
        writer = threading.Thread(target=self._write, args=(pipe,), name="worker writer", daemon=True)
        writer.start()
        try:
            while True:
                self._on_frame(pipe.recv())
        except (EOFError, OSError):
            pass
        except Exception:  # noqa: BLE001 - an edge: whatever a worker sends, those who wait for it must hear of its end
            _log.exception("The worker sent what can't be read")
            self._process.kill()
        self._outbox.put(None)
        writer.join()

    def _write(self, pipe: Connection) -> None:
        with contextlib.suppress(OSError):
            while (command := self._outbox.get()) is not None:
                pipe.send(command)

    def _drain_log(self) -> None:
        with cast(IO[bytes], self._process.stderr) as stderr:
            while line := stderr.readline(_LINE_BYTES):
                text = line.decode("utf-8", "replace").rstrip()
                if text:
                    self._log_lines.append(text)
                    _log.debug("worker %d: %s", self.pid, text)
        self._process.wait()
        self._exited.set()
        # A worker that ended before it called back leaves the reader waiting: call in its place.
        with contextlib.suppress(OSError, EOFError, AuthenticationError):
            Client(self._address, authkey=self._key).close()


def _listen(key: bytes) -> Listener:
    try:
        return Listener(authkey=key)
    except OSError:
        # The path of a local socket may be too long where the temporary folder is deep.
        return Listener(("127.0.0.1", 0), authkey=key)


def _spawn(command: Sequence[str]) -> subprocess.Popen[bytes]:
    frozen = getattr(sys, "frozen", False)
    flags = 0
    if sys.platform == "win32":
        flags = subprocess.CREATE_NO_WINDOW
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        # Where `-m app` is found, also when this program was not started from there.
        cwd=Path(sys.executable).parent if frozen else Path(__file__).resolve().parents[2],
        # Its log, whatever the locale. (PYTHONUTF8 would change how it reads file names too.)
        env={**os.environ, "PYTHONIOENCODING": "utf-8:backslashreplace"},
        creationflags=flags,
    )
