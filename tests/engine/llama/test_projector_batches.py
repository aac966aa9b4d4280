"""A projector that encodes several pictures at once: tiny, random, and as mtmd batches them on a graphics card."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.engine.decoder import FloatArray, PictureTokens
from app.engine.llama.model import LlamaModel
from app.engine.llama.projector import LlamaProjector
from app.engine.pictures import RgbPicture
from tests.engine.tiny_models import write_llama
from tests.engine.tiny_projectors import write_internvl_projector

# Four tokens of 64 numbers.
TILE_BYTES = 4 * 64 * 4
Load = Callable[..., LlamaProjector]


@pytest.fixture(scope="module")
def model(ember_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaModel]:
    path = write_llama(tmp_path_factory.mktemp("batches") / "model.gguf", ember_path)
    model = LlamaModel.load(path, n_gpu_layers=0, on_progress=lambda _fraction: True)
    assert model is not None
    yield model
    model.close()


@pytest.fixture
def load(model: LlamaModel, tmp_path: Path) -> Iterator[Load]:
    path = write_internvl_projector(tmp_path / "projector.gguf")
    loaded: list[LlamaProjector] = []

    def load(**options: int) -> LlamaProjector:
        projector = LlamaProjector.load(path, model, n_threads=1, use_gpu=False, **options)
        assert projector is not None
        loaded.append(projector)
        return projector

    yield load
    for projector in loaded:
        projector.close()


def _prompt(projector: LlamaProjector, *pictures: tuple[int, int, int]) -> list[PictureTokens]:
    """The tiles of pictures of some seed, width and height, each with those that follow it."""
    tiles: list[PictureTokens] = []
    for seed, width, height in pictures:
        pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
        picture = RgbPicture(width, height, pixels.tobytes(), f"{seed} {width} {height}".encode())
        tiles += [part for part in projector.tokenize(picture) if isinstance(part, PictureTokens)]
    return [replace(tile, following=tuple(tiles[i + 1 :])) for i, tile in enumerate(tiles)]


def _embeddings(projector: LlamaProjector, tiles: list[PictureTokens]) -> FloatArray:
    embeddings = [projector.embedding(tile) for tile in tiles]
    assert all(embedding is not None for embedding in embeddings)
    return np.stack([embedding for embedding in embeddings if embedding is not None])


def test_tiles_encoded_together_are_as_if_encoded_alone(load: Load) -> None:
    together, alone = load(batch_tokens=1024), load()
    tiles = _prompt(together, (1, 40, 30), (2, 40, 30))
    batched = _embeddings(together, tiles)
    singly = _embeddings(alone, [replace(tile, following=()) for tile in _prompt(alone, (1, 40, 30), (2, 40, 30))])
    assert together.n_encodings == 1
    assert alone.n_encodings == len(tiles) > 2
    assert np.abs(batched - singly).max() < 1e-3
    # No tile got another's place.
    assert all(np.abs(batched[0] - other).max() > 0.1 for other in batched[1:])


def test_a_processor_encodes_one_after_the_other(load: Load) -> None:
    projector = load()
    tiles = _prompt(projector, (1, 40, 30))
    _embeddings(projector, tiles)
    assert projector.n_encodings == len(tiles)


def test_a_batch_has_no_more_tokens_than_it_may(load: Load) -> None:
    projector = load(batch_tokens=3 * 4)
    tiles = _prompt(projector, (1, 40, 30))
    _embeddings(projector, tiles)
    assert projector.n_encodings == -(-len(tiles) // 3)


def test_an_upright_picture_is_not_encoded_with_one_that_lies(load: Load) -> None:
    """mtmd takes pictures with equally many tokens for equal in shape."""
    projector = load(batch_tokens=1024)
    _embeddings(projector, _prompt(projector, (1, 40, 30), (2, 30, 40), (3, 40, 30)))
    assert projector.n_encodings == 2


def test_equal_pictures_are_encoded_once(load: Load) -> None:
    projector = load(batch_tokens=1024)
    once, twice = _prompt(projector, (1, 16, 16)), _prompt(projector, (1, 16, 16), (1, 16, 16))
    assert len(twice) == 2 * len(once)
    embeddings = _embeddings(projector, twice)
    assert projector.n_encodings == 1
    assert (embeddings[: len(once)] == embeddings[len(once) :]).all()


def test_what_is_in_the_cache_already_is_not_encoded_along(load: Load) -> None:
    projector = load(batch_tokens=1024)
    _embeddings(projector, _prompt(projector, (2, 40, 30)))
    _embeddings(projector, _prompt(projector, (1, 40, 30), (2, 40, 30)))
    _embeddings(projector, _prompt(projector, (2, 40, 30), (1, 40, 30)))
    assert projector.n_encodings == 2


def test_no_more_is_encoded_along_than_the_cache_can_keep(load: Load) -> None:
    projector = load(batch_tokens=1024, cache_bytes=2 * TILE_BYTES)
    tiles = _prompt(projector, (1, 40, 30))
    small = _embeddings(projector, tiles)
    assert projector.n_encodings == -(-len(tiles) // 2)
    assert np.abs(small - _embeddings(load(), tiles)).max() < 1e-3
