"""One sequence in the model's memory."""

from __future__ import annotations

from app.engine.tokens import TokenizedPrompt, TokenRow

__all__ = ["Sequence"]


class Sequence:
    """A sequence in the model's memory: `row` are its tokens, of which the first `n_past` are computed.

    `boundaries` are numbers of tokens at which computing must pause for a checkpoint. `owner` names the conversation.
    """

    __slots__ = ("boundaries", "id", "n_past", "owner", "prompt", "row", "used")

    def __init__(self, number: int, row: TokenRow, prompt: TokenizedPrompt, *, owner: str | None = None) -> None:
        self.id = number
        self.row = row
        self.prompt = prompt
        self.owner = owner
        self.n_past = 0
        self.used = 0
        self.boundaries: set[int] = set()

    @property
    def position(self) -> int:
        """The position of the next token to compute."""
        return self.prompt.position(self.n_past)

    @property
    def n_left(self) -> int:
        return len(self.row) - self.n_past

    @property
    def has_pictures_ahead(self) -> bool:
        return bool(self.prompt.pictures) and self.prompt.next_picture(self.n_past) < len(self.row)

    def until_stop(self) -> int:
        """How many tokens may be computed at once: up to the next picture or boundary."""
        n_past = self.n_past
        stop = min(self.prompt.next_picture(n_past), len(self.row))
        return min((b for b in self.boundaries if n_past < b < stop), default=stop) - n_past
