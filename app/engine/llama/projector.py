"""Pictures and sound for a model, through mtmd: how many tokens each takes, its embeddings, and decoding them."""

from __future__ import annotations

import ctypes
import hashlib
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from app.domain.errors import InvalidRequest
from app.engine.decoder import FloatArray, PictureTokens
from app.engine.embedding_cache import EmbeddingCache
from app.engine.llama.backend import start_backend
from app.engine.llama.floats import floats_at
from app.engine.llama.model import LlamaModel
from app.engine.pictures import RgbPicture
from app.engine.sounds import SoundFile

__all__ = ["LlamaProjector"]

_CHUNK_TEXT = 0
_ADDED, _FULL = 0, 2
# As an error of `llama_decode`.
_MISPLACED = -2
# mtmd ends the process on a sound of one sample.
_MIN_SAMPLES = 400
_CACHE_BYTES = 256 * 1024 * 1024
_GPU_BATCH = 1024


class LlamaProjector:
    """Owns the native projector. `tokenize` on any one thread beside the engine thread; the rest on the engine thread.

    Embeddings are kept, the most recently used first, up to `cache_bytes`: a follow-up question does not encode anything again.
    `n_encodings` counts the native encodings, each of one or several pictures.
    """

    def __init__(self, model: LlamaModel, handle: Any, *, cache_bytes: int = _CACHE_BYTES) -> None:
        from llama_cpp import mtmd_cpp

        self._native = start_backend()
        self._mtmd: Any = mtmd_cpp
        self._handle = handle
        self._n_embd = model.n_embd_inp
        self._embeddings = EmbeddingCache(cache_bytes)
        self._n_at_once = 0
        self.n_encodings = 0
        self.non_causal = bool(mtmd_cpp.mtmd_decode_use_non_causal(handle, None))
        self.sees_pictures = bool(mtmd_cpp.mtmd_support_vision(handle))
        self.hears = bool(mtmd_cpp.mtmd_support_audio(handle))

    @classmethod
    def load(
        cls,
        path: Path,
        model: LlamaModel,
        *,
        n_threads: int,
        use_gpu: bool,
        batch_tokens: int | None = None,
        cache_bytes: int = _CACHE_BYTES,
    ) -> LlamaProjector | None:
        """None if mtmd refused the file; the log says why. `batch_tokens` are encoded at once, or one picture if it has more.

        A processor needs as long for several at once as one by one, and meanwhile no answer goes on, so the default there is 0.
        """
        start_backend()
        from llama_cpp import mtmd_cpp

        params = mtmd_cpp.mtmd_context_params_default()
        params.use_gpu, params.n_threads, params.print_timings, params.warmup = use_gpu, n_threads, False, False
        params.batch_max_tokens = (_GPU_BATCH if use_gpu else 0) if batch_tokens is None else batch_tokens
        handle = mtmd_cpp.mtmd_init_from_file(str(path).encode("utf-8", "surrogateescape"), model.handle, params)
        return cls(model, handle, cache_bytes=cache_bytes) if handle else None

    def serve(self, n_ubatch: int) -> None:
        """Note how many tokens the context that will decode computes at once."""
        self._n_at_once = n_ubatch

    # --------------------------------------------------------------------------------------------- beside the engine thread
    def tokenize(self, media: RgbPicture | SoundFile) -> tuple[tuple[int, ...] | PictureTokens, ...]:
        """Raises InvalidRequest for what the projector, or the context that will decode, can't take."""
        match media:
            case RgbPicture():
                pixels = ctypes.cast(ctypes.c_char_p(media.rgb), ctypes.POINTER(ctypes.c_uint8))
                bitmap = self._mtmd.mtmd_bitmap_init(media.width, media.height, pixels)
            case SoundFile():
                bitmap = self._decoded(media)
        size = (media.width, media.height) if isinstance(media, RgbPicture) else None
        try:
            with self._chunks(bitmap) as chunks:
                return tuple(self._part(chunk, i, media.digest, size) for i, chunk in enumerate(chunks))
        finally:
            self._mtmd.mtmd_bitmap_free(bitmap)

    def _decoded(self, sound: SoundFile) -> Any:
        """The samples of a sound, as the encoder wants them."""
        data = ctypes.cast(ctypes.c_char_p(sound.data), ctypes.POINTER(ctypes.c_uint8))
        options = self._mtmd.mtmd_helper_init_opt_default()
        bitmap = self._mtmd.mtmd_helper_bitmap_init_from_buf(self._handle, data, len(sound.data), False, options)
        if not bitmap:
            raise InvalidRequest("A sound file is damaged and can't be read. Save it anew.", param="messages")
        if self._mtmd.mtmd_bitmap_get_n_bytes(bitmap) >= 4 * _MIN_SAMPLES and self._is_finite(bitmap):
            return bitmap
        self._mtmd.mtmd_bitmap_free(bitmap)
        raise InvalidRequest("A sound file has no usable samples. Save it anew.", param="messages")

    def _is_finite(self, bitmap: Any) -> bool:
        values = floats_at(self._mtmd.mtmd_bitmap_get_data(bitmap), self._mtmd.mtmd_bitmap_get_n_bytes(bitmap) // 4)
        return bool(np.isfinite(values).all())

    @contextmanager
    def _chunks(self, bitmap: Any) -> Iterator[Iterator[Any]]:
        """What a picture or sound becomes: native chunks that live as long as the context."""
        chunks = self._mtmd.mtmd_input_chunks_init()
        try:
            part = self._mtmd.mtmd_input_part(None, bitmap)
            parts = (ctypes.POINTER(self._mtmd.mtmd_input_part) * 1)(ctypes.pointer(part))
            if self._mtmd.mtmd_tokenize_from_parts(self._handle, chunks, parts, 1, False) != 0:
                raise InvalidRequest(
                    "The model's projector can't take a picture or sound of this size or shape.", param="messages"
                )
            yield (self._mtmd.mtmd_input_chunks_get(chunks, i) for i in range(self._mtmd.mtmd_input_chunks_size(chunks)))
        finally:
            self._mtmd.mtmd_input_chunks_free(chunks)

    def _part(self, chunk: Any, index: int, digest: bytes, size: tuple[int, int] | None) -> tuple[int, ...] | PictureTokens:
        if int(self._mtmd.mtmd_input_chunk_get_type(chunk)) == _CHUNK_TEXT:
            n = ctypes.c_size_t()
            tokens = self._mtmd.mtmd_input_chunk_get_tokens_text(chunk, ctypes.byref(n))
            return tuple(tokens[: n.value])
        n_tokens = int(self._mtmd.mtmd_input_chunk_get_n_tokens(chunk))
        if not self._fits(chunk, n_tokens):
            raise InvalidRequest(
                f"This model looks at a whole picture at once. This picture takes {n_tokens} tokens, but a batch has room for "
                f"{self._n_at_once}. Load the model with batches of at least {n_tokens} tokens, or send a smaller picture.",
                param="messages",
            )
        return PictureTokens(
            key=hashlib.sha256(digest + index.to_bytes(4, "little")).digest(),
            n_tokens=n_tokens,
            n_positions=int(self._mtmd.mtmd_input_chunk_get_n_pos(chunk)),
            handle=_OwnedChunk(self._mtmd.mtmd_input_chunk_copy(chunk), self._mtmd.mtmd_input_chunk_free, size),
        )

    def _fits(self, chunk: Any, n_tokens: int) -> bool:
        """llama.cpp computes what is not causal in one piece, or ends the process."""
        whole = bool(self._mtmd.mtmd_decode_use_non_causal(self._handle, chunk))
        return not whole or not self._n_at_once or n_tokens <= self._n_at_once

    # --------------------------------------------------------------------------------------------------- engine thread
    def embedding(self, picture: PictureTokens) -> FloatArray | None:
        """The picture's or sound's embeddings, [n_tokens * n_embd]; None if encoding failed.

        What follows in the same prompt is encoded along with it as far as mtmd can take it, and kept.
        """
        known = self._embeddings.get(picture.key)
        if known is not None:
            return known
        companions = tuple(self._companions(picture))
        encoded = self._encode(picture, companions)
        if not encoded and companions:
            encoded = self._encode(picture, ())
        # The one needed now comes last, so that it is the last to go.
        for key, values in reversed(encoded.items()):
            self._embeddings.put(key, values)
        return encoded.get(picture.key)

    def _companions(self, picture: PictureTokens) -> Iterator[PictureTokens]:
        """Pictures to be encoded together with one: of its size, and not more than can be kept.

        mtmd takes pictures of equally many tokens for equal in shape and would mix up an upright one with one that lies.
        """
        room = self._embeddings.capacity - self._n_bytes(picture)
        seen = {picture.key}
        for other in picture.following:
            alike = other.handle.size is not None and other.handle.size == picture.handle.size
            if alike and other.key not in seen and other.key not in self._embeddings and self._n_bytes(other) <= room:
                seen.add(other.key)
                room -= self._n_bytes(other)
                yield other

    def _n_bytes(self, picture: PictureTokens) -> int:
        return picture.n_tokens * self._n_embd * 4

    def _encode(self, picture: PictureTokens, companions: tuple[PictureTokens, ...]) -> dict[bytes, FloatArray]:
        """Embeddings by key, of the picture and of the companions that fit; {} if encoding failed."""
        batch = self._mtmd.mtmd_batch_init(self._handle)
        try:
            if self._mtmd.mtmd_batch_add_chunk(batch, picture.handle.pointer) != _ADDED:
                return {}
            taken = [picture]
            for other in companions:
                result = self._mtmd.mtmd_batch_add_chunk(batch, other.handle.pointer)
                if result == _FULL:
                    break
                if result == _ADDED:
                    taken.append(other)
            self.n_encodings += 1
            if self._mtmd.mtmd_batch_encode(batch) != 0:
                return {}
            return {one.key: self._output(batch, one) for one in taken}
        finally:
            self._mtmd.mtmd_batch_free(batch)

    def _output(self, batch: Any, picture: PictureTokens) -> FloatArray:
        pointer = self._mtmd.mtmd_batch_get_output_embd(batch, picture.handle.pointer)
        return floats_at(pointer, picture.n_tokens * self._n_embd).copy()

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


class _OwnedChunk:
    """A native chunk that is freed with its last reference. `size` is that of the picture it was made from, None for sound."""

    def __init__(self, pointer: Any, free: Callable[[Any], None], size: tuple[int, int] | None) -> None:
        self.pointer = pointer
        self.size = size
        weakref.finalize(self, free, pointer)
