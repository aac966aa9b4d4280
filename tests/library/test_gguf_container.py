"""Files that are damaged, foreign or hostile."""

from __future__ import annotations

import os
import random
import struct
import sys
import time
import tracemalloc
from pathlib import Path

import pytest

from app.domain.errors import NotAModel
from app.domain.models import ModelSource
from app.library.assemble import assemble
from app.library.gguf import GgufHeader, read_header
from app.library.gguf_container import read_container
from app.library.headers import HeaderCache
from tests.library.gguf_maker import write_model, write_projector


def reason(path: Path) -> str:
    with pytest.raises(NotAModel) as caught:
        read_container(path)
    return caught.value.reason


def header(*, version: int = 3, n_tensors: int = 0, n_metadata: int = 0, rest: bytes = b"") -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, n_tensors, n_metadata) + rest


def text(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
        (b"PK\x03\x04rest", "ZIP"),
        (b"lmgg\x01\0\0\0", "GGML"),
        (struct.pack("<Q", 90) + b'{"a":{}}', "safetensors"),
        (bytes(4096), "never finished"),
        (b"hello", "not a GGUF"),
        (b"GGUF\x03\0\0", "incomplete"),
        (header(version=1), "version 1"),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "byte order"),
        (header(n_tensors=1 << 60), "damaged"),
        (header(n_metadata=1 << 40), "damaged"),
        (header(n_metadata=1, rest=struct.pack("<Q", 1 << 50)), "damaged"),
        (header(n_metadata=1, rest=text(b"key") + struct.pack("<I", 99)), "unknown value type"),
        (header(n_metadata=1, rest=text(b"key") + struct.pack("<IIQ", 9, 8, 1 << 50)), "damaged"),
        (header(n_metadata=1, rest=text(b"key") + struct.pack("<IIQ", 9, 9, 4)), "unsupported type"),
        (header(n_metadata=1, rest=text(b"key") + struct.pack("<IIQ", 9, 4, 500_000)), "ends within its header"),
        (header(n_metadata=2, rest=(text(b"key") + struct.pack("<II", 4, 1)) * 2), "twice"),
        (header(n_metadata=1, rest=text(b"general.alignment") + struct.pack("<II", 4, 7)), "power of two"),
        (header(n_tensors=1, rest=text(b"t") + struct.pack("<I", 9)), "9 dimensions"),
        (header(n_tensors=1, rest=text(b"t") + struct.pack("<IQIQ", 1, 32, 4000, 0)), "tensor type 4000"),
        (header(n_tensors=1, rest=text(b"t") + struct.pack("<IQIQ", 1, 31, 8, 0)), "impossible"),
        (header(n_tensors=1, rest=text(b"t") + struct.pack("<IQQIQ", 2, 1 << 62, 1 << 62, 0, 0)), "impossible"),
        (header(n_tensors=2, rest=(text(b"t") + struct.pack("<IQIQ", 1, 32, 0, 0)) * 2), "same name"),
    ],
)
def test_a_bad_file_is_refused_with_a_plain_reason(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "bad.gguf"
    path.write_bytes(content)

    assert says in reason(path)


def test_a_missing_file_a_folder_and_an_impossible_name_are_told_apart(tmp_path: Path) -> None:
    assert "no such file" in reason(tmp_path / "none.gguf")
    assert "not a file" in reason(tmp_path)
    assert "not a file name" in reason(Path("a\0b"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.gguf")

    assert "not a file" in reason(tmp_path / "pipe.gguf")


def test_version_2_is_read_like_version_3(tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.gguf")
    content = bytearray(path.read_bytes())
    before = read_container(path)
    content[4:8] = struct.pack("<I", 2)
    path.write_bytes(content)

    after = read_container(path)

    assert after.version == 2
    assert (after.metadata, after.tensors, after.end) == (before.metadata, before.tensors, before.end)


def test_a_file_cut_at_any_place_of_its_header_is_called_incomplete(tmp_path: Path) -> None:
    content = write_model(tmp_path / "m.gguf").read_bytes()
    data_start = read_container(tmp_path / "m.gguf").data_start
    cut = tmp_path / "cut.gguf"
    for length in range(24, data_start - 32, 7):
        cut.write_bytes(content[:length])
        assert "incomplete" in reason(cut)


def test_the_end_of_the_last_tensor_tells_a_cut_file_from_a_whole_one(tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.gguf")

    assert 0 <= path.stat().st_size - read_container(path).end < 32


def test_an_array_of_millions_of_empty_strings_ends_in_time(tmp_path: Path) -> None:
    path = tmp_path / "hostile.gguf"
    with path.open("wb") as file:
        file.write(header(n_metadata=60_000, rest=text(b"key") + struct.pack("<IIQ", 9, 8, 4_000_000)))
        # A sparse file: strings without a letter for as long as anyone reads.
        file.truncate(1 << 30)

    start = time.process_time()
    assert "twice" in reason(path) or "damaged" in reason(path)

    assert time.process_time() - start < 20


def vocabulary(words: list[bytes], *after: bytes) -> bytes:
    tokens = text(b"tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, len(words)) + b"".join(map(text, words))
    tensor = text(b"token_embd.weight") + struct.pack("<IQIQ", 1, 32, 0, 0)
    return header(n_tensors=1, n_metadata=1 + len(after), rest=tokens + b"".join(after) + tensor)


def entry(key: bytes, value: int) -> bytes:
    return text(key) + struct.pack("<II", 4, value)


@pytest.mark.parametrize("shift", range(0, 160, 3))
def test_what_follows_a_vocabulary_is_found_wherever_it_begins(tmp_path: Path, shift: int) -> None:
    # The first windows end after 64 kB and 320 kB: the entry that follows lies across one of them.
    words = [b"x" * 40] * 1100
    for end in (1 << 16, 5 << 16):
        content = vocabulary(words, entry(b"tokenizer.ggml.bos_token_id", 7), entry(b"general.alignment", 64))
        filler = end - len(content) + shift - 60
        path = tmp_path / "m.gguf"
        padded = [b"x" * (40 + filler), *words[1:]]
        path.write_bytes(vocabulary(padded, entry(b"tokenizer.ggml.bos_token_id", 7), entry(b"general.alignment", 64)))

        container = read_container(path)

        assert container.metadata == {"tokenizer.ggml.bos_token_id": 7, "general.alignment": 64}
        assert container.data_start % 64 == 0


@pytest.mark.parametrize(
    "words",
    [
        [b"tokenizer", b".", b"tokenizer.ggml.", b"tokenizer.ggml.tokens", b"tokenizer.chat_template"] * 300,
        [text(b"tokenizer.ggml.scores")] * 1500,
        [text(b"tokenizer.ggml.scores"), b"abcde"] * 800,
        [b""] * 1500,
        [b"x" * 3_000_000, *[b"y"] * 1500],
    ],
    ids=["names of entries", "an entry as a word", "an entry and its value", "empty", "one long word"],
)
def test_words_that_look_like_an_entry_lead_nowhere_else(tmp_path: Path, words: list[bytes]) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(vocabulary(words, entry(b"tokenizer.ggml.bos_token_id", 7)))

    assert read_container(path).metadata == {"tokenizer.ggml.bos_token_id": 7}


def test_a_vocabulary_that_nothing_of_the_tokenizer_follows_is_walked_through(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(vocabulary([b"word"] * 5000, entry(b"general.alignment", 64)))
    assert read_container(path).metadata == {"general.alignment": 64}

    path.write_bytes(vocabulary([b"word"] * 5000))
    assert read_container(path).metadata == {}
    path.write_bytes(path.read_bytes()[:-200])
    assert "ends within its header" in reason(path)


def test_a_long_vocabulary_is_not_kept_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "large.gguf"
    strings = text(b"x" * 200) * 100_000
    path.write_bytes(header(n_metadata=1, rest=text(b"key") + struct.pack("<IIQ", 9, 8, 100_000) + strings))
    size_bytes = path.stat().st_size
    del strings

    tracemalloc.start()
    assert read_container(path).metadata == {}
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert size_bytes > 20_000_000
    assert peak_bytes < 5_000_000


def test_arrays_of_a_thousand_each_are_not_kept_without_end(tmp_path: Path) -> None:
    path = tmp_path / "arrays.gguf"
    arrays = b"".join(text(b"%d" % number) + struct.pack("<IIQ", 9, 8, 1024) + bytes(8 * 1024) for number in range(2000))
    path.write_bytes(header(n_metadata=2000, rest=arrays))

    assert "array elements" in reason(path)


def test_a_reason_holds_nothing_that_moves_a_terminals_cursor(tmp_path: Path) -> None:
    path = tmp_path / "bad.gguf"
    path.write_bytes(header(n_metadata=2, rest=(text(b"\x1b[2Jkey\n") + struct.pack("<II", 4, 1)) * 2))

    assert reason(path) == "its metadata names '?[2Jkey?' twice."


def test_a_header_of_holes_is_not_read_for_hours(tmp_path: Path) -> None:
    path = tmp_path / "holes.gguf"
    step = 8 << 20
    with path.open("wb") as file:
        start = file.write(header(n_metadata=1, rest=text(b"key") + struct.pack("<IIQ", 9, 8, 4_000_000)))
        for number in range(200):
            file.seek(start + number * (step + 8))
            file.write(struct.pack("<Q", step))
        file.truncate(start + 200 * (step + 8))

    began = time.process_time()
    assert "bytes of header" in reason(path)

    assert time.process_time() - began < 5


def mutations(dice: random.Random, original: bytes, data_start: int) -> bytes:
    """A header with some bytes, fields or pieces changed."""
    content = bytearray(original)
    # Most of a header is vocabulary; half of the changes go to the structure before and after it.
    structure = [*range(min(2000, data_start)), *range(max(0, data_start - 5000), data_start)]
    for _ in range(dice.choice((1, 1, 2, 8, 64))):
        place = min(dice.choice(structure) if dice.random() < 0.5 else dice.randrange(data_start), len(content) - 1)
        match dice.randrange(5):
            case 0:
                content[place] ^= 1 << dice.randrange(8)
            case 1:
                content[place] = dice.choice((0, 1, 0x7F, 0x80, 0xFF))
            case 2:
                content[place : place + 8] = struct.pack("<Q", dice.choice((0, 1, 2**31, 2**32, 2**63 - 1, 2**64 - 1)))
            case 3:
                # A field in its place: a count, a length, a type, an offset.
                content[place : place + 4] = struct.pack("<I", dice.choice((*range(16), 1024, 4_000_000, 2**31, 2**32 - 1)))
            case _:
                del content[place : place + dice.randrange(1, 64)]
    return bytes(content)


def originals(folder: Path, ember_path: Path) -> list[tuple[bytes, int]]:
    """Beginnings of every kind of file, and where their headers end."""
    files = (
        ember_path,
        write_model(folder / "model.gguf", labels=("yes", "no"), tokenizer="qwen2"),
        write_model(folder / "draft.gguf", architecture="eagle3", numbers={"target_hidden_size": 64}),
        write_model(folder / "head.gguf", numbers={"block_count": 5, "nextn_predict_layers": 1}),
        write_model(folder / "part-00001-of-00002.gguf", split=(0, 2, 2)),
        write_projector(folder / "projector.gguf"),
    )
    ends = [read_container(file).data_start for file in files]
    return [(file.read_bytes()[: end + 4096], end) for file, end in zip(files, ends, strict=True)]


def test_2000_mutated_headers_give_a_result_or_a_reason(tmp_path: Path, ember_path: Path) -> None:
    dice = random.Random(20)
    headers = originals(tmp_path / "originals", ember_path)
    mutated = tmp_path / "part-00001-of-00002.gguf"
    results = 0
    reasons: list[str] = []
    slowest_s = 0.0
    before_bytes = peak_memory_bytes()
    for number in range(2000):
        mutated.write_bytes(mutations(dice, *headers[number % len(headers)]))
        began = time.process_time()
        try:
            assert isinstance(read_header(mutated), GgufHeader)
            results += 1
        except NotAModel as error:
            reasons.append(error.reason)
        # What is made of it must not fall over either.
        file = HeaderCache(tmp_path / "headers.json").file(mutated)
        assert file is not None
        for item in assemble([file]):
            model = item.model("id", ModelSource.LIBRARY)
            assert len(model.name) <= 200
        slowest_s = max(slowest_s, time.process_time() - began)

    assert results > 100
    assert len(reasons) > 100
    assert all(reason.endswith(".") for reason in reasons)
    assert slowest_s < 2
    assert peak_memory_bytes() - before_bytes < 100_000_000


def peak_memory_bytes() -> int:
    """The most that this process ever had; 0 where nobody tells."""
    if sys.platform == "win32":
        return 0
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
