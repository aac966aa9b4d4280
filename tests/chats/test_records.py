from __future__ import annotations

from datetime import UTC, datetime

import pytest

from app.chats.records import MessageState, StoredMessage
from app.domain.messages import Role


@pytest.mark.parametrize(("alternatives", "position"), [(("a", "b", "c"), 1), ((), 0)])
def test_a_message_knows_its_place_among_its_alternatives(alternatives: tuple[str, ...], position: int) -> None:
    now = datetime(2026, 1, 2, tzinfo=UTC)
    message = StoredMessage("b", "talk", None, Role.USER, "Hi", MessageState.COMPLETE, now, alternatives=alternatives)
    assert message.position == position
