from __future__ import annotations

import base64
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from app.domain.errors import InvalidRequest, RequestError, UnsupportedContent, UnsupportedParameter
from app.domain.messages import ImagePart, ImageUrl, Message, Role, TextPart, ToolCall
from app.server.wire.anthropic.blocks import AnthropicMessage, System, domain_messages
from app.server.wire.pictures import MAX_IMAGES

PNG = b"\x89PNG\r\n\x1a\n not really"
DATA = base64.b64encode(PNG).decode()
PICTURE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": DATA}}
_MESSAGES = TypeAdapter(list[AnthropicMessage])
_SYSTEM: TypeAdapter[System | None] = TypeAdapter(System | None)


def convert(*messages: dict[str, Any], system: Any = None) -> tuple[Message, ...]:
    return domain_messages(_SYSTEM.validate_python(system), _MESSAGES.validate_python(list(messages)))


def user(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def text(words: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": words, **more}


def refused(*blocks: dict[str, Any], role: str = "user") -> RequestError:
    with pytest.raises(RequestError) as caught:
        convert({"role": role, "content": list(blocks)})
    return caught.value


def test_text_may_come_as_a_string_or_in_blocks_which_stay_apart() -> None:
    assert convert({"role": "user", "content": "Hello"}) == (Message.of(Role.USER, "Hello"),)
    marked = text("there", cache_control={"type": "ephemeral"}, citations=None)
    (message,) = convert(user(text("Hello"), marked))
    assert message.text == "Hello\n\nthere"


def test_rules_come_first_as_a_string_or_in_blocks() -> None:
    ask = {"role": "user", "content": "Hello"}
    assert convert(ask, system="Be brief.")[0] == Message.of(Role.SYSTEM, "Be brief.")
    rules, _ = convert(ask, system=[text("You are Ember."), text("Be brief.", cache_control={"type": "ephemeral"})])
    assert (rules.role, rules.text) == (Role.SYSTEM, "You are Ember.\n\nBe brief.")
    assert convert(ask, system="") == convert(ask, system=[]) == convert(ask)


def test_rules_may_also_come_later() -> None:
    later = {"role": "system", "content": [text("Now be brief.")]}
    assert [message.role for message in convert(user(text("Hello")), later)] == [Role.USER, Role.SYSTEM]


@pytest.mark.parametrize("number", ["1", "2"])
def test_a_note_that_differs_with_each_request_does_not_reach_the_model(number: str) -> None:
    note = f"x-anthropic-billing-header: cc_version=2.{number}; cch={number};"
    plain = Message.of(Role.SYSTEM, "Be brief.")
    ask = {"role": "user", "content": note}
    assert convert(ask, system=[text(note), text("Be brief.")]) == (plain, Message.of(Role.USER, note))
    assert convert(ask, system=f"{note}\nBe brief.")[0] == plain
    assert convert(ask, system=[text(note)]) == (Message.of(Role.USER, note),)


def test_a_picture_comes_through_as_it_was() -> None:
    url = {"type": "image", "source": {"type": "url", "url": f"data:image/png;base64,{DATA}"}}
    (message,) = convert(user(PICTURE, text("What is it?"), url))
    assert message.parts == (ImagePart(PNG), TextPart("What is it?"), ImagePart(PNG))


def test_a_picture_on_the_web_is_left_to_who_fetches_them() -> None:
    address = "https://example.org/a.png"
    (message,) = convert(user({"type": "image", "source": {"type": "url", "url": address}}))
    assert message.parts == (ImageUrl(address, "messages[0].content[0].source.url"),)


@pytest.mark.parametrize(
    ("source", "param"),
    [
        ({"type": "url", "url": "http://example.org/a.png"}, "source.url"),
        ({"type": "url", "url": "file:///etc/passwd"}, "source.url"),
        ({"type": "file", "file_id": "file_1"}, "source"),
        ({"type": "base64", "media_type": "image/png", "data": "%%%"}, "source.data"),
        ({"type": "base64", "media_type": "image/png", "data": ""}, "source.data"),
    ],
)
def test_a_picture_that_is_not_there_is_refused_by_its_place(source: dict[str, Any], param: str) -> None:
    assert refused(text("What?"), {"type": "image", "source": source}).param == f"messages[0].content[1].{param}"


def test_there_can_be_too_many_pictures() -> None:
    assert refused(*[PICTURE] * (MAX_IMAGES + 1)).param == "messages"


def test_a_call_and_its_result_come_through() -> None:
    call = {"type": "tool_use", "id": "toolu_1", "name": "add", "input": {"x": "é"}, "caller": {"type": "direct"}}
    thought = {"type": "thinking", "thinking": "Hm.", "signature": "x"}
    hidden = {"type": "redacted_thinking", "data": "zzz"}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [text("two"), PICTURE]}
    asked, answered, said = convert(
        {"role": "assistant", "content": [thought, hidden, text("I add."), call]}, user(result, text("And now?"))
    )
    assert asked == Message(Role.ASSISTANT, (TextPart("I add."),), "Hm.", (ToolCall("toolu_1", "add", '{"x": "é"}'),))
    assert answered == Message(Role.TOOL, (TextPart("two"), ImagePart(PNG)), tool_call_id="toolu_1")
    assert said == Message.of(Role.USER, "And now?")


def test_several_results_are_turns_of_their_own() -> None:
    results = [{"type": "tool_result", "tool_use_id": f"toolu_{index}", "content": str(index)} for index in (1, 2)]
    assert [message.tool_call_id for message in convert(user(*results))] == ["toolu_1", "toolu_2"]


@pytest.mark.parametrize(("content", "expected"), [("No disk.", "Error: No disk."), (None, "Error: ")])
def test_a_result_that_is_an_error_says_so(content: str | None, expected: str) -> None:
    (message,) = convert(user({"type": "tool_result", "tool_use_id": "a", "content": content, "is_error": True}))
    assert message.text == expected


def test_an_answer_that_was_begun_is_kept_to_the_letter() -> None:
    (message,) = convert({"role": "assistant", "content": [text("{ "), text('"a":')]})
    assert message.text == '{ "a":'


def test_a_document_of_text_is_read() -> None:
    plain = {"type": "text", "media_type": "text/plain", "data": "Once."}
    document = {"type": "document", "source": plain, "title": "Tale", "context": "Old", "citations": {"enabled": False}}
    (message,) = convert(user(document, text("And?")))
    assert message.text.split() == [
        *("<document>", "<title>Tale</title>", "<context>Old</context>", "Once.", "</document>", "And?")
    ]
    blocks = {"type": "document", "source": {"type": "content", "content": [text("Look:"), PICTURE]}}
    assert convert(user(blocks))[0].images == (ImagePart(PNG),)
    words = {"type": "document", "source": {"type": "content", "content": "Once."}}
    assert "Once." in convert(user(words))[0].text


def test_what_a_search_found_is_read() -> None:
    found = {"type": "search_result", "source": "https://x.example", "title": "X", "content": [text("It is."), text("So.")]}
    (message,) = convert(user(found))
    assert "https://x.example" in message.text
    assert "It is.\nSo." in message.text


def test_a_tool_that_was_found_is_named() -> None:
    result = {"type": "tool_result", "tool_use_id": "a", "content": [{"type": "tool_reference", "tool_name": "add"}]}
    assert "add" in convert(user(result))[0].text


@pytest.mark.parametrize(
    "source",
    [
        {"type": "base64", "media_type": "application/pdf", "data": "aGk="},
        {"type": "url", "url": "https://x.example/a.pdf"},
        {"type": "file", "file_id": "file_1"},
    ],
)
def test_a_document_that_is_no_text_is_refused(source: dict[str, Any]) -> None:
    error = refused({"type": "document", "source": source})
    assert isinstance(error, UnsupportedContent)
    assert error.param == "messages[0].content[0].source"


@pytest.mark.parametrize(
    "block",
    [
        {"type": "document", "source": {"type": "text", "data": "x"}},
        {"type": "search_result", "source": "s", "title": "t", "content": []},
    ],
)
def test_citations_are_refused(block: dict[str, Any]) -> None:
    error = refused({**block, "citations": {"enabled": True}})
    assert isinstance(error, UnsupportedParameter)
    assert error.param == "messages[0].content[0].citations"


@pytest.mark.parametrize("kind", ["server_tool_use", "web_search_tool_result", "container_upload", "video", "x" * 500])
def test_a_block_that_hearth_does_not_know_is_refused_by_its_name(kind: str) -> None:
    error = refused({"type": kind, "id": "srvtoolu_1"})
    assert isinstance(error, UnsupportedContent)
    assert kind[:50] in error.message
    assert len(error.message) < 300


@pytest.mark.parametrize(
    ("role", "block"),
    [
        ("assistant", PICTURE),
        ("assistant", {"type": "tool_result", "tool_use_id": "a"}),
        ("user", {"type": "tool_use", "id": "a", "name": "add", "input": {}}),
        ("user", {"type": "thinking", "thinking": "Hm."}),
        ("system", {"type": "redacted_thinking", "data": ""}),
    ],
)
def test_a_block_in_the_wrong_turn_is_a_mistake(role: str, block: dict[str, Any]) -> None:
    error = refused(block, role=role)
    assert isinstance(error, InvalidRequest)
    assert (error.param or "").startswith("messages[0].content[0]")


@pytest.mark.parametrize(
    "block",
    [
        {"type": "text"},
        {"text": "no type"},
        {"type": 5},
        "text",
        {"type": "image"},
        {"type": "image", "source": {"data": "x"}},
        {"type": "tool_use", "id": "", "name": "add", "input": {}},
        {"type": "tool_use", "id": "a", "name": "add", "input": "{}"},
        {"type": "tool_result", "content": "x"},
    ],
)
def test_a_malformed_block_is_a_mistake(block: Any) -> None:
    with pytest.raises(ValidationError):
        convert(user(block))
