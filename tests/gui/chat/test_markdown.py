from __future__ import annotations

import pytest

from app.gui.chat.markdown import Block, CodeBlock, MarkdownStream, ProseBlock, TableBlock, parse_blocks

EVERYTHING = """# Title

A paragraph with **bold** text
over two lines.

1. one

   still one
2. two
   - inner

> quote
> more

```python
def f():

    return "```"
```

| a | b |
|---|---|
| 1 | 2 |

    indented code

---

The end.
"""


def kinds(blocks: tuple[Block, ...]) -> list[str]:
    return [type(block).__name__ for block in blocks]


def stream(text: str, size: int) -> tuple[MarkdownStream, list[Block]]:
    """Feed a text in pieces; return the stream and all blocks it ends with."""
    growing = MarkdownStream()
    committed: list[Block] = []
    for start in range(0, len(text), size):
        committed += growing.feed(text[start : start + size])
    return growing, [*committed, *growing.tail()]


def test_a_text_is_cut_into_its_top_level_blocks() -> None:
    prose, table, code = "ProseBlock", "TableBlock", "CodeBlock"
    assert kinds(parse_blocks(EVERYTHING)) == [prose, prose, prose, prose, code, table, code, prose, prose]


def test_a_fence_keeps_its_language_and_its_blank_lines() -> None:
    code = parse_blocks(EVERYTHING)[4]
    assert code == CodeBlock("python", 'def f():\n\n    return "```"')


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_a_growing_text_ends_with_the_same_blocks_as_the_whole(size: int) -> None:
    growing, blocks = stream(EVERYTHING, size)
    assert tuple(blocks) == parse_blocks(EVERYTHING)
    assert growing.reconcile() is None


def test_a_fence_that_is_still_open_is_code_and_not_closed() -> None:
    growing = MarkdownStream()
    growing.feed("Look:\n\n```js\nlet a = 1;\n")
    assert growing.tail() == (CodeBlock("js", "let a = 1;", closed=False),)
    assert growing.feed("```\n\nDone\n") == (CodeBlock("js", "let a = 1;"),)


def test_finished_blocks_are_given_out_once() -> None:
    growing = MarkdownStream()
    assert growing.feed("one\n\ntwo") == ()
    assert [block.source for block in growing.feed("\n\n") if isinstance(block, ProseBlock)] == ["one"]
    assert growing.feed("more") == ()
    assert growing.text == "one\n\ntwo\n\nmore"


@pytest.mark.parametrize(
    ("open_text", "shown"), [("a **bo", "a **bo**"), ("a `co", "a `co`"), ("a ~~de", "a ~~de~~"), ("a ** ", "a **")]
)
def test_marks_that_are_still_open_are_closed_for_now(open_text: str, shown: str) -> None:
    growing = MarkdownStream()
    growing.feed(open_text)
    (block,) = growing.tail()
    assert isinstance(block, ProseBlock)
    assert block.source.strip() == shown


def test_reference_links_are_read_again_at_the_end() -> None:
    growing, _ = stream("See [this].\n\nMore.\n\n[this]: https://example.org\n", 5)
    whole = growing.reconcile()
    assert whole is not None
    assert whole == parse_blocks(growing.text)


def test_html_stays_text() -> None:
    (block,) = parse_blocks("<script>alert(1)</script>")
    assert isinstance(block, ProseBlock)
    assert [token.type for token in block.tokens[1].children or []] == ["text"]


def test_line_ends_of_other_systems_and_odd_characters_do_not_confuse_the_lines() -> None:
    text = "one\u2028still one\x0c\r\n\r\n```\r\ncode\r\n```\r\n"
    assert kinds(parse_blocks(text)) == ["ProseBlock", "CodeBlock"]
    assert tuple(stream(text, 1)[1]) == parse_blocks(text)


def test_a_table_keeps_its_source() -> None:
    table = parse_blocks(EVERYTHING)[5]
    assert isinstance(table, TableBlock)
    assert table.source == "| a | b |\n|---|---|\n| 1 | 2 |"
