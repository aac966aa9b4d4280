from __future__ import annotations

import pytest

from app.domain.errors import InvalidRequest
from app.server.wire.responses.listing import input_item_list

ITEMS = tuple({"id": f"msg_{index}"} for index in range(25))


def ids(**query: str) -> list[str]:
    return [item["id"] for item in input_item_list(ITEMS, query)["data"]]


def test_the_newest_twenty_come_first() -> None:
    page = input_item_list(ITEMS, {})
    assert (page["object"], page["first_id"], page["last_id"], page["has_more"]) == ("list", "msg_24", "msg_5", True)
    assert len(page["data"]) == 20


def test_pages_follow_one_another_to_the_end() -> None:
    assert ids(order="asc", limit="2") == ["msg_0", "msg_1"]
    assert ids(order="asc", limit="2", after="msg_22") == ["msg_23", "msg_24"]
    assert not input_item_list(ITEMS, {"order": "asc", "limit": "2", "after": "msg_22"})["has_more"]
    assert ids(after="msg_0") == []


@pytest.mark.parametrize(
    ("name", "value"), [("limit", "0"), ("limit", "101"), ("limit", "x"), ("limit", "²"), ("order", "up"), ("after", "msg_x")]
)
def test_nonsense_is_named(name: str, value: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        input_item_list(ITEMS, {name: value})
    assert caught.value.param == name
