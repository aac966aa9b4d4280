"""A model file in memory: weights, vocabulary and what its header says."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from app.domain.generation import Pooling, SamplingParams
from app.engine.llama.backend import start_backend
from app.engine.llama.parameters import ModelOptions, model_params
from app.engine.recommended_sampling import recommended_sampling

__all__ = ["LlamaModel", "LlamaVocabulary"]

# llama.h, enum llama_pooling_type, in its order.
_POOLINGS = (Pooling.NONE, Pooling.MEAN, Pooling.CLS, Pooling.LAST, Pooling.RANK)
_CONTROL = 1 << 3
_USER_DEFINED = 1 << 4
_UNKNOWN = 1 << 1
# Vocabularies of one family are padded to different sizes.
_UNUSED_TOKENS = 128


class LlamaModel:
    """Owns the native model. Contexts made from it must be closed before it."""

    def __init__(self, handle: Any, *, n_gpu_layers: int) -> None:
        self._native = start_backend()
        self.handle = handle
        self.n_gpu_layers = n_gpu_layers
        # Read before there is a context: one that stretches positions by YaRN changes it.
        self.n_ctx_train = max(0, int(self._native.llama_model_n_ctx_train(handle)))

    @cached_property
    def vocabulary(self) -> LlamaVocabulary:
        return LlamaVocabulary(self._native, self._native.llama_model_get_vocab(self.handle))

    @classmethod
    def load(
        cls, path: Path, *, n_gpu_layers: int, on_progress: Callable[[float], bool], options: ModelOptions | None = None
    ) -> LlamaModel | None:
        """None if llama.cpp refused the file, or `on_progress` returned False; the log says which."""
        native = start_backend()
        # The references must outlive the call.
        params, _references = model_params(native, options or ModelOptions(), n_gpu_layers=n_gpu_layers)
        callback = native.llama_progress_callback(lambda fraction, _data: _ask(on_progress, fraction))
        params.progress_callback = callback
        handle = native.llama_model_load_from_file(str(path).encode("utf-8", "surrogateescape"), params)
        if not handle:
            return None
        n_layers = native.llama_model_n_layer(handle)
        return cls(handle, n_gpu_layers=n_layers + 1 if n_gpu_layers < 0 else min(n_gpu_layers, n_layers + 1))

    def close(self) -> None:
        if self.handle is not None:
            self._native.llama_model_free(self.handle)
            self.handle = None

    @cached_property
    def n_embd(self) -> int:
        return int(self._native.llama_model_n_embd_out(self.handle))

    @cached_property
    def n_embd_inp(self) -> int:
        return int(self._native.llama_model_n_embd_inp(self.handle))

    @cached_property
    def n_layers(self) -> int:
        return int(self._native.llama_model_n_layer(self.handle))

    @cached_property
    def n_params(self) -> int:
        return int(self._native.llama_model_n_params(self.handle))

    @cached_property
    def size_bytes(self) -> int:
        return int(self._native.llama_model_size(self.handle))

    @cached_property
    def n_window(self) -> int:
        return int(self._native.llama_model_n_swa(self.handle))

    @cached_property
    def is_recurrent(self) -> bool:
        """Whether some layers keep a running state instead of every position."""
        return bool(self._native.llama_model_is_recurrent(self.handle) or self._native.llama_model_is_hybrid(self.handle))

    @cached_property
    def has_encoder(self) -> bool:
        return bool(self._native.llama_model_has_encoder(self.handle))

    @cached_property
    def is_causal(self) -> bool:
        """False for encoder-only models (BERT), which keep no memory and can't write."""
        return self.metadata(f"{self.architecture}.attention.causal") != "false"

    @cached_property
    def is_diffusion(self) -> bool:
        return bool(self._native.llama_model_is_diffusion(self.handle))

    @cached_property
    def name(self) -> str:
        return self.metadata("general.name")

    @cached_property
    def architecture(self) -> str:
        return self.metadata("general.architecture")

    @cached_property
    def chat_template(self) -> str | None:
        template = self._native.llama_model_chat_template(self.handle, None)
        return template.decode("utf-8", "replace") if template else None

    @cached_property
    def pooling(self) -> Pooling | None:
        """What the file says; None if nothing."""
        number = self.metadata(f"{self.architecture}.pooling_type")
        return _POOLINGS[int(number)] if number.isdigit() and int(number) < len(_POOLINGS) else None

    @cached_property
    def class_labels(self) -> tuple[str, ...]:
        """What the rows of a classifier's head stand for; "" where the file does not say."""
        n = int(self._native.llama_model_n_cls_out(self.handle))
        labels = (self._native.llama_model_cls_label(self.handle, i) for i in range(n))
        return tuple(label.decode("utf-8", "replace") if label else "" for label in labels)

    @cached_property
    def rerank_template(self) -> str | None:
        """The text a reranker reads, with `{query}` and `{document}` in it."""
        template = self._native.llama_model_chat_template(self.handle, b"rerank")
        return template.decode("utf-8", "replace") if template else None

    @cached_property
    def sampling(self) -> SamplingParams:
        """What the file recommends (`general.sampling.*`), else the defaults. What no request may ask for is left out."""
        return recommended_sampling(self.metadata).over(SamplingParams())

    def metadata(self, key: str) -> str:
        """A scalar of the header as text; "" if it has none."""
        buffer = ctypes.create_string_buffer(1024)
        length = self._native.llama_model_meta_val_str(self.handle, key.encode(), buffer, len(buffer))
        return buffer.value.decode("utf-8", "replace") if length >= 0 else ""


class LlamaVocabulary:
    """Tokens of a model. Safe on any thread; texts of tokens are fetched once each."""

    def __init__(self, native: Any, handle: Any) -> None:
        self._native = native
        self.handle = handle
        self.n_tokens = int(native.llama_vocab_n_tokens(handle))
        bos = int(native.llama_vocab_bos(handle))
        self.bos = bos if bos >= 0 else None
        self.adds_bos = bool(native.llama_vocab_get_add_bos(handle)) and self.bos is not None
        self._pieces: list[bytes | None] = [None] * self.n_tokens
        # Of a file without a tokenizer only the number of tokens may be asked for.
        known = range(self.n_tokens if self.has_tokens else 0)
        attributes = [int(native.llama_vocab_get_attr(handle, token)) for token in known]
        self._eog = bytearray(bool(native.llama_vocab_is_eog(handle, token)) for token in known)
        self._control = bytearray(bool(a & (_CONTROL | _UNKNOWN)) for a in attributes)
        # Added tokens that look like markup (`<tool_call>`) are markers; others are mere words and runs of spaces.
        for token, attribute in enumerate(attributes):
            if attribute & _USER_DEFINED and _looks_like_marker(self.piece(token)):
                self._control[token] = True

    @property
    def has_tokens(self) -> bool:
        """Whether the file carries a tokenizer at all."""
        return int(self._native.llama_vocab_type(self.handle)) != 0

    @cached_property
    def adds_space(self) -> bool:
        if not self.has_tokens:
            return False
        return b"".join(map(self.piece, self.tokenize("a", parse_special=False))).startswith(b" ")

    @cached_property
    def markers(self) -> re.Pattern[str] | None:
        texts = {self.piece(token).decode("utf-8", "replace") for token in range(self.n_tokens) if self._control[token]}
        texts.discard("")
        return re.compile("|".join(map(re.escape, sorted(texts, key=len, reverse=True)))) if texts else None

    @cached_property
    def eog_tokens(self) -> list[int]:
        return [token for token in range(self.n_tokens) if self._eog[token]]

    def begins_like(self, other: LlamaVocabulary) -> bool:
        """Whether both have the same tokens under the same ids; unused ones at the end may differ."""
        n_tokens = min(self.n_tokens, other.n_tokens)
        if abs(self.n_tokens - other.n_tokens) > _UNUSED_TOKENS or self.bos != other.bos:
            return False
        return all(self.piece(token) == other.piece(token) for token in range(n_tokens - _UNUSED_TOKENS))

    @cached_property
    def suppressed_tokens(self) -> list[int]:
        n = ctypes.c_int32(0)
        tokens = self._native.llama_vocab_get_suppress_tokens(self.handle, ctypes.byref(n))
        return [int(tokens[i]) for i in range(n.value)]

    @cached_property
    def pair_marks(self) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
        """What stands before, between and after two texts that are read together."""
        native, handle = self._native, self.handle
        bos, eos, sep = (int(getattr(native, f"llama_vocab_{name}")(handle)) for name in ("bos", "eos", "sep"))
        end = eos if eos >= 0 else sep
        ends = (end,) if native.llama_vocab_get_add_eos(handle) and end >= 0 else ()
        parts = (sep,) if native.llama_vocab_get_add_sep(handle) and sep >= 0 else ()
        return (bos,) if self.adds_bos else (), ends + parts, ends

    def special_text(self, name: str) -> str:
        """Text of the "bos", "eos" or "eot" token; "" if the model has none."""
        token = int(getattr(self._native, f"llama_vocab_{name}")(self.handle))
        return self.piece(token).decode("utf-8", "replace") if token >= 0 else ""

    def tokenize(self, text: str, *, parse_special: bool, add_special: bool = False) -> list[int]:
        if not self.has_tokens:
            return []
        data = text.encode("utf-8", "replace")
        # A byte gives at most one token; BOS, EOS and a space come on top.
        size = len(data) + 8
        buffer = (ctypes.c_int32 * size)()
        n = self._native.llama_tokenize(self.handle, data, len(data), buffer, size, add_special, parse_special)
        if n < 0:
            buffer = (ctypes.c_int32 * -n)()
            n = self._native.llama_tokenize(self.handle, data, len(data), buffer, -n, add_special, parse_special)
        return list(buffer[: max(0, n)])

    def detokenize(self, ids: Sequence[int]) -> str:
        tokens = (ctypes.c_int32 * len(ids))(*ids)
        size = 16 + 16 * len(ids)
        buffer = ctypes.create_string_buffer(size)
        n = self._native.llama_detokenize(self.handle, tokens, len(ids), buffer, size, False, True)
        if n < 0:
            buffer = ctypes.create_string_buffer(-n)
            n = self._native.llama_detokenize(self.handle, tokens, len(ids), buffer, -n, False, True)
        return buffer.raw[: max(0, n)].decode("utf-8", "replace")

    def piece(self, token: int) -> bytes:
        known = self._pieces[token]
        if known is None:
            known = self._pieces[token] = self._fetch_piece(token)
        return known

    def is_eog(self, token: int) -> bool:
        return bool(self._eog[token])

    def is_control(self, token: int) -> bool:
        return bool(self._control[token])

    def _fetch_piece(self, token: int) -> bytes:
        if not self.has_tokens:
            return b""
        buffer = ctypes.create_string_buffer(128)
        n = self._native.llama_token_to_piece(self.handle, token, buffer, len(buffer), 0, True)
        if n < 0:
            buffer = ctypes.create_string_buffer(-n)
            n = self._native.llama_token_to_piece(self.handle, token, buffer, len(buffer), 0, True)
        return bytes(buffer.raw[: max(0, n)])


def _looks_like_marker(text: bytes) -> bool:
    return len(text) > 2 and (text[:1], text[-1:]) in ((b"<", b">"), (b"[", b"]"))


def _ask(on_progress: Callable[[float], bool], fraction: float) -> bool:
    """An exception must not reach C: it counts as No."""
    try:
        return bool(on_progress(float(fraction)))
    except Exception:  # noqa: BLE001 -- the border to C
        return False
