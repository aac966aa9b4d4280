from __future__ import annotations

from pathlib import Path

from app.engine.llama.gguf_file import files_of, read_gguf
from app.engine.llama.model import LlamaModel


def test_the_tensors_of_a_file_are_those_llama_cpp_loads(ember_path: Path, ember_model: LlamaModel) -> None:
    file = read_gguf(ember_path)
    assert file is not None
    assert file.size_bytes == ember_model.size_bytes
    assert {tensor.name for tensor in file.tensors} >= {"token_embd.weight", "blk.0.attn_q.weight"}


def test_texts_and_numbers_of_a_header_are_read(ember_projector_path: Path) -> None:
    file = read_gguf(ember_projector_path)
    assert file is not None
    assert file.texts["general.architecture"] == "clip"
    assert file.numbers["clip.vision.image_size"] == 84


def test_what_is_no_gguf_has_nothing_to_say(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"Hello, I am a text.")
    assert read_gguf(path) is None
    assert read_gguf(tmp_path / "none.gguf") is None


def test_all_shards_belong_to_a_model() -> None:
    assert files_of(Path("m/a.gguf")) == (Path("m/a.gguf"),)
    shards = files_of(Path("m/a-00001-of-00003.gguf"))
    assert [shard.name for shard in shards] == [f"a-0000{i}-of-00003.gguf" for i in (1, 2, 3)]
