from __future__ import annotations

import pytest

from app.formats.expect import expect, expect_any, find
from app.formats.json_scan import Scan


@pytest.mark.parametrize(
    ("text", "status", "at"),
    [
        ("</a>\n</b>x", Scan.DONE, 9),
        ("</a></b>x", Scan.DONE, 8),
        (" </a>  </b>x", Scan.DONE, 11),
        ("</a>\n<", Scan.MORE, 0),
        ("", Scan.MORE, 0),
        ("</a>c</b>", Scan.BROKEN, 0),
    ],
)
def test_a_marker_is_recognised_whatever_its_blanks(text: str, status: Scan, at: int) -> None:
    assert expect(text, 0, "</a>\n</b>") == (status, at)


def test_of_several_markers_the_one_that_is_there_counts() -> None:
    assert expect_any("bc", 0, ("", "ab", "bc")) == (Scan.DONE, 2)
    assert expect_any("b", 0, ("ab", "bc")) == (Scan.MORE, 0)
    assert expect_any("x", 0, ("ab", "bc", " ")) == (Scan.BROKEN, 0)


def test_a_marker_is_found_behind_what_only_resembles_it() -> None:
    assert find("a < b</v>c", 0, "</v>") == (Scan.DONE, 5, 9)
    assert find("a < b</", 0, "</v>")[:2] == (Scan.MORE, 5)
    assert find("a < b", 0, "</v>")[:2] == (Scan.MORE, 5)
