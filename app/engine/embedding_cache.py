"""Embeddings of pictures and sounds that were encoded before."""

from __future__ import annotations

from collections import OrderedDict

from app.engine.decoder import FloatArray

__all__ = ["EmbeddingCache"]


class EmbeddingCache:
    """Embeddings by key, the least recently used going first beyond `capacity` bytes. One stays even if it is larger alone."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.n_bytes = 0
        self._kept: OrderedDict[bytes, FloatArray] = OrderedDict()

    def __contains__(self, key: bytes) -> bool:
        return key in self._kept

    def get(self, key: bytes) -> FloatArray | None:
        values = self._kept.get(key)
        if values is not None:
            self._kept.move_to_end(key)
        return values

    def put(self, key: bytes, values: FloatArray) -> None:
        if key in self._kept:
            self.n_bytes -= self._kept.pop(key).nbytes
        self._kept[key] = values
        self.n_bytes += values.nbytes
        while self.n_bytes > self.capacity and len(self._kept) > 1:
            self.n_bytes -= self._kept.popitem(last=False)[1].nbytes
