from __future__ import annotations

import base64
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from app.domain.errors import InvalidRequest, RequestError, UnsupportedContent
from app.domain.messages import AudioPart, ImagePart, ImageUrl, Message, Role, TextPart, ToolCall
from app.server.wire.messages import (
    MAX_AUDIO_BYTES,
    MAX_SOUNDS,
    WireMessage,
    domain_messages,
)
from app.server.wire.pictures import MAX_IMAGE_BYTES, MAX_IMAGES

PNG = b"\x89PNG\r\n\x1a\n not really"
DATA_URL = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
_MESSAGES = TypeAdapter(list[WireMessage])


def convert(*messages: dict[str, Any]) -> tuple[Message, ...]:
    return domain_messages(_MESSAGES.validate_python(list(messages)))


def picture(url: Any) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": url}]}


def refused(*messages: dict[str, Any]) -> RequestError:
    with pytest.raises(RequestError) as caught:
        convert(*messages)
    return caught.value


@pytest.mark.parametrize("role", ["system", "developer", "user"])
def test_text_may_come_as_a_string_or_in_parts(role: str) -> None:
    parts = [{"type": "text", "text": "Hello "}, {"type": "text", "text": "there"}]
    assert convert({"role": role, "content": "Hello there"})[0].text == "Hello there"
    (message,) = convert({"role": role, "content": parts})
    assert message == Message(Role(role), (TextPart("Hello "), TextPart("there")))


def test_a_tool_call_and_its_result_come_through() -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"x": 1}'}}
    asked, answered = convert(
        {"role": "assistant", "content": None, "tool_calls": [call], "reasoning_content": "Hm."},
        {"role": "tool", "tool_call_id": "call_1", "content": "2"},
    )
    assert asked.tool_calls == (ToolCall("call_1", "add", '{"x": 1}'),)
    assert (asked.parts, asked.reasoning) == ((), "Hm.")
    assert (answered.role, answered.tool_call_id, answered.text) == (Role.TOOL, "call_1", "2")


def test_both_spellings_of_reasoning_are_read() -> None:
    (message,) = convert({"role": "assistant", "content": "2", "reasoning": "1 + 1"})
    assert message.reasoning == "1 + 1"


def test_a_refusal_in_the_history_is_what_was_said() -> None:
    (message,) = convert({"role": "assistant", "content": None, "refusal": "No."})
    assert message.text == "No."


@pytest.mark.parametrize(
    "url",
    [
        {"url": DATA_URL},
        {"url": DATA_URL, "detail": "high"},
        DATA_URL,
        DATA_URL.replace("data:image/png;base64", "DATA:image/PNG;BASE64"),
        DATA_URL.replace("image/png", ""),
        DATA_URL.replace("image/png", "application/octet-stream"),
        DATA_URL.replace("image/png", "image/png;charset=utf-8"),
        DATA_URL.rstrip("="),
        f"{DATA_URL[:40]}\n  {DATA_URL[40:]}",
    ],
    ids=str,
)
def test_a_picture_comes_in_the_request_itself(url: Any) -> None:
    (message,) = convert(picture(url))
    assert message.parts == (TextPart("What is it?"), ImagePart(PNG))


@pytest.mark.parametrize(
    "url",
    [
        *(
            "http://127.0.0.1:1/x.png",
            "https:example.org/x.png",
            "https://" + "x" * 9000,
            "file:///etc/passwd",
            "FILE:///etc/passwd",
            "ftp://h/x.png",
        ),
        *(r"\\host\share\x.png", "/etc/passwd", "C:\\x.png", "", "data:", "data:image/png;base64", "data:image/png,rawbytes"),
        *("data:image/png;base64,", "data:image/png;base64,***", "data:image/png;base64,aGVsbG8*", "data:image/png;base64,a"),
        "data:image/png;base64,héllo",
    ],
)
def test_anything_else_is_refused_by_name_and_never_opened(url: str) -> None:
    error = refused({"role": "user", "content": "Hi"}, picture({"url": url}))
    assert isinstance(error, InvalidRequest)
    assert error.param == "messages[1].content[1].image_url"
    assert "data:" in str(error)


def test_a_web_address_is_kept_for_who_may_fetch_it() -> None:
    (message,) = convert(picture({"url": "HTTPS://example.org/x.png", "detail": "low"}))
    place = "messages[0].content[1].image_url"
    assert message.parts[1] == ImageUrl("HTTPS://example.org/x.png", place, max_side=512)


@pytest.mark.parametrize(("detail", "max_side"), [("low", 512), ("auto", None), ("high", None), (None, None)])
def test_low_detail_is_a_smaller_picture(detail: str | None, max_side: int | None) -> None:
    (message,) = convert(picture({"url": DATA_URL, "detail": detail}))
    assert message.images == (ImagePart(PNG, max_side),)


def test_a_detail_that_is_not_known_is_named() -> None:
    with pytest.raises(ValidationError, match="detail"):
        convert(picture({"url": DATA_URL, "detail": "medium"}))


def test_pictures_on_the_web_count_as_well() -> None:
    assert str(MAX_IMAGES) in str(refused(*[picture("https://example.org/x.png")] * (MAX_IMAGES + 1)))


def test_a_huge_picture_is_refused_before_it_is_decoded() -> None:
    url = "data:image/png;base64," + "A" * (MAX_IMAGE_BYTES * 4 // 3 + 8)
    assert "20 MiB" in str(refused(picture(url)))


def test_too_many_pictures_are_refused() -> None:
    assert len(convert(*[picture(DATA_URL)] * MAX_IMAGES)) == MAX_IMAGES
    assert str(MAX_IMAGES) in str(refused(*[picture(DATA_URL)] * (MAX_IMAGES + 1)))


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ({"role": "user"}, "messages[0].content"),
        ({"role": "system", "content": None}, "messages[0].content"),
        ({"role": "tool", "content": "2"}, "messages[0].tool_call_id"),
        ({"role": "user", "content": [{"type": "text"}]}, "messages[0].content[0].text"),
        ({"role": "user", "content": [{"type": "image_url"}]}, "messages[0].content[0].image_url"),
        ({"role": "user", "content": [{"type": "input_audio"}]}, "messages[0].content[0].input_audio"),
        ({"role": "user", "content": [{"type": "smell"}]}, "messages[0].content[0].type"),
    ],
)
def test_what_a_message_lacks_is_named(message: dict[str, Any], param: str) -> None:
    assert refused(message).param == param


def sound(data: Any, kind: Any = "wav") -> dict[str, Any]:
    part = {"type": "input_audio", "input_audio": {"data": data, "format": kind}}
    return {"role": "user", "content": [part, {"type": "text", "text": "What is it?"}]}


@pytest.mark.parametrize("kind", ["wav", "mp3", "flac"])
def test_a_sound_comes_in_the_request_itself(kind: str) -> None:
    (message,) = convert(sound(base64.b64encode(b"RIFF").decode(), kind))
    assert message.parts == (AudioPart(b"RIFF"), TextPart("What is it?"))
    assert message.sounds == (AudioPart(b"RIFF"),)


@pytest.mark.parametrize("data", ["", "***", "data:audio/wav;base64,aGVsbG8="])
def test_what_is_no_sound_is_refused_with_its_place(data: str) -> None:
    assert refused(sound(data)).param == "messages[0].content[0].input_audio.data"


def test_a_huge_sound_is_refused_before_it_is_decoded() -> None:
    assert "25 MiB" in str(refused(sound("A" * (MAX_AUDIO_BYTES * 4 // 3 + 8))))


def test_too_many_sounds_are_refused() -> None:
    assert len(convert(*[sound("AAAA")] * MAX_SOUNDS)) == MAX_SOUNDS
    assert str(MAX_SOUNDS) in str(refused(*[sound("AAAA")] * (MAX_SOUNDS + 1)))


def test_a_format_of_sound_that_is_not_known_is_named() -> None:
    with pytest.raises(ValidationError, match=r"input_audio\.format"):
        convert(sound("AAAA", "ogg"))


@pytest.mark.parametrize("kind", ["file", "video_url", "audio_url"])
def test_other_kinds_of_content_are_not_supported(kind: str) -> None:
    error = refused({"role": "user", "content": [{"type": kind}]})
    assert isinstance(error, UnsupportedContent)
    assert error.param == "messages[0].content[0]"
