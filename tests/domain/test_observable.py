from __future__ import annotations

from app.domain.observable import Observable


def test_listeners_hear_values_until_they_leave() -> None:
    observable: Observable[int] = Observable()
    heard: list[int] = []
    leave = observable.subscribe(heard.append)
    observable.notify(1)
    leave()
    leave()
    observable.notify(2)
    assert heard == [1]


def test_a_listener_may_leave_while_it_is_called() -> None:
    observable: Observable[int] = Observable()
    heard: list[str] = []
    leave = observable.subscribe(lambda _: (heard.append("first"), leave())[0])
    observable.subscribe(lambda _: heard.append("second"))
    observable.notify(1)
    observable.notify(2)
    assert heard == ["first", "second", "second"]
