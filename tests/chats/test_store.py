from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.chats import ChatStore, MessageState, NewPicture, StoredMessage
from app.domain.errors import StoreError
from app.domain.generation import Finished, FinishReason, Timings, Usage
from app.domain.messages import Role


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "chats.sqlite3"


@pytest.fixture
def store(file: Path) -> Iterator[ChatStore]:
    with ChatStore(file) as opened:
        yield opened


def ask(store: ChatStore, conversation_id: str, text: str, *pictures: NewPicture) -> StoredMessage:
    shown = store.messages(conversation_id)
    parent_id = shown[-1].id if shown else None
    return store.append(conversation_id, parent_id=parent_id, role=Role.USER, text=text, pictures=pictures)


def reply(store: ChatStore, question: StoredMessage, text: str) -> StoredMessage:
    return store.append(
        question.conversation_id,
        parent_id=question.id,
        role=Role.ASSISTANT,
        text=text,
        state=MessageState.COMPLETE,
        model="ember",
    )


def texts(store: ChatStore, conversation_id: str) -> list[str]:
    return [message.text for message in store.messages(conversation_id)]


def test_everything_is_there_after_closing_and_opening_again(file: Path) -> None:
    finished = Finished(FinishReason.LENGTH, Usage(7, 3, 2, 1), Timings(0.5, 1.5, 2.5))
    with ChatStore(file) as store:
        conversation = store.create(title="Shapes", model="ember")
        question = ask(store, conversation.id, "What is this?", NewPicture(b"picture", "red.png"))
        answer = store.append(
            conversation.id, parent_id=question.id, role=Role.ASSISTANT, text="", state=MessageState.GROWING, model="ember"
        )
        store.finish(answer.id, state=MessageState.COMPLETE, text="A red circle.", reasoning="I look.", finished=finished)
        before = store.messages(conversation.id)
    with ChatStore(file) as store:
        assert store.conversations()[0].title == "Shapes"
        assert store.messages(conversation.id) == before
        asked, answered = before
        assert store.attachment_data(asked.attachments[0].sha256) == b"picture"
    assert (asked.attachments[0].name, asked.attachments[0].size_bytes) == ("red.png", 7)
    assert (answered.text, answered.reasoning, answered.model) == ("A red circle.", "I look.", "ember")
    assert (answered.finish_reason, answered.usage, answered.timings) == (finished.reason, finished.usage, finished.timings)


def test_the_latest_conversation_comes_first(store: ChatStore) -> None:
    first, second = store.create(title="first"), store.create(title="second")
    assert [each.id for each in store.conversations()] == [second.id, first.id]
    ask(store, first.id, "again")
    assert [each.id for each in store.conversations()] == [first.id, second.id]


def test_another_answer_keeps_the_old_one_and_each_its_own_future(store: ChatStore) -> None:
    conversation = store.create()
    question = ask(store, conversation.id, "Tell me a story")
    first = reply(store, question, "Once")
    ask(store, conversation.id, "And then?")
    second = reply(store, question, "Twice")
    assert texts(store, conversation.id) == ["Tell me a story", "Twice"]
    shown = store.messages(conversation.id)[-1]
    assert shown.alternatives == (first.id, second.id)
    assert shown.position == 1
    store.choose(first.id)
    assert texts(store, conversation.id) == ["Tell me a story", "Once", "And then?"]


def test_a_discarded_answer_gives_way_to_the_newest_other_one(store: ChatStore) -> None:
    conversation = store.create()
    question = ask(store, conversation.id, "Hello")
    reply(store, question, "one")
    second = reply(store, question, "two")
    store.discard(second.id)
    assert texts(store, conversation.id) == ["Hello", "one"]


def test_the_first_message_can_have_alternatives_too(store: ChatStore) -> None:
    conversation = store.create()
    ask(store, conversation.id, "Hello")
    store.append(conversation.id, parent_id=None, role=Role.USER, text="Good morning")
    assert texts(store, conversation.id) == ["Good morning"]


def test_a_picture_sent_twice_is_kept_once(store: ChatStore) -> None:
    conversation = store.create()
    first = ask(store, conversation.id, "one", NewPicture(b"same"))
    second = ask(store, conversation.id, "two", NewPicture(b"same"), NewPicture(b"other"))
    assert first.attachments[0].sha256 == second.attachments[0].sha256
    assert [store.attachment_data(each.sha256) for each in second.attachments] == [b"same", b"other"]


def test_a_deleted_conversation_can_be_brought_back_until_it_is_purged(store: ChatStore) -> None:
    conversation = store.create(title="Oops")
    picture = ask(store, conversation.id, "Hello", NewPicture(b"bytes")).attachments[0]
    store.delete(conversation.id)
    assert store.conversations() == ()
    with pytest.raises(StoreError, match="does not exist"):
        store.conversation(conversation.id)
    store.restore(conversation.id)
    assert texts(store, conversation.id) == ["Hello"]
    store.delete(conversation.id)
    store.purge_deleted()
    with pytest.raises(StoreError):
        store.restore(conversation.id)
    with pytest.raises(StoreError):
        store.attachment_data(picture.sha256)


def test_an_automatic_title_never_replaces_a_persons_own(store: ChatStore) -> None:
    conversation = store.create()
    assert store.rename(conversation.id, "Hello", by_person=False).title == "Hello"
    assert store.rename(conversation.id, "Mine").has_own_title
    assert store.rename(conversation.id, "Automatic", by_person=False).title == "Mine"


def test_an_answer_that_was_growing_is_stopped_when_the_file_is_opened(file: Path) -> None:
    with ChatStore(file) as store:
        conversation = store.create()
        question = ask(store, conversation.id, "Hello")
        answer = store.append(conversation.id, parent_id=question.id, role=Role.ASSISTANT, text="", state=MessageState.GROWING)
        store.grow(answer.id, text="Hel", reasoning="hm")
    with ChatStore(file) as store:
        found = store.message(answer.id)
    assert (found.state, found.text, found.reasoning) == (MessageState.STOPPED, "Hel", "hm")


def test_what_does_not_exist_is_a_store_error(store: ChatStore) -> None:
    for call in (store.conversation, store.message, store.attachment_data, store.delete, store.choose):
        with pytest.raises(StoreError, match="does not exist"):
            call("nothing")
    with pytest.raises(StoreError):
        store.append("nothing", parent_id=None, role=Role.USER, text="Hello")
