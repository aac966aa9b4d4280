from __future__ import annotations

import numpy as np

from app.engine.embedding_cache import EmbeddingCache

BYTES = 40


def _values(value: float = 0) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.full(BYTES // 4, value, np.float32)


def test_the_least_recently_used_goes_first() -> None:
    cache = EmbeddingCache(2 * BYTES)
    for key in (b"a", b"b"):
        cache.put(key, _values())
    assert cache.get(b"a") is not None
    cache.put(b"c", _values())
    assert [key in cache for key in (b"a", b"b", b"c")] == [True, False, True]
    assert cache.n_bytes == 2 * BYTES


def test_one_stays_even_if_it_is_too_large() -> None:
    cache = EmbeddingCache(BYTES - 1)
    cache.put(b"a", _values())
    cache.put(b"b", _values())
    assert b"a" not in cache
    assert b"b" in cache


def test_what_is_put_again_replaces_what_was_there() -> None:
    cache = EmbeddingCache(2 * BYTES)
    for value in (1, 2):
        cache.put(b"a", _values(value))
    values = cache.get(b"a")
    assert values is not None
    assert values[0] == 2
    assert cache.n_bytes == BYTES
