from __future__ import annotations

from app.service.refusals import CallerKind, Refusals


def test_the_newest_few_are_kept_each_once() -> None:
    refusals = Refusals()
    for number in (*range(12), 11):
        refusals.note(CallerKind.PAGE, f"https://{number}.example")
    assert [caller.name for caller in refusals.callers] == [f"https://{number}.example" for number in range(4, 12)]


def test_who_was_dismissed_is_not_told_of_again() -> None:
    refusals = Refusals()
    told: list[int] = []
    refusals.changed.subscribe(lambda callers: told.append(len(callers)))
    refusals.note(CallerKind.PAGE, "https://a.example")
    refusals.note(CallerKind.PAGE, "https://a.example")
    refusals.dismiss(CallerKind.PAGE, "https://a.example")
    refusals.note(CallerKind.PAGE, "https://a.example")
    refusals.note(CallerKind.HOST, "a.example")
    assert told == [1, 0, 1]
