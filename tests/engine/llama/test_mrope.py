"""A model that places picture tokens in a grid (M-RoPE): positions, cuts, copies and saved states."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.engine.decoder import DecodeResult, FloatArray, PictureTokens
from app.engine.llama.context import ContextSize, LlamaDecoder
from app.engine.llama.floats import floats_at
from app.engine.llama.model import LlamaModel
from app.engine.llama.projector import LlamaProjector
from app.engine.pictures import RgbPicture
from tests.engine.tiny_models import write_qwen2vl
from tests.engine.tiny_projectors import write_qwen2vl_projector

# 8 x 3 tokens of 8 x 8 pixels.
WIDTH, HEIGHT, N_TOKENS, N_POSITIONS = 64, 24, 24, 8
QUESTION = " What is it?"


@pytest.fixture(scope="module")
def model(ember_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaModel]:
    path = write_qwen2vl(tmp_path_factory.mktemp("mrope") / "model.gguf", ember_path)
    model = LlamaModel.load(path, n_gpu_layers=0, on_progress=lambda _fraction: True)
    assert model is not None
    yield model
    model.close()


@pytest.fixture(scope="module")
def projector(model: LlamaModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaProjector]:
    path = write_qwen2vl_projector(tmp_path_factory.mktemp("mrope") / "projector.gguf")
    projector = LlamaProjector.load(path, model, n_threads=1, use_gpu=False)
    assert projector is not None
    yield projector
    projector.close()


@pytest.fixture
def decoder(model: LlamaModel, projector: LlamaProjector) -> Iterator[LlamaDecoder]:
    decoder = LlamaDecoder.open(model, ContextSize(512, 256, 64, 4, 1, n_outputs=4), projector)
    assert decoder is not None
    yield decoder
    decoder.close()


def _image(seed: int) -> RgbPicture:
    pixels = np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    return RgbPicture(WIDTH, HEIGHT, Image.fromarray(pixels).tobytes(), bytes([seed]) * 32)


class _Reader:
    """Reads a prompt into a sequence, keeping to positions as `TokenizedPrompt` does."""

    def __init__(self, decoder: LlamaDecoder, model: LlamaModel, projector: LlamaProjector) -> None:
        self.decoder = decoder
        self._vocabulary = model.vocabulary
        self._projector = projector

    def text(self, text: str, position: int, sequence: int = 0) -> int:
        """Returns the next position."""
        ids = np.asarray(self._vocabulary.tokenize(text, parse_special=False), np.int32)
        self.decoder.batch.clear()
        self.decoder.batch.add_chunk(ids, position=position, sequence=sequence, output=True)
        assert self.decoder.decode() is DecodeResult.OK
        return position + len(ids)

    def picture(self, seed: int, position: int, sequence: int = 0) -> int:
        for part in self._projector.tokenize(_image(seed)):
            if isinstance(part, PictureTokens):
                assert self.decoder.decode_picture(part, sequence=sequence, position=position) is DecodeResult.OK
                position += part.n_positions
            else:
                position = self.text(self._vocabulary.detokenize(part), position, sequence)
        return position

    def prompt(self, seed: int, sequence: int = 0, question: str = QUESTION) -> FloatArray:
        """The logits after a text, a picture and a question."""
        end = self.picture(seed, self.text("Look: ", 0, sequence), sequence)
        self.text(question, end, sequence)
        return self.logits()

    def logits(self) -> FloatArray:
        return self.decoder.logits()[-1].copy()


@pytest.fixture
def reader(decoder: LlamaDecoder, model: LlamaModel, projector: LlamaProjector) -> _Reader:
    return _Reader(decoder, model, projector)


def test_a_picture_moves_the_position_by_its_longer_side(reader: _Reader, projector: LlamaProjector) -> None:
    (picture,) = [part for part in projector.tokenize(_image(1)) if isinstance(part, PictureTokens)]
    assert (picture.n_tokens, picture.n_positions) == (N_TOKENS, N_POSITIONS)
    start = reader.text("Look: ", 0)
    assert reader.decoder.decode_picture(picture, sequence=0, position=start) is DecodeResult.OK
    # All of the picture's cells stand at its first position, so llama.cpp's own next position is not where text goes on.
    assert reader.decoder.next_position(0) == start + 1


def test_the_logits_are_those_of_mtmds_own_helper(reader: _Reader, model: LlamaModel, projector: LlamaProjector) -> None:
    ours = reader.prompt(1)
    assert np.abs(ours - _helper_logits(model, projector, "Look: ", _image(1), QUESTION)).max() < 2e-3
    assert np.abs(ours - _helper_logits(model, projector, "Look: ", _image(2), QUESTION)).max() > 0.1


def test_a_sequence_cut_after_a_picture_goes_on_as_if_computed_anew(reader: _Reader) -> None:
    expected = reader.prompt(1, sequence=1, question=" Why?")
    end = reader.picture(1, reader.text("Look: ", 0))
    reader.text(QUESTION, end)
    assert reader.decoder.remove(0, end)
    reader.text(" Why?", end)
    assert np.abs(reader.logits() - expected).max() < 2e-3


def test_a_sequence_cut_before_a_picture_goes_on_as_if_computed_anew(reader: _Reader) -> None:
    expected = reader.prompt(2, sequence=1)
    start = reader.text("Look: ", 0)
    reader.picture(1, start)
    assert reader.decoder.remove(0, start)
    reader.text(QUESTION, reader.picture(2, start))
    assert np.abs(reader.logits() - expected).max() < 2e-3


def test_a_picture_is_shared_with_another_sequence(reader: _Reader) -> None:
    expected = reader.prompt(1, sequence=1, question=" Why?")
    end = reader.picture(1, reader.text("Look: ", 0))
    reader.text(QUESTION, end)
    reader.decoder.copy(0, 2, end)
    reader.text(" Why?", end, sequence=2)
    assert np.abs(reader.logits() - expected).max() < 2e-3


def test_a_saved_state_keeps_the_grid_and_goes_on_in_another_sequence(reader: _Reader) -> None:
    expected = reader.prompt(1, sequence=1)
    end = reader.picture(1, reader.text("Look: ", 0))
    saved = _state(reader.decoder, 0)
    reader.decoder.clear()
    reader.text("Something else in between, so that other cells are taken.", 0, sequence=3)
    for sequence in (0, 2):
        _restore(reader.decoder, saved, sequence)
    # Positions in all directions are part of the state: it comes out as it went in.
    assert _state(reader.decoder, 0) == saved
    reader.text(QUESTION, end, sequence=2)
    assert np.abs(reader.logits() - expected).max() < 2e-3


def test_a_state_saved_within_a_picture_keeps_which_token_sees_which(reader: _Reader, projector: LlamaProjector) -> None:
    """All of a picture's cells stand at one position; only their rows and columns hide the later ones from the earlier."""
    (picture,) = [part for part in projector.tokenize(_image(1)) if isinstance(part, PictureTokens)]
    embedding = projector.embedding(picture)
    assert embedding is not None
    rows = _Rows(reader.decoder, embedding.reshape(N_TOKENS, -1))
    half = N_TOKENS // 2
    for sequence in (0, 1):
        rows.decode(sequence, half, N_TOKENS)
    _restore(reader.decoder, _state(reader.decoder, 1), 2)
    answers = []
    for sequence in (0, 2):
        rows.decode(sequence, 0, half)
        reader.text(QUESTION, N_POSITIONS, sequence)
        answers.append(reader.logits())
    assert np.abs(answers[0] - answers[1]).max() < 2e-3


class _Rows:
    """Decodes some rows of a picture that stands at position 0."""

    def __init__(self, decoder: LlamaDecoder, embedding: FloatArray) -> None:
        self._decoder = decoder
        self._embedding = embedding

    def decode(self, sequence: int, start: int, end: int) -> None:
        n = end - start
        rows = np.ascontiguousarray(self._embedding[start:end])
        at = np.arange(start, end, dtype=np.int32)
        zero, one = np.zeros(n, np.int32), np.ones(n, np.int32)
        # Time, row, column, and a direction that is not used, one after the other.
        positions = np.concatenate([zero, at // N_POSITIONS, at % N_POSITIONS, zero]).astype(np.int32)
        sequences = np.full(n, sequence, np.int32)
        pointers = sequences.ctypes.data + 4 * np.arange(n, dtype=np.uint64)
        outputs = np.zeros(n, np.int8)
        int32_p = ctypes.POINTER(ctypes.c_int32)
        batch = self._decoder._native.llama_batch()
        batch.n_tokens = n
        batch.embd = ctypes.cast(rows.ctypes.data, ctypes.POINTER(ctypes.c_float))
        batch.pos = ctypes.cast(positions.ctypes.data, int32_p)
        batch.n_seq_id = ctypes.cast(one.ctypes.data, int32_p)
        batch.seq_id = ctypes.cast(pointers.ctypes.data, ctypes.POINTER(int32_p))
        batch.logits = ctypes.cast(outputs.ctypes.data, ctypes.POINTER(ctypes.c_int8))
        assert self._decoder._native.llama_decode(self._decoder._context, batch) == 0


def _state(decoder: LlamaDecoder, sequence: int) -> bytes:
    native, context = decoder._native, decoder._context
    size = native.llama_state_seq_get_size(context, sequence)
    data = (ctypes.c_uint8 * size)()
    assert native.llama_state_seq_get_data(context, data, size, sequence) == size
    return bytes(data)


def _restore(decoder: LlamaDecoder, state: bytes, sequence: int) -> None:
    data = (ctypes.c_uint8 * len(state)).from_buffer_copy(state)
    assert decoder._native.llama_state_seq_set_data(decoder._context, data, len(state), sequence) == len(state)


def _helper_logits(model: LlamaModel, projector: LlamaProjector, before: str, image: RgbPicture, after: str) -> FloatArray:
    """What the model makes of a prompt when mtmd decodes all of it, in a context of its own."""
    mtmd = projector._mtmd
    decoder = LlamaDecoder.open(model, ContextSize(512, 512, 64, 2, 1, n_outputs=2))
    assert decoder is not None
    bitmap = mtmd.mtmd_bitmap_init(
        image.width, image.height, ctypes.cast(ctypes.c_char_p(image.rgb), ctypes.POINTER(ctypes.c_uint8))
    )
    texts = [mtmd.mtmd_input_text(text.encode(), len(text), False, False) for text in (before, after)]
    parts = [
        mtmd.mtmd_input_part(ctypes.pointer(texts[0]), None),
        mtmd.mtmd_input_part(None, bitmap),
        mtmd.mtmd_input_part(ctypes.pointer(texts[1]), None),
    ]
    pointers = (ctypes.POINTER(mtmd.mtmd_input_part) * 3)(*map(ctypes.pointer, parts))
    chunks = mtmd.mtmd_input_chunks_init()
    past = ctypes.c_int32(0)
    try:
        assert mtmd.mtmd_tokenize_from_parts(projector._handle, chunks, pointers, 3, False) == 0
        code = mtmd.mtmd_helper_eval_chunks(projector._handle, decoder._context, chunks, 0, 0, 512, True, ctypes.byref(past))
        assert code == 0
        return floats_at(decoder._native.llama_get_logits_ith(decoder._context, -1), model.vocabulary.n_tokens).copy()
    finally:
        mtmd.mtmd_input_chunks_free(chunks)
        mtmd.mtmd_bitmap_free(bitmap)
        decoder.close()
