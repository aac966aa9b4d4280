from __future__ import annotations

import base64
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from app.domain.errors import InvalidRequest
from app.server.wire.responses.items import InputItems, WireInput, input_items, item_bodies, resolved
from app.server.wire.responses.messages import messages_of

_INPUT: TypeAdapter[Any] = TypeAdapter(WireInput)
DATA_URL = f"data:image/png;base64,{base64.b64encode(b'picture').decode()}"
USER = {"role": "user", "content": "Hello"}
CALL = {"type": "function_call", "call_id": "c1", "name": "add", "arguments": '{"x": 1}'}
RESULT = {"type": "function_call_output", "call_id": "c1", "output": "2"}
SAID = {"type": "message", "role": "assistant", "id": "msg_1", "status": "completed", "content": [
    {"type": "output_text", "text": "Well.", "annotations": [], "logprobs": []},
]}  # fmt: skip


def items(*given: dict[str, Any]) -> InputItems:
    return input_items(_INPUT.validate_python(list(given)))


@pytest.mark.parametrize("given", [[1], [{"role": "robot", "content": ""}], [{"type": "function_call"}], [{}], 7])
def test_nonsense_is_no_input(given: Any) -> None:
    with pytest.raises(ValidationError):
        _INPUT.validate_python(given)


def test_a_reference_stands_for_what_was_said() -> None:
    (kept,) = item_bodies(items(CALL))
    named = items(USER, {"type": "item_reference", "id": kept["id"]}, {"id": kept["id"]})
    assert resolved(named, {kept["id"]: kept}.get)[1:] == items(kept, kept)
    with pytest.raises(InvalidRequest) as caught:
        resolved(named, {}.get)
    assert caught.value.param == "input[1].id"


def test_kept_items_are_complete_and_mean_the_same() -> None:
    thought = {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm."}]}
    picture = {"role": "user", "content": [{"type": "input_image", "image_url": {"url": DATA_URL}}]}
    conversation = items(USER, picture, thought, SAID, {**CALL, "namespace": "n"}, RESULT)
    bodies = item_bodies(conversation)
    assert all(body["id"] and body["type"] for body in bodies)
    assert (bodies[0]["type"], bodies[0]["role"], bodies[0]["status"]) == ("message", "user", "completed")
    assert bodies[0]["content"] == [{"type": "input_text", "text": "Hello"}]
    assert bodies[1]["content"] == [{"type": "input_image", "image_url": DATA_URL, "detail": "auto"}]
    assert bodies[3] == SAID
    assert messages_of(bodies, [], None) == messages_of((), conversation, None)
