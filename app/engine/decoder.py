"""What the engine asks of llama.cpp: the interfaces between the scheduling in Python and the native calls of `engine.llama`.

Everything above these interfaces is plain Python and numpy, and is tested with fakes.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from app.domain.generation import SamplingParams
from app.engine.batch import Batch
from app.engine.pictures import RgbPicture
from app.engine.sounds import SoundFile

__all__ = [
    "ByteArray",
    "Chain",
    "DecodeResult",
    "Decoder",
    "Encoder",
    "FloatArray",
    "IntArray",
    "MemoryKind",
    "PictureTokens",
    "Projector",
    "Vocabulary",
]

FloatArray: TypeAlias = npt.NDArray[np.float32]
IntArray: TypeAlias = npt.NDArray[np.int32]
ByteArray: TypeAlias = npt.NDArray[np.uint8]


class DecodeResult(enum.Enum):
    """How a decode ended. NO_SPACE and INVALID left the memory as it was; ABORTED and FAILED may have kept part of it."""

    OK = enum.auto()
    NO_SPACE = enum.auto()
    ABORTED = enum.auto()
    INVALID = enum.auto()
    FAILED = enum.auto()


class MemoryKind(enum.Enum):
    """What a model remembers of a sequence, and so what may be cut off its end.

    PLAIN keeps every position. WINDOWED (sliding-window attention) has dropped old ones in some layers; cutting is right only
    while the window before the cut is still there. RECURRENT (also hybrid) keeps one running state: nothing can be cut off.
    """

    PLAIN = enum.auto()
    WINDOWED = enum.auto()
    RECURRENT = enum.auto()


@dataclass(frozen=True, slots=True)
class PictureTokens:
    """One indivisible run of a picture's or sound's tokens. `key` names its content; `handle` belongs to the projector.

    `n_positions` is how far it moves the position: less than `n_tokens` on models that place picture tokens in a grid.
    `following` are the runs after it in the same prompt, which may be encoded along with it.
    """

    key: bytes
    n_tokens: int
    n_positions: int
    handle: Any
    following: tuple[PictureTokens, ...] = field(default=(), repr=False, compare=False)


class Vocabulary(Protocol):
    """Text to tokens and back. Safe on any thread."""

    @property
    def n_tokens(self) -> int: ...
    @property
    def bos(self) -> int | None: ...
    @property
    def adds_bos(self) -> bool: ...
    @property
    def adds_space(self) -> bool:
        """Whether a space is put in front of a text, which then has to be taken off again."""
        ...

    @property
    def eog_tokens(self) -> Sequence[int]:
        """Tokens that end an answer."""
        ...

    @property
    def suppressed_tokens(self) -> Sequence[int]:
        """Tokens that the model's file says it must never write."""
        ...

    @property
    def markers(self) -> re.Pattern[str] | None:
        """Matches the text of every control token and every token that looks like one."""
        ...

    def tokenize(self, text: str, *, parse_special: bool, add_special: bool = False) -> list[int]: ...
    def detokenize(self, ids: Sequence[int]) -> str: ...
    def piece(self, token: int) -> bytes: ...
    def is_eog(self, token: int) -> bool: ...
    def is_control(self, token: int) -> bool: ...


class Chain(Protocol):
    """A native sampler chain: truncation, temperature and the draw. Engine thread only."""

    def choose(self, ids: IntArray, logits: FloatArray, *, cut: bool = False) -> int:
        """Draw one of `ids`; `cut` where the first active step of truncation has been done. Raises GenerationFailed."""
        ...

    def accept(self, token: int) -> None:
        """Tell which token was taken."""
        ...

    def close(self) -> None: ...


class Decoder(Protocol):
    """A context that generates text. Engine thread only."""

    @property
    def n_cells(self) -> int:
        """Tokens that fit, of all sequences together."""
        ...

    @property
    def n_sequences(self) -> int: ...
    @property
    def n_window(self) -> int:
        """The sliding window; 0 where there is none."""
        ...

    @property
    def memory(self) -> MemoryKind: ...
    @property
    def batch(self) -> Batch:
        """To be filled before `decode`."""
        ...

    def decode(self) -> DecodeResult: ...
    def decode_picture(self, picture: PictureTokens, *, sequence: int, position: int) -> DecodeResult:
        """Encode (or take from the cache) and decode a picture or sound. A failure leaves the sequence in an unknown state."""
        ...

    def logits(self) -> FloatArray:
        """The rows asked for in the last batch, in its order; writable, and valid until the next decode."""
        ...

    def remove(self, sequence: int, start: int) -> bool:
        """Forget positions from `start`; False if that is impossible."""
        ...

    def copy(self, source: int, target: int, end: int) -> None:
        """Let `target`, empty until now, share the positions of `source` before `end`."""
        ...

    def first_position(self, sequence: int) -> int:
        """The lowest position that all layers still hold; -1 if the sequence is empty."""
        ...

    def next_position(self, sequence: int) -> int: ...
    def save(self, sequence: int, *, uncuttable: bool = False) -> ByteArray | None:
        """A copy of what is remembered of a sequence; None if that fails.

        With `uncuttable`, only the part that can't be cut at its end (the window, the running state): small, and enough
        together with another sequence's positions before it.
        """
        ...

    def restore(self, sequence: int, data: ByteArray, *, uncuttable: bool = False) -> bool:
        """Put back what `save` gave, into any sequence. False, with the sequence empty, if it does not fit or match."""
        ...

    def clear(self) -> None: ...
    def interrupt(self) -> None:
        """Make a running decode return soon with ABORTED, where that is possible. Any thread."""
        ...

    def chain(self, params: SamplingParams, *, seed: int) -> Chain: ...
    def close(self) -> None: ...


class Encoder(Protocol):
    """A context that turns texts into vectors, or into scores. Engine thread only, except `interrupt`."""

    @property
    def n_tokens_packed(self) -> int:
        """Tokens of several inputs that are best computed together."""
        ...

    @property
    def n_sequences(self) -> int:
        """Inputs of one batch."""
        ...

    def encode(self, inputs: Sequence[Sequence[int]]) -> FloatArray | DecodeResult:
        """One row per input: its pooled vector, not normalised, or a score from 0 to 1. Or why there are none.

        Raises GenerationFailed if nothing can be computed at all.
        """
        ...

    def interrupt(self) -> None:
        """Make a running `encode` return soon with ABORTED, where that is possible. Any thread."""
        ...

    def close(self) -> None: ...


class Projector(Protocol):
    """Reads pictures and sound for a model. Safe beside the engine thread."""

    @property
    def sees_pictures(self) -> bool: ...
    @property
    def hears(self) -> bool: ...

    def tokenize(self, media: RgbPicture | SoundFile) -> tuple[tuple[int, ...] | PictureTokens, ...]:
        """What stands for it in a prompt: runs of its tokens, and the text tokens the model wants around them."""
        ...
