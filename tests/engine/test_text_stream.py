from __future__ import annotations

import pytest

from app.engine.text_stream import TextStream


def _write(stream: TextStream, *parts: bytes) -> list[str]:
    """The text that is out after each part."""
    out, text = [], ""
    for i, part in enumerate(parts):
        if stream.stopped_by is None:
            stream.feed(i, part)
        text += "".join(piece.text for piece in stream.take())
        out.append(text)
    return out


def test_a_character_comes_out_when_its_last_byte_is_there() -> None:
    first, second, third = "é€"[0].encode()[:1], "é".encode()[1:] + "€".encode()[:2], "€".encode()[2:]
    assert _write(TextStream(), first, second, third) == ["", "é", "é€"]


def test_an_unfinished_character_at_the_end_is_dropped() -> None:
    stream = TextStream()
    assert _write(stream, b"a", "€".encode()[:2]) == ["a", "a"]
    stream.finish()
    assert "".join(piece.text for piece in stream.take()) == ""


def test_what_might_become_a_stop_string_is_held_back() -> None:
    stream = TextStream(("STOP",))
    assert _write(stream, b"a", b" S", b"T", b"ART", b" ST") == ["a", "a", "a", "a START", "a START"]
    stream.finish()
    assert "".join(piece.text for piece in stream.take()) == " ST"
    assert stream.stopped_by is None


@pytest.mark.parametrize("parts", [(b"one STOP two",), (b"one S", b"TO", b"P two"), (b"one ", b"S", b"T", b"O", b"P")])
def test_a_stop_string_ends_the_text_before_it(parts: tuple[bytes, ...]) -> None:
    stream = TextStream(("END", "STOP"))
    assert _write(stream, *parts)[-1] == "one "
    assert stream.stopped_by == "STOP"
    stream.finish()
    assert stream.take() == ()


def test_the_earliest_of_several_stop_strings_wins() -> None:
    stream = TextStream(("bb", "a"))
    assert _write(stream, b"xbba")[-1] == "x"
    assert stream.stopped_by == "bb"


def test_each_token_is_one_piece_even_without_text() -> None:
    stream = TextStream()
    for token, data in enumerate((b"\xe2", b"\x82", b"\xac")):
        stream.feed(token, data, control=token == 2)
    pieces = stream.take()
    assert [(piece.token_id, piece.text, piece.control) for piece in pieces] == [(0, "", False), (1, "", False), (2, "€", True)]


def test_only_the_very_first_space_is_stripped() -> None:
    assert _write(TextStream(strip_first_space=True), b" Hi", b" you") == ["Hi", "Hi you"]


def test_an_empty_stop_string_is_ignored() -> None:
    assert _write(TextStream(("",)), b"ab") == ["ab"]
