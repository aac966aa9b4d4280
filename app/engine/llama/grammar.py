"""llguidance's view of a llama.cpp vocabulary."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from typing import Any

import llguidance

from app.engine.llama.backend import start_backend
from app.engine.llama.model import LlamaVocabulary

__all__ = ["make_tokenizer"]

# Marks a token that no ordinary text spells.
_SPECIAL = b"\xff"
# The engine thread may be waiting for the interpreter: give it up often.
_CHUNK = 1024
_PAUSE_S = 0.0005


def make_tokenizer(vocabulary: LlamaVocabulary, *, stopped: Callable[[], bool] = lambda: False) -> Any:
    """Build the token trie for grammars: about ten microseconds per token. Every token that ends an answer ends it.

    llguidance's own helper for this calls a function that llama-cpp-python 0.3.36 has deprecated, with a warning per token.
    """
    native = start_backend()
    pieces: list[bytes] = []
    for start in range(0, vocabulary.n_tokens, _CHUNK):
        if stopped():
            return None
        pieces += [_spelled(vocabulary, token) for token in range(start, min(start + _CHUNK, vocabulary.n_tokens))]
        time.sleep(_PAUSE_S)
    tokenizer = llguidance.LLTokenizer.from_llamacpp(
        tokens=pieces,
        vocab_ptr=vocabulary.handle,
        tokenize_fptr=ctypes.cast(native._lib.llama_tokenize, ctypes.c_void_p).value,
        eos_token=vocabulary.eog_tokens,
        slices=[],
    )
    time.sleep(_PAUSE_S)
    return None if stopped() else tokenizer.with_slices(llguidance.LLTokenizer.general_slices())


def _spelled(vocabulary: LlamaVocabulary, token: int) -> bytes:
    return _SPECIAL + vocabulary.piece(token) if vocabulary.is_control(token) else vocabulary.piece(token)
