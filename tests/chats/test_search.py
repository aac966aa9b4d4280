from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.chats import ChatStore, MessageState
from app.chats.database import open_database
from app.chats.schema import MIGRATIONS
from app.domain.messages import Role


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ChatStore]:
    with ChatStore(tmp_path / "chats.sqlite3") as opened:
        yield opened


def talk(store: ChatStore, title: str, *texts: str) -> str:
    conversation = store.create(title=title)
    parent = None
    for text in texts:
        parent = store.append(conversation.id, parent_id=parent, role=Role.USER, text=text).id
    return conversation.id


def titles(store: ChatStore, text: str) -> list[str]:
    return [hit.conversation.title for hit in store.search(text)]


def test_words_are_found_in_titles_and_messages_the_latest_conversation_first(store: ChatStore) -> None:
    talk(store, "Baking bread", "How much yeast?")
    talk(store, "Holidays", "Where is there good bread in Rome?")
    talk(store, "Taxes", "When are they due?")
    assert titles(store, "bread") == ["Holidays", "Baking bread"]
    assert titles(store, "BREA") == ["Holidays", "Baking bread"]
    assert titles(store, "rome bread") == ["Holidays"]
    assert titles(store, "bread taxes") == []
    assert titles(store, "   ") == []


@pytest.mark.parametrize("text", ["a", "ab", "天气", "100%", "_", '"', "' OR 1", "NEAR(", "*", "\\", "-x"])
def test_whatever_is_typed_is_looked_for_as_it_is(store: ChatStore, text: str) -> None:
    talk(store, "with", f"before {text} after")
    talk(store, "without", "QQQ")
    assert titles(store, text) == ["with"]


@pytest.mark.parametrize("text", ["привет", "ПРИВЕТ МИР", "über", "ÜB", "strasse", "при"])
def test_capitals_do_not_count_in_any_language(store: ChatStore, text: str) -> None:
    talk(store, "Привет Мир, Über uns, Straße", "QQQ")
    talk(store, "other", "Привет Мир, Über uns, Strasse")
    assert "other" in titles(store, text)
    assert "Привет Мир, Über uns, Straße" in titles(store, text)
    assert titles(store, "\0") == []


def test_the_snippet_shows_the_place(store: ChatStore) -> None:
    talk(store, "Long", "word " * 100 + "\nthe Needle\nis here " + "word " * 100)
    (hit,) = store.search("needle here")
    assert hit.snippet.startswith("…")
    assert hit.snippet.endswith("…")
    assert "\n" not in hit.snippet
    assert [hit.snippet[start:end] for start, end in hit.marks] == ["Needle", "here"]


def test_of_a_conversation_the_latest_message_is_told(store: ChatStore) -> None:
    conversation_id = talk(store, "Twice", "first apple", "second apple")
    (hit,) = store.search("apple")
    assert hit.message_id == store.messages(conversation_id)[-1].id
    assert hit.snippet == "second apple"


def test_the_index_follows_what_becomes_of_messages(store: ChatStore) -> None:
    conversation_id = talk(store, "Answers", "ask")
    parent = store.messages(conversation_id)[-1].id
    answer = store.append(conversation_id, parent_id=parent, role=Role.ASSISTANT, text="", state=MessageState.GROWING)
    store.grow(answer.id, text="growing slowly", reasoning="")
    assert titles(store, "slowly") == []
    store.finish(answer.id, state=MessageState.COMPLETE, text="grown quickly")
    assert titles(store, "quickly") == ["Answers"]
    assert titles(store, "slowly") == []
    store.discard(answer.id)
    assert titles(store, "quickly") == []
    store.delete(conversation_id)
    assert titles(store, "ask") == []
    store.restore(conversation_id)
    assert titles(store, "ask") == ["Answers"]


def test_nothing_of_what_was_deleted_stays_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "chats.sqlite3"
    with ChatStore(file) as store:
        talk(store, "Kept", "ordinary words")
        secret = talk(store, "Secret", "xylophonequartz")
        store.delete(secret)
        store.purge_deleted()
    for part in tmp_path.iterdir():
        assert b"xylophonequartz" not in part.read_bytes()
        assert b"xyl" not in part.read_bytes()


def test_what_was_said_before_there_was_a_search_is_found(tmp_path: Path) -> None:
    file = tmp_path / "chats.sqlite3"
    with open_database(file, MIGRATIONS[:1]).connection as connection:
        connection.execute("INSERT INTO conversation (id, title, model, created, updated) VALUES ('a', 'Old', 'ember', 1, 1)")
        for number, state in enumerate(("complete", "growing")):
            connection.execute(
                "INSERT INTO message (id, conversation, role, text, state, created, chosen)"
                " VALUES (?, 'a', 'user', ?, ?, 1, 0)",
                (str(number), f"ancient {state}", state),
            )
    connection.close()
    with ChatStore(file) as store:
        assert titles(store, "ancient complete") == ["Old"]
        # It was growing when the program ended, and is kept as far as it came.
        assert titles(store, "ancient growing") == ["Old"]
    check = sqlite3.connect(file)
    check.execute("INSERT INTO message_text (message_text) VALUES ('integrity-check')")
    check.close()
