"""Files as the other programs write them."""

from __future__ import annotations

import base64
import json
import zipfile
from pathlib import Path
from typing import Any, cast

import pytest

from app.chats import ChatStore
from app.chats.exchange import ArchivedConversation, read_conversations
from app.domain.errors import InvalidRequest

PNG = b"\x89PNG picture"


def node(
    node_id: str, parent: str | None, children: list[str], role: str, content: dict[str, Any], **more: Any
) -> dict[str, Any]:
    message = {"id": node_id, "author": {"role": role}, "content": content, "create_time": 1700000000.5, **more}
    return {"id": node_id, "message": message, "parent": parent, "children": children}


def text(*parts: Any) -> dict[str, Any]:
    return {"content_type": "text", "parts": list(parts)}


CHATGPT = {
    "title": "Trip to Rome",
    "create_time": 1700000000.0,
    "update_time": 1700000100.0,
    "conversation_id": "abc",
    "current_node": "edited-answer",
    "mapping": {
        "root": {"id": "root", "message": None, "parent": None, "children": ["system"]},
        "system": node(
            "system", "root", ["ask", "edited"], "system", text(""), metadata={"is_visually_hidden_from_conversation": True}
        ),
        "ask": node("ask", "system", ["search"], "user", text("What is in Rome?")),
        "search": node("search", "ask", ["answer"], "assistant", text("search('Rome')"), recipient="browser"),
        "answer": node("answer", "search", [], "assistant", text("The Forum."), metadata={"model_slug": "gpt-4o"}),
        "edited": node(
            "edited",
            "system",
            ["edited-answer"],
            "user",
            {"content_type": "multimodal_text", "parts": [{"asset_pointer": "file-service://file-X1"}, "And this?"]},
        ),
        "edited-answer": node(
            "edited-answer", "edited", [], "assistant", text("The Pantheon."), metadata={"model_slug": "gpt-4o"}
        ),
    },
}

OPEN_WEBUI = [
    {
        "id": "w1",
        "title": "Soup",
        "created_at": 1700000000,
        "updated_at": 1700000009,
        "chat": {
            "title": "Soup",
            "history": {
                "currentId": "a2",
                "messages": {
                    "u1": {
                        "id": "u1",
                        "parentId": None,
                        "childrenIds": ["a1", "a2"],
                        "role": "user",
                        "content": "A recipe?",
                        "timestamp": 1700000000,
                        "files": [{"type": "image", "url": f"data:image/png;base64,{base64.b64encode(PNG).decode()}"}],
                    },
                    "a1": {
                        "id": "a1",
                        "parentId": "u1",
                        "childrenIds": [],
                        "role": "assistant",
                        "content": "Carrots",
                        "model": "m1",
                    },
                    "a2": {
                        "id": "a2",
                        "parentId": "u1",
                        "childrenIds": [],
                        "role": "assistant",
                        "content": "Leeks",
                        "model": "m2",
                    },
                },
            },
        },
    }
]

LM_STUDIO = {
    "name": "Stars",
    "createdAt": 1700000000123,
    "messages": [
        {
            "currentlySelected": 0,
            "versions": [{"type": "singleStep", "role": "user", "content": [{"type": "text", "text": "Why?"}]}],
        },
        {
            "currentlySelected": 1,
            "versions": [
                {
                    "type": "multiStep",
                    "role": "assistant",
                    "senderInfo": {"senderName": "qwen3"},
                    "steps": [{"type": "contentBlock", "content": [{"type": "text", "text": "Gas."}]}],
                },
                {
                    "type": "multiStep",
                    "role": "assistant",
                    "senderInfo": {"senderName": "qwen3"},
                    "steps": [
                        {"type": "contentBlock", "style": {"type": "thinking"}, "content": [{"type": "text", "text": "Hm."}]},
                        {"type": "contentBlock", "content": [{"type": "text", "text": "Gravity."}]},
                        {"type": "debugInfoBlock", "debugInfo": "x"},
                    ],
                },
            ],
        },
        {
            "currentlySelected": 0,
            "versions": [{"type": "singleStep", "role": "user", "content": [{"type": "text", "text": "Ah."}]}],
        },
    ],
}


def read(tmp_path: Path, content: Any) -> ArchivedConversation:
    file = tmp_path / "export.json"
    file.write_text(json.dumps(content), "utf-8")
    (conversation,) = read_conversations(file)
    with ChatStore(tmp_path / "chats.sqlite3") as store:
        assert store.take([conversation])[0] is not None
        kept = store.messages(conversation.id)
        (again,) = read_conversations(file)
        assert store.take([again]) == (None,)
    assert [message.text for message in kept] == [message.text for message in conversation.shown]
    return conversation


def shown(conversation: ArchivedConversation) -> list[str]:
    return [f"{message.role}: {message.text}" for message in conversation.shown]


def test_chatgpts_tree_with_its_hidden_nodes(tmp_path: Path) -> None:
    conversation = read(tmp_path, [CHATGPT])
    assert conversation.title == "Trip to Rome"
    assert shown(conversation) == ["user: And this?", "assistant: The Pantheon."]
    assert [message.text for message in conversation.messages] == [
        "What is in Rome?",
        "The Forum.",
        "And this?",
        "The Pantheon.",
    ]
    question, answer = conversation.messages[:2]
    assert answer.parent_id == question.id
    assert answer.model == "gpt-4o"
    assert conversation.updated.timestamp() == 1700000100


def test_chatgpts_archive_with_its_pictures(tmp_path: Path) -> None:
    file = tmp_path / "export.zip"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("conversations.json", json.dumps([CHATGPT]))
        archive.writestr("file-X1-photo.png", PNG)
        archive.writestr("chat.html", "<html>")
    (conversation,) = read_conversations(file)
    assert [picture.data for picture in conversation.shown[0].pictures] == [PNG]


def test_open_webuis_tree(tmp_path: Path) -> None:
    conversation = read(tmp_path, OPEN_WEBUI)
    assert shown(conversation) == ["user: A recipe?", "assistant: Leeks"]
    assert [message.model for message in conversation.messages] == ["", "m1", "m2"]
    assert conversation.messages[0].pictures[0].data == PNG


def test_lm_studios_versions(tmp_path: Path) -> None:
    conversation = read(tmp_path, LM_STUDIO)
    assert shown(conversation) == ["user: Why?", "assistant: Gravity.", "user: Ah."]
    assert conversation.shown[1].reasoning == "Hm."
    assert len(conversation.messages) == 4
    assert conversation.created.timestamp() == 1700000000.123


def test_a_conversation_in_which_nothing_was_said_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "export.json"
    file.write_text(json.dumps([{**CHATGPT, "mapping": {}}, CHATGPT]))
    assert len(read_conversations(file)) == 1


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]]", b"\xff\xfe", b'{"a": 1}', b"[1, 2]", b'[{"mapping": {"a": 3}}]', b"[" * 100_000, b"PK\x03\x04 no zip"],
)
def test_what_is_no_export_is_refused_in_one_sentence(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "holiday.json"
    file.write_bytes(content)
    with pytest.raises(InvalidRequest, match=r"holiday.json holds no conversations .*LM Studio\.$"):
        read_conversations(file)
    file.write_bytes(b"[]")
    assert read_conversations(file) == []


def test_loops_in_a_tree_end(tmp_path: Path) -> None:
    mapping = {**cast(dict[str, Any], CHATGPT["mapping"]), "ask": node("ask", "answer", ["search"], "user", text("Loop"))}
    conversation = read(tmp_path, {**CHATGPT, "mapping": mapping})
    assert [message.text for message in conversation.messages] == ["Loop", "The Forum.", "And this?", "The Pantheon."]


@pytest.mark.parametrize("flags", [1, 0])
def test_an_archive_that_can_not_be_unpacked_is_refused(tmp_path: Path, flags: int) -> None:
    file = tmp_path / "holiday.zip"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("conversations.json", "[]")
    content = bytearray(file.read_bytes())
    entry = content.index(b"PK\x01\x02")
    # Encrypted, or packed in a way that nobody knows.
    content[6], content[entry + 8] = flags, flags
    content[8], content[entry + 10] = (0, 0) if flags else (99, 99)
    file.write_bytes(content)
    with pytest.raises(InvalidRequest, match=r"LM Studio\.$"):
        read_conversations(file)


@pytest.mark.parametrize("change", [{"title": "lone \ud800"}, {"create_time": 1e13}])
def test_values_that_no_database_takes_are_refused_and_leave_nothing(tmp_path: Path, change: dict[str, Any]) -> None:
    file = tmp_path / "export.json"
    file.write_text(json.dumps([CHATGPT, {**CHATGPT, "conversation_id": "other", **change}]))
    archived = read_conversations(file)
    with ChatStore(tmp_path / "chats.sqlite3") as store:
        try:
            store.take(archived)
        except InvalidRequest:
            assert store.conversations() == ()
        else:
            assert len(store.conversations()) == 2
