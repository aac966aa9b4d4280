from __future__ import annotations

import pytest

from app.library.model_card import MAX_CARD_BYTES, card_text


@pytest.mark.parametrize(
    ("readme", "card"),
    [
        ("---\nlicense: mit\n---\n\n# Hello\n", "# Hello"),
        ("\ufeff---\r\nlicense: mit\r\n---\r\n# Hello\r\nYou", "# Hello\nYou"),
        ("---\n---\n# Hello", "# Hello"),
        ("---\nlicense: mit\n---", ""),
        ("# Hello\n\n---\n\nYou\n\n---\n", "# Hello\n\n---\n\nYou\n\n---"),
        ("---\nnever closed", "---\nnever closed"),
        ("---\na: --- b\n--- c\n---\nText", "Text"),
        ("", ""),
    ],
)
def test_front_matter_is_left_out(readme: str, card: str) -> None:
    assert card_text(readme) == card


def test_a_card_that_was_cut_ends_at_a_whole_line() -> None:
    readme = ("A line of text.\n" * (MAX_CARD_BYTES // 16 + 1))[:MAX_CARD_BYTES]

    card = card_text(readme[:-3] + "A l")

    assert card.endswith("A line of text.\n\n…")
