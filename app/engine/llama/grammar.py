"""llguidance's view of a llama.cpp vocabulary."""

from __future__ import annotations

import ctypes
from typing import Any

import llguidance

from app.engine.llama.backend import start_backend
from app.engine.llama.model import LlamaVocabulary

__all__ = ["make_tokenizer"]

# Marks a token that no ordinary text spells.
_SPECIAL = b"\xff"


def make_tokenizer(vocabulary: LlamaVocabulary) -> Any:
    """Build the token trie for grammars: about ten microseconds per token. Every token that ends an answer ends it.

    llguidance's own helper for this calls a function that llama-cpp-python 0.3.36 has deprecated, with a warning per token.
    """
    native = start_backend()
    pieces = [
        _SPECIAL + vocabulary.piece(token) if vocabulary.is_control(token) else vocabulary.piece(token)
        for token in range(vocabulary.n_tokens)
    ]
    return llguidance.LLTokenizer.from_llamacpp(
        tokens=pieces,
        vocab_ptr=vocabulary.handle,
        tokenize_fptr=ctypes.cast(native._lib.llama_tokenize, ctypes.c_void_p).value,
        eos_token=vocabulary.eog_tokens,
        slices=None,
    )
