"""One step's input to the model: tokens of many sequences in numpy arrays that never move."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["Batch"]


class Batch:
    """Room for `capacity` tokens, filled from the front. Engine thread only."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.tokens = np.zeros(capacity, np.int32)
        self.positions = np.zeros(capacity, np.int32)
        self.sequences = np.zeros(capacity, np.int32)
        self.outputs = np.zeros(capacity, np.int8)
        self._steps = np.arange(capacity, dtype=np.int32)
        self.n_tokens = 0
        self.n_outputs = 0
        # Single items go through memoryviews, which are several times faster than numpy's own item assignment.
        self._token_items = self.tokens.data
        self._position_items = self.positions.data
        self._sequence_items = self.sequences.data
        self._output_items = self.outputs.data

    @property
    def room(self) -> int:
        return self.capacity - self.n_tokens

    def clear(self) -> None:
        self.n_tokens = 0
        self.n_outputs = 0

    def add(self, token: int, *, position: int, sequence: int) -> int:
        """Add one token whose logits are wanted; return the number of its row of logits."""
        at = self.n_tokens
        self._token_items[at] = token
        self._position_items[at] = position
        self._sequence_items[at] = sequence
        self._output_items[at] = 1
        self.n_tokens = at + 1
        self.n_outputs += 1
        return self.n_outputs - 1

    def add_chunk(
        self, tokens: npt.NDArray[np.int32], *, position: int, sequence: int, output: bool, every: bool = False
    ) -> int:
        """Add several tokens of one sequence; with `output`, return the number of the last one's row of logits, else -1.

        With `every`, each has a row, and the last one's number is returned in any case.
        """
        start, end = self.n_tokens, self.n_tokens + len(tokens)
        self.tokens[start:end] = tokens
        np.add(self._steps[: len(tokens)], position, out=self.positions[start:end])
        self.sequences[start:end] = sequence
        self.outputs[start:end] = every
        self.n_tokens = end
        if every:
            self.n_outputs += len(tokens)
            return self.n_outputs - 1
        if not output:
            return -1
        self._output_items[end - 1] = 1
        self.n_outputs += 1
        return self.n_outputs - 1
