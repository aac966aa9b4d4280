from __future__ import annotations

from app.domain.generation import TextDelta, ToolCallStarted
from app.domain.prompt import Piece
from app.formats.call_section import CallSection
from app.formats.ledger import DeltaLedger
from app.formats.spec import JsonCall, ToolSyntax

SYNTAX = ToolSyntax(JsonCall("<call>", "</call>"))


def section(syntax: ToolSyntax = SYNTAX) -> tuple[CallSection, DeltaLedger]:
    out = DeltaLedger()
    out.receive(Piece(0, syntax.trigger))
    return CallSection(syntax, out, {}), out


def test_a_section_ends_behind_its_closing_marker() -> None:
    reading, _ = section()
    text = ' {"name": "f"} </call> more'
    assert text[reading.read(text, single=False) :] == " more"
    assert reading.is_closed
    assert reading.n_complete == 1


def test_half_a_closing_marker_is_left_for_the_next_time() -> None:
    reading, _ = section()
    assert reading.read('{"name": "f"}</ca', single=False) == 13
    assert not reading.is_closed


def test_calls_can_follow_one_another_without_a_list() -> None:
    reading, out = section()
    reading.read('{"name": "f"}\n{"name": "g"}, {"name": "h"}</call>', single=False)
    assert [delta.name for delta in out.take() if isinstance(delta, ToolCallStarted)] == ["f", "g", "h"]


def test_reading_stops_behind_one_call_if_asked_to() -> None:
    reading, _ = section()
    assert reading.read('[{"name": "f"}, {"name": "g"}]</call>', single=True) == 14
    assert reading.n_complete == 1


def test_what_is_no_call_is_given_back_with_the_marker() -> None:
    reading, out = section()
    text = " words"
    assert text[reading.read(text, single=False) :] == text
    assert reading.is_closed
    assert out.take() == (TextDelta("<call>"),)


def test_giving_up_between_calls_gives_back_nothing() -> None:
    reading, out = section()
    reading.read('{"name": "f"} \n', single=False)
    out.take()
    reading.give_up()
    assert out.take() == ()
