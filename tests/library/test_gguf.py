"""What headers say, against files of the reference writer and the built-in model."""

from __future__ import annotations

import struct
import time
from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFWriter

from app.library.gguf import GgufKind, Pooling, read_header
from tests.library.gguf_maker import write_model, write_projector


def test_ember_tells_what_it_is(ember_path: Path) -> None:
    header = read_header(ember_path)

    assert header.kind is GgufKind.MODEL
    assert header.name == "Ember"
    assert header.quantization == "F16"
    assert header.n_ctx_train > 0
    assert 1_000_000 < header.parameters < 20_000_000
    assert header.needed_bytes == ember_path.stat().st_size
    assert header.has_template


def test_embers_projector_fits_ember(ember_path: Path, ember_projector_path: Path) -> None:
    projector = read_header(ember_projector_path)

    assert projector.kind is GgufKind.PROJECTOR
    assert projector.has_vision
    assert not projector.has_audio
    assert projector.widths[0] == read_header(ember_path).n_embd


def test_parameters_are_counted_from_the_tensors(tmp_path: Path) -> None:
    tensors = {"a.weight": np.zeros((32, 64), np.float32), "b.bias": np.zeros(10, np.float16)}

    header = read_header(write_model(tmp_path / "m.gguf", tensors=tensors))

    assert header.parameters == 32 * 64 + 10
    assert header.n_tensors == 2


def test_the_commonest_tensor_type_names_the_quantization_where_the_header_does_not(tmp_path: Path) -> None:
    tensors = {"a.weight": np.zeros((32, 64), np.float16), "b.bias": np.zeros(10, np.float32)}

    assert read_header(write_model(tmp_path / "m.gguf", file_type=None, tensors=tensors)).quantization == "F16"


@pytest.mark.parametrize(("number", "name"), [(15, "Q4_K_M"), (15 | 1024, "Q4_K_M"), (38, "MXFP4"), (32, "BF16")])
def test_file_types_have_their_usual_names(tmp_path: Path, number: int, name: str) -> None:
    assert read_header(write_model(tmp_path / "m.gguf", file_type=number)).quantization == name


@pytest.mark.parametrize(
    ("template", "tools", "thinks"),
    [
        ("{{ messages }}", False, False),
        ("{% if tools %}{{ tools }}{% endif %}", True, False),
        ("{{ '<think>' }}", False, True),
        ("{% if enable_thinking %}x{% endif %}{{ tools }}", True, True),
    ],
)
def test_a_template_shows_tools_and_thinking(tmp_path: Path, template: str, tools: bool, thinks: bool) -> None:
    header = read_header(write_model(tmp_path / "m.gguf", template=template))

    assert header.has_template
    assert (header.template_takes_tools, header.template_thinks) == (tools, thinks)


@pytest.mark.parametrize(
    ("architecture", "pooling", "is_embedding"),
    [
        ("llama", None, False),
        ("llama", Pooling.NONE, False),
        ("qwen3", Pooling.LAST, True),
        ("bert", None, True),
        ("nomic-bert-moe", Pooling.MEAN, True),
        ("bert", Pooling.RANK, False),
    ],
)
def test_pooling_or_architecture_makes_an_embedding_model(
    tmp_path: Path, architecture: str, pooling: Pooling | None, is_embedding: bool
) -> None:
    header = read_header(write_model(tmp_path / "m.gguf", architecture=architecture, pooling=pooling))

    assert header.pooling == pooling
    assert header.is_embedding is is_embedding


@pytest.mark.parametrize(
    ("pooling", "tensors", "labels", "is_reranker"),
    [
        (Pooling.RANK, (), (), True),
        (None, ("cls.weight",), (), True),
        (None, ("cls.weight", "cls.output.weight"), ("LABEL_0",), True),
        (None, ("cls.output.weight",), ("yes", "no"), True),
        (None, ("cls.output.weight",), ("joy", "anger", "fear"), False),
        (Pooling.MEAN, ("cls.weight",), (), False),
        (None, (), (), False),
    ],
)
def test_a_reranker_is_known_by_its_pooling_or_by_a_head_with_one_answer(
    tmp_path: Path, pooling: Pooling | None, tensors: tuple[str, ...], labels: tuple[str, ...], is_reranker: bool
) -> None:
    weights = np.zeros((4, 4), np.float32)
    path = write_model(
        tmp_path / "m.gguf",
        architecture="bert",
        pooling=pooling,
        tensors=dict.fromkeys(("token_embd.weight", *tensors), weights),
        labels=labels,
    )

    header = read_header(path)

    assert header.is_reranker is is_reranker
    assert header.is_embedding is not is_reranker


def test_a_llava_projector_is_known_by_its_last_layer_too(tmp_path: Path) -> None:
    header = read_header(write_projector(tmp_path / "mmproj.gguf", width=4096, named_width=768))

    assert header.widths == (768, 4096)


def test_adapters_and_importance_matrices_are_no_models(tmp_path: Path) -> None:
    kinds = []
    for kind in ("adapter", "imatrix"):
        writer = GGUFWriter(tmp_path / f"{kind}.gguf", "llama")
        writer.add_type(kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        kinds.append(read_header(tmp_path / f"{kind}.gguf").kind)

    assert kinds == [GgufKind.ADAPTER, GgufKind.OTHER]


def test_a_file_without_weights_is_a_vocabulary(tmp_path: Path) -> None:
    assert read_header(write_model(tmp_path / "v.gguf", tensors={})).kind is GgufKind.VOCABULARY


def test_split_facts_are_read(tmp_path: Path) -> None:
    header = read_header(write_model(tmp_path / "m-00002-of-00003.gguf", split=(1, 3, 5)))

    assert (header.split_no, header.split_count, header.split_tensors) == (1, 3, 5)


def text(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


def test_a_large_vocabulary_is_read_in_a_moment(tmp_path: Path) -> None:
    path = tmp_path / "large.gguf"
    tokens = b"".join(text(b"token%d" % number) for number in range(262_144))
    merges = b"".join(text(b"tok en%d" % number) for number in range(514_000))
    entries = [
        text(b"general.architecture") + struct.pack("<I", 8) + text(b"gemma3"),
        text(b"tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, 262_144) + tokens,
        text(b"tokenizer.ggml.merges") + struct.pack("<IIQ", 9, 8, 514_000) + merges,
        text(b"tokenizer.ggml.scores") + struct.pack("<IIQ", 9, 6, 262_144) + bytes(4 * 262_144),
        text(b"tokenizer.chat_template") + struct.pack("<I", 8) + text(b"{{ tools }}"),
    ]
    tensor = text(b"token_embd.weight") + struct.pack("<IQQIQ", 2, 32, 4, 0, 0)
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 1, len(entries)) + b"".join(entries) + tensor + bytes(1024))

    start = time.process_time()
    header = read_header(path)
    took_s = time.process_time() - start

    assert header.template_takes_tools
    assert header.parameters == 128
    assert took_s < 0.6


def test_what_a_file_says_of_itself_is_one_short_line(tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.gguf", name="\x1b[2JA\nname\u202e " + "x" * 1_000_000)

    name = read_header(path).name

    assert name.startswith("[2JA name")
    assert name.isprintable()
    assert len(name) == 200


def test_numbers_beyond_reason_are_none(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    writer = GGUFWriter(path, "llama")
    writer.add_uint64("llama.context_length", 2**63)
    writer.add_uint64("llama.embedding_length", 4096)
    writer.add_tensor("token_embd.weight", np.zeros((4, 4), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

    header = read_header(path)

    assert (header.n_ctx_train, header.n_embd) == (0, 4096)
