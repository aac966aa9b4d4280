from __future__ import annotations

from app.domain.generation import ReasoningDelta, TextDelta, TokenLogprob, ToolArgumentsDelta, ToolCallStarted
from app.domain.prompt import Piece
from app.formats.ledger import DeltaLedger


def token(index: int) -> TokenLogprob:
    return TokenLogprob(index, "", b"", -1.0)


def ledger(*texts: str) -> DeltaLedger:
    out = DeltaLedger()
    for index, text in enumerate(texts):
        out.receive(Piece(index, text, logprob=token(index)))
    return out


def test_neighbours_of_one_kind_become_one_delta() -> None:
    out = ledger("abc")
    for write in (out.say, out.say, out.reason):
        write("x")
    out.call("id", "f")
    out.argue("{")
    out.argue("}")
    out.call("other", "g")
    out.argue("{")
    assert out.take() == (
        TextDelta("xx", (token(0),)),
        ReasoningDelta("x"),
        ToolCallStarted(0, "id", "f"),
        ToolArgumentsDelta(0, "{}"),
        ToolCallStarted(1, "other", "g"),
        ToolArgumentsDelta(1, "{"),
    )
    assert out.take() == ()


def test_a_token_belongs_to_where_its_first_visible_character_goes() -> None:
    out = ledger("ab", "", "cd", "ef")
    out.swallow(1)
    out.say("b")
    out.say("cde")
    out.say("f")
    assert out.take() == (TextDelta("bcdef", (token(1), token(2), token(3))),)


def test_empty_texts_are_no_deltas() -> None:
    out = ledger("a")
    out.say("")
    out.reason("")
    out.argue("")
    assert out.take() == ()
