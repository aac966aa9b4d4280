"""An engine without llama.cpp: what it does is written in the prompt, or in the name of the model file.

Prompts: `say a b c` answers in pieces; `forever` answers until it is cancelled; `abort`, `raise` and `stuck` write one piece
and then end the process, raise, or sit in a native call; `invalid` and `bug` fail while they are prepared, `ponder` takes
minutes for that; `busy` and `broken` fail when they are submitted.
Files: `bad.gguf` is refused, `abort.gguf` ends the process, `bug.gguf` raises, `stuck.gguf` writes the process id to the
file, if there is one, and never gets beyond half.

Run as a program it is a worker with this engine.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

from app.domain.errors import EngineBusy, InvalidRequest, ModelLoadFailed
from app.domain.generation import EmbeddingResult, FinishReason, RerankResult, Timings, Usage
from app.domain.prompt import Piece, PromptSegment
from app.domain.stats import EngineStats
from app.engine.protocol import (
    Done,
    Embedded,
    EmbedJob,
    EngineConfig,
    GenerateJob,
    JobEvent,
    ModelInfo,
    PromptProgress,
    Reranked,
    RerankJob,
    Tokens,
)
from app.engine.worker import main
from tests.fakes import model_info, tokens_of

COMMAND = (sys.executable, "-m", "tests.engine.scripted_engine")


@dataclass
class _Sequence:
    job: GenerateJob | EmbedJob | RerankJob
    words: list[str]
    written: int = 0

    @property
    def script(self) -> str:
        return self.words[0]


@dataclass
class ScriptedEngine:
    """Each step writes one piece of every running answer."""

    info: ModelInfo = field(default_factory=model_info)
    closed: bool = False
    interrupted: list[str] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)
    unwritten: bool = False
    running: dict[str, _Sequence] = field(default_factory=dict)

    def prepare(self, job: GenerateJob | EmbedJob | RerankJob) -> _Sequence:
        if isinstance(job, EmbedJob | RerankJob):
            return _Sequence(job, ["embed"])
        words = bytes(id for id in tokens_of(job.prompt) if id >= 0).decode().split()
        if words[0] == "invalid":
            raise InvalidRequest("No such thing.", param="messages")
        if words[0] == "ponder":
            ctypes.CDLL(None).sleep(600)
        if words[0] == "bug":
            raise KeyError("bug")
        return _Sequence(job, words)

    def tokenize(self, prompt: tuple[PromptSegment, ...], *, add_special: bool) -> tuple[int, ...]:
        return (*((1,) if add_special else ()), *tokens_of(prompt))

    def detokenize(self, ids: tuple[int, ...]) -> str:
        return bytes(ids).decode()

    def pieces(self, ids: tuple[int, ...]) -> tuple[bytes, ...]:
        return tuple(bytes([id]) for id in ids)

    def submit(self, prepared: _Sequence) -> None:
        if prepared.script == "busy":
            raise EngineBusy
        if prepared.script == "broken":
            raise KeyError("broken")
        self.running[prepared.job.id] = prepared

    def interrupt(self, id: str) -> None:
        self.interrupted.append(id)

    def cancel(self, id: str) -> None:
        self.cancelled.append(id)
        self.running.pop(id, None)

    def finish(self, id: str) -> None:
        self.running[id].words = ["say"]

    def forget(self, owner: str) -> None:
        self.forgotten.append(owner)

    @property
    def has_unwritten(self) -> bool:
        return self.unwritten

    def keep(self) -> None:
        self.unwritten = False

    def stats(self, *, send_ns: int) -> EngineStats:
        return EngineStats(active=len(self.running), send_s=send_ns / 1e9)

    @property
    def busy(self) -> bool:
        return bool(self.running)

    def step(self) -> list[JobEvent]:
        return [*itertools.chain.from_iterable(self._advance(sequence) for sequence in tuple(self.running.values()))]

    def close(self) -> None:
        self.closed = True

    def _advance(self, sequence: _Sequence) -> list[JobEvent]:
        job = sequence.job
        if isinstance(job, EmbedJob):
            del self.running[job.id]
            vectors = tuple(struct.pack("<4f", 1.0, 0.0, 0.0, 0.0) for _ in job.inputs)
            return [Embedded(job.id, EmbeddingResult(vectors, prompt_tokens=len(job.inputs)))]
        if isinstance(job, RerankJob):
            del self.running[job.id]
            return [
                Reranked(job.id, RerankResult(tuple(1 / len(text) for text in job.documents), prompt_tokens=len(job.documents)))
            ]
        events: list[JobEvent] = []
        if sequence.written == 0:
            events.append(PromptProgress(job.id, len(sequence.words), len(sequence.words), 0))
        text = self._next_text(sequence)
        if text is None:
            del self.running[job.id]
            usage = Usage(len(sequence.words), sequence.written)
            return [*events, Done(job.id, FinishReason.STOP, usage, Timings(0.0, 0.0, 0.0))]
        sequence.written += 1
        return [*events, Tokens(job.id, (Piece(sequence.written, text),))]

    def _next_text(self, sequence: _Sequence) -> str | None:
        match sequence.script, sequence.written:
            case "forever", _:
                return "x"
            case ("abort", 1):
                # Native code has computed for a while before it gives up, and what was said before has gone out.
                ctypes.CDLL(None).usleep(200_000)
                end_like_llama()
            case ("raise", 1):
                raise RuntimeError("the step failed")
            case ("stuck", 1):
                ctypes.CDLL(None).sleep(600)
            case ("say", written) if written < len(sequence.words) - 1:
                return sequence.words[1 + written]
            case ("abort" | "raise" | "stuck", 0):
                return "x"
        return None


def end_like_llama() -> None:
    """As GGML_ASSERT does: a line to stderr, then SIGABRT."""
    os.write(2, b"ggml.c:1: GGML_ASSERT(false) failed\n")
    os.abort()


def load_scripted(config: EngineConfig, *, on_progress: Callable[[float], bool]) -> ScriptedEngine:
    if config.model_path.name == "stuck.gguf" and config.model_path.exists():
        config.model_path.write_text(str(os.getpid()))
    on_progress(0.5)
    match config.model_path.name:
        case "bad.gguf":
            raise ModelLoadFailed("bad.gguf", "The file is truncated.", log_tail=("tensor out of bounds",))
        case "abort.gguf":
            end_like_llama()
        case "bug.gguf":
            raise KeyError("bug")
        case "stuck.gguf":
            while on_progress(0.5):
                ctypes.CDLL(None).usleep(1000)
            raise ModelLoadFailed("stuck.gguf", "The loading was stopped.")
    on_progress(1.0)
    return ScriptedEngine(model_info(name=config.model_path.stem))


if __name__ == "__main__":
    sys.exit(main(load_scripted))
