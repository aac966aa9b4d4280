"""What a loaded model has done since it was loaded, and what it holds."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["EngineStats"]


@dataclass(frozen=True, slots=True)
class EngineStats:
    """Counted by the engine while it works.

    Of `steps` batches, `fill_s` went into deciding what to compute, `decode_s` into computing it (llama.cpp), `sample_s` into
    choosing tokens, `post_s` into turning them into text and events, `send_s` into handing these over. `prompt_tokens` were
    asked for, `cached_tokens` of them were already computed; `drafted` tokens were guessed, `accepted` of them were right.
    The rest is how things stand: requests running and waiting, finished sequences kept for prompts to come, cells of the
    context in use of all there are, and bytes of sequences kept in the host's memory.
    """

    steps: int = 0
    fill_s: float = 0.0
    decode_s: float = 0.0
    sample_s: float = 0.0
    post_s: float = 0.0
    send_s: float = 0.0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    written_tokens: int = 0
    drafted: int = 0
    accepted: int = 0
    preempted: int = 0
    active: int = 0
    waiting: int = 0
    parked: int = 0
    cells_used: int = 0
    cells: int = 0
    saved_bytes: int = 0
