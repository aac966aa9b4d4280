from __future__ import annotations

from app.formats.markers import Found, Markers


def test_the_first_marker_is_found_and_the_longer_of_two() -> None:
    markers = Markers((">>>", ">>>all\n", "", "<x>"))
    assert markers.find("a <x> >>>all\n", last=False) == Found("<x>", 2, 5)
    assert markers.find("a >>>all\nb", last=False) == Found(">>>all\n", 2, 9)
    assert markers.find("a >>>f", last=False) == Found(">>>", 2, 5)


def test_a_longer_marker_that_may_still_come_is_waited_for_until_the_end() -> None:
    markers = Markers((">>>", ">>>all\n"))
    assert markers.find("a >>>al", last=False) is None
    assert markers.begun("a >>>al") == 2
    assert markers.find("a >>>al", last=True) == Found(">>>", 2, 5)


def test_where_a_marker_may_have_begun() -> None:
    markers = Markers(("<end>",))
    assert markers.begun("a < b <en") == 6
    assert markers.begun("a < b") == 5
    assert Markers(()).begun("a <") == 3
    assert not Markers(("",))
