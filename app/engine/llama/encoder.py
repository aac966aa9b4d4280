"""A context on a loaded model that turns inputs into vectors or scores."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from app.domain.generation import Pooling
from app.engine.batch import Batch
from app.engine.decoder import DecodeResult, FloatArray
from app.engine.llama.backend import start_backend
from app.engine.llama.context import AbortFlag, BatchView, ContextSize, decode_result, open_context
from app.engine.llama.floats import floats_at
from app.engine.llama.model import LlamaModel
from app.engine.llama.parameters import ContextOptions

__all__ = ["EncoderSize", "LlamaEncoder", "longest_input"]

# llama.h, enum llama_pooling_type.
_NATIVE = {Pooling.MEAN: 1, Pooling.CLS: 2, Pooling.LAST: 3, Pooling.RANK: 4}
# llama.cpp keeps a row of logits and a vector for every token of a batch, also for models that have no logits, and never gives
# the memory back: 1 GB for 8,192 tokens of an English BERT, 8 GB where a vocabulary has 250,000 tokens.
_ROWS_BYTES = 2 * 1024**3
_LONGEST_INPUT = 8192
_SHORT_INPUT = 512
# The poolings that look at a sequence's last token alone, where attention is causal.
_OF_LAST_TOKEN = (Pooling.LAST, Pooling.RANK)
# llama.cpp gives these models' scores as probabilities, the others' as logits.
_PROBABILITIES = ("qwen3", "qwen3vl")


@dataclass(frozen=True, slots=True)
class EncoderSize:
    """`n_longest` tokens of one input, `n_packed` of several together, `n_sequences` inputs at once.

    512 packed tokens read fastest on a CPU (64 texts of 128 tokens on a BERT of 12 layers: 256 and 512 tokens alike, 1,024 a
    quarter slower, 2,048 three quarters), since attention is computed across all of them and masked afterwards.
    """

    n_longest: int
    n_packed: int
    n_sequences: int
    n_threads: int
    options: ContextOptions = field(default_factory=ContextOptions)

    @property
    def n_tokens(self) -> int:
        return max(self.n_longest, self.n_packed)


def longest_input(model: LlamaModel, pooling: Pooling | None, n_ctx: int, *, rows_bytes: int = _ROWS_BYTES) -> int:
    """Tokens an input may have: `n_ctx` if it is not 0, else as many as the model knows and have their rows in `rows_bytes`."""
    trained = model.n_ctx_train or _SHORT_INPUT
    if n_ctx > 0:
        return min(trained, n_ctx)
    limit = min(trained, _LONGEST_INPUT)
    if not _in_pieces(model, pooling or model.pooling or Pooling.LAST):
        limit = min(limit, max(_SHORT_INPUT, rows_bytes // (4 * (model.vocabulary.n_tokens + model.n_embd))))
    return limit


class LlamaEncoder:
    """Engine thread only, except `interrupt`.

    Models without a memory (BERT) and poolings that need every token read whole inputs in one physical batch, so that must be
    as large as the longest input. It costs little until one comes: 9 MB on a BERT of 768 dimensions and 8,192 tokens, 1.3 GB
    once it has read so many.

    Causal models whose last token holds the answer are read in pieces: first all but the last tokens, which need no output,
    then those. Asked for a vector of every token, llama.cpp would compute, and keep, its logits too: 590 MB in place of 34 for
    512 tokens of a Qwen3 of 0.6B, and a third more time.
    """

    def __init__(self, model: LlamaModel, handle: Any, size: EncoderSize, pooling: Pooling) -> None:
        self._native = native = start_backend()
        self._context = handle
        self._memory = native.llama_get_memory(handle)
        self._in_pieces = bool(self._memory) and _in_pieces(model, pooling)
        self._score = _scoring(model) if pooling is Pooling.RANK else None
        self._n_row = int(native.llama_model_n_cls_out(model.handle)) if self._score else model.n_embd
        self.pooling = pooling
        self.n_tokens_packed = size.n_packed
        self.n_sequences = size.n_sequences
        self._batch = Batch(int(native.llama_n_batch(handle)))
        self._view = BatchView(native, self._batch)
        self._abort = AbortFlag(native, handle)

    @classmethod
    def open(
        cls, model: LlamaModel, size: EncoderSize, *, n_ubatch: int, pooling: Pooling | None = None
    ) -> LlamaEncoder | None:
        """`pooling` None takes the file's, else what suits the model's attention; neither may be NONE, which gives no vector
        per input. None if there is not enough memory."""
        chosen = pooling or model.pooling or (Pooling.LAST if model.is_causal else Pooling.MEAN)
        if _in_pieces(model, chosen):
            n_ubatch = min(n_ubatch, size.n_tokens)
            handle = _open(model, size, chosen, n_ubatch=n_ubatch, n_outputs=size.n_sequences)
            if not handle or start_backend().llama_get_memory(handle):
                return cls(model, handle, size, chosen) if handle else None
            # Not all encoders say in their header that they are no causal models.
            start_backend().llama_free(handle)
            chosen = pooling or model.pooling or Pooling.MEAN
        handle = _open(model, size, chosen, n_ubatch=size.n_tokens, n_outputs=size.n_tokens)
        return cls(model, handle, size, chosen) if handle else None

    def encode(self, inputs: Sequence[Sequence[int]]) -> FloatArray | DecodeResult:
        self._abort.clear()
        if self._memory:
            self._native.llama_memory_clear(self._memory, False)
        result = self._read_in_pieces(inputs) if self._in_pieces else self._read(inputs, outputs=True)
        if result is not DecodeResult.OK:
            return result
        rows = np.stack([self._row(sequence) for sequence in range(len(inputs))])
        if self._score is None:
            return rows
        return np.array([[self._score(row)] for row in rows], np.float32)

    def interrupt(self) -> None:
        """Make a running `encode` return soon with ABORTED. Any thread; only computations on the CPU ask for it."""
        self._abort.set()

    def close(self) -> None:
        if self._context is not None:
            self._native.llama_free(self._context)
            self._context = None

    def _read_in_pieces(self, inputs: Sequence[Sequence[int]]) -> DecodeResult:
        starts = [ids[:-1] for ids in inputs]
        if any(starts):
            self._native.llama_set_embeddings(self._context, False)
            result = self._read(starts, outputs=False)
            self._native.llama_set_embeddings(self._context, True)
            if result is not DecodeResult.OK:
                return result
        return self._read([ids[-1:] for ids in inputs], outputs=True, positions=[len(ids) - 1 for ids in inputs])

    def _read(self, inputs: Sequence[Sequence[int]], *, outputs: bool, positions: Sequence[int] | None = None) -> DecodeResult:
        batch = self._batch
        batch.clear()
        for sequence, ids in enumerate(inputs):
            position = positions[sequence] if positions else 0
            batch.add_chunk(np.asarray(ids, np.int32), position=position, sequence=sequence, output=False)
        batch.outputs[: batch.n_tokens] = outputs
        run = self._native.llama_decode if self._memory else self._native.llama_encode
        return decode_result(run(self._context, self._view.of(batch.n_tokens)))

    def _row(self, sequence: int) -> FloatArray:
        # Waits for the computation.
        pointer = self._native.llama_get_embeddings_seq(self._context, sequence)
        return floats_at(pointer, self._n_row).copy()


def _in_pieces(model: LlamaModel, pooling: Pooling) -> bool:
    # On hybrid models llama.cpp's allocator (0.5) crashes where a context's outputs are switched off and on.
    return model.is_causal and not model.is_recurrent and pooling in _OF_LAST_TOKEN


def _open(model: LlamaModel, size: EncoderSize, pooling: Pooling, *, n_ubatch: int, n_outputs: int) -> Any:
    def adjust(params: Any) -> None:
        params.embeddings = True
        params.pooling_type = _NATIVE[pooling]

    n_tokens = size.n_tokens
    context = ContextSize(n_tokens, n_tokens, n_ubatch, size.n_sequences, size.n_threads, n_outputs, size.options)
    return open_context(model, context, adjust)


def _scoring(model: LlamaModel) -> Callable[[FloatArray], float]:
    """From what the model's head says of a pair to a score from 0 to 1."""
    labels = [label.lower() for label in model.class_labels]
    answer = labels.index("yes") if "yes" in labels else 0
    if model.architecture in _PROBABILITIES:
        return lambda row: float(row[answer])
    return lambda row: _logistic(float(row[answer]))


def _logistic(value: float) -> float:
    return 1 / (1 + math.exp(-value)) if value > 0 else math.exp(value) / (1 + math.exp(value))
