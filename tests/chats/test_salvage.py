from __future__ import annotations

from pathlib import Path

import pytest

from app.chats import ChatStore, Conversation, MessageState, NewPicture, backup_if_due
from app.domain.messages import Role

PAGE = 4096


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "chats.sqlite3"


def talk(store: ChatStore, title: str, n: int) -> Conversation:
    """Each message fills about a page."""
    conversation = store.create(title=title)
    parent = None
    for i in range(n):
        role = Role.ASSISTANT if i % 2 else Role.USER
        text = f"{title} {i} " + "x" * 3500
        parent = store.append(conversation.id, parent_id=parent, role=role, text=text).id
    return conversation


def damage(file: Path, text: str) -> None:
    """Overwrite the pages that a message lies in."""
    content = bytearray(file.read_bytes())
    at = content.index(text.encode())
    page = at // PAGE * PAGE
    content[page : page + PAGE] = b"\xff" * PAGE
    file.write_bytes(content)


def said(store: ChatStore) -> set[str]:
    """Also what follows a message that was lost, which is another beginning now."""
    texts = set()
    for conversation in store.conversations():
        for beginning in store.messages(conversation.id)[0].alternatives:
            store.choose(beginning)
            texts |= {message.text[:20].strip(" x") for message in store.messages(conversation.id)}
    return texts


def test_after_damage_the_backup_is_back_and_what_was_said_since_that_can_be_read(file: Path) -> None:
    with ChatStore(file) as store:
        old = talk(store, "old", 40)
        backup_if_due(file)
        talk(store, "new", 40)
        store.append(old.id, parent_id=store.messages(old.id)[-1].id, role=Role.USER, text="later")
        before = said(store)
    damage(file, "new 20 x")
    with ChatStore(file) as store:
        after = said(store)
        assert store.notice is not None
        assert "was put in its place" in store.notice
        assert "messages were saved" in store.notice
        assert {f"old {i}" for i in range(40)} <= after
        assert "later" in after
        assert "new 20" in before - after
        assert len(before - after) <= 3
    with ChatStore(file) as store:
        assert store.notice is None
        assert said(store) == after


def test_without_a_backup_what_can_be_read_is_saved(file: Path) -> None:
    with ChatStore(file) as store:
        talk(store, "only", 60)
    damage(file, "only 30 x")
    with ChatStore(file) as store:
        assert store.notice is not None
        assert "A new one was begun; " in store.notice
        assert 57 <= len(said(store)) < 60


def test_pictures_and_the_end_of_a_growing_answer_are_saved(file: Path) -> None:
    with ChatStore(file) as store:
        conversation = store.create(title="pictures")
        question = store.append(
            conversation.id, parent_id=None, role=Role.USER, text="look", pictures=[NewPicture(b"png", "a")]
        )
        answer = store.append(conversation.id, parent_id=question.id, role=Role.ASSISTANT, text="I", state=MessageState.GROWING)
        backup_if_due(file)
        store.grow(answer.id, text="I see a circle", reasoning="")
        more = store.append(
            conversation.id, parent_id=answer.id, role=Role.USER, text="and now", pictures=[NewPicture(b"jpg", "b")]
        )
        talk(store, "filler", 40)
    damage(file, "filler 20 x")
    with ChatStore(file) as store:
        shown = store.messages(conversation.id)
        assert [message.text for message in shown] == ["look", "I see a circle", "and now"]
        assert store.attachment_data(shown[0].attachments[0].sha256) == b"png"
        assert store.attachment_data(store.message(more.id).attachments[0].sha256) == b"jpg"


def test_what_is_no_database_leaves_nothing_to_save(file: Path) -> None:
    with ChatStore(file) as store:
        talk(store, "old", 4)
        backup_if_due(file)
    file.write_bytes(b"no database at all " * 500)
    with ChatStore(file) as store:
        assert said(store) == {f"old {i}" for i in range(4)}
        assert store.notice is not None
        assert "were saved" not in store.notice
