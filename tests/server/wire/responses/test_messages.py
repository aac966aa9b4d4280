from __future__ import annotations

import base64
from typing import Any

import pytest
from pydantic import TypeAdapter

from app.domain.errors import RequestError
from app.domain.messages import ImagePart, ImageUrl, Message, Role, TextPart, ToolCall
from app.server.wire.responses.items import InputItems, WireInput, input_items, item_bodies
from app.server.wire.responses.messages import messages_of, unread_parts
from app.server.wire.responses.sealed import sealed

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


def convert(*given: dict[str, Any]) -> tuple[Message, ...]:
    return messages_of((), items(*given), None)


def refused(*given: dict[str, Any]) -> RequestError:
    with pytest.raises(RequestError) as caught:
        convert(*given)
    return caught.value


def test_a_text_is_a_question() -> None:
    assert messages_of((), input_items("Hello"), "Be kind.") == (
        Message.of(Role.SYSTEM, "Be kind."),
        Message.of(Role.USER, "Hello"),
    )


@pytest.mark.parametrize("role", ["user", "system", "developer"])
def test_messages_may_leave_out_their_type_and_carry_ids(role: str) -> None:
    content = [{"type": "input_text", "text": "Hello"}]
    expected = (Message.of(Role(role), "Hello"),)
    assert convert({"role": role, "content": "Hello"}) == expected
    assert convert({"type": "message", "id": "msg_1", "status": None, "role": role, "content": content}) == expected


def test_reasoning_words_and_calls_of_one_turn_are_one_message() -> None:
    thought = {"type": "reasoning", "id": "rs_1", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm."}]}
    call = ToolCall("c1", "add", '{"x": 1}')
    (question, turn, result, last) = convert(USER, thought, SAID, CALL, {**CALL, "call_id": "c2"}, RESULT, USER)
    assert question == last == Message.of(Role.USER, "Hello")
    assert (turn.role, turn.text, turn.reasoning) == (Role.ASSISTANT, "Well.", "Hm.")
    assert turn.tool_calls == (call, ToolCall("c2", "add", '{"x": 1}'))
    assert result == Message(Role.TOOL, (TextPart("2"),), tool_call_id="c1")


def test_what_follows_words_or_calls_is_a_turn_of_its_own() -> None:
    thought = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]}
    assert [message.text for message in convert(USER, SAID, SAID)] == ["Hello", "Well.", "Well."]
    first, second = convert(CALL, thought, SAID)
    assert (len(first.tool_calls), second.reasoning, second.text) == (1, "Hm.", "Well.")


def test_however_many_calls_are_read() -> None:
    assert [len(message.tool_calls) for message in convert(*[CALL] * 300)] == [128, 128, 44]


def test_reasoning_is_read_from_wherever_it_is() -> None:
    text = [{"type": "reasoning_text", "text": "Hm."}]
    for fields in ({"content": text}, {"encrypted_content": sealed("Hm.")}, {"summary": text}):
        (message, _) = convert({"type": "reasoning", "summary": [], **fields}, USER)
        assert message.reasoning == "Hm."


@pytest.mark.parametrize("text", ["gAAAAAB", "hearth1.%%%", "hearth1./w=="])
def test_reasoning_that_only_another_server_can_read_is_left_out(text: str) -> None:
    given = {"type": "reasoning", "summary": [], "encrypted_content": text}
    assert convert(given, SAID)[0].reasoning == ""
    assert unread_parts(items(given, USER)) == ("input[].encrypted_content",)
    assert unread_parts(items({**given, "encrypted_content": sealed("Hm.")}, USER)) == ()


def test_pictures_come_as_urls_of_their_data() -> None:
    part = {"type": "input_image", "image_url": DATA_URL, "detail": "low"}
    (asked, result) = convert({"role": "user", "content": [part]}, {**RESULT, "output": [part]})
    assert asked.images == result.images == (ImagePart(b"picture", max_side=512),)


def test_a_picture_on_the_web_is_known_by_its_place() -> None:
    (asked,) = convert({"role": "user", "content": [{"type": "input_image", "image_url": "https://example.org/a.png"}]})
    assert asked.parts == (ImageUrl("https://example.org/a.png", "input[0].content[0].image_url"),)


def test_a_function_in_a_namespace_has_the_name_the_model_knows() -> None:
    (message,) = convert({**CALL, "namespace": "files"})
    assert message.tool_calls[0].name == "files.add"


def test_the_free_text_of_another_server_s_tools_becomes_an_argument() -> None:
    call = {"type": "custom_tool_call", "call_id": "c1", "name": "apply_patch", "input": 'say "hi"'}
    (message, result) = convert(call, {**RESULT, "type": "custom_tool_call_output"})
    assert message.tool_calls == (ToolCall("c1", "apply_patch", '{"input": "say \\"hi\\""}'),)
    assert result.text == "2"


def test_a_conversation_that_was_made_short_is_told_as_that() -> None:
    short = {"type": "compaction", "id": "cmp_1", "encrypted_content": sealed("They greeted.")}
    (told, question) = convert(short, USER)
    assert (told.role, question.text) == (Role.SYSTEM, "Hello")
    assert told.text.endswith("They greeted.")
    assert item_bodies(items(short)) == (short,)
    assert refused({**short, "encrypted_content": "gAAA"}).param == "input[0].encrypted_content"


def test_what_was_searched_on_the_web_is_passed_over_and_other_items_are_refused() -> None:
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    assert convert(search, USER) == convert(USER)
    assert unread_parts(items(search, USER)) == ("input[].web_search_call",)
    assert refused(USER, {"type": "computer_call", "id": "x"}).param == "input[1].type"


@pytest.mark.parametrize(
    ("part", "param"),
    [
        ({"type": "input_file", "filename": "a.pdf", "file_data": "x"}, "input[0].content[0]"),
        ({"type": "input_image", "file_id": "file_1"}, "input[0].content[0].file_id"),
        ({"type": "input_image"}, "input[0].content[0].image_url"),
        ({"type": "input_image", "image_url": "http://example.org/a.png"}, "input[0].content[0].image_url"),
        ({"type": "input_text"}, "input[0].content[0].text"),
        ({"type": "odd"}, "input[0].content[0].type"),
    ],
    ids=lambda value: value["type"] if isinstance(value, dict) else None,
)
def test_a_part_that_can_t_be_read_is_named(part: dict[str, Any], param: str) -> None:
    assert refused({"role": "user", "content": [part]}).param == param


def test_a_part_of_a_result_is_named_by_its_place() -> None:
    text, broken = {"type": "input_text", "text": "a"}, {"type": "input_image", "image_url": "data:image/png;base64,?"}
    assert refused(USER, {**RESULT, "output": [{"type": "input_file"}]}).param == "input[1].output[0]"
    assert refused(USER, {**RESULT, "output": [text, broken]}).param == "input[1].output[1].image_url"


def test_words_of_a_turn_that_began_before_them_are_named_by_their_own_place() -> None:
    thought = {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm."}]}
    broken = {"type": "input_image", "image_url": "data:image/png;base64,?"}
    said = {"role": "assistant", "content": [broken]}
    assert refused(USER, thought, said).param == "input[2].content[0].image_url"


def test_a_picture_written_as_in_a_chat_is_a_picture() -> None:
    part = {"type": "image_url", "image_url": {"url": DATA_URL}}
    asked = {"role": "user", "content": [part]}
    assert convert(asked)[0].images == (ImagePart(b"picture"),)
    (body,) = item_bodies(items(asked))
    assert body["content"] == [{"type": "input_image", "image_url": DATA_URL, "detail": "auto"}]


@pytest.mark.parametrize(("arguments", "stays"), [('{"x": ', False), ("", False), ('{"x": 1}', True)])
def test_a_call_that_a_kept_response_broke_off_in_is_left_out(arguments: str, stays: bool) -> None:
    cut = {**CALL, "call_id": "c2", "status": "incomplete", "arguments": arguments}
    (_, turn, _) = messages_of(item_bodies(items(USER, CALL, cut)), items(USER), None)
    assert [call.id for call in turn.tool_calls] == (["c1", "c2"] if stays else ["c1"])


def test_what_was_kept_comes_before_what_is_new_and_errors_name_the_new() -> None:
    before = item_bodies(items(USER, SAID))
    assert [message.text for message in messages_of(before, items(USER), None)] == ["Hello", "Well.", "Hello"]
    with pytest.raises(RequestError) as caught:
        messages_of(before, items(RESULT, {"type": "odd"}), "Be kind.")
    assert caught.value.param == "input[1].type"
