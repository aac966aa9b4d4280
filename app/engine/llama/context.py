"""A context on a loaded model: the native calls of one step."""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from app.domain.generation import SamplingParams
from app.engine.batch import Batch
from app.engine.decoder import ByteArray, Chain, DecodeResult, FloatArray, MemoryKind, PictureTokens
from app.engine.llama.adapters import LlamaAdapters
from app.engine.llama.backend import start_backend
from app.engine.llama.chain import LlamaChain
from app.engine.llama.floats import floats_at
from app.engine.llama.model import LlamaModel
from app.engine.llama.parameters import ContextOptions, set_context_options
from app.engine.llama.projector import LlamaProjector

__all__ = ["AbortFlag", "BatchView", "ContextSize", "LlamaDecoder", "decode_result", "open_context"]

# LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY
_UNCUTTABLE_ONLY = 1


@dataclass(frozen=True, slots=True)
class ContextSize:
    """`n_outputs`, rows of logits or vectors per batch, must not be below `n_sequences`, or llama.cpp ends the process."""

    n_ctx: int
    n_batch: int
    n_ubatch: int
    n_sequences: int
    n_threads: int
    n_outputs: int
    options: ContextOptions = field(default_factory=ContextOptions)


class LlamaDecoder:
    """A context that generates text. Every method on the engine thread, except `interrupt`."""

    def __init__(self, model: LlamaModel, handle: Any, size: ContextSize, projector: LlamaProjector | None) -> None:
        self._native = native = start_backend()
        self._model = model
        self._context = handle
        self._projector = projector
        if projector is not None:
            projector.serve(int(native.llama_n_ubatch(handle)))
        self._memory = native.llama_get_memory(handle)
        self.n_cells = int(native.llama_n_ctx(handle))
        self.n_sequences = size.n_sequences
        self.n_window = model.n_window
        # What shapes the bytes of a saved sequence, beside the model's file.
        self.settings = (self.n_window, int(native.llama_n_ctx(handle)) if self.n_window else 0)
        self.memory = _memory_kind(model)
        self.batch = Batch(int(native.llama_n_batch(handle)))
        self._view = BatchView(native, self.batch)
        self._abort = AbortFlag(native, handle)

    @classmethod
    def open(cls, model: LlamaModel, size: ContextSize, projector: LlamaProjector | None = None) -> LlamaDecoder | None:
        """None if there is not enough memory for the context."""
        handle = open_context(model, size, lambda params: None)
        return cls(model, handle, size, projector) if handle else None

    def use_adapters(self, adapters: LlamaAdapters) -> None:
        """For all sequences from now on."""
        adapters.apply(self._context)

    def decode(self) -> DecodeResult:
        self._abort.clear()
        result = self._native.llama_decode(self._context, self._view.of(self.batch.n_tokens))
        # A graphics card may only have begun; what follows needs its results, and its time must not count as theirs.
        self._native.llama_synchronize(self._context)
        return decode_result(result)

    def decode_picture(self, picture: PictureTokens, *, sequence: int, position: int) -> DecodeResult:
        if self._projector is None:
            return DecodeResult.INVALID
        embedding = self._projector.embedding(picture)
        if embedding is None:
            return DecodeResult.FAILED
        self._abort.clear()
        return decode_result(self._projector.decode(self._context, picture, embedding, sequence, position, self.batch.capacity))

    def logits(self) -> FloatArray:
        rows, n_vocab = self.batch.n_outputs, self._model.vocabulary.n_tokens
        first = int(np.flatnonzero(self.batch.outputs[: self.batch.n_tokens])[0])
        # Waits for the computation and puts rows into batch order; the address may change with every decode.
        pointer = self._native.llama_get_logits_ith(self._context, first)
        return floats_at(pointer, rows * n_vocab).reshape(rows, n_vocab)

    def remove(self, sequence: int, start: int) -> bool:
        return bool(self._native.llama_memory_seq_rm(self._memory, sequence, start, -1))

    def copy(self, source: int, target: int, end: int) -> None:
        self._native.llama_memory_seq_cp(self._memory, source, target, 0, end)

    def first_position(self, sequence: int) -> int:
        return int(self._native.llama_memory_seq_pos_min(self._memory, sequence))

    def next_position(self, sequence: int) -> int:
        return int(self._native.llama_memory_seq_pos_max(self._memory, sequence)) + 1

    def save(self, sequence: int, *, uncuttable: bool = False) -> ByteArray | None:
        flags = _UNCUTTABLE_ONLY if uncuttable else 0
        size = int(self._native.llama_state_seq_get_size_ext(self._context, sequence, flags))
        if size <= 0:
            return None
        data = np.empty(size, np.uint8)
        written = self._native.llama_state_seq_get_data_ext(self._context, _bytes_of(data), size, sequence, flags)
        return data if int(written) == size else None

    def restore(self, sequence: int, data: ByteArray, *, uncuttable: bool = False) -> bool:
        flags = _UNCUTTABLE_ONLY if uncuttable else 0
        read = self._native.llama_state_seq_set_data_ext(self._context, _bytes_of(data), len(data), sequence, flags)
        if int(read) == len(data):
            return True
        self._native.llama_memory_seq_rm(self._memory, sequence, -1, -1)
        return False

    def clear(self) -> None:
        self._native.llama_memory_clear(self._memory, False)

    def chain(self, params: SamplingParams, *, seed: int) -> Chain:
        return LlamaChain(params, seed=seed, n_vocab=self._model.vocabulary.n_tokens)

    def interrupt(self) -> None:
        """Make a running decode return soon with ABORTED. Any thread; only computations on the CPU ask for it."""
        self._abort.set()

    def close(self) -> None:
        if self._context is not None:
            self._native.llama_free(self._context)
            self._context = None


class BatchView:
    """The C struct that points into a `Batch`; made once, because the arrays never move."""

    def __init__(self, native: Any, batch: Batch) -> None:
        self._arrays = batch
        self._one = np.ones(batch.capacity, np.int32)
        self._pointers = batch.sequences.ctypes.data + 4 * np.arange(batch.capacity, dtype=np.uint64)
        self._struct = struct = native.llama_batch()
        int32_p = ctypes.POINTER(ctypes.c_int32)
        struct.token = ctypes.cast(batch.tokens.ctypes.data, int32_p)
        struct.pos = ctypes.cast(batch.positions.ctypes.data, int32_p)
        struct.n_seq_id = ctypes.cast(self._one.ctypes.data, int32_p)
        struct.seq_id = ctypes.cast(self._pointers.ctypes.data, ctypes.POINTER(int32_p))
        struct.logits = ctypes.cast(batch.outputs.ctypes.data, ctypes.POINTER(ctypes.c_int8))

    def of(self, n_tokens: int) -> Any:
        self._struct.n_tokens = n_tokens
        return self._struct


class AbortFlag:
    """A flag that llama.cpp asks while it computes, without calling Python.

    The callback is C's `strlen` on a two-byte text: empty means go on, one character means stop. A Python callback would take
    the interpreter's lock some twenty times per layer.
    """

    def __init__(self, native: Any, context: Any) -> None:
        self._text = ctypes.create_string_buffer(2)
        self._callback = None
        if _strlen_is_known():
            self._callback = ctypes.cast(ctypes.CDLL(None).strlen, native.ggml_abort_callback)
            native.llama_set_abort_callback(context, self._callback, ctypes.cast(self._text, ctypes.c_void_p))

    def set(self) -> None:
        if self._callback is not None:
            self._text[0] = b"x"

    def clear(self) -> None:
        self._text[0] = b"\0"


def _strlen_is_known() -> bool:
    """Linux on x86-64 is where the trick was tried; elsewhere the size of a chunk bounds the wait."""
    return platform.system() == "Linux" and platform.machine() == "x86_64"


def open_context(model: LlamaModel, size: ContextSize, adjust: Callable[[Any], None]) -> Any:
    """A native context; NULL if there is not enough memory for it. `adjust` gets the parameters last."""
    native = start_backend()
    params = native.llama_context_default_params()
    params.n_ctx, params.n_batch, params.n_ubatch = size.n_ctx, size.n_batch, size.n_ubatch
    params.n_seq_max, params.n_outputs_max = size.n_sequences, size.n_outputs
    params.n_threads = params.n_threads_batch = size.n_threads
    set_context_options(native, params, size.options)
    # The library's own defaults are not what llama-server runs with: several times the memory, four threads, split cells.
    params.swa_full, params.kv_unified, params.no_perf = False, True, True
    adjust(params)
    return native.llama_init_from_model(model.handle, params)


def _bytes_of(data: ByteArray) -> Any:
    return ctypes.cast(data.ctypes.data, ctypes.POINTER(ctypes.c_uint8))


def _memory_kind(model: LlamaModel) -> MemoryKind:
    if model.is_recurrent:
        return MemoryKind.RECURRENT
    return MemoryKind.WINDOWED if model.n_window > 0 else MemoryKind.PLAIN


def decode_result(code: int) -> DecodeResult:
    if code == 0:
        return DecodeResult.OK
    if code == 1:
        return DecodeResult.NO_SPACE
    if code == 2:
        return DecodeResult.ABORTED
    return DecodeResult.INVALID if code == -1 else DecodeResult.FAILED
