"""Templates and the tokens that they write, out of files."""

from __future__ import annotations

from pathlib import Path

import pytest
from gguf import GGUFWriter

from app.domain.errors import NotAModel
from app.library.stored_template import StoredTemplate, read_template
from tests.library.gguf_maker import write_model


def write_vocabulary(path: Path, tokens: list[str], *, bos: int, eos: int) -> Path:
    writer = GGUFWriter(path, "llama")
    # Before the tokens, as some converters write them.
    writer.add_bos_token_id(bos)
    writer.add_array("tokenizer.ggml.merges", ["a b"] * 5000)
    writer.add_array("tokenizer.ggml.tokens", tokens)
    writer.add_eos_token_id(eos)
    writer.add_chat_template("{{ bos_token }}")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return path


def test_the_tokens_are_found_in_a_vocabulary_too_long_to_keep(tmp_path: Path) -> None:
    tokens = [f"token {index} é" for index in range(70_000)]
    path = write_vocabulary(tmp_path / "a.gguf", tokens, bos=69_999, eos=3)
    assert read_template(path) == StoredTemplate("{{ bos_token }}", "token 69999 é", "token 3 é")


def test_one_token_may_be_both(tmp_path: Path) -> None:
    path = write_vocabulary(tmp_path / "a.gguf", ["<both>"], bos=0, eos=0)
    assert read_template(path) == StoredTemplate("{{ bos_token }}", "<both>", "<both>")


def test_what_a_file_does_not_name_is_empty(tmp_path: Path) -> None:
    assert read_template(write_model(tmp_path / "a.gguf", template=None)) == StoredTemplate("", "", "")


def test_a_token_that_is_not_there_is_empty(tmp_path: Path) -> None:
    path = write_vocabulary(tmp_path / "a.gguf", ["<s>", "</s>"], bos=7, eos=1)
    assert read_template(path) == StoredTemplate("{{ bos_token }}", "", "</s>")


def test_ember_has_all_of_it(ember_path: Path) -> None:
    stored = read_template(ember_path)
    assert "<tool_call>" in stored.source
    assert stored.eos_text


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotAModel, match="no such file"):
        read_template(tmp_path / "none.gguf")
