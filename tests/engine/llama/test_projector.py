from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from app.engine.decoder import DecodeResult, PictureTokens
from app.engine.llama.context import ContextSize, LlamaDecoder
from app.engine.llama.model import LlamaModel
from app.engine.llama.projector import LlamaProjector
from app.engine.pictures import read_picture


@pytest.fixture(scope="module")
def projector(ember_model: LlamaModel, ember_projector_path: Path) -> Iterator[LlamaProjector]:
    projector = LlamaProjector.load(ember_projector_path, ember_model, n_threads=1, use_gpu=False)
    assert projector is not None
    yield projector
    projector.close()


def _picture(projector: LlamaProjector, color: str, size: tuple[int, int] = (40, 30)) -> PictureTokens:
    buffer = io.BytesIO()
    Image.new("RGB", size, color).save(buffer, "PNG")
    parts = projector.tokenize(read_picture(buffer.getvalue()))
    (picture,) = [part for part in parts if isinstance(part, PictureTokens)]
    return picture


@pytest.mark.parametrize("size", [(4, 4), (40, 30), (3000, 40), (100, 4000)])
def test_every_picture_takes_embers_49_tokens(projector: LlamaProjector, size: tuple[int, int]) -> None:
    picture = _picture(projector, "red", size)
    assert (picture.n_tokens, picture.n_positions) == (49, 49)


def test_the_key_is_that_of_the_content(projector: LlamaProjector) -> None:
    assert _picture(projector, "red").key == _picture(projector, "red").key != _picture(projector, "blue").key


def test_a_picture_is_encoded_once(projector: LlamaProjector) -> None:
    first = projector.embedding(_picture(projector, "green"))
    assert first is not None
    assert first.shape == (49 * 256,)
    assert projector.embedding(_picture(projector, "green")) is first


def test_the_cache_keeps_to_its_size(ember_model: LlamaModel, ember_projector_path: Path) -> None:
    loaded = LlamaProjector.load(ember_projector_path, ember_model, n_threads=1, use_gpu=False)
    assert loaded is not None
    small = LlamaProjector(ember_model, loaded._handle, cache_bytes=2 * 49 * 256 * 4)
    pictures = [_picture(small, color) for color in ("red", "green", "blue")]
    first, *_ = [small.embedding(picture) for picture in pictures]
    assert small.embedding(pictures[0]) is not first
    small.close()


def test_a_decoded_picture_moves_its_sequence_on(projector: LlamaProjector, ember_model: LlamaModel) -> None:
    decoder = LlamaDecoder.open(ember_model, ContextSize(256, 128, 64, 3, 1, n_outputs=3), projector)
    assert decoder is not None
    picture = _picture(projector, "red")
    assert decoder.decode_picture(picture, sequence=1, position=0) is DecodeResult.OK
    assert decoder.next_position(1) == 49
    assert decoder.next_position(0) == 0
    decoder.close()


def test_a_decoder_without_a_projector_refuses_pictures(projector: LlamaProjector, ember_model: LlamaModel) -> None:
    decoder = LlamaDecoder.open(ember_model, ContextSize(256, 128, 64, 3, 1, n_outputs=3))
    assert decoder is not None
    assert decoder.decode_picture(_picture(projector, "red"), sequence=0, position=0) is DecodeResult.INVALID
    decoder.close()


def test_a_file_that_is_no_projector_is_refused(ember_model: LlamaModel, ember_path: Path) -> None:
    assert LlamaProjector.load(ember_path, ember_model, n_threads=1, use_gpu=False) is None
