"""Pictures for a model, through mtmd: how many tokens one takes, its embeddings, and decoding them."""

from __future__ import annotations

import ctypes
import hashlib
import weakref
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from app.domain.errors import InvalidRequest
from app.engine.decoder import FloatArray, PictureTokens
from app.engine.llama.backend import start_backend
from app.engine.llama.floats import floats_at
from app.engine.llama.model import LlamaModel
from app.engine.pictures import RgbPicture

__all__ = ["LlamaProjector"]

_CHUNK_TEXT = 0
_CHUNK_IMAGE = 1
# As an error of `llama_decode`.
_MISPLACED = -2


class LlamaProjector:
    """Owns the native projector. `tokenize` on any one thread beside the engine thread; the rest on the engine thread.

    Embeddings are kept, the most recently used first, up to `cache_bytes`: a follow-up question does not encode it again.
    """

    def __init__(self, model: LlamaModel, handle: Any, *, cache_bytes: int = 256 * 1024 * 1024) -> None:
        from llama_cpp import mtmd_cpp

        self._native = start_backend()
        self._mtmd: Any = mtmd_cpp
        self._handle = handle
        self._n_embd = model.n_embd_inp
        self._embeddings: OrderedDict[bytes, FloatArray] = OrderedDict()
        self._cache_bytes = cache_bytes
        self.non_causal = bool(mtmd_cpp.mtmd_decode_use_non_causal(handle, None))
        self.sees_pictures = bool(mtmd_cpp.mtmd_support_vision(handle))

    @classmethod
    def load(cls, path: Path, model: LlamaModel, *, n_threads: int, use_gpu: bool) -> LlamaProjector | None:
        """None if mtmd refused the file; the log says why."""
        start_backend()
        from llama_cpp import mtmd_cpp

        params = mtmd_cpp.mtmd_context_params_default()
        params.use_gpu, params.n_threads, params.print_timings, params.warmup = use_gpu, n_threads, False, False
        handle = mtmd_cpp.mtmd_init_from_file(str(path).encode("utf-8", "surrogateescape"), model.handle, params)
        return cls(model, handle) if handle else None

    def tokenize(self, picture: RgbPicture) -> tuple[tuple[int, ...] | PictureTokens, ...]:
        pixels = ctypes.cast(ctypes.c_char_p(picture.rgb), ctypes.POINTER(ctypes.c_uint8))
        bitmap = self._mtmd.mtmd_bitmap_init(picture.width, picture.height, pixels)
        chunks = self._mtmd.mtmd_input_chunks_init()
        try:
            part = self._mtmd.mtmd_input_part(None, bitmap)
            parts = (ctypes.POINTER(self._mtmd.mtmd_input_part) * 1)(ctypes.pointer(part))
            if self._mtmd.mtmd_tokenize_from_parts(self._handle, chunks, parts, 1, False) != 0:
                raise InvalidRequest("The model's projector can't take a picture of this size or shape.", param="messages")
            count = int(self._mtmd.mtmd_input_chunks_size(chunks))
            return tuple(self._chunk(self._mtmd.mtmd_input_chunks_get(chunks, i), i, picture.digest) for i in range(count))
        finally:
            self._mtmd.mtmd_input_chunks_free(chunks)
            self._mtmd.mtmd_bitmap_free(bitmap)

    def _chunk(self, chunk: Any, index: int, digest: bytes) -> tuple[int, ...] | PictureTokens:
        kind = int(self._mtmd.mtmd_input_chunk_get_type(chunk))
        if kind == _CHUNK_TEXT:
            n = ctypes.c_size_t()
            tokens = self._mtmd.mtmd_input_chunk_get_tokens_text(chunk, ctypes.byref(n))
            return tuple(tokens[: n.value])
        if kind != _CHUNK_IMAGE:
            raise InvalidRequest("The model's projector can't read pictures.", param="messages")
        return PictureTokens(
            key=hashlib.sha256(digest + index.to_bytes(4, "little")).digest(),
            n_tokens=int(self._mtmd.mtmd_input_chunk_get_n_tokens(chunk)),
            n_positions=int(self._mtmd.mtmd_input_chunk_get_n_pos(chunk)),
            handle=_OwnedChunk(self._mtmd.mtmd_input_chunk_copy(chunk), self._mtmd.mtmd_input_chunk_free),
        )

    def embedding(self, picture: PictureTokens) -> FloatArray | None:
        """The picture's embeddings, [n_tokens, n_embd]; None if encoding failed."""
        known = self._embeddings.get(picture.key)
        if known is not None:
            self._embeddings.move_to_end(picture.key)
            return known
        batch = self._mtmd.mtmd_batch_init(self._handle)
        try:
            chunk = picture.handle.pointer
            if self._mtmd.mtmd_batch_add_chunk(batch, chunk) != 0 or self._mtmd.mtmd_batch_encode(batch) != 0:
                return None
            pointer = self._mtmd.mtmd_batch_get_output_embd(batch, chunk)
            if not pointer:
                return None
            values = floats_at(pointer, picture.n_tokens * self._n_embd).copy()
        finally:
            self._mtmd.mtmd_batch_free(batch)
        self._keep(picture.key, values)
        return values

    def decode(
        self, context: Any, picture: PictureTokens, embedding: FloatArray, sequence: int, position: int, n_batch: int
    ) -> int:
        """Put the picture into the sequence; return `llama_decode`'s code.

        mtmd's helper knows each model's positions and kind of attention.
        """
        after = ctypes.c_int32()
        data = embedding.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        no_callback = self._mtmd.mtmd_helper_post_decode_callback()
        result = self._mtmd.mtmd_helper_decode_image_chunk(
            self._handle,
            context,
            picture.handle.pointer,
            data,
            position,
            sequence,
            n_batch,
            ctypes.byref(after),
            no_callback,
            None,
        )
        moved = after.value == position + picture.n_positions
        return int(result) if result != 0 or moved else _MISPLACED

    def close(self) -> None:
        if self._handle is not None:
            self._mtmd.mtmd_free(self._handle)
            self._handle = None

    def _keep(self, key: bytes, values: FloatArray) -> None:
        self._embeddings[key] = values
        while len(self._embeddings) > 1 and sum(v.nbytes for v in self._embeddings.values()) > self._cache_bytes:
            self._embeddings.popitem(last=False)


class _OwnedChunk:
    """A native chunk that is freed with its last reference."""

    def __init__(self, pointer: Any, free: Callable[[Any], None]) -> None:
        self.pointer = pointer
        weakref.finalize(self, free, pointer)
