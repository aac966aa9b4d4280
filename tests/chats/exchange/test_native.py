from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.chats import ChatStore, MessageState, NewPicture
from app.chats.exchange import read_conversations, to_json
from app.domain.errors import InvalidRequest
from app.domain.generation import Finished, FinishReason, Timings, Usage
from app.domain.messages import Role

PNG = b"\x89PNG picture"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ChatStore]:
    with ChatStore(tmp_path / "chats.sqlite3") as opened:
        yield opened


def branched(store: ChatStore) -> str:
    """A question with a picture, two answers, and a talk that went on below the first."""
    conversation = store.create(title="Shapes", model="ember")
    question = store.append(
        conversation.id, parent_id=None, role=Role.USER, text="What is this?", pictures=[NewPicture(PNG, "a.png")]
    )
    first = store.append(conversation.id, parent_id=question.id, role=Role.ASSISTANT, text="", state=MessageState.GROWING)
    finished = Finished(FinishReason.STOP, Usage(7, 3, 2, 1), Timings(0.5, 1.5, 2.5))
    store.finish(first.id, state=MessageState.COMPLETE, text="A circle.", reasoning="Round.", finished=finished)
    store.append(conversation.id, parent_id=first.id, role=Role.USER, text="Thanks")
    store.append(conversation.id, parent_id=question.id, role=Role.ASSISTANT, text="A disc.", model="ember")
    store.choose(first.id)
    store.rename(conversation.id, "My shapes")
    return conversation.id


def test_what_goes_out_comes_in_again_the_same(store: ChatStore, tmp_path: Path) -> None:
    conversation_id = branched(store)
    before = store.export(conversation_id)
    shown = store.messages(conversation_id)
    file = tmp_path / "out.json"
    file.write_text(to_json([before]), "utf-8")
    with ChatStore(tmp_path / "other.sqlite3") as other:
        (archived,) = read_conversations(file)
        assert archived == before
        assert other.take([archived])[0] is not None
        assert other.export(conversation_id) == before
        assert other.messages(conversation_id) == shown
        assert other.attachment_data(shown[0].attachments[0].sha256) == PNG
        assert [hit.conversation.title for hit in other.search("circle")] == ["My shapes"]
        assert other.take([archived]) == (None,)
        assert len(other.conversations()) == 1


def test_an_answer_that_grows_goes_out_as_far_as_it_has_come(store: ChatStore) -> None:
    conversation = store.create(title="a")
    answer = store.append(conversation.id, parent_id=None, role=Role.ASSISTANT, text="", state=MessageState.GROWING)
    store.grow(answer.id, text="Once", reasoning="")
    (message,) = store.export(conversation.id).messages
    assert (message.text, message.state) == ("Once", MessageState.STOPPED)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"version": 9}, "newer version"),
        ({"conversations": [{"id": "a"}]}, "no conversations"),
        ({"conversations": 3}, "no conversations"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused(tmp_path: Path, change: dict[str, object], said: str) -> None:
    file = tmp_path / "out.json"
    file.write_text(json.dumps(json.loads(to_json([])) | change))
    with pytest.raises(InvalidRequest, match=said):
        read_conversations(file)


def test_a_conversation_whose_messages_hang_in_the_air_leaves_nothing_behind(store: ChatStore, tmp_path: Path) -> None:
    body = json.loads(to_json([store.export(branched(store))]))
    body["conversations"][0]["id"] = "another"
    for number, message in enumerate(body["conversations"][0]["messages"]):
        message["id"] = f"m{number}"
    file = tmp_path / "out.json"
    file.write_text(json.dumps(body))
    (archived,) = read_conversations(file)
    before = len(store.conversations())
    with pytest.raises(InvalidRequest, match="damaged"):
        store.take([archived])
    assert len(store.conversations()) == before


@pytest.mark.parametrize(
    ("of_conversation", "of_message"),
    [
        ({"id": "\ud83d"}, {}),
        ({}, {"text": "half a \ud83d"}),
        ({}, {"parent": {}}),
        ({}, {"usage": {"prompt_tokens": 2**63, "completion_tokens": 1}}),
        ({}, {"usage": {"prompt_tokens": [], "completion_tokens": 1}}),
        ({}, {"timings": {"queue_s": {}, "prompt_s": 1, "generation_s": 1}}),
    ],
    ids=str,
)
def test_what_the_database_does_not_hold_is_refused(
    store: ChatStore, tmp_path: Path, of_conversation: dict[str, object], of_message: dict[str, object]
) -> None:
    (body,) = json.loads(to_json([store.export(branched(store))]))["conversations"]
    message = {**body["messages"][1], "id": "new", "parent": None, **of_message}
    body |= {"id": "another", "messages": [message], **of_conversation}
    file = tmp_path / "out.json"
    file.write_text(json.dumps(json.loads(to_json([])) | {"conversations": [body]}))
    archived = read_conversations(file)
    with pytest.raises(InvalidRequest, match="'My shapes' is damaged"):
        store.take(archived)
    assert len(store.conversations()) == 1


def test_a_conversation_that_was_deleted_comes_back_from_its_file(store: ChatStore, tmp_path: Path) -> None:
    conversation_id = branched(store)
    archived = store.export(conversation_id)
    store.delete(conversation_id)
    assert store.take([archived])[0] is not None
    store.purge_deleted()
    assert store.export(conversation_id) == archived
    assert store.attachment_data(store.messages(conversation_id)[0].attachments[0].sha256) == PNG
